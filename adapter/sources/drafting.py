"""A first mapping out of one sample: guesses by the names of its keys, each to be confirmed."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from adapter.paths import ABSENT, path_from_text

GUESS: Final = "# guessed from the name: confirm"
TODO: Final = "TODO"
DEEPEST: Final = 12
MOST_PLACES: Final = 400

#: What a key is called, without case, spaces and dashes → the field that it is likely to fill.
KEYS: Final[Mapping[str, str]] = {
    "accept": r"event|eventtype|triggerevent|triggertype|type|kind|topic",
    "community": r"(property|community|listing|location|form|calendar)(id|code|uuid|name)?"
    r"|eventtypeid",
    "dedupe": r"(lead|event|submission|response|booking|appointment|call|conversation)?"
    r"(id|uid|uuid|token)",
    "first_name": r".*(first|given)name",
    "last_name": r".*(last|family|sur)name",
    "name": r"(full|customer|contact|visitor|guest|renter|invitee)?name",
    "email_1": r".*e?mail(address)?",
    "phone_1": r".*(phone|mobile|cell|telephone|sms)(number|no)?",
    "starts_at": r"(start|starts|begin|tour|appointment|scheduled|booking|visit)"
    r"(time|at|datetime|datetimeutc)|startdatetime|startson|slot",
    "date": r"(tour|appointment|visit|booking|start|showing)?(date|day)",
    "time": r"(tour|appointment|visit|booking|start|showing)?(time|hour|timefrom)",
    "tour_type": r"(tour|appointment|visit)(type|mode|kind)",
    "move_in_date": r".*(movein|moving|moveindate|movedate)(date)?",
    "number_of_occupants": r".*occupants|(household|group|party)size",
    "lease_term_in_months": r".*lease(term|length)(months)?|leaselengthmonths",
    "rent_minimum_in_cents": r"(min|minimum)(rent|budget|price)|(rent|budget|price)min(imum)?",
    "rent_maximum_in_cents": r"(max|maximum)(rent|budget|price)|(rent|budget|price)max(imum)?",
    "desired_num_bedrooms": r".*(bedrooms|beds|numbedrooms|bedroomssought)",
    "pets": r"pets?",
    "notes": r"comments?|message|notes?|questions?|additionalnotes",
}
#: Under these stand our own people, never the renter.
STAFF: Final = frozenset({"organizer", "owner", "host", "assignee", "agent", "user", "assigned_to"})
#: How a date and a time of day look, and the format to write for it.
SHAPES: Final = (
    (r"\d{4}-\d{2}-\d{2}", "YYYY-MM-DD"),
    (r"\d{8}", "YYYYMMDD"),
    (r"\d{1,2}/\d{1,2}/\d{4}", "MM/DD/YYYY"),
    (r"\d{1,2}-\d{1,2}-\d{4}", "MM-DD-YYYY"),
    (r"\d{1,2}:\d{2} [AaPp]\.?[Mm]\.?", "h:mm A"),
    (r"\d{1,2}:\d{2}", "H:mm"),
    (r"\d{1,2}:\d{2}:\d{2}", "H:mm:ss"),
)
#: Where the key of an answer stands, and where its value, in the lists of form builders.
ANSWER_KEYS: Final = ("field.ref", "field.id", "column_id", "ref", "key", "label", "name")
ANSWER_VALUES: Final = (
    *("text", "email", "phone_number", "number", "date", "boolean", "choice.label"),
    *("choices.labels", "string_value", "value", "answer"),
)


def places_of(data: Any) -> Iterator[tuple[str, Any]]:
    """Every path of a sample that holds a value, the shallow ones first. Loops, bounded."""
    level: list[tuple[tuple[str, ...], Any]] = [((), data)]
    found = 0
    for _ in range(DEEPEST):
        deeper: list[tuple[tuple[str, ...], Any]] = []
        for way, value in level:
            if isinstance(value, Mapping):
                deeper += [((*way, str(key)), one) for key, one in value.items()]
            elif isinstance(value, list) and value and isinstance(value[0], Mapping | list):
                deeper += [((*way, "0"), value[0])]
            elif way and (found := found + 1) <= MOST_PLACES:
                yield ".".join(map(_quoted, way)), value
        level = deeper


def _quoted(name: str) -> str:
    return f'"{name}"' if "." in name or name in ("", "*") else name


def _answers(data: Any) -> tuple[str, str, list[str], dict[str, Any]] | None:
    """The list of answers of a form builder: its path, its key, its values, what they say."""
    level: list[tuple[tuple[str, ...], Any]] = [((), data)]
    for _ in range(DEEPEST):
        deeper: list[tuple[tuple[str, ...], Any]] = []
        for way, value in level:
            if isinstance(value, Mapping):
                deeper += [((*way, str(key)), one) for key, one in value.items()]
            elif isinstance(value, list) and len(value) > 1 and way:
                found = _answers_in(value)
                if found:
                    return (".".join(map(_quoted, way)), *found)
        level = deeper
    return None


def _answers_in(items: list[Any]) -> tuple[str, list[str], dict[str, Any]] | None:
    for by in ANSWER_KEYS:
        keys = [path_from_text(by).read(item) for item in items]
        values = [text for text in ANSWER_VALUES if _any_has(items, text) and text != by]
        if values and all(isinstance(key, str) and key for key in keys):
            said = (_first(item, values) for item in items)
            return by, values, dict(zip(keys, said, strict=True))
    return None


def _any_has(items: list[Any], text: str) -> bool:
    return any(path_from_text(text).read(item) not in (ABSENT, None, "") for item in items)


def _first(item: Any, values: list[str]) -> Any:
    found = (path_from_text(text).read(item) for text in values)
    return next((value for value in found if value not in (ABSENT, None)), None)


def guesses_from(data: Any) -> dict[str, str]:
    """The likeliest path for each target; the first and shallowest wins."""
    guesses: dict[str, str] = {}
    taken: set[str] = set()
    places = [one for one in places_of(data) if not STAFF & set(one[0].split("."))]
    for target, pattern in KEYS.items():
        for path, value in places:
            key = re.sub(r"[^a-z0-9]", "", path.split(".")[-1].strip('"').lower()[:80])
            fits = re.fullmatch(pattern, key) and not (target == "notes" and not value)
            if fits and path not in taken and _is_plausible(target, value):
                guesses[target] = path
                taken.add(path)
                break
    return guesses


def _is_plausible(target: str, value: Any) -> bool:
    if target == "email_1":
        return isinstance(value, str) and "@" in value
    if target in ("accept", "name"):
        return isinstance(value, str) and "@" not in value
    if target == "starts_at":
        return isinstance(value, int) or (isinstance(value, str) and len(value) > 8)
    return isinstance(value, str | int | float) or target in ("pets", "desired_num_bedrooms")


def mapping_from_sample(name: str, sample: str, data: Any) -> str:
    """The text of a first mapping file for one source. ``sample``: the file, beside it."""
    answers = _answers(data)
    named = {"answers": answers[3]} if answers else {}
    whole = {**named, **(data if isinstance(data, Mapping) else {})}
    guesses = guesses_from(whole)
    lines = [
        f"# {name}: written from {sample}. Confirm each guess, fill in each {TODO}.",
        "",
        f"signature: {{ scheme: {TODO} }}   # hmac, token, basic, or a preset of the sender's name",
        "",
    ]
    lines += _accept_lines(data, guesses)
    if answers:
        lines += _read_lines(answers)
    lines += [_line("dedupe", guesses.get("dedupe")), _line("community", guesses.get("community"))]
    lines += [
        "",
        "appointment:",
        *_appointment_lines(guesses, whole),
        "",
        *_test_lines(sample, guesses),
    ]
    return "\n".join(lines) + "\n"


def _line(name: str, path: str | None, indent: str = "") -> str:
    return f"{indent}{name}: {_text(path)}   {GUESS}" if path else f"{indent}{name}: {TODO}"


def _text(path: str) -> str:
    return path if re.fullmatch(r"[A-Za-z_][\w .@-]*", path) else json.dumps(path)


def _accept_lines(data: Any, guesses: Mapping[str, str]) -> list[str]:
    path = guesses.get("accept")
    if path is None:
        return []
    value = path_from_text(path).read(data)
    return ["accept:", f"  {_text(path)}: {json.dumps(value, ensure_ascii=False)}   {GUESS}", ""]


def _read_lines(answers: tuple[str, str, list[str], dict[str, Any]]) -> list[str]:
    path, by, values, _ = answers
    listed = f"[{', '.join(values)}]"
    line = f"  answers: {{ list: {_text(path)}, by: {by}, value: {listed} }}"
    return ["read:", f"{line}   {GUESS}", ""]


def _appointment_lines(guesses: Mapping[str, str], data: Any) -> Iterator[str]:
    names = ["first_name", "last_name"] if "last_name" in guesses else ["name"]
    for name in names:
        yield _line(name, guesses.get(name), "  ")
    for name in ("email_1", "phone_1"):
        if name in guesses:
            yield _line(name, guesses[name], "  ")
    yield from _start_lines(guesses, data)
    if "move_in_date" in guesses:
        yield _date_line(guesses["move_in_date"], data)
    yield from (_line(name, guesses[name], "  ") for name in _PLAIN if name in guesses)
    yield from (_money_line(name, guesses[name]) for name in _MONEY if name in guesses)
    for name, words in (("tour_type", "in_person"), ("pets", "cat")):
        if name in guesses:
            place = _text(guesses[name])
            yield f"  {name}: {{ from: {place}, table: {{ {TODO}: {words} }} }}   {GUESS}"
    if "notes" in guesses:
        yield f"  notes: [ {json.dumps('{' + guesses['notes'] + '}')} ]   {GUESS}"


_PLAIN: Final = ("number_of_occupants", "lease_term_in_months", "desired_num_bedrooms")
_MONEY: Final = ("rent_minimum_in_cents", "rent_maximum_in_cents")


def _money_line(name: str, path: str) -> str:
    return f"  {name}: {{ from: {_text(path)}, as: dollars }}   {GUESS}"


def _format(path: str, data: Any) -> str:
    """The format of the sample's own value; empty where it has none of the usual shapes."""
    value = str(path_from_text(path).read(data))
    return next((made for shape, made in SHAPES if re.fullmatch(shape, value)), "")


def _date_line(path: str, data: Any) -> str:
    made = _format(path, data) or TODO
    if made == "YYYY-MM-DD":
        return _line("move_in_date", path, "  ")
    return f"  move_in_date: {{ from: {_text(path)}, format: {made} }}   {GUESS}"


def _start_lines(guesses: Mapping[str, str], data: Any) -> Iterator[str]:
    if "starts_at" in guesses:
        yield _line("starts_at", guesses["starts_at"], "  ")
    elif {"date", "time"} <= guesses.keys():
        date, time = _text(guesses["date"]), _text(guesses["time"])
        parts = (_format(guesses[name], data) or TODO for name in ("date", "time"))
        made = " ".join(parts)
        yield f"  starts_at: {{ date: {date}, time: {time}, format: {made} }}   {GUESS}"
    else:
        yield f"  starts_at: {TODO}   # or remove it and say 'without_time: hold' at the top"


def _test_lines(sample: str, guesses: Mapping[str, str]) -> list[str]:
    expected = [name for name in ("email_1", "phone_1") if name in guesses] or ["last_name"]
    return [
        "tests:",
        "  - name: the sample",
        f"    payload: {sample}",
        "    expect:   # the whole appointment; `adapter check` shows what is missing",
        *(f"      {name}: {TODO}" for name in expected),
    ]
