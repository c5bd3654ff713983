"""Report each ``TODO`` that remains in a mapping."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from adapter.mapping.loader.yaml_document import Document, KeyPath

#: Marks the places in a draft where a person has to fill in a value.
TODO: Final = "TODO"
_TODO: Final = re.compile(rf"\b{TODO}\b")
_FILL_IN: Final = "fill in this TODO, or remove the line"
#: Advice for sections that the samples may give no hints about.
_HINTS: Final[Mapping[KeyPath, str]] = {
    ("community",): (
        "write a path; or query.community, if the sender's URL ends with ?community=maple-court; "
        "or { always: maple-court }"
    ),
    ("signature", "scheme"): (
        "write hmac, hash, token or basic, or none if the sender signs nothing; see "
        "docs/signatures.md"
    ),
    ("appointment", "name"): (
        "write a path, or 'last_name: { always: Unknown }' if the sender never sends a name"
    ),
    ("appointment", "starts_at"): (
        "write a path, or remove the line and add 'without_time: prospect' (or hold) at the top"
    ),
    ("dedupe",): "write the path of the booking's ID, several paths, or body if there is no ID",
}
#: Test keys whose values come from senders, and may legitimately contain "TODO".
SAMPLES: Final = frozenset({"payload", "change"})


def check_todos(document: Document) -> None:
    """Add a problem for each TODO, in place of other problems at the same position."""
    todos = list(_todos(document.data, ()))
    positions = {document.position(where) for where in todos}
    document.problems = {
        one: None
        for one in document.problems
        if (one.line, one.column) not in positions and f"in {TODO!r}" not in one.message
    }
    for where in todos:
        hint = _HINTS.get(where)
        document.add(where, f"fill in this TODO: {hint}" if hint else _FILL_IN)


def _todos(value: Any, where: KeyPath) -> Iterator[KeyPath]:
    """Yield the position of each key or string that contains TODO."""
    if isinstance(value, str):
        if _TODO.search(value):
            yield where
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if _TODO.search(key):
                yield (*where, key)
            elif not (where[:1] == ("tests",) and key in SAMPLES):
                yield from _todos(item, (*where, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _todos(item, (*where, str(number)))
