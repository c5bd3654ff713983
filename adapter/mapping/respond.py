"""Render the responses to senders that wait for the outcome of a webhook."""

import dataclasses
import datetime as dt
import json
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, Final, Self
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from adapter.mapping.renter_language import (
    ENGLISH,
    INVITED,
    SENTENCES,
    TIME_TAKEN,
    language_from_text,
    local_time_in,
    local_times_in,
    sentences_in,
)
from adapter.mapping.webhook_outcome import Outcome, WebhookOutcome
from adapter.models import Booking, BookingState, Kind
from adapter.parsing.templates import parse_template
from adapter.parsing.text import joined_text
from adapter.propexo.appointment import AppointmentSchema

KINDS: Final = {"json": "application/json", "xml": "application/xml", "text": "text/plain"}

#: Options of ``respond`` other than templates.
OPTIONS: Final = ("wait", "deadline", "language", "say")

# --- sentences

#: States whose messages mention the tour time. Guest cards have no time, so they use the message
#: for the outcome instead.
_STATES_WITH_TIME: Final = frozenset({BookingState.BOOKED, BookingState.EXPIRED})


def sentence_name(result: WebhookOutcome, sentences: Container[str] = SENTENCES) -> str:
    """Return the name of the message to show, which is the booking's state or the outcome.

    A booking that is held because its time is unavailable has its own message, which offers other
    times.
    """
    if result.booking is not None and result.booking.offered_times:
        return TIME_TAKEN
    state = result.booking.state if result.booking else None
    is_card = result.booking is not None and result.booking.kind is Kind.PROSPECT
    if state not in sentences or (is_card and state in _STATES_WITH_TIME):
        return str(result.outcome)
    return str(state)


# --- placeholders

#: The names allowed in ``{booking.…}`` placeholders.
BOOKING_FIELDS: Final = (
    *("state", "kind", "community", "starts_at", "starts_at_utc", "reason", "free_times"),
    *("invitation", "change_link"),
    *AppointmentSchema().fields,
)

NAMES: Final = frozenset({"event", "status", *(f"booking.{field}" for field in BOOKING_FIELDS)})

#: The placeholder for the outcome's message.
SAY: Final = "say"

#: The prefix of placeholders that name a path in the webhook, such as ``{request.message.id}``.
REQUEST: Final = "request."

#: In a JSON template, the key of a list item that is repeated for each item in the webhook.
EACH: Final = "each"

#: The key of a list item that is repeated for each available time.
EACH_FREE_TIME: Final = "each_free_time"

#: The placeholders under ``each_free_time``: the time in words, in local time, and in UTC.
FREE_TIME_NAMES: Final = ("free_time", "free_time_local", "free_time_utc")

#: A function that returns a booking's links in a language, by placeholder name.
Links = Callable[[Booking, str], Mapping[str, str]]

#: A function that returns the text for a placeholder or a path in the webhook, or "".
Reader = Callable[[str], str]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RequestValues:
    """The values in a webhook that ``{request.…}`` placeholders can insert."""

    read: Reader = lambda _: ""
    #: For each item, its reader and whether it became a booking.
    items: Sequence[tuple[Reader, bool]] = ()

    def language(self, paths: Sequence[str]) -> str:
        """Return the renter's language from the payload, or English if there is none."""
        readers = (self.read, *(read for read, _ in self.items))
        found = (read(path) for path in paths for read in readers)
        return language_from_text(next(filter(None, found), ENGLISH))


def no_links(_booking: Booking, _language: str) -> Mapping[str, str]:
    """Return no links. This is the default for responses that contain no links."""
    return {}


def values_from(
    result: WebhookOutcome, language: str = ENGLISH, links: Links = no_links
) -> dict[str, str]:
    """Return the text for each placeholder, or "" if the placeholder has no value."""
    values = dict.fromkeys(NAMES, "")
    values |= {"event": str(result.event_id), "status": str(result.outcome)}
    booking, fields = result.booking, {}
    if booking is not None:
        fields = {name: joined_text(value) for name, value in booking.appointment.items()}
        fields |= {
            "state": str(booking.state),
            "kind": str(booking.kind),
            "community": booking.community or "",
            "starts_at": format_tour_time(booking.starts_at, booking.timezone, language),
            "starts_at_utc": f"{booking.starts_at:{_UTC}}" if booking.starts_at else "",
            "free_times": local_times_in(language, local_free_times(booking)),
        }
        fields |= links(booking, language)
    if result.outcome not in (Outcome.ACCEPTED, Outcome.BOOKED, Outcome.PROSPECT):
        fields["reason"] = "; ".join(dict.fromkeys(reason.reason for reason in result.reasons))
    return values | {f"booking.{name}": text for name, text in fields.items()}


_UTC: Final = "%Y-%m-%dT%H:%M:%SZ"


def local_free_times(booking: Booking) -> list[dt.datetime]:
    """Return the available times to offer for a booking, in the time zone of its community."""
    zone = ZoneInfo(booking.timezone) if booking.timezone else dt.UTC
    return [one.astimezone(zone) for one in booking.offered_times]


def _free_time_values(local: dt.datetime, language: str) -> dict[str, str]:
    texts = (
        local_time_in(language, local),
        f"{local:%Y-%m-%dT%H:%M}",
        f"{local.astimezone(dt.UTC):{_UTC}}",
    )
    return dict(zip(FREE_TIME_NAMES, texts, strict=True))


def format_tour_time(at: dt.datetime | None, timezone: str | None, language: str = ENGLISH) -> str:
    """Format a time in a time zone and language, as in ``Saturday, March 14 at 2:30 PM``."""
    if at is None or timezone is None:
        return ""
    return local_time_in(language, at.astimezone(ZoneInfo(timezone)))


# --- templates


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TemplateContext:
    """The values for rendering a response, or one item in a response."""

    result: WebhookOutcome
    request: RequestValues
    #: The message for each language and outcome, with placeholders.
    sentences: Mapping[str, Mapping[str, str]]
    #: The paths whose values name the renter's language.
    language_paths: Sequence[str] = ()
    #: The available local time that ``{free_time}`` inserts, under ``each_free_time``.
    free_time: dt.datetime | None = None
    links: Links = no_links

    def reader(self) -> Reader:
        """Return a function that looks up the text of a placeholder by the placeholder's name."""
        language = self.request.language(self.language_paths)
        values = values_from(self.result, language, self.links)
        if self.free_time is not None:
            values |= _free_time_values(self.free_time, language)

        def read(name: str) -> str:
            if name == SAY:
                sentences = self.sentences.get(language, self.sentences[ENGLISH])
                is_invited = values["booking.invitation"]
                name = INVITED if is_invited else sentence_name(self.result, sentences)
                sentence = sentences[name]
                return " ".join(_render(sentence, read).split())
            if name.startswith(REQUEST):
                return self.request.read(name.removeprefix(REQUEST))
            return values[name]

        return read

    def per_free_time(self) -> "list[TemplateContext]":
        """Return a template context for each available time that can be offered."""
        booking = self.result.booking
        times = local_free_times(booking) if booking is not None else []
        return [dataclasses.replace(self, free_time=one) for one in times]

    def per_item(self) -> "list[TemplateContext]":
        """Return a template context for each item in the webhook."""
        results = iter(self.result.per_item(sum(booked for _, booked in self.request.items)))
        ignored = WebhookOutcome(event_id=self.result.event_id, outcome=Outcome.IGNORED)
        return [
            dataclasses.replace(
                self, request=RequestValues(read=read), result=next(results) if booked else ignored
            )
            for read, booked in self.request.items
        ]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """A response body with placeholders: plain data for JSON, and otherwise a string."""

    kind: str
    content: Any

    def render(self, context: TemplateContext) -> str:
        """Render the body, with all values escaped for its format."""
        if self.kind == "json":
            return json.dumps(_render_json(self.content, context))
        read = context.reader()
        if self.kind == "xml":
            return _render(self.content, lambda name: xml_from_text(read(name)))
        return _render(self.content, read)


def _render_json(content: Any, context: TemplateContext) -> Any:
    read = context.reader()

    def render(part: Any) -> Any:
        if isinstance(part, Mapping):
            return {name: render(item) for name, item in part.items()}
        if isinstance(part, list):
            return [item for one in part for item in render_items(one)]
        return _render(part, read) if isinstance(part, str) else part

    def render_items(part: Any) -> list[Any]:
        if isinstance(part, Mapping) and list(part) == [EACH]:
            return [_render_json(part[EACH], one) for one in context.per_item()]
        if isinstance(part, Mapping) and list(part) == [EACH_FREE_TIME]:
            return [_render_json(part[EACH_FREE_TIME], one) for one in context.per_free_time()]
        return [render(part)]

    return render(content)


def _render(text: str, read: Reader) -> str:
    pieces = parse_template(text)
    return "".join(literal + (read(name) if name else "") for literal, name in pieces)


def xml_from_text(text: str) -> str:
    """Escape text for XML, and drop the characters that XML does not allow."""
    kept = "".join(filter(_is_xml, text))
    return escape(kept, {'"': "&quot;", "'": "&apos;"})


def _is_xml(character: str) -> bool:
    """Return True if XML 1.0 allows the character."""
    code = ord(character)
    return character in "\t\n\r" or 0x20 <= code <= 0xD7FF or 0xE000 <= code not in (0xFFFE, 0xFFFF)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """A rendered response body and its content type."""

    body: str
    mimetype: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Respond:
    """The ``respond`` section of a mapping."""

    #: How many seconds to wait for the outcome before responding. 0 means no wait.
    wait_seconds: int
    #: Templates by outcome. The one under None applies to all other outcomes.
    templates: Mapping[str | None, Template]
    #: The messages for ``{say}``, by language and outcome.
    sentences: Mapping[str, Mapping[str, str]]
    #: The paths under ``language:``, whose values name the renter's language.
    language_paths: Sequence[str] = ()

    @classmethod
    def from_section(cls, section: Mapping[str, Any]) -> Self:
        """Create an instance from a validated ``respond`` section."""
        templates: dict[str | None, Template] = {}
        for name, value in section.items():
            if name in KINDS:
                templates[None] = Template(kind=name, content=value)
            elif name not in OPTIONS:
                ((kind, content),) = value.items()
                templates[name] = Template(kind=kind, content=content)
        return cls(
            wait_seconds=seconds_from(section.get("wait", "")),
            templates=templates,
            sentences=sentences_in(section.get("say", {})),
            language_paths=tuple(section.get("language", ())),
        )

    def reply(
        self, result: WebhookOutcome, request: RequestValues, links: Links = no_links
    ) -> Reply:
        """Render the response for a result. Without a template, render a short JSON object."""
        template = self.templates.get(result.outcome) or self.templates.get(None)
        if template is None:
            plain = {"event": result.event_id, "status": result.outcome}
            return Reply(body=json.dumps(plain), mimetype=KINDS["json"])
        context = TemplateContext(
            result=result,
            request=request,
            sentences=self.sentences,
            language_paths=self.language_paths,
            links=links,
        )
        return Reply(body=template.render(context), mimetype=KINDS[template.kind])


def seconds_from(text: str) -> int:
    """Parse a duration in seconds, such as ``8s``. Return 0 for an empty string."""
    return int(text.removesuffix("s") or 0)
