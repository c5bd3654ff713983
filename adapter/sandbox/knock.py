"""Simulate Knock's guest cards and tours. A new tour cancels the person's earlier one."""

import dataclasses
import datetime as dt
import enum
import re
import uuid
from collections.abc import Mapping
from typing import Any

from adapter.sandbox.validation import date_from

#: Fields of a person's card that a later request overwrites.
CARD_FIELDS = (
    "first_name", "last_name", "email_1", "phone_1", "move_in_date", "number_of_occupants",
    "lease_term_in_months", "rent_minimum_in_cents", "rent_maximum_in_cents",
    "desired_num_bedrooms", "pets", "address_1", "city", "state", "zip",
)  # fmt: skip


class Status(enum.StrEnum):
    """The status of a tour in the simulated Knock."""

    #: The community has not accepted it yet.
    WAITING = "waiting"
    BOOKED = "booked"
    #: Canceled by the same person's later tour at the same community, or by an agent in Knock.
    CANCELLED = "cancelled"
    VISITED = "visited"
    #: The renter did not show up.
    NO_SHOW = "no_show"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Inquiry:
    """A request that creates or updates a guest card but books no tour."""

    job_id: str
    request: Mapping[str, Any]
    created_at: dt.datetime


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """An activity on a guest card, such as a note with text that the renter sent later."""

    id: str
    job_id: str
    request: Mapping[str, Any]
    created_at: dt.datetime


@dataclasses.dataclass(kw_only=True, slots=True)
class Prospect:
    """A guest card. It represents one person at one community."""

    id: str
    integration_id: str
    community_id: str
    #: The attribution of the first contact. Later requests do not change it.
    attribution_id: str
    created_at: dt.datetime
    updated_at: dt.datetime
    card: dict[str, Any]
    appointments: list["Appointment"] = dataclasses.field(default_factory=list)
    inquiries: list[Inquiry] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(kw_only=True, slots=True)
class Appointment:
    """A tour in the simulated Knock."""

    id: str
    job_id: str
    prospect_id: str
    #: The person's card after this request.
    person: Mapping[str, Any]
    starts_at: dt.datetime
    status: Status
    #: 1 if the person has an email address, because Knock immediately sends an email. Text messages
    #: require consent, and Propexo has no field for it.
    confirmations: int
    request: Mapping[str, Any]
    created_at: dt.datetime
    updated_at: dt.datetime
    #: The ID of the tour that replaced it, ``person`` for an agent, or ``renter``.
    canceled_by: str | None = None

    def cancel(self, by: str, now: dt.datetime) -> None:
        """Cancel the tour, unless it is already canceled or over."""
        if self.status in (Status.BOOKED, Status.WAITING):
            self.status, self.canceled_by, self.updated_at = Status.CANCELLED, by, now

    def change(self, status: Status, now: dt.datetime) -> None:
        """Set the tour's status as a leasing agent would in Knock."""
        self.status, self.canceled_by, self.updated_at = status, None, now

    def move(self, to: dt.datetime, now: dt.datetime) -> None:
        """Move the tour to another time, as a leasing agent would in Knock."""
        self.starts_at, self.updated_at = to, now


class Knock:
    """All guest cards, tours and notes, oldest first. The caller must hold the lock."""

    def __init__(self) -> None:
        self.prospects: list[Prospect] = []
        self.appointments: list[Appointment] = []
        self.notes: list[Note] = []
        #: The records created or changed since the last publication.
        self.touched: list[Prospect | Appointment | Note] = []
        #: The latest prospect for each integration, community, field and normalized contact.
        self._holders: dict[tuple[str, str, str, str], Prospect] = {}

    def book(self, request: Mapping[str, Any], *, job_id: str, now: dt.datetime) -> Appointment:
        """Book a tour, and cancel the person's other upcoming tours at the community."""
        prospect = self.find_or_create(request, now)
        appointment = Appointment(
            id=str(uuid.uuid4()),
            job_id=job_id,
            prospect_id=prospect.id,
            person=dict(prospect.card),
            starts_at=starts_at_from(request),
            status=Status.BOOKED,
            confirmations=1 if prospect.card.get("email_1") else 0,
            request=request,
            created_at=now,
            updated_at=now,
        )
        self.touched += _cancel_upcoming(prospect, appointment.id, now)
        self.appointments.append(appointment)
        prospect.appointments.append(appointment)
        self.touched.append(appointment)
        return appointment

    def inquire(self, request: Mapping[str, Any], *, job_id: str, now: dt.datetime) -> Prospect:
        """Create or update a guest card without changing its tours."""
        prospect = self.find_or_create(request, now)
        prospect.inquiries.append(Inquiry(job_id=job_id, request=request, created_at=now))
        return prospect

    def has_prospect(self, request: Mapping[str, Any]) -> bool:
        """Return True if the guest card in a request exists at the request's community."""
        names = ("integration_id", "community_id")
        return any(
            one.id == request["prospect_id"]
            and all(getattr(one, name) == request[name] for name in names)
            for one in self.prospects
        )

    def add_note(self, request: Mapping[str, Any], *, job_id: str, now: dt.datetime) -> Note:
        """Add a note to an existing guest card."""
        note = Note(id=str(uuid.uuid4()), job_id=job_id, request=request, created_at=now)
        self.notes.append(note)
        self.touched.append(note)
        return note

    def find_or_create(self, request: Mapping[str, Any], now: dt.datetime) -> Prospect:
        """Find a guest card by email or phone and update it, or create one."""
        prospect = self._match(request) or self._add(request, now)
        self._overwrite(prospect, request, now)
        return prospect

    def update(self, request: Mapping[str, Any], now: dt.datetime) -> Prospect:
        """Overwrite fields of the guest card whose ID is in the request."""
        prospect = next(one for one in self.prospects if one.id == request["prospect_id"])
        community = {"community_id": prospect.community_id}
        self._overwrite(prospect, {**request, **community}, now)
        return prospect

    def _overwrite(self, prospect: Prospect, request: Mapping[str, Any], now: dt.datetime) -> None:
        prospect.card.update({name: request[name] for name in CARD_FIELDS if name in request})
        prospect.updated_at = now
        for key in _contacts(prospect.card, request):
            self._holders[key] = prospect
        self.touched.append(prospect)

    def _match(self, request: Mapping[str, Any]) -> Prospect | None:
        for key in _contacts(request, request):
            holder = self._holders.get(key)
            # A card no longer matches an email or phone that has been overwritten.
            if holder and key in _contacts(holder.card, request):
                return holder
        return None

    def _add(self, request: Mapping[str, Any], now: dt.datetime) -> Prospect:
        prospect = Prospect(
            id=str(uuid.uuid4()),
            integration_id=request["integration_id"],
            community_id=request["community_id"],
            attribution_id=request["attribution_id"],
            created_at=now,
            updated_at=now,
            card={},
        )
        self.prospects.append(prospect)
        return prospect


def _contacts(
    card: Mapping[str, Any], community: Mapping[str, Any]
) -> list[tuple[str, str, str, str]]:
    """Return the keys that identify a guest card: one for its email and one for its phone."""
    normal = {
        "email_1": normal_email(card.get("email_1", "")),
        "phone_1": normal_phone(card.get("phone_1", "")),
    }
    return [
        (community["integration_id"], community["community_id"], name, text)
        for name, text in normal.items()
        if text
    ]


def _cancel_upcoming(prospect: Prospect, by: str, now: dt.datetime) -> list[Appointment]:
    """Cancel all upcoming tours of a guest card, and return them."""
    upcoming = [one for one in prospect.appointments if one.starts_at > now]
    for appointment in upcoming:
        appointment.cancel(by, now)
    return upcoming


def starts_at_from(request: Mapping[str, Any]) -> dt.datetime:
    """Return the tour's start time in a request. Propexo expects it in UTC."""
    day = date_from(request["appointment_date"])
    assert day is not None, "the schema accepts no other date"  # noqa: S101 - for mypy
    time = dt.time.fromisoformat(request["appointment_time"])
    return dt.datetime.combine(day, time, tzinfo=dt.UTC)


def normal_email(text: str) -> str:
    """Normalize an email address as Knock does, so that it can be compared."""
    return text.strip().casefold()


def normal_phone(text: str) -> str:
    """Return a phone number's digits without the North American country code."""
    digits = re.sub(r"[^0-9]", "", text)
    return digits[1:] if len(digits) == 11 and digits[0] == "1" else digits
