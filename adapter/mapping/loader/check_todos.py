"""What a person was to fill in and did not: each ``TODO`` of a mapping."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from adapter.mapping.loader.yaml_document import Document, Where

BLANK: Final = re.compile(r"\bTODO\b")
#: What senders wrote stands under these, and they may write what they like.
SAMPLES: Final = frozenset({"payload", "change"})


def refuse_blanks(document: Document) -> None:
    """A mistake for each; what else is wrong at the same place is so because of it."""
    found = list(_blanks(document.data, ()))
    places = {document.position(where) for where in found}
    document.problems = [one for one in document.problems if (one.line, one.column) not in places]
    for where in found:
        document.add(where, "fill in this TODO, or remove the line")


def _blanks(value: Any, where: Where) -> Iterator[Where]:
    """Where a key or a text holds the word; a file is not nested deeper than its reader allows."""
    if isinstance(value, str):
        if BLANK.search(value):
            yield where
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if BLANK.search(key):
                yield (*where, key)
            elif not (where[:1] == ("tests",) and key in SAMPLES):
                yield from _blanks(item, (*where, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _blanks(item, (*where, str(number)))
