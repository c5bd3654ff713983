"""The leads of one round: made-up people who ask, mostly for tours, and how their webhooks come."""

import dataclasses
import datetime as dt
import json
import random
from collections.abc import Collection, Iterator
from zoneinfo import ZoneInfo

#: Community → its zone, and the id that Propexo knows it by.
COMMUNITIES = {
    "elm-row": (ZoneInfo("America/Denver"), "com_elm"),
    "oak-park": (ZoneInfo("America/Los_Angeles"), "com_oak"),
}
SOURCES = ("form", "portal")
#: Faults that say no after a while.
LATE_NOS = ("late 503", "late 429")
#: Each has a hundred numbers that nobody can have: 555-0100 to 555-0199.
_AREAS = ("303", "720", "970", "213", "310", "415", "503", "602", "702", "801")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Lead:
    """One request, for a tour or without a time: one webhook, however often it is sent."""

    id: str
    source: str
    #: The e-mail address; nobody else has it.
    person: str
    #: Empty where the person gave none.
    phone: str
    community: str
    #: None: it asks for no time.
    starts_at: dt.datetime | None
    #: Its place among the requests of the person, the oldest first.
    number: int

    @property
    def place(self) -> tuple[str, str]:
        """Where Knock keeps one upcoming tour: one person at one community."""
        return (self.person, self.community)

    @property
    def number_at_place(self) -> tuple[str, str, int]:
        """The same for all that ask for one tour."""
        return (*self.place, self.number)

    def body(self) -> bytes:
        """The webhook's body, in the words of its source."""
        name = f"Robin {self.person.partition('@')[0].title()}"
        contact = {"name": name, "email": self.person, "phone": self.phone}
        fields = {"id": self.id, "property": self.community, **contact, "tour": self._tour()}
        return json.dumps(fields).encode()

    def _tour(self) -> dict[str, str]:
        if self.starts_at is None:
            return {"day": "", "time": ""} if self.source == "portal" else {}
        local = self.starts_at.astimezone(COMMUNITIES[self.community][0])
        if self.source == "portal":
            return {"day": f"{local:%m/%d/%Y}", "time": f"{local:%I:%M %p}".lstrip("0")}
        return {"starts_at": local.isoformat()}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One thing that a sender does; it ends when every copy has been acknowledged."""

    #: Sent at the same instant, each by a thread of its own. Two of one lead are duplicates.
    leads: tuple[Lead, ...]
    #: Waits so long first.
    pause_seconds: float
    #: How the first try's connection is cut: ``early`` (half of the body was sent), ``late``
    #: (all of it was, and nobody reads the answer) or not at all.
    cut: str | None = None
    #: A fault that the next create meets, which is probably this one's.
    fault: str | None = None


Journey = tuple[Step, ...]


def journeys(
    rng: random.Random, *, name: str, people: int, first_number: int, without: Collection[str]
) -> list[Journey]:
    """What the people of one round do, each in order, all at once."""
    return [
        tuple(_steps(rng, f"{name}-{number}", first_number + number, without))
        for number in range(people)
    ]


def _steps(rng: random.Random, name: str, number: int, without: Collection[str]) -> Iterator[Step]:
    """A first request, reschedules, and at last older ones once more, as late retries are."""
    leads = list(_leads(rng, name, number))
    # Some are told no so late that the newer request is there when they wait to go out again.
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


def _leads(rng: random.Random, name: str, number: int) -> Iterator[Lead]:
    """One to three requests of one person for one community, each for another day.

    Some ask without a time, before, between or after them; some do nothing else, once or twice.
    """
    community = rng.choice(sorted(COMMUNITIES))
    area, line = divmod(number, 100)
    phone = f"({_AREAS[area]}) 555-01{line:02}" if area < len(_AREAS) else ""
    # A newer request may be for an earlier day: the order of the tours says nothing.
    wishes: list[int | None] = [*rng.sample(range(9, 60), rng.choice((0, 1, 1, 2, 3)))]
    for _ in range(rng.choice((0, 0, 1, 2)) if wishes else rng.choice((1, 2))):
        wishes.insert(rng.randint(0, len(wishes)), None)
    for place, days in enumerate(wishes):
        yield Lead(
            id=f"{name}-{place}",
            source=rng.choice(SOURCES),
            person=f"{name}@example.com",
            phone=phone,
            community=community,
            starts_at=None if days is None else _start(rng, community, days),
            number=place,
        )


def _start(rng: random.Random, community: str, days: int) -> dt.datetime:
    zone = COMMUNITIES[community][0]
    day = dt.datetime.now(zone).date() + dt.timedelta(days=days)
    time = dt.time(rng.randint(9, 18), rng.choice((0, 15, 30, 45)))
    return dt.datetime.combine(day, time, zone).astimezone(dt.UTC)


def _twin(lead: Lead) -> Lead:
    """The same person's wish for the same tour, as another source tells it."""
    other = next(name for name in SOURCES if name != lead.source)
    return dataclasses.replace(lead, id=f"{lead.id}-twin", source=other)
