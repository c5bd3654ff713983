"""What a sender that waits is told: the outcome of its webhook, in the words of its mapping."""

import dataclasses
import datetime as dt
import json
import string
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, Final, Self
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from adapter.mapping.webhook_outcome import Outcome, WebhookOutcome
from adapter.models import BookingState, Kind
from adapter.propexo.appointment import AppointmentSchema

KINDS: Final = {"json": "application/json", "xml": "application/xml", "text": "text/plain"}

#: What ``respond`` says besides templates.
OPTIONS: Final = ("wait", "deadline", "say")

# --- sentences

#: What a renter can be told of each outcome. Nothing is promised that is not so.
SENTENCES: Final[Mapping[str, str]] = {
    Outcome.ACCEPTED: "We have your request and will confirm shortly.",
    Outcome.BOOKED: "You are booked for {booking.starts_at}.",
    Outcome.PROSPECT: "Thank you. Our team has your details and will be in touch.",
    Outcome.HELD: "We have your request. Our team will look at it and be in touch.",
    Outcome.UNKNOWN: "We have your request and will confirm shortly.",
    Outcome.FAILED: "We could not book that tour. Our team will look into it.",
    Outcome.DUPLICATE: "We have this request of yours already. There is no need to send it again.",
    Outcome.IGNORED: "No tour was booked.",
    BookingState.EXPIRED: "That time is too soon to book, or has passed. Please choose another.",
    BookingState.SUPERSEDED: "You have asked for another tour since, and that one counts.",
}

#: States whose own sentences name a tour's time: a guest card has none.
_OF_A_TIME: Final = frozenset({BookingState.BOOKED, BookingState.EXPIRED})


def sentence_name(finding: WebhookOutcome, said: Container[str] = SENTENCES) -> str:
    """The booking's own state where ``said`` has words for it, else the outcome."""
    state = finding.booking.state if finding.booking else None
    is_card = finding.booking is not None and finding.booking.kind is Kind.PROSPECT
    if state not in said or (is_card and state in _OF_A_TIME):
        return str(finding.outcome)
    return str(state)


# --- placeholders

#: What ``{booking.…}`` may name besides the fields of the appointment.
BOOKING_FIELDS: Final = (
    *("state", "kind", "community", "starts_at", "starts_at_utc", "reason"),
    *AppointmentSchema().fields,
)

NAMES: Final = frozenset({"event", "status", *(f"booking.{field}" for field in BOOKING_FIELDS)})

#: The sentence for the outcome.
SAY: Final = "say"

#: Before a place of the webhook that is answered: ``{request.message.id}``.
REQUEST: Final = "request."

#: In a list of a JSON template: once for each item of the webhook.
EACH: Final = "each"

#: Gives the text at a place of the webhook; empty where there is none.
Reader = Callable[[str], str]


def _nothing(_: str) -> str:
    return ""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RequestValues:
    """What the webhook says that is answered."""

    read: Reader = _nothing
    #: For each of its items how that one is read, and whether a booking was made of it.
    items: Sequence[tuple[Reader, bool]] = ()


def names_in(text: str) -> list[str]:
    """The placeholders of a template's text. ValueError where its braces make no sense.

    Python's own ``format`` would follow attributes and items; this reads names, and no more.
    """
    names = []
    for _, name, spec, conversion in string.Formatter().parse(text):
        if name is not None:
            names.append(
                name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
            )
    return names


def values_from(finding: WebhookOutcome) -> dict[str, str]:
    """The text of every placeholder; one of which nothing is known is empty."""
    values = dict.fromkeys(NAMES, "")
    values |= {"event": str(finding.event_id), "status": str(finding.outcome)}
    booking, said = finding.booking, {}
    if booking is not None:
        said = {name: _text(value) for name, value in booking.appointment.items()}
        said |= {
            "state": str(booking.state),
            "kind": str(booking.kind),
            "community": booking.community or "",
            "starts_at": in_words(booking.starts_at, booking.timezone),
            "starts_at_utc": f"{booking.starts_at:%Y-%m-%dT%H:%M:%SZ}" if booking.starts_at else "",
        }
    if finding.outcome not in (Outcome.ACCEPTED, Outcome.BOOKED, Outcome.PROSPECT):
        said["reason"] = "; ".join(dict.fromkeys(reason.reason for reason in finding.reasons))
    return values | {f"booking.{name}": text for name, text in said.items()}


def in_words(at: dt.datetime | None, timezone: str | None) -> str:
    """An instant on the community's clock: ``Saturday 14 March at 2:30 PM``."""
    if at is None or timezone is None:
        return ""
    local = at.astimezone(ZoneInfo(timezone))
    return f"{local:%A} {local.day} {local:%B} at {local.hour % 12 or 12}:{local:%M %p}"


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


# --- templates


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TemplateContext:
    """The values of one answer, or of one item in it."""

    finding: WebhookOutcome
    asked: RequestValues
    #: The sentence of each outcome, with placeholders.
    sentences: Mapping[str, str]

    def reader(self) -> Reader:
        """The text of a placeholder by its name."""
        values = values_from(self.finding)

        def read(name: str) -> str:
            if name == SAY:
                sentence = self.sentences[sentence_name(self.finding, self.sentences)]
                return " ".join(_filled(sentence, read).split())
            if name.startswith(REQUEST):
                return self.asked.read(name.removeprefix(REQUEST))
            return values[name]

        return read

    def each(self) -> "list[TemplateContext]":
        """The same for each item of the webhook."""
        findings = iter(self.finding.per_item(sum(booked for _, booked in self.asked.items)))
        ignored = WebhookOutcome(event_id=self.finding.event_id, outcome=Outcome.IGNORED)
        return [
            dataclasses.replace(
                self, asked=RequestValues(read=read), finding=next(findings) if booked else ignored
            )
            for read, booked in self.asked.items
        ]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """One answer with placeholders: data for JSON, a text for the others."""

    kind: str
    content: Any

    def filled(self, told: TemplateContext) -> str:
        """The body of the answer, each value written so that it cannot break out of its place."""
        if self.kind == "json":
            return json.dumps(_data(self.content, told))
        read = told.reader()
        if self.kind == "xml":
            return _filled(self.content, lambda name: xml_from_text(read(name)))
        return _filled(self.content, read)


def _data(content: Any, told: TemplateContext) -> Any:
    read = told.reader()

    def made(part: Any) -> Any:
        if isinstance(part, Mapping):
            return {name: made(item) for name, item in part.items()}
        if isinstance(part, list):
            return [item for one in part for item in items(one)]
        return _filled(part, read) if isinstance(part, str) else part

    def items(part: Any) -> list[Any]:
        if isinstance(part, Mapping) and list(part) == [EACH]:
            return [_data(part[EACH], one) for one in told.each()]
        return [made(part)]

    return made(content)


def _filled(text: str, read: Reader) -> str:
    pieces = string.Formatter().parse(text)
    return "".join(words + (read(name) if name else "") for words, name, _, _ in pieces)


def xml_from_text(text: str) -> str:
    """Text for between tags and for attributes; characters that XML forbids are left out."""
    kept = "".join(filter(_is_xml, text))
    return escape(kept, {'"': "&quot;", "'": "&apos;"})


def _is_xml(character: str) -> bool:
    """Whether XML 1.0 knows the character (section 2.2)."""
    code = ord(character)
    return character in "\t\n\r" or 0x20 <= code <= 0xD7FF or 0xE000 <= code not in (0xFFFE, 0xFFFF)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """A body and its content type."""

    body: str
    mimetype: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Respond:
    """The section ``respond`` of a mapping."""

    #: How long the sender waits for the outcome; 0: not at all.
    wait_seconds: int
    #: One for each outcome that has its own, and None for all others.
    templates: Mapping[str | None, Template]
    #: What ``{say}`` stands for.
    sentences: Mapping[str, str]

    @classmethod
    def from_section(cls, said: Mapping[str, Any]) -> Self:
        """The section as its mapping has it, which is checked when the mapping is loaded."""
        templates: dict[str | None, Template] = {}
        for name, value in said.items():
            if name in KINDS:
                templates[None] = Template(kind=name, content=value)
            elif name not in OPTIONS:
                ((kind, content),) = value.items()
                templates[name] = Template(kind=kind, content=content)
        return cls(
            wait_seconds=seconds_from(said.get("wait", "0s")),
            templates=templates,
            sentences={**SENTENCES, **said.get("say", {})},
        )

    def reply(self, finding: WebhookOutcome, asked: RequestValues) -> Reply:
        """The answer; the plain JSON of all senders where the mapping has none for the outcome."""
        template = self.templates.get(finding.outcome) or self.templates.get(None)
        if template is None:
            plain = {"event": finding.event_id, "status": finding.outcome}
            return Reply(body=json.dumps(plain), mimetype=KINDS["json"])
        told = TemplateContext(finding=finding, asked=asked, sentences=self.sentences)
        return Reply(body=template.filled(told), mimetype=KINDS[template.kind])


def seconds_from(text: str) -> int:
    """``8s`` as 8."""
    return int(text.removesuffix("s"))
