"""Draft a mapping from samples. The draft contains guesses that the user must confirm."""

import dataclasses
import functools
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from adapter import signatures
from adapter.mapping.authoring.body_secrets import secret_lines, variable_for
from adapter.mapping.authoring.cancellations import (
    canceled_rows,
    cancellations,
    continued_cancellations,
    is_history,
    moves_tours,
    says_canceled,
)
from adapter.mapping.authoring.chat_turns import booking_intents, last_turns
from adapter.mapping.authoring.draft_lines import (
    GUESS,
    dates_in,
    field_line,
    format_option,
    formats_at,
    path_list,
    start_line,
)
from adapter.mapping.authoring.field_keys import Guesses
from adapter.mapping.authoring.foreign import region_of, sale_paths
from adapter.mapping.authoring.guess import NOT_A_LEAD, contact_paths, guess_paths
from adapter.mapping.authoring.lost_paths import lost_paths
from adapter.mapping.authoring.note_paths import note_paths
from adapter.mapping.authoring.observe import Observed, is_blank, observe
from adapter.mapping.authoring.payload_keys import key_of, owned_key
from adapter.mapping.authoring.plausible import NO_BOOKING
from adapter.mapping.authoring.readings import quoted, read
from adapter.mapping.authoring.request_ids import is_event_id, request_ids
from adapter.mapping.authoring.whose import CONTACT
from adapter.mapping.loader.check_todos import TODO

CONTACT_HINT: Final = "# or internet, chat, call, email, sms: confirm"
#: Without a signature, there is no secret.
SCHEME_HINT: Final = "# hmac, hash, token or basic; or { scheme: none }, without secrets"
PROSPECT_HINT: Final = "if you add 'without_time: prospect'; with a tour time, write expect_some"
#: Maximum number of leads to list in a draft's test.
MOST_LEADS: Final = 5
#: The outcomes of a lead in a draft's test, with hints for users.
LEAD_HINTS: Final = {
    "expect_some": "adapter map --as-test prints the rest",
    "prospect_some": PROSPECT_HINT,
}
IGNORED_HINT: Final = "this event books no tour; add the event that does under 'accept'"
OTHERS: Final = "any other value is ignored"
BOOKED: Final = re.compile(r"book|creat|schedul", re.IGNORECASE)
MOVED: Final = re.compile(r"reschedul|updat|chang|moved", re.IGNORECASE)
MOVED_HINT: Final = "; is there another one for a rescheduled tour?"
DRAFT_LINE: Final = (
    "draft: true   # remove this line when the mapping is finished; until then, it is not used"
)
EACH_HINT: Final = "# one lead per item; confirm"
LAST_HINT: Final = "this is also true if a later event books again"
FROM_HINT: Final = "; in a call that you made, this is your number"
COMMUNITY_HINT: Final = (
    "# a path, such as a property's name or the number called; or query.community, if the sender's "
    "URL ends with ?community=maple-court; or { always: maple-court }"
)
DEDUPE_HINT: Final = "# the path of the booking's ID, several paths, or body if there is no ID"
REPEAT_HINT: Final = "# there is no ID: equal values count as a repeat; confirm"
FIRST_HINT: Final = "; this is the first of several people"
NAME_HINT: Final = "# or 'last_name: { always: Unknown }' if the sender never has a name"
NO_LAST_NAME: Final = "last_name: { always: Unknown }   # only a first name was found: confirm"
NO_RENTER: Final = (
    "# No name, email address or phone number was found. If the webhooks contain only IDs, add",
    "# 'fetch', as under 'Webhooks with only IDs' in docs/mapping.md.",
)
#: A key that is an ID, which means nothing to a reader of the notes.
CODE: Final = re.compile(r"(?=.*\d)(?=.*[A-Z])(?=.*[a-z])[A-Za-z0-9]{8,}")
#: Keys that may show the kind of a webhook, and hints for users about these keys.
CHANGE_FLAG: Final = re.compile(r"cancel|reschedul")
STATUS: Final = re.compile(r"intent|(tour|appointment|booking|lead)?status|(function|tool)(name)?")
CHANGE_HINT: Final = "does true cancel a tour ('cancellation') or need review ('ignore')?"
SALE_HINT: Final = "someone who wants to buy is no renter: add it under 'ignore'?"
MOST_SALES: Final = 3
STATUS_HINT: Final = "do other values need 'accept', 'ignore' or 'cancellation'?"
MINIMUM: Final = re.compile("min(imum)?|from|lowest")
MAXIMUM: Final = re.compile("max(imum)?|highest")
#: Keys of the phone number that a call was made from.
FROM_NUMBER: Final = re.compile(r"(call)?fromnumber")

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
        (r"^(no|none|false|n/a|ningun[oa]?)\b|no ?pets?|sin mascotas", "[]"),
        (r"cat|gat[oa]", "cat"),
        (r"small|under|little|perr[oa] (pequeñ|chic)", "small_dog"),
        (r"large|big|over|perr[oa] grande", "large_dog"),
    ),
}
#: Words in a sender's keys that show how renters make contact, in matching order.
CONTACT_TYPES: Final = (
    (r"smssid|smsmessagesid|messagingservicesid", "sms"),
    (r"callid|transcript|fromnumber|calllength|toolcalls|trackingphone", "call"),
    (r"plain|textbody|htmlbody|strippedtext|envelope|dkim", "email"),
    (r"conversation|sessionid|queryresult|intentinfo|botid|messenger|wamid", "chat"),
)
MESSAGES: Final = re.compile(
    r"comment|message|note|question|summary|answer|bio|body|comentario|mensaje", re.IGNORECASE
)
MOVABLE: Final = re.compile(r"appointment|booking|prospect", re.IGNORECASE)
MOST_VALUES: Final = 20
#: Maximum number of paths in nested lists to name in a comment.
MOST_LOST: Final = 20
#: Maximum number of a status's values to list in a comment.
MOST_OTHERS: Final = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Draft:
    """A draft of a mapping, with the guesses that the draft is based on."""

    name: str
    samples: Sequence[Any]
    observed: Observed
    guesses: Mapping[str, Sequence[str]]

    @functools.cached_property
    def canceled(self) -> dict[str, list[Any]]:
        """The values that distinguish cancellations from bookings, keyed by path."""
        found = cancellations(self.observed, self.guesses.get("accept", (None,))[0])
        continued = continued_cancellations(self.observed)
        ignored = self.ignored
        left = {
            path: [one for one in values if one not in ignored] for path, values in found.items()
        }
        return {path: values for path, values in left.items() if values and path not in continued}

    @functools.cached_property
    def accepted(self) -> list[Any]:
        """The event names that seem to represent leads, or all others if none do."""
        if "accept" not in self.guesses:
            return []
        canceled = self.canceled.get(self.guesses["accept"][0], ())
        others = [*canceled, *self.ignored]
        events = [one for one in self._values("accept") if one not in others]
        return [one for one in events if not NOT_A_LEAD.search(str(one))] or events

    @functools.cached_property
    def ignored(self) -> list[Any]:
        """The names of events around a tour, such as its end, which are never leads."""
        events = self._values("accept") if "accept" in self.guesses else []
        return [one for one in events if NO_BOOKING.search(str(one))]

    @functools.cached_property
    def chat(self) -> dict[str, list[Any]]:
        """The intents and turns of a chatbot that are leads, keyed by path."""
        return {**booking_intents(self.observed), **last_turns(self.observed)}

    @functools.cached_property
    def dates(self) -> list[str]:
        """The unused values in the samples that look like a date or a time."""
        return dates_in(self.observed, self.guesses)

    def communities(self) -> list[Any]:
        """Return the community names in the samples, in order of appearance."""
        paths = self.guesses.get("community", ())
        columns = [self.observed.values[path] for path in paths]
        rows = zip(*columns, strict=True)
        firsts = (next((one for one in row if not is_blank(one)), None) for row in rows)
        return list(dict.fromkeys(value for value in firsts if value is not None))

    def lost(self) -> list[str]:
        """Return the paths of values in nested lists that the draft does not read."""
        paths = [path for paths in self.guesses.values() for path in paths]
        mail = self.observed.mail.paths if self.observed.mail else ()
        used = [*paths, *note_paths(self.observed, self.guesses), *mail, *self._names_read()]
        return lost_paths(self.samples, self.observed, used)

    def people(self) -> dict[str, list[str]]:
        """Return the renters' names and contact details in the samples, keyed by field."""
        fields = CONTACT & self.guesses.keys()
        values = {
            name: [one for path in self.guesses[name] for one in self.observed.filled(path)]
            for name in fields
        }
        return {name: [str(one) for one in found] for name, found in sorted(values.items())}

    def _outcome(self, payload: Any) -> str:
        """Return the line in a draft's test that states the expected outcome for a payload."""
        rows = self._rows_of(payload)
        outcomes = [self._outcome_of(row) for row in rows] or ["expect_some"]
        leads = [one for one in outcomes if one in LEAD_HINTS]
        if not leads:
            return f"{'cancellation' if 'cancellation' in outcomes else 'ignored'}: true"
        kind = min(leads)
        one = f"{{ last_name: {TODO} }}"
        count = leads.count(kind)
        if count > MOST_LEADS:
            return f"{kind}: {TODO}   # {count} leads: adapter map --as-test prints the test"
        each = one if count == 1 else f"[{', '.join([one] * count)}]"
        return f"{kind}: {each}   # {LEAD_HINTS[kind]}"

    def _rows_of(self, payload: Any) -> list[Mapping[str, Any]]:
        """Return the data of each lead in one of the samples."""
        numbers = [number for number, one in enumerate(self.samples) if one is payload]
        rows = zip(self.observed.samples, self.observed.rows, strict=True)
        return [row for number, row in rows if number in numbers[:1]]

    def _outcome_of(self, row: Mapping[str, Any]) -> str:
        """Return the expected outcome of a lead in the samples, which is a key of a test."""
        if any(str(value).lower() in ("true", "1") for value in self._first_value(row, "test")):
            return "ignored"
        if any(says_canceled(path, read(row, path)) for path in self.canceled):
            return "cancellation"
        events = self._first_value(row, "accept")
        chat = [read(row, path) not in values for path, values in self.chat.items()]
        is_unfinished = False in self._first_value(row, "finished") or True in chat
        is_other = bool(self.accepted) and any(one not in self.accepted for one in events)
        if is_unfinished or is_other or any(one in self.ignored for one in events):
            return "ignored"
        return "prospect_some" if self._has_no_time(row) else "expect_some"

    def _first_value(self, row: Mapping[str, Any], target: str) -> list[Any]:
        """Return the value at the most likely path for a field, or [] if there is no such path."""
        return [read(row, path) for path in self.guesses.get(target, ())[:1]]

    def _has_no_time(self, row: Mapping[str, Any]) -> bool:
        """Return True if no value of a lead can be a tour time."""
        if self.observed.mail or self.dates:
            return False
        paths = [path for target in ("starts_at", "date") for path in self.guesses.get(target, ())]
        return all(is_blank(read(row, path)) for path in paths)

    def text(
        self,
        *samples: str,
        origin: str = "",
        payloads: Sequence[Any] = (),
        is_in_folder: bool = False,
    ) -> str:
        """Return the mapping as YAML. ``samples`` are the sample files' names.

        ``payloads`` are the files' contents, used to guess the tests' outcomes. If the
        draft is written to the mappings folder, one of its lines keeps it from being used.
        """
        source = origin or ", ".join(samples)
        lines = [
            f"# {self.name}: drafted from {source}. Confirm each guess, and fill in each {TODO}.",
            "",
            *([DRAFT_LINE, ""] if is_in_folder else []),
            _signature_line(self.name),
            *secret_lines(self.name, self.samples, samples),
            "",
            *self._condition_lines(),
            *self._reading_lines(),
            self._dedupe_line(),
            *(
                [field_line("sent_at", self.guesses["sent_at"])]
                if "sent_at" in self.guesses
                else []
            ),
            field_line("community", self.guesses.get("community"), hint=COMMUNITY_HINT),
            "",
            "appointment:",
            *(f"  {line}" for line in self._appointment_lines()),
            *self._lost_lines(),
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
        """Return the distinct values at the most likely path for a field."""
        path = self.guesses[target][0]
        values = [value for value in self.observed.filled(path) if not isinstance(value, dict)]
        texts = [one for value in values for one in (value if isinstance(value, list) else [value])]
        unique = {json.dumps(one): one for one in texts}
        return [*unique.values()][:MOST_VALUES]

    def _condition_lines(self) -> Iterator[str]:
        """Yield the ``ignore``, ``cancellation`` and ``accept`` sections of the draft."""
        lines = [
            *self._ignore_lines(),
            *self._cancellation_lines(),
            *self._accept_lines(),
            *_undecided_lines(self.observed, self.guesses),
        ]
        yield from [*lines, ""] if lines else ()

    def _ignore_lines(self) -> Iterator[str]:
        if "test" in self.guesses:
            values = self._values("test")
            yes = next((one for one in values if str(one).lower() in ("true", "1")), True)
            yes = "1" if "0" in map(str, values) else yes
            path = quoted(self.guesses["test"][0])
            yield from ("ignore:", f"  {path}: {json.dumps(yes)}   {GUESS}")
        if self.ignored and not self.accepted:
            yield from () if "test" in self.guesses else ("ignore:",)
            path = quoted(self.guesses["accept"][0])
            yield f"  {path}: {_one_or_list(self.ignored)}   # {IGNORED_HINT}"

    def _accept_lines(self) -> Iterator[str]:
        accepted = self.accepted
        if accepted or self.chat or "finished" in self.guesses:
            yield "accept:"
        if accepted:
            path = self.guesses["accept"][0]
            events = [*accepted, *self.canceled.get(path, ())]
            left = ", ".join(str(one) for one in self._values("accept") if one not in events)
            others = f"any other value, such as {left}, is ignored" if left else OTHERS
            is_booking = any(BOOKED.search(str(one)) for one in accepted)
            is_complete = any(MOVED.search(str(one)) for one in self._values("accept"))
            hint = MOVED_HINT if is_booking and not is_complete else ""
            yield f"  {quoted(path)}: {_one_or_list(accepted)}   {GUESS}; {others}{hint}"
        if "finished" in self.guesses:
            yield f"  {quoted(self.guesses['finished'][0])}: true   {GUESS}; false is ignored"
        for path, values in self.chat.items():
            yield f"  {quoted(path)}: {_one_or_list(values)}   {GUESS}; {OTHERS}"

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
                hint = f"; {LAST_HINT}" if is_history(path, self.observed) else self._others(path)
                yield f"  {start}{quoted(path)}: {_one_or_list(values)}   {GUESS}{hint}"

    def _others(self, path: str) -> str:
        """Return a comment that lists the other values of a status that marks cancellations."""
        found = {str(one) for one in self.observed.filled(path)} - {*map(str, self.canceled[path])}
        is_event = path in self.guesses.get("accept", ())
        others = ", ".join(sorted(found)[:MOST_OTHERS]) if not is_event else ""
        return f"; the others are {others}" if others else ""

    def _names_read(self) -> list[str]:
        """Return the names under ``read:`` that the draft uses."""
        used = {path.split(".")[0] for paths in self.guesses.values() for path in paths}
        used |= {path.split(".")[0] for path in note_paths(self.observed, self.guesses)}
        used |= {*self.observed.mail.names} if self.observed.mail else set()
        return [name for name in self.observed.readers if name in used]

    def _reading_lines(self) -> Iterator[str]:
        readers = {name: self.observed.readers[name] for name in self._names_read()}
        if len(self.observed.each) == 1:
            name, path = self.observed.each[0]
            yield f"for_each: {{ {name}: {quoted(path)} }}   {EACH_HINT}"
        elif self.observed.each:
            yield f"for_each:   {EACH_HINT}"
            yield from (f"  {name}: {quoted(path)}" for name, path in self.observed.each)
        if readers:
            yield "read:"
            whole = self.observed.mail.names if self.observed.mail else ()
            for name, line in readers.items():
                yield f"  {name}: {line}" if name in whole else f"  {name}: {line}   {GUESS}"
        if self.observed.each or readers:
            yield ""

    def _dedupe_line(self) -> str:
        """Return the ``dedupe`` line of the draft, with other possible IDs as a comment."""
        if "dedupe" in self.guesses:
            return field_line("dedupe", self._with_start(self.guesses["dedupe"]))
        if ids := request_ids(self.observed):
            return f"dedupe: {TODO}   # an ID that is unique to each lead: {', '.join(ids[:4])}?"
        who, asked = self._contacts(), self._first_of("sent_at")
        # A cancellation has the same tour start as its booking, but often a different request time.
        start = self._first_of("starts_at")
        starts = [start] if start else [self._first_of("date"), self._first_of("time")]
        days = starts if all(starts) else [asked or self._first_of("community")]
        parts = [one for one in days if one]
        is_items = not self.observed.each or any(map(self.observed.is_of_item, (*who, *parts)))
        if not who or not parts or not is_items:
            return f"dedupe: {TODO}   {DEDUPE_HINT}"
        listed = ", ".join([path_list(who), *map(quoted, parts)])
        return f"dedupe: [{listed}]   {REPEAT_HINT}"

    def _contacts(self) -> list[str]:
        """Return contact paths that together cover every lead in the samples, or an empty list."""
        chosen: list[str] = []
        rows = {*range(len(self.observed.rows))} - {*canceled_rows(self.observed)}
        for path in (*self.guesses.get("email_1", ()), *self.guesses.get("phone_1", ())):
            filled = {row for row in rows if self.observed.is_filled(path)[row]}
            chosen += [path] if filled else []
            rows -= filled
        return chosen if not rows else []

    def _with_start(self, ids: Sequence[str]) -> Sequence[str]:
        """Add the tour's start to the ``dedupe`` paths if a rescheduled tour may keep its ID."""
        start = self._first_of("starts_at", "date")
        if moves_tours(self.observed):  # the new time must have the key of the tour that it moves
            return ids
        if is_event_id(ids[0]):
            return [*ids, *self._contacts()[:1]]
        return [*ids, start] if start and MOVABLE.search(ids[0]) else ids

    def _first_of(self, *targets: str) -> str | None:
        return next((self.guesses[one][0] for one in targets if one in self.guesses), None)

    def _appointment_lines(self) -> Iterator[str]:
        guesses = self.guesses
        notes = note_paths(self.observed, guesses)
        contacts = contact_paths(self.observed)
        if not (notes or contacts or (CONTACT | {"starts_at", "date"}) & guesses.keys()):
            yield from NO_RENTER
        yield from self._name_lines()
        if not {"email_1", "phone_1"} & guesses.keys():
            listed = " or ".join(map(quoted, contacts[:3]))
            yield f"email_1: {TODO}{f'   # or phone_1, perhaps from {listed}' if listed else ''}"
        for name in FIELDS:
            if name == "starts_at":
                yield start_line(self.observed, guesses)
            elif name == "first_contact_type":
                how = _contact_type(self.observed)
                yield f"{name}: {{ always: {how} }}   {CONTACT_HINT}"
            elif name in TABLES and name in guesses:
                yield from self._table_lines(name)
            elif name == "move_in_date" and name in guesses:
                formats = formats_at(self.observed, guesses[name])
                yield field_line(name, guesses[name], format_option(formats))
            elif name in OPTIONS and name in guesses:
                yield self._plain_line(name)
        if notes:
            yield "notes:"
            yield from (f"  - {_note(path)}" for path in notes)

    def _plain_line(self, name: str) -> str:
        """Return the line of a field that needs at most one option."""
        paths = self.guesses[name]
        key = key_of(paths[0])
        if name == "desired_num_bedrooms" and (most := self._most_bedrooms(paths[0])):
            paths = [f"{{{paths[0]}}}-{{{most}}}", *paths]
        hint = FROM_HINT if FROM_NUMBER.fullmatch(key) else ""
        option = OPTIONS[name].replace("dollars", "cents" if "cents" in key else "dollars")
        phones = self.observed.filled(paths[0]) if name == "phone_1" else []
        if not all(str(one).strip().startswith("+") for one in phones):
            region = region_of(self.observed)
            option = f"region: {region}" if region else option
        return field_line(name, paths, option) + hint

    def _most_bedrooms(self, path: str) -> str:
        """Return the path of the maximum next to a minimum number of bedrooms, or ""."""
        parent = path.rpartition(".")[0]
        beside = (one for one in self.observed.values if one.rpartition(".")[0] == parent)
        key = MINIMUM.sub("max", key_of(path))
        is_minimum = key != key_of(path)
        return next(
            (one for one in beside if is_minimum and MAXIMUM.sub("max", key_of(one)) == key), ""
        )

    def _name_lines(self) -> Iterator[str]:
        parts = ("first_name", "last_name")
        for name in parts if {*parts} & self.guesses.keys() else ("name",):
            if name == "last_name" and name not in self.guesses:
                yield NO_LAST_NAME
            else:
                paths = self.guesses.get(name)
                is_first = paths and re.search(r"\.0\.", paths[0])
                yield field_line(name, paths, hint=NAME_HINT) + (FIRST_HINT if is_first else "")

    def _lost_lines(self) -> Iterator[str]:
        lost = self.lost()
        if lost:
            more = f" and {len(lost) - MOST_LOST} more" if len(lost) > MOST_LOST else ""
            yield f"# {TODO}: Nothing above reads all of these values in lists inside lists. To"
            yield "# read those of a renter, see 'Lists in lists' in docs/mapping.md:"
            yield from (f"#   {path}" for path in lost[:MOST_LOST])
            yield from [f"#  {more}"] if more else ()

    def _table_lines(self, name: str) -> Iterator[str]:
        """Yield the lines for a field with a table that translates the values in the samples."""
        values = self._values(name)
        rows = {str(value): table_value(name, str(value)) for value in values}
        known = ", ".join(f"{quoted(value)}: {ours}" for value, ours in rows.items() if ours)
        unknown = [value for value, ours in rows.items() if not ours]
        hint = f"; add {', '.join(map(repr, unknown))} or leave it to the notes" if unknown else ""
        table = f"{{ {known or TODO + ': ' + TABLES[name][-1][1]} }}"
        yield f"{name}: {{ from: {path_list(self.guesses[name])}, table: {table} }}   {GUESS}{hint}"


def draft_from_samples(name: str, samples: Sequence[Any]) -> Draft:
    """Draft a mapping from the parsed payloads of a source's sample webhooks."""
    observed = observe(samples)
    return Draft(name=name, samples=samples, observed=observed, guesses=guess_paths(observed))


def _undecided_lines(observed: Observed, guesses: Guesses) -> Iterator[str]:
    """Yield a comment about each unused status or flag that may need a condition."""
    sales = sale_paths(observed)
    for path in sales[:MOST_SALES]:
        value = json.dumps(str(observed.filled(path)[0])[:40])
        yield f"# {quoted(path)} is {value} in a sample; {SALE_HINT}"
    taken = {path for paths in guesses.values() for path in paths} | {*sales}
    for path in observed.values:
        key, values = key_of(path), observed.filled(path)
        if path in taken or not values or path.split(".")[0] in observed.readers:
            continue
        if CHANGE_FLAG.search(key) and all(isinstance(one, bool) for one in values):
            yield f"# {quoted(path)} is {json.dumps(values[0])} in a sample; {CHANGE_HINT}"
        elif (STATUS.fullmatch(key) or STATUS.fullmatch(owned_key(path))) and all(
            isinstance(one, str) for one in values
        ):
            yield f"# {quoted(path)} is {json.dumps(values[0][:40])} in a sample; {STATUS_HINT}"


def _test_lines(sample: str, outcome: str) -> Iterator[str]:
    yield f"  - name: {sample.rsplit('/', 1)[-1].rsplit('.', 1)[0]}"
    yield f"    payload: {sample}"
    yield f"    {outcome}"


def _signature_line(name: str) -> str:
    """Return a draft's ``signature`` line, with a preset if one matches the source's name."""
    secrets = f"secrets: [{variable_for(name)}]"
    presets = {preset.replace("-", ""): preset for preset in signatures.PRESETS}
    parts = name.replace("_", "-").split("-")
    for count in range(len(parts), 0, -1):
        preset = presets.get("".join(parts[:count]))
        if preset:
            return f"signature: {{ preset: {preset}, {secrets} }}   {GUESS}"
    return f"signature: {{ scheme: {TODO}, {secrets} }}   {SCHEME_HINT}"


def _note(path: str) -> str:
    """Return a line for the notes, with a label unless the path points to the renter's message."""
    name = re.sub(r"^q\d+_", "", path.split(".")[-1].strip('"'))
    is_message = MESSAGES.search(name) or CODE.fullmatch(name)
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
    """Guess the adapter's value for a word used by a sender, or return "" if unsure."""
    rows = TABLES.get(name, ())
    return next((ours for words, ours in rows if re.search(words, text, re.IGNORECASE)), "")
