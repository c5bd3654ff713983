"""Draft a mapping from samples, based on guesses that the user must confirm."""

import dataclasses
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from adapter import signatures
from adapter.exceptions import Unreadable
from adapter.mapping.authoring.guess import (
    CONTACT,
    NOT_A_LEAD,
    cancellations,
    continued_cancellations,
    guess_paths,
    is_history,
    key_of,
    note_paths,
    request_ids,
    says_canceled,
)
from adapter.mapping.authoring.observe import Observed, observe, quoted, read
from adapter.mapping.date_hints import format_from_text
from adapter.mapping.loader.check_todos import TODO
from adapter.parsing.date_formats import compile_format

GUESS: Final = "# guessed from the name: confirm"
UTC_HINT: Final = "that it is UTC (add offset: trust), not local time (add ignore_offset: true)"
CONTACT_HINT: Final = "# or internet, chat, call, email, sms: confirm"
OTHERS: Final = "any other value is ignored"
LAST_HINT: Final = "this is also true if a later event books again"
READ_HINT: Final = "to read a line or a phrase, see 'text' under 'read' in docs/mapping.md"
#: Keys for the whole text of an email or message.
FREE_TEXT: Final = re.compile(r"(body)?plain(text)?|(text|stripped|plain)?(body|text)")

#: Fields to add if the samples have them, each with the option that it needs.
OPTIONS: Final = {
    **dict.fromkeys(("email_1", "phone_1"), ""),
    **dict.fromkeys(("number_of_occupants", "lease_term_in_months", "desired_num_bedrooms"), ""),
    **dict.fromkeys(("rent_minimum_in_cents", "rent_maximum_in_cents"), "as: dollars"),
}
FIELDS: Final = (
    *("email_1", "phone_1", "starts_at", "tour_type", "first_contact_type", "move_in_date"),
    *("number_of_occupants", "lease_term_in_months"),
    *("rent_minimum_in_cents", "rent_maximum_in_cents", "desired_num_bedrooms", "pets"),
)
#: For each table, patterns for senders' words with the adapter's values, in matching order.
TABLES: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    "tour_type": (
        (r"self|unaccompanied|unattended", "self_guided"),
        (r"video|virtual|zoom|meet|facetime|online|remote", "video"),
        (r"person|guided|onsite|on_site|physical|agent|office|accompanied", "in_person"),
    ),
    "pets": (
        (r"^(no|none|false|n/a)\b|no ?pets?", "[]"),
        (r"cat", "cat"),
        (r"small|under|little", "small_dog"),
        (r"large|big|over", "large_dog"),
    ),
}
#: Words in a sender's keys that show how renters make contact, in matching order.
CONTACT_TYPES: Final = (
    (r"smssid|smsmessagesid|messagingservicesid", "sms"),
    (r"callid|transcript|fromnumber|calllength|toolcalls", "call"),
    (r"plain|textbody|htmlbody|strippedtext", "email"),
    (r"conversation|sessionid|queryresult|intentinfo|botid|messenger|wamid", "chat"),
)
MESSAGES: Final = re.compile(
    r"comment|message|note|question|summary|answer|bio|body", re.IGNORECASE
)
MOVABLE: Final = re.compile(r"appointment|booking|prospect", re.IGNORECASE)
MOST_VALUES: Final = 20


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A draft of a mapping, with the guesses that it is based on."""

    name: str
    observed: Observed
    guesses: Mapping[str, Sequence[str]]

    @property
    def canceled(self) -> dict[str, list[Any]]:
        """The values, by path, that distinguish cancellations from bookings."""
        found = cancellations(self.observed, self.guesses.get("accept", (None,))[0])
        continued = continued_cancellations(self.observed)
        return {path: values for path, values in found.items() if path not in continued}

    @property
    def accepted(self) -> list[Any]:
        """The names of events that seem to be leads, or all names if none does."""
        if "accept" not in self.guesses:
            return []
        canceled = self.canceled.get(self.guesses["accept"][0], ())
        events = [one for one in self._values("accept") if one not in canceled]
        return [one for one in events if not NOT_A_LEAD.search(str(one))] or events

    def communities(self) -> list[Any]:
        """Return the community names in the samples, in order of appearance."""
        paths = self.guesses.get("community", ())
        rows = range(len(self.observed.rows))
        filled = (self._first(paths, row) for row in rows)
        return list(dict.fromkeys(value for value in filled if value is not None))

    def people(self) -> dict[str, list[str]]:
        """Return the renters' names and contact details in the samples, by field."""
        fields = CONTACT & self.guesses.keys()
        values = {
            name: [one for path in self.guesses[name] for one in self.observed.filled(path)]
            for name in fields
        }
        return {name: [str(one) for one in found] for name, found in sorted(values.items())}

    def _outcome(self, payload: Any) -> str:
        """Return the line that says what a test expects, without the appointment's fields."""
        rows = observe([payload]).rows[:1] if payload is not None else ()
        tests = [read(row, path) for row in rows for path in self.guesses.get("test", ())[:1]]
        if any(str(value).lower() in ("true", "1") for value in tests):
            return "ignored: true"
        if any(says_canceled(path, read(row, path)) for row in rows for path in self.canceled):
            return "cancellation: true"
        events = [read(row, path) for row in rows for path in self.guesses.get("accept", ())[:1]]
        if self.accepted and any(one not in self.accepted for one in events):
            return "ignored: true"
        return f"expect_some: {{ last_name: {TODO} }}   # adapter map --as-test prints the rest"

    def _first(self, paths: Sequence[str], row: int) -> Any:
        seen = self.observed
        return next((seen.values[one][row] for one in paths if seen.is_filled(one)[row]), None)

    def text(self, *samples: str, origin: str = "", payloads: Sequence[Any] = ()) -> str:
        """Return the mapping as YAML. ``samples`` are the sample files' names.

        ``payloads`` are the files' contents, from which the tests' outcomes are guessed.
        """
        source = origin or ", ".join(samples)
        lines = [
            f"# {self.name}: drafted from {source}. Confirm each guess, and fill in each {TODO}.",
            "",
            _signature_line(self.name),
            "",
            *self._condition_lines(),
            *self._reading_lines(),
            self._dedupe_line(),
            *([_line("sent_at", self.guesses["sent_at"])] if "sent_at" in self.guesses else []),
            _line("community", self.guesses.get("community")),
            "",
            "appointment:",
            *(f"  {line}" for line in self._appointment_lines()),
            "",
            "tests:",
            *(
                line
                for sample, payload in itertools.zip_longest(samples, payloads[: len(samples)])
                for line in _test_lines(sample, self._outcome(payload))
            ),
            "",
        ]
        return "\n".join(lines)

    def _values(self, target: str) -> list[Any]:
        """Return the distinct values at the best path for a field."""
        path = self.guesses[target][0]
        values = [value for value in self.observed.filled(path) if not isinstance(value, dict)]
        texts = [one for value in values for one in (value if isinstance(value, list) else [value])]
        unique = {json.dumps(one): one for one in texts}
        return [*unique.values()][:MOST_VALUES]

    def _condition_lines(self) -> Iterator[str]:
        """Yield the ``ignore``, ``cancellation`` and ``accept`` sections of the draft."""
        if "test" in self.guesses:
            values = self._values("test")
            yes = next((one for one in values if str(one).lower() in ("true", "1")), True)
            yes = "1" if "0" in map(str, values) else yes
            path = quoted(self.guesses["test"][0])
            yield from ("ignore:", f"  {path}: {json.dumps(yes)}   {GUESS}")
        yield from self._cancellation_lines()
        if accepted := self.accepted:
            path = self.guesses["accept"][0]
            events = [*accepted, *self.canceled.get(path, ())]
            left = ", ".join(str(one) for one in self._values("accept") if one not in events)
            others = f"any other value, such as {left}, is ignored" if left else OTHERS
            yield "accept:"
            yield f"  {quoted(path)}: {_one_or_list(accepted)}   {GUESS}; {others}"
        if self.canceled or {"test", "accept"} & self.guesses.keys():
            yield ""

    def _cancellation_lines(self) -> Iterator[str]:
        for path in continued_cancellations(self.observed):
            yield f"# {TODO}: {quoted(path)} is in a list of events, and others follow it in a"
            yield "# sample. If the sender has a status, use it under 'cancellation'. Without one,"
            yield "# a lead whose tour time is repeated with a different value is held."
        canceled = self.canceled
        if canceled:
            yield "cancellation:"
            start = "- " if len(canceled) > 1 else ""
            for path, values in canceled.items():
                hint = f"; {LAST_HINT}" if is_history(path, self.observed) else ""
                yield f"  {start}{quoted(path)}: {_one_or_list(values)}   {GUESS}{hint}"

    def _reading_lines(self) -> Iterator[str]:
        used = {path.split(".")[0] for paths in self.guesses.values() for path in paths}
        used |= {path.split(".")[0] for path in note_paths(self.observed, self.guesses)}
        readers = {n: line for n, line in self.observed.readers.items() if n in used}
        if self.observed.each:
            name, path = self.observed.each
            yield f"for_each: {{ {name}: {quoted(path)} }}   # one lead per item; confirm"
        if readers:
            yield "read:"
            yield from (f"  {name}: {line}   {GUESS}" for name, line in readers.items())
        if self.observed.each or readers:
            yield ""

    def _dedupe_line(self) -> str:
        """Return the ``dedupe`` line of the draft, with other possible IDs as a comment."""
        if "dedupe" in self.guesses:
            return _line("dedupe", self._with_start(self.guesses["dedupe"]))
        if ids := request_ids(self.observed):
            return f"dedupe: {TODO}   # an ID that is unique to each lead: {', '.join(ids[:4])}?"
        who, when = self._first_of("email_1", "phone_1"), self._first_of("sent_at", "starts_at")
        place = self._first_of("community")
        days = [when] if when else [self._first_of("date"), self._first_of("time"), place]
        parts = [one for one in (who, *days) if one]
        each = self.observed.each
        is_items = each is None or any(one.split(".")[0] == each[0] for one in parts)
        if who is None or len(parts) < 2 or not is_items:
            return f"dedupe: {TODO}"
        return (
            f"dedupe: {_paths(parts)}   # there is no ID: equal values count as a repeat; confirm"
        )

    def _with_start(self, ids: Sequence[str]) -> Sequence[str]:
        """Add the tour's start to the ID if a tour that is moved may keep the same ID."""
        start = self._first_of("starts_at", "date")
        return [*ids, start] if start and MOVABLE.search(ids[0]) else ids

    def _first_of(self, *targets: str) -> str | None:
        return next((self.guesses[one][0] for one in targets if one in self.guesses), None)

    def _has_time(self) -> bool:
        return "starts_at" in self.guesses or {"date", "time"} <= self.guesses.keys()

    def _appointment_lines(self) -> Iterator[str]:
        guesses = self.guesses
        names = ("first_name", "last_name") if "last_name" in guesses else ("name",)
        yield from (_line(name, guesses.get(name)) for name in names)
        if not {"email_1", "phone_1"} & guesses.keys():
            yield f"email_1: {TODO}"
        for name in FIELDS:
            if name == "starts_at":
                yield from self._start_lines()
            elif name == "first_contact_type":
                how = _contact_type(self.observed)
                yield f"{name}: {{ always: {how} }}   {CONTACT_HINT}"
            elif name in TABLES and name in guesses:
                yield from self._table_lines(name)
            elif name == "move_in_date" and name in guesses:
                yield _line(name, guesses[name], _format_option(self._formats(guesses[name])))
            elif name in OPTIONS and name in guesses:
                yield _line(name, guesses[name], OPTIONS[name])
        yield from self._free_text_lines()
        if notes := note_paths(self.observed, guesses):
            yield "notes:"
            yield from (f"  - {_note(path)}" for path in notes)

    def _free_text_lines(self) -> Iterator[str]:
        """Yield a comment for each free text, such as an email's, that only the notes use."""
        for path in self.observed.values:
            texts = [one for one in self.observed.filled(path) if isinstance(one, str)]
            name = quoted(path)
            is_read = any(f"text: {name}," in one for one in self.observed.readers.values())
            if FREE_TEXT.fullmatch(key_of(path)) and not is_read and any("\n" in x for x in texts):
                yield f"# {name} is free text, which only the notes use; {READ_HINT}"

    def _start_lines(self) -> Iterator[str]:
        if "starts_at" in self.guesses:
            paths = self.guesses["starts_at"]
            line = _line("starts_at", paths, _format_option(self._formats(paths)))
            values = [value for path in paths for value in self.observed.filled(path)]
            is_utc = any(re.search(r"\d(?:Z|[+-]00:?00)$", str(value)) for value in values)
            yield f"{line} {UTC_HINT}" if is_utc else line
        elif self._has_time():
            yield f"starts_at: {{ {', '.join(self._date_and_time())} }}   {GUESS}"
        else:
            yield f"starts_at: {TODO}   # or remove this line and add 'without_time: …' at the top"

    def _date_and_time(self) -> Iterator[str]:
        """Yield the options of ``starts_at`` for a separate date and time, as text or in parts."""
        date, time = self.guesses["date"], self.guesses["time"]
        dates, times = self._texts(date[0]), self._texts(time[0])
        if dates and times:
            option = _format_option(_fewest_formats([*zip(dates, times, strict=False)]), TODO)
            yield from (f"date: {_paths(date)}", f"time: {_paths(time)}", option)
            return
        own = _format_option(self._formats(date))
        yield f"date: {{ from: {_paths(date)}, {own} }}" if own else f"date: {_paths(date)}"
        yield f"time: {_paths(time)}"
        if times:
            yield _format_option(self._formats(time), TODO)

    def _texts(self, path: str) -> list[str]:
        """Return the values at a path as text, except for objects with date parts."""
        return [str(one) for one in self.observed.filled(path) if not isinstance(one, dict)]

    def _formats(self, paths: Sequence[str]) -> list[str]:
        texts = [(text,) for path in paths for text in self._texts(path)]
        return _fewest_formats(texts)

    def _table_lines(self, name: str) -> Iterator[str]:
        """Yield a line for a field, with a table that translates the values in the samples."""
        values = self._values(name)
        rows = {str(value): table_value(name, str(value)) for value in values}
        known = ", ".join(f"{quoted(value)}: {ours}" for value, ours in rows.items() if ours)
        unknown = [value for value, ours in rows.items() if not ours]
        hint = f"; add {', '.join(map(repr, unknown))} or leave it to the notes" if unknown else ""
        table = f"{{ {known or TODO + ': ' + TABLES[name][-1][1]} }}"
        yield f"{name}: {{ from: {_paths(self.guesses[name])}, table: {table} }}   {GUESS}{hint}"


def draft_from_samples(name: str, samples: Sequence[Any]) -> Draft:
    """Draft a source's mapping from the parsed payloads of sample webhooks."""
    observed = observe(samples)
    return Draft(name=name, observed=observed, guesses=guess_paths(observed))


def _test_lines(sample: str, outcome: str) -> Iterator[str]:
    yield f"  - name: {sample.rsplit('/', 1)[-1].rsplit('.', 1)[0]}"
    yield f"    payload: {sample}"
    yield f"    {outcome}"


def _signature_line(name: str) -> str:
    """Return a draft's ``signature`` line, with a preset if one matches the source's name."""
    secrets = f"secrets: [{re.sub('[^A-Z0-9]', '_', name.upper())}_SECRET]"
    presets = {preset.replace("-", ""): preset for preset in signatures.PRESETS}
    parts = name.replace("_", "-").split("-")
    for count in range(len(parts), 0, -1):
        preset = presets.get("".join(parts[:count]))
        if preset:
            return f"signature: {{ preset: {preset}, {secrets} }}   {GUESS}"
    return f"signature: {{ scheme: {TODO}, {secrets} }}   # hmac, hash, token or basic"


def _note(path: str) -> str:
    """Return a notes line for a path, with a label unless it is the renter's message."""
    name = path.split(".")[-1].strip('"')
    is_message = MESSAGES.search(name)
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|[_-]+", " ", name).strip().capitalize()
    label = "" if is_message or "{" in name or "}" in name else f"{words}: "
    return json.dumps(f"{label}{{{path}}}", ensure_ascii=False)


def _one_or_list(values: Sequence[Any]) -> str:
    text = json.dumps(values, ensure_ascii=False)
    return text[1:-1] if len(values) == 1 else text


def _contact_type(observed: Observed) -> str:
    keys = " ".join(key_of(path) for path in observed.values)
    return next((how for words, how in CONTACT_TYPES if re.search(words, keys)), "internet")


def table_value(name: str, text: str) -> str:
    """Guess the adapter's value for a sender's word. Return "" if unsure."""
    rows = TABLES.get(name, ())
    return next((ours for words, ours in rows if re.search(words, text, re.IGNORECASE)), "")


def _fewest_formats(values: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the smallest list of date formats that can parse all values.

    Each value is one text, or a date and a time. Return an empty list if a text has no format.
    """
    guessed = [" ".join(format_from_text(text) or "?" for text in texts) for texts in values]
    candidates = sorted(set(guessed), key=lambda form: -sum(map(form.__eq__, guessed)))
    texts = [" ".join(value) for value in values]
    if any("?" in form for form in candidates):
        return []
    best = [form for form in candidates if all(_fits(form, text) for text in texts)]
    return best[:1] or candidates


def _fits(form: str, text: str) -> bool:
    try:
        compile_format(form).parse(text)
    except (Unreadable, ValueError):
        return False
    return True


def _line(name: str, paths: Sequence[str] | None, option: str = "") -> str:
    if not paths:
        return f"{name}: {TODO}"
    value = f"{{ from: {_paths(paths)}, {option} }}" if option else _paths(paths)
    return f"{name}: {value}   {GUESS}"


def _paths(paths: Sequence[str]) -> str:
    return quoted(paths[0]) if len(paths) == 1 else f"[{', '.join(map(quoted, paths))}]"


def _format_option(formats: Sequence[str], otherwise: str = "") -> str:
    if not formats and otherwise:
        return f"format: {otherwise}"
    if not formats or list(formats) == ["YYYY-MM-DD"]:
        return ""
    written = [json.dumps(form) if "," in form or "[" in form else form for form in formats]
    return f"format: {written[0]}" if len(written) == 1 else f"format: [{', '.join(written)}]"
