"""How a sender is let in and answered: ``signature``, ``handshake`` and ``respond``, checked."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from adapter import answers, signatures
from adapter.exceptions import ConfigurationError
from adapter.signatures import handshakes
from adapter.sources.document import Document, Where
from adapter.sources.problems import unknown

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
OUTCOMES: Final = tuple(map(str, answers.Outcome))
TEMPLATES: Final = tuple(answers.KINDS)
WAIT: Final = re.compile(r"(?:[1-9]|1[0-9]|2[0-5])s\Z")


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


def check_respond(document: Document, said: Mapping[str, Any]) -> None:
    """A problem for each word of ``respond`` that has no meaning there."""
    for name, value in said.items():
        where: Where = ("respond", name)
        if name == "wait":
            if not (isinstance(value, str) and WAIT.match(value)):
                document.add(where, "must be seconds from 1s to 25s, such as 8s")
        elif name in TEMPLATES:
            _check_template(document, name, value, where)
        elif name not in OUTCOMES:
            document.add(where, unknown("option", name, ["wait", *TEMPLATES, *OUTCOMES]))
        elif not isinstance(value, Mapping) or len(value) != 1 or not value.keys() <= {*TEMPLATES}:
            document.add(where, "must be one of { json: … }, { xml: … }, { text: … }")
        else:
            for kind, template in value.items():
                _check_template(document, kind, template, (*where, kind))
    if len(said.keys() & {*TEMPLATES}) > 1:
        document.add(("respond",), f"takes one of {', '.join(TEMPLATES)} for all outcomes")


def _check_template(document: Document, kind: str, template: Any, where: Where) -> None:
    if not isinstance(template, Mapping | list if kind == "json" else str):
        document.add(where, "must be an object" if kind == "json" else "must be a text")
        return
    for text in _texts(template):
        try:
            names = answers.names_in(text)
        except ValueError as exc:
            document.add(where, f"{text[:60]!r}: {exc}")
            continue
        for name in names:
            if name not in answers.NAMES:
                document.add(where, _no_such_name(name))


def _no_such_name(name: str) -> str:
    if name.startswith("booking.") and name != "booking.":
        return unknown("field", name.removeprefix("booking."), list(answers.BOOKING_FIELDS))
    return f"{{{name[:60]}}} is none of {{event}}, {{status}}, {{booking.<field>}}"


def _texts(value: Any) -> Iterator[str]:
    """All texts of a template; a file is not nested deeper than its reader allows."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(item)
