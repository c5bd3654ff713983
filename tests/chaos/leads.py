"""The leads of one round: made-up people who ask for tours, and how their webhooks come."""

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
    """One request for a tour: one webhook, however often it is sent."""

    id: str
    source: str
    #: The e-mail address; nobody else has it.
    person: str
    #: Empty where the person gave none.
    phone: str
    community: str
    starts_at: dt.datetime
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
        local = self.starts_at.astimezone(COMMUNITIES[self.community][0])
        if self.source == "portal":
            tour = {"day": f"{local:%m/%d/%Y}", "time": f"{local:%I:%M %p}".lstrip("0")}
        else:
            tour = {"starts_at": local.isoformat()}
        name = f"Robin {self.person.partition('@')[0].title()}"
        fields = {"name": name, "email": self.person, "phone": self.phone, "tour": tour}
        return json.dumps({"id": self.id, "property": self.community, **fields}).encode()


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
    """One to three requests of one person for one community, each for another day."""
    community = rng.choice(sorted(COMMUNITIES))
    area, line = divmod(number, 100)
    phone = f"({_AREAS[area]}) 555-01{line:02}" if area < len(_AREAS) else ""
    today = dt.datetime.now(COMMUNITIES[community][0]).date()
    # A newer request may be for an earlier day: the order of the tours says nothing.
    for place, days in enumerate(rng.sample(range(9, 60), rng.choice((1, 1, 2, 3)))):
        day = today + dt.timedelta(days=days)
        time = dt.time(rng.randint(9, 18), rng.choice((0, 15, 30, 45)))
        local = dt.datetime.combine(day, time, COMMUNITIES[community][0])
        yield Lead(
            id=f"{name}-{place}",
            source=rng.choice(SOURCES),
            person=f"{name}@example.com",
            phone=phone,
            community=community,
            starts_at=local.astimezone(dt.UTC),
            number=place,
        )


def _twin(lead: Lead) -> Lead:
    """The same person's wish for the same tour, as another source tells it."""
    other = next(name for name in SOURCES if name != lead.source)
    return dataclasses.replace(lead, id=f"{lead.id}-twin", source=other)
