"""Collect the values of an appointment, and the reasons to hold it for review."""

import dataclasses
import datetime as dt
from collections.abc import Container, Sequence
from typing import Any

from adapter.mapping.engine.results import Community
from adapter.models import Reason
from adapter.settings import Policy


@dataclasses.dataclass(kw_only=True, slots=True)
class Draft:
    """An appointment whose fields are filled in one by one."""

    #: When the webhook was received (aware). If None, past and far-future times are allowed.
    now: dt.datetime | None = None
    policy: Policy = dataclasses.field(default_factory=Policy)
    #: Items with the same key belong to the same booking.
    dedupe_key: str | None = None
    community: Community | None = None
    starts_at: dt.datetime | None = None
    #: The local time as sent (naive), if its time zone is unknown.
    wall_time: dt.datetime | None = None
    appointment: dict[str, Any] = dataclasses.field(default_factory=dict)
    #: Appointment fields that have already been validated.
    checked: set[str] = dataclasses.field(default_factory=set)
    #: The first part of the notes: the lines from the mapping.
    lines: Sequence[str] = ()
    reasons: list[Reason] = dataclasses.field(default_factory=list)
    #: The rest of the notes: information that does not fit any field.
    facts: list[str] = dataclasses.field(default_factory=list)
    #: The reasons that the booking needs review.
    blocking_reasons: list[Reason] = dataclasses.field(default_factory=list)
    #: True if the webhook has no tour time, or the mapping does not read one.
    has_no_time: bool = False
    #: Values that block the booking because they are unreadable. If the block is waived, they go
    #: into the notes.
    unread: list[str] = dataclasses.field(default_factory=list)
    #: The number of appointment fields that had a value in the payload.
    found: int = 0

    def block(self, *reasons: Reason) -> None:
        """Block the booking until it is reviewed, and record the reasons."""
        self.reasons += reasons
        self.blocking_reasons += reasons

    def merge(self, other: "Draft") -> None:
        """Merge the fields and reasons of another draft into this one."""
        self.appointment |= other.appointment
        self.checked |= other.checked
        self.lines = other.lines or self.lines
        self.reasons += other.reasons
        self.blocking_reasons += other.blocking_reasons
        self.unread += other.unread
        self.facts += [fact for fact in other.facts if fact not in self.facts]
        self.found += other.found

    def waive(self, fields: Container[str]) -> None:
        """Remove the blocks for the given fields, and add their unreadable values to the notes."""
        self.blocking_reasons = [
            reason for reason in self.blocking_reasons if reason.field not in fields
        ]
        self.facts += self.unread

    def note(self, reason: Reason | None = None, fact: str | None = None) -> None:
        """Record why an optional value cannot be used, and add ``fact`` to the notes."""
        self.reasons += [reason] if reason else []
        self.facts += [fact] if fact and fact not in self.facts else []
