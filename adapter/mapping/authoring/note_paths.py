"""Choose the paths whose values go into the notes."""

import re
from typing import Any, Final

from adapter.mapping.authoring.field_keys import NOTES, UNREAD, Guesses
from adapter.mapping.authoring.foreign import PRICES
from adapter.mapping.authoring.observe import Observed
from adapter.mapping.authoring.payload_keys import key_of, owned_key, words_in
from adapter.mapping.authoring.readings import quoted
from adapter.mapping.authoring.whose import STAFF

#: Keys and words for a period when the renter is available, as opposed to a tour time.
WINDOW_KEYS: Final = frozenset({"earliest", "latest"})
WINDOWS: Final = frozenset({"window", "windows", "availabilities"})
#: Keys that name a text's author, and their values for staff and for programs.
AUTHORS: Final = (
    *("author.type", "author.role", "sender.type", "sender.role", "author_type", "sender_type"),
    *("authorType", "senderType", "role", "from.type"),
)
WRITES_FOR_US: Final = frozenset(
    {"admin", "bot", "agent", "operator", "assistant", "system", "team", "teammate", "staff"}
)
#: Maximum number of lines of notes.
MOST_NOTES: Final = 10


def note_paths(observed: Observed, guesses: Guesses) -> list[str]:
    """Return the paths to add to the notes: free text such as comments, and other answers.

    For an email, the last path is the whole text, and its labeled lines are not repeated.
    """
    taken = {path for paths in guesses.values() for path in paths if not is_window(path, observed)}
    mail = (observed.mail.name, *observed.mail.paths) if observed.mail else ()
    whole = {*map(_without_items, mail)}
    paths = (path for path in observed.values if _without_items(path) not in whole)
    free = [path for path in paths if path not in taken]
    texts = [path for path in free if _is_note(path, observed)]
    answers = [path for path in free if path not in texts and _is_unused_answer(path, observed)]
    unlike = {str(observed.values[path]): path for path in reversed([*texts, *answers])}
    paths = (path for path in [*texts, *answers] if path in unlike.values())
    found = [_of_each(path) for path in paths if not _is_question(path, observed)]
    return [*[*dict.fromkeys(found)][:MOST_NOTES], *guesses.get(PRICES, ()), *mail[:1]]


def _without_items(path: str) -> str:
    return re.sub(r"\.(\d+|\*)(?=\.|$)", "", path)


def _is_note(path: str, observed: Observed) -> bool:
    keys = (key_of(path), owned_key(path))
    is_text = any(re.fullmatch(NOTES, key) or key in WINDOW_KEYS for key in keys)
    is_named = is_text and not STAFF & {*words_in(path)} and not _is_of_staff(path, observed)
    is_free = is_named and not _is_in_read_list(path, observed)
    return bool(is_free) and any(map(_is_text, observed.filled(path)))


def _is_of_staff(path: str, observed: Observed) -> bool:
    """Return True if the same object says that an employee or a bot wrote its text."""
    parent = path.rpartition(".")[0]
    authors = [f"{parent}.{key}" for key in AUTHORS] if parent else [*AUTHORS]
    kinds = {str(one).lower() for author in authors for one in observed.filled(author)}
    return bool(kinds) and kinds <= WRITES_FOR_US


def _is_in_read_list(path: str, observed: Observed) -> bool:
    """Return True if a path points into a list that a line under ``read:`` already reads."""
    parts = path.split(".")
    lists = (quoted(".".join(parts[:length])) for length in range(1, len(parts)))
    return any(f"list: {one}," in line for one in lists for line in observed.readers.values())


def _is_unused_answer(path: str, observed: Observed) -> bool:
    line = observed.readers.get(path.split(".")[0], "{ text:")
    values = observed.filled(path)
    is_read = not line.startswith("{ text:") and not UNREAD.search(key_of(path))
    return is_read and bool(values) and all(map(_is_answer, values))


def _is_answer(value: Any) -> bool:
    """Return True if a value is text, a number or a list of these, but not an ID or a URL."""
    items = value if isinstance(value, list) else [value]
    return all(isinstance(item, str | int | float) for item in items) and not any(
        re.fullmatch(r"[0-9a-f-]{24,}|https?://.*", str(item)) for item in items
    )


def _of_each(path: str) -> str:
    """Replace each index with ``*``, so that the path matches all list items."""
    return re.sub(r"\.\d+(?=\.)", ".*", path)


def _is_question(path: str, observed: Observed) -> bool:
    """Return True if a path points to a question with an answer in the same object."""
    parent = path.rpartition(".")[0]
    beside = {*observed.beside(path), *observed.beside(f"{parent}.0.answer")}
    return key_of(path).startswith("question") and "answer" in beside


def is_window(path: str, observed: Observed) -> bool:
    """Return True if a path points to the start of a period when the renter is available."""
    keys = {key_of(path), *observed.beside(path)}
    return bool(WINDOW_KEYS & keys or WINDOWS & {*words_in(path)})


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
