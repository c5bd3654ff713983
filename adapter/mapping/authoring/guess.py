"""Guess which paths in a sender's samples contain which fields, based on keys and values."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from adapter.mapping.authoring.field_keys import KEYS, VALUES, Guesses, matching_pattern
from adapter.mapping.authoring.foreign import with_other_prices
from adapter.mapping.authoring.observe import Observed, is_blank
from adapter.mapping.authoring.payload_keys import SPANISH_NAME, key_of, words_around, words_in
from adapter.mapping.authoring.plausible import EVENT, HELD_EVENT, STARTS, VISITS, is_plausible
from adapter.mapping.authoring.request_ids import identifies, is_event_id, is_request_id
from adapter.mapping.authoring.whose import (
    CONTACT,
    RENTER,
    has_renters_type,
    is_of_another,
    may_be_renters,
)

#: Fields that may have several paths. The first nonempty path is used.
WITH_FALLBACKS: Final = CONTACT | {"community", "move_in_date", "starts_at"}
MOST_FALLBACKS: Final = 3
#: Guesses that decide about the whole webhook.
OF_WEBHOOK: Final = frozenset({"accept", "test", "finished"})
#: Parts of the names of events that book no tour.
NOT_A_LEAD: Final = re.compile(
    r"start(ed)?(?![a-z])|ended|rejected|reminder|no[-_ ]?show|opened|viewed|abandoned|partial"
    r"|ringing|in[-_ ]progress|paid|(?<![a-z])ping|recording|payment|refund|transcription"
    rf"|{HELD_EVENT}[-_. ]?(completed|finished|attended|over)"
    rf"|(completed|finished)[-_. ]?{HELD_EVENT}",
    re.IGNORECASE,
)


def guess_paths(observed: Observed) -> dict[str, tuple[str, ...]]:
    """Return the most likely path for each field, followed by fallbacks for empty values."""
    guesses: dict[str, tuple[str, ...]] = {}
    for target in KEYS:
        taken = {path for paths in guesses.values() for path in paths}
        paths = [path for path in _candidates(target, observed) if path not in taken]
        if paths:
            ranked = sorted(paths, key=lambda path: _rank(target, path, observed))
            guesses[target] = _with_fallbacks(target, ranked, observed)
    guesses = {**_only_contacts(guesses, observed), **guesses}
    guesses = with_other_prices(_of_one_renter(guesses, observed), observed)
    return _consistent(_with_both_names(guesses, observed))


def _only_contacts(guesses: Guesses, observed: Observed) -> dict[str, tuple[str, ...]]:
    """Return paths to an email address and a phone number that no other guess uses.

    If several unused paths point to the same kind of contact, none of them is returned.
    """
    taken = {path for paths in guesses.values() for path in paths}
    free = [path for path in contact_paths(observed) if path not in taken]
    found: dict[str, tuple[str, ...]] = {}
    for target, form in VALUES.items():
        paths = [one for one in free if all(map(form.fullmatch, map(str, observed.filled(one))))]
        if target not in guesses and len(paths) == 1:
            found[target] = (paths[0],)
    return found


def event_paths(observed: Observed) -> list[str]:
    """Return the paths outside lists whose values all look like event names."""
    return [
        path
        for path in observed.values
        if _is_candidate("accept", path, observed)
        and path.split(".")[0] not in (*observed.readers, *(name for name, _ in observed.each))
        and all(EVENT.search(str(value)) for value in observed.filled(path))
    ]


def contact_paths(observed: Observed) -> list[str]:
    """Return the paths whose values look like email addresses or phone numbers."""
    columns = ((path, [*map(str, observed.filled(path))]) for path in observed.values)
    return [
        path
        for path, texts in columns
        if texts
        and not is_of_another("email_1", path)
        and any(all(map(form.fullmatch, texts)) for form in VALUES.values())
    ]


def _candidates(target: str, observed: Observed) -> Iterator[str]:
    return (path for path in observed.values if _is_candidate(target, path, observed))


def _is_candidate(target: str, path: str, observed: Observed) -> bool:
    is_named = matching_pattern(target, path) is not None
    if not (is_named or _has_value_of(target, path, observed)):
        return False
    if is_of_another(target, path) and not has_renters_type(path, observed):
        return False
    if target in OF_WEBHOOK and _is_of_part(path, observed):
        return False
    filled = observed.filled(path)
    if target == "dedupe":
        return bool(filled) and identifies(path, filled, observed)
    return bool(filled) and is_plausible(target, path, filled, observed)


def _is_of_part(path: str, observed: Observed) -> bool:
    """Return True if a path leads into a list that is only a part of the webhook.

    The first message of a chat is such a part. A list with a single item that has the renter's
    contact details is the webhook itself.
    """
    part = observed.list_above(path)
    is_first = re.search(r"\.\d+\.", f".{path}.") is not None
    return bool(part) and (
        is_first or not any(one.startswith(f"{part}.") for one in contact_paths(observed))
    )


def _has_value_of(target: str, path: str, observed: Observed) -> bool:
    """Return True if all answers at a path match a field's format, such as an email address."""
    if path.split(".")[0] not in observed.readers:
        return False
    pattern = VALUES.get(target)
    filled = observed.filled(path)
    return pattern is not None and all(pattern.fullmatch(str(value)) for value in filled)


def _with_fallbacks(target: str, ranked: Sequence[str], observed: Observed) -> tuple[str, ...]:
    """Return the best path for a field, followed by fallback paths for leads without a value."""
    chosen = [ranked[0]]
    filled = observed.is_filled(ranked[0])
    for path in ranked[1:] if target in WITH_FALLBACKS else ():
        more = observed.is_filled(path)
        is_optional = target in CONTACT and observed.is_label(ranked[0])
        is_same = is_optional and _are_same(ranked[0], path, observed)
        if is_same or any(new and not old for new, old in zip(more, filled, strict=True)):
            chosen.append(path)
            filled = [new or old for new, old in zip(more, filled, strict=True)]
    return tuple(chosen[:MOST_FALLBACKS])


def _are_same(path: str, other: str, observed: Observed) -> bool:
    """Return True if two paths have the same value in each lead that has both values."""
    pairs = zip(observed.values[path], observed.values[other], strict=True)
    both = [(one, two) for one, two in pairs if not (is_blank(one) or is_blank(two))]
    return bool(both) and all(str(one).casefold() == str(two).casefold() for one, two in both)


def _of_one_renter(
    guesses: dict[str, tuple[str, ...]], observed: Observed
) -> dict[str, tuple[str, ...]]:
    """Drop a first or last name that may not be the renter's if the renter's full name is known."""
    if "name" not in guesses or not may_be_renters(guesses["name"][0], observed):
        return guesses
    return {
        target: paths
        for target, paths in guesses.items()
        if target not in ("first_name", "last_name") or may_be_renters(paths[0], observed)
    }


def _with_both_names(
    guesses: dict[str, tuple[str, ...]], observed: Observed
) -> dict[str, tuple[str, ...]]:
    """Treat ``name`` as the first or last name if only the other one has its own key next to it."""
    names = [one for one in ("first_name", "last_name") if one in guesses]
    if "name" not in guesses or len(names) != 1:
        return guesses
    own, whole = guesses[names[0]][0], guesses["name"][0]
    pairs = zip(observed.values[own], observed.values[whole], strict=True)
    is_beside = own.rpartition(".")[0] == whole.rpartition(".")[0]
    if not is_beside or any(_words(one) & _words(other) for one, other in pairs):
        return guesses
    if any(re.search(r"\d|(\S+ ){4}", str(one)) for one in observed.filled(whole)):
        return {target: paths for target, paths in guesses.items() if target != "name"}
    missing = "last_name" if names == ["first_name"] else "first_name"
    return {**guesses, missing: guesses["name"]}


def _words(value: object) -> set[str]:
    return {*str(value).lower().split()} if isinstance(value, str) else set()


def _consistent(guesses: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Drop guesses that contradict others, such as a full name alongside a last name."""
    if "last_name" in guesses:
        guesses.pop("name", None)
    elif "name" in guesses:
        guesses.pop("first_name", None)
    elif "first_name" in guesses and SPANISH_NAME.fullmatch(key_of(guesses["first_name"][0])):
        guesses["name"] = guesses.pop("first_name")
    is_bare = guesses.get("starts_at", ("",))[0] in STARTS
    days = guesses.get("date", ())[:1] if "time" in guesses else ()
    if is_bare and any(VISITS & {*words_in(path)} for path in days):
        guesses.pop("starts_at")
    return guesses


def _rank(target: str, path: str, observed: Observed) -> tuple[bool, int, int]:
    is_renters = RENTER & {*words_around(path)} or path in observed.readers
    is_others = target in CONTACT and not is_renters
    if target == "dedupe":
        return not is_request_id(path), is_event_id(path), 0
    filled = len(observed.filled(path)) if target in ("starts_at", "date", "time") else 0
    position = matching_pattern(target, path)
    return is_others, len(KEYS[target]) if position is None else position, -filled
