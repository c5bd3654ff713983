"""A first mapping out of one sample: guesses by the names of its keys, each to be confirmed."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from adapter import signatures
from adapter.exceptions import Unreadable
from adapter.mapping.authoring.guess_fields import (
    answers_of,
    guesses_from,
    is_id,
    places_of,
    value_at,
)
from adapter.mapping.date_hints import DATES, format_from_text
from adapter.mapping.engine.tour_time import fields_from_instant
from adapter.mapping.loader.yaml_document import text_from_data
from adapter.mapping.transforms import TRANSFORMS, Noted
from adapter.parsing.date_formats import compile_format
from adapter.parsing.datetimes import read_instant
from adapter.parsing.timezones import zone_from_name
from adapter.settings import Policy

GUESS: Final = "# guessed from the name: confirm"
TODO: Final = "TODO"
#: What the fields of the first test are read with.
SHOWN: Final = {
    "name": "name",
    "first_name": "text",
    "last_name": "text",
    "email_1": "email",
    "phone_1": "phone",
    "number_of_occupants": "integer",
    "lease_term_in_months": "months",
}


def mapping_from_sample(name: str, sample: str, data: Any) -> str:
    """The text of a first mapping file for one source. ``sample``: the file, beside it."""
    answers = answers_of(data)
    named = {"answers": answers[3]} if answers else {}
    whole = {**named, **(data if isinstance(data, Mapping) else {})}
    guesses = guesses_from(whole)
    lines = [
        f"# {name}: written from {sample}. Confirm each guess, fill in each {TODO}.",
        "",
        _signature_line(name),
        "",
    ]
    lines += _accept_lines(data, guesses)
    if answers:
        lines += _read_lines(answers)
    lines += [_dedupe_line(guesses, whole), _line("community", guesses.get("community"))]
    lines += [
        "",
        "appointment:",
        *_appointment_lines(guesses, whole),
        "",
        *_test_lines(sample, guesses, whole),
    ]
    return "\n".join(lines) + "\n"


def _signature_line(name: str) -> str:
    """With the preset that the source is named after, where there is one."""
    secrets = f"secrets: [{re.sub('[^A-Z0-9]', '_', name.upper())}_SECRET]"
    known = {preset.replace("-", ""): preset for preset in signatures.PRESETS}
    parts = name.replace("_", "-").split("-")
    for count in range(len(parts), 0, -1):
        preset = known.get("".join(parts[:count]))
        if preset:
            return f"signature: {{ preset: {preset}, {secrets} }}   {GUESS}"
    return f"signature: {{ scheme: {TODO}, {secrets} }}   # hmac, hash, token or basic"


def _dedupe_line(guesses: Mapping[str, str], data: Any) -> str:
    """An id that is not known to be a request's own is only named: a wrong one loses leads."""
    line = _line("dedupe", guesses.get("dedupe"))
    if "dedupe" in guesses:
        return line
    ids = [path for path, _ in places_of(data) if is_id(path)]
    return f"{line}   # an id that each lead has of its own: {', '.join(ids[:4])}?" if ids else line


def _line(name: str, path: str | None, indent: str = "") -> str:
    return f"{indent}{name}: {_text(path)}   {GUESS}" if path else f"{indent}{name}: {TODO}"


def _text(path: str) -> str:
    return path if re.fullmatch(r"[A-Za-z_][\w .@-]*", path) else json.dumps(path)


def _accept_lines(data: Any, guesses: Mapping[str, str]) -> list[str]:
    path = guesses.get("accept")
    if path is None:
        return []
    value = value_at(data, path)
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
    return format_from_text(str(value_at(data, path)))


def _date_line(path: str, data: Any) -> str:
    made = _format(path, data) or TODO
    if made == "YYYY-MM-DD":
        return _line("move_in_date", path, "  ")
    return f"  move_in_date: {{ from: {_text(path)}, format: {_said(made)} }}   {GUESS}"


def _start_lines(guesses: Mapping[str, str], data: Any) -> Iterator[str]:
    if "starts_at" in guesses:
        made = _format(guesses["starts_at"], data)
        if made in ("", "YYYY-MM-DD"):
            yield _line("starts_at", guesses["starts_at"], "  ")
        else:
            place = _text(guesses["starts_at"])
            yield f"  starts_at: {{ from: {place}, format: {_said(made)} }}   {GUESS}"
    elif {"date", "time"} <= guesses.keys():
        date, time = _text(guesses["date"]), _text(guesses["time"])
        parts = (_format(guesses[name], data) or TODO for name in ("date", "time"))
        made = " ".join(parts)
        yield f"  starts_at: {{ date: {date}, time: {time}, format: {_said(made)} }}   {GUESS}"
    else:
        yield f"  starts_at: {TODO}   # or remove it and say 'without_time: prospect' at the top"


def _said(made: str) -> str:
    """A format inside braces, where a comma would end it."""
    return json.dumps(made) if "," in made else made


def _test_lines(sample: str, guesses: Mapping[str, str], data: Any) -> list[str]:
    expected = text_from_data(_expected(guesses, data) or {"last_name": TODO})
    return [
        "tests:",
        "  - name: the sample",
        f"    payload: {sample}",
        "    expect_some:   # what the guesses give; adapter map --as-test shows the whole",
        *(f"      {line}" for line in expected.splitlines()),
    ]


def _expected(guesses: Mapping[str, str], data: Any) -> dict[str, Any]:
    """What the guesses make of the sample; what cannot be read of it is left out."""
    names = ["first_name", "last_name"] if "last_name" in guesses else ["name"]
    found: dict[str, Any] = {}
    for field, transform in SHOWN.items():
        if field not in guesses or (field.endswith("name") and field not in names):
            continue
        read = _read(transform, value_at(data, guesses[field]))
        if read is not None:
            found |= read if isinstance(read, dict) else {field: read}
    return found | _start(guesses, data)


def _read(transform: str, value: Any) -> Any:
    try:
        read = TRANSFORMS[transform].bind({}, Policy())(value)
    except Unreadable:
        return None
    return read.value if isinstance(read, Noted) else read


def _start(guesses: Mapping[str, str], data: Any) -> dict[str, str]:
    """The tour's start where it does not take the community's clock to read it."""
    if "starts_at" not in guesses:
        return {}
    made = _format(guesses["starts_at"], data)
    formats = [compile_format(made)] if made and made not in dict(DATES).values() else []
    try:
        value = value_at(data, guesses["starts_at"])
        instant = read_instant(value, formats=formats, zone=zone_from_name("UTC"))
    except Unreadable:
        return {}
    return {} if instant.offset is None else fields_from_instant(instant.at)
