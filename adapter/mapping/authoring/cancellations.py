"""Find the sample values that indicate a canceled tour."""

import re
from typing import Any, Final

from adapter.mapping.authoring.field_keys import NOTES, UNREAD
from adapter.mapping.authoring.observe import Observed
from adapter.mapping.authoring.payload_keys import key_of, owned_key
from adapter.mapping.authoring.plausible import has_date
from adapter.parsing.paths import MISSING

#: Values that indicate a canceled tour, and keys that do so by themselves.
CANCELED: Final = re.compile(
    r"(?<!un)(?<!un[-_ ])(?<!not )(?<!non[-_ ])cancel|delete|decline|\bvoid(?:ed)?\b|no[-_ ]?show",
    re.IGNORECASE,
)
CANCELED_KEY: Final = re.compile(
    r"(is|was|tour|appointment)?cancell?ed(at|on|date|time)?|isdeleted"
)
#: The same for a tour that was moved.
MOVED: Final = re.compile(r"(?<!un)(?<!not )re-?schedul|postpone", re.IGNORECASE)
MOVED_KEY: Final = re.compile(
    r"(is|was|tour|appointment)?(rescheduled?|postponed)(at|on|date|time)?"
)
#: Keys of texts about tours in general, or of what a user could do.
NOT_STATES: Final = re.compile(r"polic(y|ies)|terms|button|link|url|option|label|title|template")
#: Keys of a function that a voice assistant calls, such as ``reschedule_tour``.
TOOLS: Final = frozenset({"functionname", "toolname", "functionfunction", "callname"})
#: The name of such a function that moves a tour.
MOVES: Final = re.compile(r"re-?schedul|postpone|move|change|update|modify", re.IGNORECASE)
CANCELED_ANSWER: Final = re.compile(r"cancel(l?ed|l?ation)?|noshow")
NEGATIVE: Final = frozenset({"", "false", "0", "no", "none", "null", "n/a", "never"})
#: Maximum number of words in a value that indicates a canceled tour.
MOST_WORDS: Final = 3


def cancellations(observed: Observed, accept: str | None) -> dict[str, list[Any]]:
    """Return the values that distinguish cancellations from bookings, keyed by path.

    A value may be ``{"empty": False}``, which stands for any value. ``accept`` is the path of the
    event's name, which is preferred.
    """
    found: dict[str, list[Any]] = {}
    left = set(range(len(observed.rows)))
    paths = sorted(observed.values, key=lambda path: path != accept)
    # A status is better than a list of events, because a later event may book the tour again.
    statuses = [path for path in paths if not is_history(path, observed)]
    if any(_canceled(path, observed) for path in statuses):
        paths = statuses
    while best := max(paths, key=lambda path: len(_canceled(path, observed) & left), default=None):
        rows = _canceled(best, observed) & left
        if not rows:
            return found
        values = [_condition(best, observed.values[best][row]) for row in sorted(rows)]
        found[best] = [one for n, one in enumerate(values) if one not in values[:n]]
        left -= rows
    return found


def canceled_rows(observed: Observed) -> set[int]:
    """Return the indexes of the sample leads whose tours were canceled."""
    return {row for path in observed.values for row in _canceled(path, observed)}


def _canceled(path: str, observed: Observed) -> set[int]:
    found = {n for n, one in enumerate(observed.values[path]) if says_canceled(path, one)}
    return found - _continued(path, observed)


def is_history(path: str, observed: Observed) -> bool:
    """Return True if a path points to a dated cancellation in a list of events."""
    is_answer = CANCELED_ANSWER.fullmatch(key_of(path)) and path.startswith("answers")
    return bool(is_answer) and any(map(has_date, observed.filled(path)))


def continued_cancellations(observed: Observed) -> list[str]:
    """Return the paths of cancellations that are followed by other events in the same list."""
    return [path for path in observed.values if _continued(path, observed)]


def _continued(path: str, observed: Observed) -> set[int]:
    """Return the indexes of the sample leads whose event list continues after a cancellation."""
    if not is_history(path, observed):
        return set()
    name, _, key = path.partition(".")
    histories = ((n, [*row.get(name, {})]) for n, row in enumerate(observed.rows))
    return {n for n, keys in histories if key.strip('"') in keys[:-1]}


def says_canceled(path: str, value: Any) -> bool:
    """Return True if a value, alone or with its key, says that a tour was canceled."""
    key = key_of(path)
    if _is_negative(value):
        return False
    if CANCELED_KEY.fullmatch(key):
        return isinstance(value, str | int)
    if path.startswith("answers.") and CANCELED_ANSWER.fullmatch(key):
        return True
    return _is_state(key, value) and CANCELED.search(value) is not None


def says_moved(path: str, value: Any) -> bool:
    """Return True if a value, alone or with its key, says that a tour was moved."""
    key = key_of(path)
    if _is_negative(value) or owned_key(path) in TOOLS:
        return False
    is_flag = MOVED_KEY.fullmatch(key) is not None and isinstance(value, str | int)
    return is_flag or (_is_state(key, value) and MOVED.search(value) is not None)


def moves_tours(observed: Observed) -> bool:
    """Return True if a voice assistant's function in the samples moves a tour."""
    return any(
        MOVES.search(str(one))
        for path in observed.values
        if owned_key(path) in TOOLS
        for one in observed.filled(path)
    )


def _is_negative(value: Any) -> bool:
    """Return True if a value is empty or means "no"."""
    return value is MISSING or value is None or str(value).strip().lower() in NEGATIVE


def _is_state(key: str, value: Any) -> bool:
    """Return True if a value is a word or two, such as a status, and not a renter's text."""
    if not isinstance(value, str) or len(value.strip()) > 40 or len(value.split()) > MOST_WORDS:
        return False
    is_text = re.fullmatch(NOTES, key) or UNREAD.search(key) or NOT_STATES.search(key)
    return not is_text and re.search(r"[/@]", value) is None


def _condition(path: str, value: Any) -> Any:
    """Return the ``cancellation`` condition for a value that indicates a canceled tour."""
    is_flag = isinstance(value, bool) or str(value).lower() in ("true", "1", "yes")
    is_named = CANCELED_KEY.fullmatch(key_of(path)) or CANCELED_ANSWER.fullmatch(key_of(path))
    is_word = CANCELED.search(str(value))
    return {"empty": False} if is_named and not is_flag and not is_word else value
