"""How a sender is let in and answered: ``signature``, ``handshake`` and ``respond``, checked."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from adapter import signatures
from adapter.exceptions import ConfigurationError
from adapter.mapping import respond, webhook_outcome
from adapter.mapping.loader.compile_paths import PathRegistry
from adapter.mapping.loader.yaml_document import Document, Where
from adapter.mapping.problems import unknown
from adapter.signatures import handshakes

#: What an environment variable is called. A value that does not fit may be the secret itself,
#: so no message shows it.
VARIABLE: Final = re.compile(r"[A-Z_][A-Z0-9_]*\Z")
NO_VARIABLE: Final = (
    "is no name of an environment variable (A to Z, 0 to 9 and _): "
    "name the variable that holds the secret, and never write the secret here"
)
NO_SECRETS: Final = (
    "the option 'secrets' is missing: the names of the environment variables "
    "that hold them, newest last, such as [ACME_SECRET]"
)
#: What a webhook may have become when its sender is answered.
OUTCOMES: Final = tuple(map(str, webhook_outcome.Outcome))
TEMPLATES: Final = tuple(respond.KINDS)
WAIT: Final = re.compile(r"(?:[1-9]|1[0-9]|2[0-5])s\Z")
DEADLINE: Final = re.compile(r"[1-9][0-9]{0,2}s\Z")
SECONDS: Final = {
    "wait": (WAIT, "must be seconds from 1s to 25s, such as 8s"),
    "deadline": (DEADLINE, "must be seconds, such as 10s"),
}
NAMES: Final = "{event}, {status}, {say}, {booking.<field>}, {request.<place>}"


def check_signature(document: Document, block: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the secrets; a problem where the block is wrong."""
    if not block:
        return ()
    scheme = block.get("scheme")
    if "preset" not in block and isinstance(scheme, str) and scheme in signatures.PRESETS:
        said = f"{scheme!r} is a preset: write preset: {scheme}"
        document.add(("signature", "scheme"), said)
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
        document.add(("signature",), NO_SECRETS)
    for number, name in enumerate(names):
        if not VARIABLE.match(name):
            document.add(("signature", "secrets", str(number)), NO_VARIABLE)
    return tuple(names)


def check_handshake(document: Document, said: Any) -> None:
    """A problem where ``handshake`` is none of its forms."""
    if isinstance(said, Mapping) and list(said) == ["meta"] and isinstance(said["meta"], str):
        if not VARIABLE.match(said["meta"]):
            document.add(("handshake", "meta"), NO_VARIABLE)
        return
    try:
        handshakes.handshake_from(said)
    except ConfigurationError as exc:
        document.add(("handshake",), str(exc))
    if said == "zoom" and "secrets" not in document.data.get("signature", {}):
        document.add(("handshake",), "zoom proves the address by the secret: name it in 'secrets'")


class RespondChecker:
    """Finds each word of ``respond`` that has no meaning there."""

    def __init__(self, document: Document, places: PathRegistry, inner: Collection[str]) -> None:
        """``inner`` are the names that only an item of ``for_each`` has."""
        self.document = document
        self.places = places
        self.inner = inner

    def check(self, said: Mapping[str, Any]) -> None:
        """A problem for each."""
        for name, value in said.items():
            self._check_option(name, value, ("respond", name))
        if len(said.keys() & {*TEMPLATES}) > 1:
            self.document.add(("respond",), f"takes one of {', '.join(TEMPLATES)} for all outcomes")
        if _is_late(said):
            self.document.add(("respond", "wait"), "must be shorter than 'deadline'")

    def _check_option(self, name: str, value: Any, where: Where) -> None:
        if name in SECONDS:
            pattern, words = SECONDS[name]
            if not (isinstance(value, str) and pattern.match(value)):
                self.document.add(where, words)
        elif name == "say":
            self._check_sentences(value, where)
        elif name in TEMPLATES:
            self._check_template(name, value, where)
        elif name not in OUTCOMES:
            known = [*respond.OPTIONS, *TEMPLATES, *OUTCOMES]
            self.document.add(where, unknown("option", name, known))
        elif not isinstance(value, Mapping) or len(value) != 1 or not value.keys() <= {*TEMPLATES}:
            self.document.add(where, "must be one of { json: … }, { xml: … }, { text: … }")
        else:
            for kind, template in value.items():
                self._check_template(kind, template, (*where, kind))

    def _check_sentences(self, said: Any, where: Where) -> None:
        if not isinstance(said, Mapping):
            self.document.add(where, "must be sentences by their outcomes")
            return
        for name, text in said.items():
            if name not in respond.SENTENCES:
                words = unknown("outcome", name, list(respond.SENTENCES))
                self.document.add((*where, name), words)
            elif not isinstance(text, str):
                self.document.add((*where, name), "must be a text")
            else:
                self._check_text(text, (*where, name), {*respond.NAMES})

    def _check_template(self, kind: str, template: Any, where: Where) -> None:
        if not isinstance(template, Mapping | list if kind == "json" else str):
            self.document.add(where, "must be an object" if kind == "json" else "must be a text")
            return
        if not _is_each_right(template):
            self.document.add(where, "'each' stands alone in an item of a list")
        for text, in_each in _texts(template):
            inner = () if in_each else self.inner
            self._check_text(text, where, {*respond.NAMES, respond.SAY}, inner)

    def _check_text(
        self, text: str, where: Where, known: Collection[str], inner: Collection[str] = ()
    ) -> None:
        try:
            names = respond.names_in(text)
        except ValueError as exc:
            self.document.add(where, f"{text[:60]!r}: {exc}")
            return
        for name in names:
            if name.startswith(respond.REQUEST):
                self._check_place(name.removeprefix(respond.REQUEST), where, inner)
            elif name not in known:
                self.document.add(where, _no_such_name(name))

    def _check_place(self, text: str, where: Where, inner: Collection[str]) -> None:
        path = self.places.path(text, where)
        if path is not None and path.parts[0] in inner:
            self.document.add(where, f"{path.parts[0]!r} is one of several: use it under 'each'")


def _is_late(said: Mapping[str, Any]) -> bool:
    """Whether the sender has gone before it is answered."""
    texts = [said.get(name) for name in ("wait", "deadline")]
    if not all(isinstance(text, str) and DEADLINE.match(text) for text in texts):
        return False
    wait, deadline = map(respond.seconds_from, map(str, texts))
    return wait >= deadline


def _no_such_name(name: str) -> str:
    if name.startswith("booking.") and name != "booking.":
        return unknown("field", name.removeprefix("booking."), list(respond.BOOKING_FIELDS))
    return f"{{{name[:60]}}} is none of {NAMES}"


def _is_each_right(value: Any, *, is_item: bool = False) -> bool:
    if isinstance(value, list):
        return all(_is_each_right(item, is_item=True) for item in value)
    if not isinstance(value, Mapping):
        return True
    if respond.EACH in value and not (is_item and len(value) == 1):
        return False
    return all(map(_is_each_right, value.values()))


def _texts(value: Any, *, in_each: bool = False) -> Iterator[tuple[str, bool]]:
    """All texts of a template, each with whether it is written once for each item.

    A file is not nested deeper than its reader allows.
    """
    if isinstance(value, str):
        yield value, in_each
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, in_each=in_each)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _texts(item, in_each=in_each or name == respond.EACH)
