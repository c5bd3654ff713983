"""Generate one round's leads: made-up people, their requests, and the way the requests are sent."""

import dataclasses
import datetime as dt
import json
import random
from collections.abc import Callable, Collection, Iterator, Mapping
from zoneinfo import ZoneInfo

#: Time zone and Propexo ID of each community.
COMMUNITIES = {
    "elm-row": (ZoneInfo("America/Denver"), "com_elm"),
    "oak-park": (ZoneInfo("America/Los_Angeles"), "com_oak"),
}
SOURCES = ("form", "portal")
#: A source whose leads have no time, and whose renters get a link to choose one.
CHAT = "chat"
#: Faults that reject a request after some time.
LATE_NOS = ("late 503", "late 429")
#: Area codes, each with 100 fictitious numbers: 555-0100 to 555-0199.
_AREAS = ("303", "720", "970", "213", "310", "415", "503", "602", "702", "801")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Lead:
    """A request with or without a tour time: one webhook, which may be sent several times."""

    id: str
    source: str
    #: The email address, unique to this person.
    person: str
    #: Empty if the person gave none.
    phone: str
    community: str
    #: The tour time, if any.
    starts_at: dt.datetime | None
    #: Its position among the person's requests, oldest first.
    number: int
    #: The source's booking ID, or "" for a separate booking with the lead's ID.
    key: str = ""
    #: True if the request cancels that booking.
    is_cancellation: bool = False
    #: True if the person cancels the tour or returns to an earlier one.
    wavers: bool = False
    #: The person's message, or "".
    word: str = ""

    @property
    def chooses(self) -> bool:
        """True if the person is invited to choose a tour time and chooses one."""
        return self.source == CHAT

    @property
    def words(self) -> tuple[str, ...]:
        """Return the lines of the lead's notes. Each line is unique."""
        return tuple(filter(None, (f"lead {self.id}", self.word)))

    @property
    def place(self) -> tuple[str, str]:
        """Return the person and the community. Knock keeps one upcoming tour for each such pair."""
        return (self.person, self.community)

    @property
    def number_at_place(self) -> tuple[str, str, int]:
        """Return a key that all requests for the same tour share."""
        return (*self.place, self.number)

    def body(self, sent_at: dt.datetime) -> bytes:
        """Return the webhook's body in its source's format."""
        name = f"Robin {self.person.partition('@')[0].title()}"
        contact = {"name": name, "email": self.person, "phone": self.phone}
        fields = {
            "id": self.key or self.id,
            "message": self.id,
            "action": "cancel" if self.is_cancellation else "request",
            "property": self.community,
            **contact,
            "tour": self._tour(),
            "note": self.word,
        }
        if self.source == "portal":
            fields["sentAt"] = sent_at.isoformat()
        return json.dumps(fields).encode()

    def _tour(self) -> dict[str, str]:
        if self.starts_at is None:
            return {"day": "", "time": ""} if self.source == "portal" else {}
        local = self.starts_at.astimezone(COMMUNITIES[self.community][0])
        if self.source == "portal":
            return {"day": f"{local:%m/%d/%Y}", "time": f"{local:%I:%M %p}".lstrip("0")}
        return {"starts_at": local.isoformat()}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """How a renter chooses a time on the renter page."""

    #: Selects one of the times offered: from 0.0, the first one, to 1.0.
    place: float
    #: How often the form is submitted at the same time.
    copies: int
    pause_seconds: float
    #: A fault that happens at the same time.
    fault: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A step of a sender, which ends when every copy of the webhook has been acknowledged."""

    #: Sent at the same time, each by its own thread. Two of one lead are duplicates.
    leads: tuple[Lead, ...]
    #: Wait this long first.
    pause_seconds: float
    #: How the first attempt's connection is cut: ``early`` (half of the body was sent), ``late``
    #: (all of it was sent, but the response is not read) or not at all.
    cut: str | None = None
    #: A fault for the next create, which is probably this one's.
    fault: str | None = None
    #: Written now, and sent in a later step.
    written: tuple[Lead, ...] = ()
    #: Times that the renter chooses one after the other with the link in the response.
    choices: tuple[Choice, ...] = ()
    #: What an agent does with the tour in Knock afterward: ``cancel``, ``visit`` or ``miss``.
    act: str | None = None


Journey = tuple[Step, ...]


def journeys(
    rng: random.Random,
    *,
    name: str,
    people: int,
    first_number: int,
    without: Collection[str],
    change: str | None = None,
) -> list[Journey]:
    """Return the steps of all people in one round. Each person's steps run one after another.

    With ``change``, one of :data:`WAVERINGS`, all people change their requests in that way.
    """
    return [
        tuple(_steps(rng, f"{name}-{number}", first_number + number, without, change))
        for number in range(people)
    ]


def _steps(
    rng: random.Random, name: str, number: int, without: Collection[str], change: str | None
) -> Iterator[Step]:
    """Return a person's steps: a request, reschedules, and late retries of older requests.

    Some people change their minds instead: they cancel, or go back to an earlier tour. Others write
    again later, choose a time on the renter page, or have a tour that is changed in Knock.
    """
    if change is not None or ("people" not in without and rng.random() < 0.4):
        yield from _wavering_steps(rng, _wish(rng, name, number), change)
        return
    kind = rng.choice(("words", "words", "choices", "acts", "", "", "", ""))
    if kind and kind not in without:
        yield from _LATER[kind](rng, _wish(rng, name, number), without)
        return
    leads = list(_leads(rng, name, number))
    # Some are rejected so late that the newer request exists when they are due for a retry.
    is_crossed = rng.random() < 0.4 and not set(LATE_NOS) & set(without)
    for lead in leads:
        copies = (lead,) * rng.choice((1, 1, 2))
        if "twins" not in without and rng.random() < 0.25:
            copies += (_twin(lead),)
        cut = rng.choice((None, None, "early", "late"))
        pause = rng.choice((0.0, 0.3, 1.0, 3.0))
        if is_crossed and lead is not leads[-1]:
            yield Step(leads=(lead,), pause_seconds=pause, fault=rng.choice(LATE_NOS))
        else:
            pause = 0.7 if is_crossed else pause
            yield Step(leads=copies, pause_seconds=pause, cut=cut)
    for lead in leads[:-1]:
        yield Step(leads=(lead,), pause_seconds=rng.uniform(0.0, 2.0))


def _talking_steps(rng: random.Random, wish: Lead, _: Collection[str]) -> Iterator[Step]:
    """Return the steps of a person who requests a tour or guest card, and writes again later."""
    starts_at = rng.choice((wish.starts_at, None))
    first = dataclasses.replace(wish, starts_at=starts_at, key=wish.id)
    said = [dataclasses.replace(first, word=f"word {first.id}")]
    for number in range(1, rng.choice((2, 3, 4))):
        id_ = f"{first.id}-w{number}"
        # A later message about the same booking, or another request for the same tour.
        source, key = rng.choice(((first.source, first.key), (rng.choice(SOURCES), "")))
        said.append(dataclasses.replace(first, id=id_, source=source, key=key, word=f"word {id_}"))
    while said:
        together = tuple(said.pop(0) for _ in range(min(rng.choice((1, 1, 2)), len(said))))
        copies = together * rng.choice((1, 1, 2))
        cut = rng.choice((None, None, "late"))
        yield Step(leads=copies, pause_seconds=rng.choice((0.0, 0.3, 1.0, 4.0)), cut=cut)


#: What may happen while a renter submits a form.
WHILE_CHOOSING = ("kill a web worker", "kill a worker", "cut the database's connections")


def _choosing_steps(rng: random.Random, wish: Lead, without: Collection[str]) -> Iterator[Step]:
    """Return the step of a person who requests no time, and later chooses one or more times."""
    lead = dataclasses.replace(wish, source=CHAT, starts_at=None, word=f"word {wish.id}")
    faults = [name for name in WHILE_CHOOSING if name not in without]
    choices = tuple(
        Choice(
            place=rng.random(),
            copies=rng.choice((1, 2, 3)),
            pause_seconds=rng.choice((0.0, 0.5, 3.0)),
            fault=rng.choice((None, None, *faults)),
        )
        for _ in range(rng.choice((1, 2, 2, 3)))
    )
    cut = rng.choice((None, None, "late"))
    yield Step(leads=(lead,), pause_seconds=rng.choice((0.0, 1.0)), cut=cut, choices=choices)


def _undone_steps(rng: random.Random, wish: Lead, _: Collection[str]) -> Iterator[Step]:
    """Return the step of a person whose tour is canceled, visited or missed in Knock."""
    act = rng.choice(("cancel", "visit", "miss"))
    yield Step(leads=(wish,), pause_seconds=rng.choice((0.0, 1.0)), act=act)


_LATER: Mapping[str, Callable[[random.Random, Lead, Collection[str]], Iterator[Step]]] = {
    "words": _talking_steps,
    "choices": _choosing_steps,
    "acts": _undone_steps,
}

#: Kinds of changes that people make.
WAVERINGS = (
    "there and back",
    "there and back, the second one late",
    "canceled and requested again",
    "canceled, and requested through another source",
    "back while another one fails",
    "there and back, no response to the first one",
    "the first one booked late",
)


def _wavering_steps(rng: random.Random, wish: Lead, change: str | None) -> Iterator[Step]:
    """Return the steps of a person who changes a request."""
    first = dataclasses.replace(wish, source="portal", wavers=True)
    starts_at = first.starts_at + dt.timedelta(days=1) if first.starts_at else None
    other = dataclasses.replace(first, id=f"{wish.id}-other", starts_at=starts_at, number=1)
    back = dataclasses.replace(first, id=f"{wish.id}-back", source="form", number=2)
    cancel = dataclasses.replace(
        first, id=f"{wish.id}-cancel", key=first.id, is_cancellation=True, number=1
    )
    again = dataclasses.replace(first, id=f"{wish.id}-again", key=first.id, number=2)
    journeys: Mapping[str, tuple[tuple[Lead, str | None], ...]] = {
        WAVERINGS[0]: ((first, None), (other, None), (back, None)),
        WAVERINGS[1]: ((first, None), (back, None), (other, None)),
        WAVERINGS[2]: ((first, None), (cancel, None), (again, None)),
        WAVERINGS[3]: ((first, "late 503"), (back, None), (cancel, None)),
        WAVERINGS[4]: ((first, None), (other, "late 503"), (back, None)),
        WAVERINGS[5]: ((first, "drop before"), (other, None), (back, None)),
        WAVERINGS[6]: ((first, "carried out late"), (other, None)),
    }
    name = change or rng.choice(WAVERINGS)
    pause = 0.7 if name in WAVERINGS[3:5] else 3.0
    for lead, fault in journeys[name]:
        is_late = name == WAVERINGS[1] and lead is back
        written = (other,) if is_late else ()
        yield Step(leads=(lead,), pause_seconds=pause, fault=fault, written=written)


def _leads(rng: random.Random, name: str, number: int) -> Iterator[Lead]:
    """Yield one to three of a person's requests at a community, each for a different day.

    Some people also send requests without a time. Some send only those, once or twice.
    """
    wish = _wish(rng, name, number)
    # A newer request may be for an earlier day, so the order of tour times is irrelevant.
    wishes: list[int | None] = [*rng.sample(range(9, 60), rng.choice((0, 1, 1, 2, 3)))]
    for _ in range(rng.choice((0, 0, 1, 2)) if wishes else rng.choice((1, 2))):
        wishes.insert(rng.randint(0, len(wishes)), None)
    for place, days in enumerate(wishes):
        yield dataclasses.replace(
            wish,
            id=f"{name}-{place}",
            source=rng.choice(SOURCES),
            starts_at=None if days is None else _start(rng, wish.community, days),
            number=place,
        )


def _wish(rng: random.Random, name: str, number: int) -> Lead:
    """Return a person's first request, for any day."""
    community = rng.choice(sorted(COMMUNITIES))
    area, line = divmod(number, 100)
    return Lead(
        id=f"{name}-0",
        source=rng.choice(SOURCES),
        person=f"{name}@example.com",
        phone=f"({_AREAS[area]}) 555-01{line:02}" if area < len(_AREAS) else "",
        community=community,
        starts_at=_start(rng, community, rng.randint(9, 59)),
        number=0,
    )


def _start(rng: random.Random, community: str, days: int) -> dt.datetime:
    zone = COMMUNITIES[community][0]
    day = dt.datetime.now(zone).date() + dt.timedelta(days=days)
    time = dt.time(rng.randint(9, 18), rng.choice((0, 15, 30, 45)))
    return dt.datetime.combine(day, time, zone).astimezone(dt.UTC)


def _twin(lead: Lead) -> Lead:
    """Return the same person's request for the same tour through another source."""
    other = next(name for name in SOURCES if name != lead.source)
    return dataclasses.replace(lead, id=f"{lead.id}-twin", source=other)
