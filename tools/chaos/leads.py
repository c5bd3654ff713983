"""The leads of one round: made-up people who request tours, and how their webhooks are sent."""

import dataclasses
import datetime as dt
import json
import random
from collections.abc import Collection, Iterator
from zoneinfo import ZoneInfo

#: Community → its time zone and Propexo's id.
COMMUNITIES = {
    "elm-row": (ZoneInfo("America/Denver"), "com_elm"),
    "oak-park": (ZoneInfo("America/Los_Angeles"), "com_oak"),
}
SOURCES = ("form", "portal")
#: Faults that reject a request after some time.
LATE_NOS = ("late 503", "late 429")
#: Each has a hundred fictitious numbers: 555-0100 to 555-0199.
_AREAS = ("303", "720", "970", "213", "310", "415", "503", "602", "702", "801")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Lead:
    """One request, with or without a tour time: one webhook, however often it is sent."""

    id: str
    source: str
    #: The e-mail address, unique to this person.
    person: str
    #: Empty if the person gave none.
    phone: str
    community: str
    #: None: no tour time.
    starts_at: dt.datetime | None
    #: Its position among the person's requests, oldest first.
    number: int

    @property
    def place(self) -> tuple[str, str]:
        """Return the key of Knock's one upcoming tour: one person at one community."""
        return (self.person, self.community)

    @property
    def number_at_place(self) -> tuple[str, str, int]:
        """Return a key that all requests for the same tour share."""
        return (*self.place, self.number)

    def body(self) -> bytes:
        """Return the webhook's body in its source's format."""
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
    """One step of a sender; it ends when every copy has been acknowledged."""

    #: Sent at the same time, each by its own thread. Two of one lead are duplicates.
    leads: tuple[Lead, ...]
    #: Wait this long first.
    pause_seconds: float
    #: How the first try's connection is cut: ``early`` (half of the body was sent), ``late``
    #: (all of it was sent, but the response is not read) or not at all.
    cut: str | None = None
    #: A fault for the next create, which is probably this one's.
    fault: str | None = None


Journey = tuple[Step, ...]


def journeys(
    rng: random.Random, *, name: str, people: int, first_number: int, without: Collection[str]
) -> list[Journey]:
    """Return what the people of one round do, each in order, all concurrently."""
    return [
        tuple(_steps(rng, f"{name}-{number}", first_number + number, without))
        for number in range(people)
    ]


def _steps(rng: random.Random, name: str, number: int, without: Collection[str]) -> Iterator[Step]:
    """Return a first request, reschedules, and finally older ones again, as late retries."""
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


def _leads(rng: random.Random, name: str, number: int) -> Iterator[Lead]:
    """Yield one to three requests of one person for one community, each for a different day.

    Some people also send requests without a time; some send only those, once or twice.
    """
    community = rng.choice(sorted(COMMUNITIES))
    area, line = divmod(number, 100)
    phone = f"({_AREAS[area]}) 555-01{line:02}" if area < len(_AREAS) else ""
    # A newer request may be for an earlier day: the order of the tours means nothing.
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
    """Return the same person's request for the same tour through another source."""
    other = next(name for name in SOURCES if name != lead.source)
    return dataclasses.replace(lead, id=f"{lead.id}-twin", source=other)
