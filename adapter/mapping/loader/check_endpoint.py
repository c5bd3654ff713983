"""Check the ``signature``, ``handshake`` and ``respond`` sections of a mapping."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from adapter import signatures
from adapter.exceptions import ConfigurationError
from adapter.mapping import respond
from adapter.mapping.loader.compile_paths import PathRegistry
from adapter.mapping.loader.yaml_document import Document, KeyPath
from adapter.mapping.problems import unknown
from adapter.parsing.templates import parse_template
from adapter.signatures import handshakes

#: Names of environment variables. Anything else may be the secret itself, so no message shows it.
VARIABLE: Final = re.compile(r"[A-Z_][A-Z0-9_]*\Z")
NOT_A_VARIABLE_NAME: Final = (
    "is not the name of an environment variable (A to Z, 0 to 9 and _): "
    "enter the name of the variable that holds the secret, never the secret itself"
)
SECRETS_MISSING: Final = (
    "the option 'secrets' is missing: list the environment variables that hold the secrets, "
    "newest last, such as [ACME_SECRET]"
)
#: The keys of list items that are repeated.
_REPEATED: Final = (respond.EACH, respond.EACH_FREE_TIME)
NAMES: Final = "{event}, {status}, {say}, {booking.<field>}, {request.<path>}"


def check_signature(document: Document, block: Mapping[str, Any]) -> tuple[str, ...]:
    """Check the ``signature`` section. Return the environment variables that hold its secrets."""
    if not block:
        return ()
    scheme = block.get("scheme")
    if "preset" not in block and isinstance(scheme, str) and scheme in signatures.PRESETS:
        message = f"{scheme!r} is a preset: write 'preset: {scheme}'"
        document.add(("signature", "scheme"), message)
        return ()
    try:
        signatures.check_block(block)
    except ConfigurationError as exc:
        key = next((key for key in block if f"'{key}'" in str(exc)), None)
        document.add(("signature", key) if key else ("signature",), str(exc))
        return ()
    return _secrets(document, block)


def _secrets(document: Document, block: Mapping[str, Any]) -> tuple[str, ...]:
    names = block.get("secrets", [])
    if signatures.scheme_of(block) == "none":
        if names:
            document.add(("signature", "secrets"), "scheme 'none' takes no secrets: remove them")
        return ()
    if not names:
        document.add(("signature",), SECRETS_MISSING)
    for number, name in enumerate(names):
        if not VARIABLE.match(name):
            document.add(("signature", "secrets", str(number)), NOT_A_VARIABLE_NAME)
    return tuple(names)


def check_handshake(document: Document, value: Any) -> None:
    """Check the ``handshake`` section. Add a problem to the document if it is invalid."""
    if isinstance(value, Mapping) and list(value) == ["meta"] and isinstance(value["meta"], str):
        if not VARIABLE.match(value["meta"]):
            document.add(("handshake", "meta"), NOT_A_VARIABLE_NAME)
        return
    try:
        handshakes.handshake_from(value)
    except ConfigurationError as exc:
        document.add(("handshake",), str(exc))
    if value == "zoom" and "secrets" not in document.data.get("signature", {}):
        message = "Zoom validates this URL with a secret: list its variable in 'signature: secrets'"
        document.add(("handshake",), message)


class RespondChecker:
    """Checks the ``respond`` section of one mapping."""

    def __init__(self, document: Document, paths: PathRegistry, inner: Collection[str]) -> None:
        """Create a checker. ``inner`` contains the names that exist only inside items."""
        self.document = document
        self.paths = paths
        self.inner = inner

    def check(self, section: Mapping[str, Any]) -> None:
        """Check the ``respond`` section for errors that the schema does not detect."""
        if len(section.keys() & respond.KINDS.keys()) > 1:
            self.document.add(("respond",), f"has several of {', '.join(respond.KINDS)}: keep one")
        wait, deadline = (
            respond.seconds_from(section.get(key, "")) for key in ("wait", "deadline")
        )
        if wait and deadline and wait >= deadline:
            self.document.add(("respond", "wait"), "must be shorter than 'deadline'")
        self._check_say(section)
        for name, value in section.items():
            if name in respond.KINDS:
                self._check_template(value, ("respond", name))
            elif name not in respond.OPTIONS:
                for kind, template in value.items():
                    self._check_template(template, ("respond", name, kind))

    def _check_say(self, section: Mapping[str, Any]) -> None:
        for path in section.get("language", ()):
            self.paths.path(path, ("respond", "language"))
        for name, texts in section.get("say", {}).items():
            if isinstance(texts, str):
                self._check_text(texts, ("respond", "say", name), respond.NAMES)
                continue
            if "language" not in section:
                message = "is never used: add 'language: <path of the renter's language>'"
                self.document.add(("respond", "say", name), message)
            for outcome, text in texts.items():
                self._check_text(text, ("respond", "say", name, outcome), respond.NAMES)

    def _check_template(self, template: Any, where: KeyPath) -> None:
        for key in dict.fromkeys(_misplaced(template)):
            self.document.add(where, f"{key!r} must be the only key of a list item")
        for text, inside in _texts(template):
            inner = () if respond.EACH in inside else self.inner
            names = respond.FREE_TIME_NAMES if respond.EACH_FREE_TIME in inside else ()
            self._check_text(text, where, {*respond.NAMES, respond.SAY, *names}, inner)

    def _check_text(
        self, text: str, where: KeyPath, known: Collection[str], inner: Collection[str] = ()
    ) -> None:
        try:
            names = [name for _, name in parse_template(text) if name is not None]
        except ValueError as exc:
            self.document.add(where, f"{text[:60]!r}: {exc}")
            return
        for name in names:
            if name.startswith(respond.REQUEST):
                self._check_path(name.removeprefix(respond.REQUEST), where, inner)
            elif name not in known:
                self.document.add(where, _unknown_placeholder(name))

    def _check_path(self, text: str, where: KeyPath, inner: Collection[str]) -> None:
        path = self.paths.path(text, where)
        if path is not None and path.parts[0] in inner:
            message = f"{path.parts[0]!r} has a value for each item: use it under 'each'"
            self.document.add(where, message)


def _unknown_placeholder(name: str) -> str:
    if name.startswith("booking.") and name != "booking.":
        return unknown("field", name.removeprefix("booking."), list(respond.BOOKING_FIELDS))
    if name in respond.FREE_TIME_NAMES:
        return f"{{{name}}} has a value for each available time: use it under 'each_free_time'"
    return f"{{{name[:60]}}} is not a placeholder: use one of {NAMES}"


def _misplaced(value: Any, *, is_item: bool = False) -> Iterator[str]:
    """Yield each ``each`` or ``each_free_time`` key that is used outside of its own list item."""
    if isinstance(value, list):
        for item in value:
            yield from _misplaced(item, is_item=True)
    elif isinstance(value, Mapping):
        if not (is_item and len(value) == 1):
            yield from (key for key in _REPEATED if key in value)
        for item in value.values():
            yield from _misplaced(item)


def _texts(value: Any, inside: Sequence[str] = ()) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield each string in a template, with the path of keys to the string."""
    if isinstance(value, str):
        yield value, inside
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, inside)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _texts(item, (*inside, str(name)))
