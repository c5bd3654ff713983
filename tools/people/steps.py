"""Define the elements of a sequence: people, tours, sources and steps."""

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

MAPLE, HARBOR = "maple-court", "harbor-flats"
ZONE = ZoneInfo("America/Denver")

#: The tours that people request.
TOURS: Mapping[str, dt.datetime] = {
    "A": dt.datetime(2026, 3, 14, 14, 30, tzinfo=ZONE),
    "B": dt.datetime(2026, 3, 15, 10, 0, tzinfo=ZONE),
    "C": dt.datetime(2026, 3, 16, 16, 0, tzinfo=ZONE),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Person:
    """A renter."""

    name: str
    email: str
    phone: str
    #: Another email address of the same person.
    home: str = ""

    def contacts(self, use: str) -> tuple[str, str]:
        """Return the email address and phone number that the person uses."""
        return {
            "all": (self.email, self.phone),
            "home": (self.home or self.email, self.phone),
            "email": (self.email, ""),
            "phone": ("", self.phone),
            "none": ("", ""),
        }[use]

    def __repr__(self) -> str:
        return self.name.partition(" ")[0].upper()

    @property
    def slug(self) -> str:
        return self.name.partition(" ")[0].lower()


ANN = Person("Ann Bell", "ann.bell@example.com", "(303) 555-0101", "ann.home@example.com")
BO = Person("Bo Chen", "bo.chen@example.com", "(303) 555-0102")
#: Two clients of an office that uses its own email address for both.
CARL = Person("Carl Dean", "office@example.com", "(303) 555-0103")
DANA = Person("Dana Eaton", "office@example.com", "(303) 555-0104")
#: A couple who share a phone.
EVE = Person("Eve Fry", "eve.fry@example.com", "(303) 555-0105")
FINN = Person("Finn Gray", "finn.gray@example.com", "(303) 555-0105")
#: A brother and sister who share a phone.
GIA = Person("Gia Hill", "gia.hill@example.com", "(303) 555-0107")
HAL = Person("Hal Hill", "hal.hill@example.com", "(303) 555-0107")
PEOPLE = (ANN, BO, CARL, DANA, EVE, FINN, GIA, HAL)
#: People whose contacts are unique.
UNSHARED = (ANN, BO)


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """The properties of a source's requests."""

    has_key: bool = False
    has_time: bool = False
    has_delivery_id: bool = False
    has_phone: bool = True
    #: How it writes a name.
    written: Callable[[str], str] = str


SOURCES: Mapping[str, Source] = {
    "portal": Source(has_key=True, has_time=True, has_delivery_id=True),
    "calendar": Source(has_key=True, has_delivery_id=True, written=str.lower),
    "crm": Source(has_key=True),
    "form": Source(has_phone=False),
}
KEYED = tuple(name for name, source in SOURCES.items() if source.has_key)

#: The possible faults in the next request to Propexo.
FAULTS: Mapping[str, Mapping[str, Any]] = {
    "503": {"status": 503, "headers": {"Retry-After": "2"}},
    "400": {"status": 400},
    "500, not carried out": {"status": 500},
    "time-out, not carried out": {"drop": "before"},
    "time-out, carried out": {"drop": "after"},
    "time-out, carried out 90 s later": {"drop": "before", "book_after": 90},
    "time-out, carried out 15 min later": {"drop": "before", "book_after": 900},
    "job carried out 30 s later": {"book_after": 30},
    "job fails": {"job": "FAILURE", "errors": ["slot taken"]},
    "job stays pending": {"job": "PENDING"},
    "job stays pending, not carried out": {"job": "PENDING", "book": False},
}
#: The worker dies around its next request to Propexo.
DEATHS = ("the worker dies before it", "the worker dies after it")


class Written:
    """A step whose repr omits default values."""

    __slots__ = ()

    def __repr__(self) -> str:
        fields = dataclasses.fields(self)  # type: ignore[arg-type] # each step is a dataclass
        words = [
            f"{field.name}={value!r}"
            if field.name in ("late", "key", "contact", "bare", "place")
            else repr(value)
            for field in fields
            if (value := getattr(self, field.name)) != field.default
        ]
        return f"{type(self).__name__}({', '.join(words)})"


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Ask(Written):
    """The renter requests a tour: the first one, a different one, or the same again."""

    who: Person
    tour: str
    through: str = "portal"
    #: Age in seconds, which only some senders report.
    late: float = 0.0
    #: The key: the ``same`` as the person's last one through this source, a ``new`` one, or
    #: ``shared``, which the sender uses for everyone.
    key: str = "same"
    #: Which contacts the renter gives: ``all``, only ``email`` or ``phone``, the ``home`` email, or
    #: ``none``.
    contact: str = "all"
    #: The community.
    place: str = MAPLE


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Cancel(Written):
    """The renter cancels the source's latest booking."""

    who: Person
    through: str = "portal"
    late: float = 0.0
    #: True if the cancellation contains only the key, and not the renter.
    bare: bool = False


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Repeat(Written):
    """The sender delivers its nth message again, byte for byte."""

    number: int


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Fault(Written):
    """The next request to Propexo fails."""

    kind: str


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Wait(Written):
    """Time passes, and the worker processes everything that is due."""

    seconds: float = 30.0


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Discard(Written):
    """A user discards the person's newest lead in review."""

    who: Person


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Release(Written):
    """A user releases the person's newest lead in review, or confirms it if Knock has its tour."""

    who: Person


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class CancelInKnock(Written):
    """Someone cancels the person's tour in Knock."""

    who: Person


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Obey(Written):
    """A user follows an open cancellation: cancels the tour in Knock, then discards the lead."""

    who: Person


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Dismiss(Written):
    """A user discards a cancellation in review, because the renter still wants the tour."""

    who: Person


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Meanwhile(Written):
    """An action happens while the next request to Propexo is in flight."""

    step: "Ask | Cancel | Repeat"


Step = (
    Ask
    | Cancel
    | Repeat
    | Fault
    | Wait
    | Discard
    | Release
    | CancelInKnock
    | Obey
    | Dismiss
    | Meanwhile
)
Play = tuple[Step, ...]
