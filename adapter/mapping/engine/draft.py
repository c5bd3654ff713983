"""One appointment in the making: what was read so far, and what stands in its way."""

import dataclasses
import datetime as dt
from collections.abc import Container
from typing import Any

from adapter.mapping.engine.results import Community
from adapter.models import Reason
from adapter.settings import Policy


@dataclasses.dataclass(kw_only=True, slots=True)
class Draft:
    """Filled by one target after the other."""

    #: When it is received (aware); None: past and future are not judged.
    now: dt.datetime | None = None
    policy: Policy = dataclasses.field(default_factory=Policy)
    #: What two items share that make the same booking.
    dedupe_key: str | None = None
    community: Community | None = None
    starts_at: dt.datetime | None = None
    appointment: dict[str, Any] = dataclasses.field(default_factory=dict)
    #: Those of its fields that the target has checked already.
    checked: set[str] = dataclasses.field(default_factory=set)
    #: The first part of the notes: what the mapping's lines gave.
    text: str = ""
    reasons: list[Reason] = dataclasses.field(default_factory=list)
    #: For the notes: what fits no field.
    facts: list[str] = dataclasses.field(default_factory=list)
    #: Those of the reasons for which a person must look.
    blocking_reasons: list[Reason] = dataclasses.field(default_factory=list)
    #: Whether a tour time was looked for and nothing was there.
    has_no_time: bool = False
    #: For the notes where a doubt does not hold it after all: what could not be read.
    unread: list[str] = dataclasses.field(default_factory=list)
    #: How many places of the appointment held anything at all.
    found: int = 0

    def block(self, *reasons: Reason) -> None:
        """A doubt about who, where or when: a person decides."""
        self.reasons += reasons
        self.blocking_reasons += reasons

    def add(self, other: "Draft") -> None:
        """Puts in what one line of the mapping gave to a draft of its own."""
        self.appointment |= other.appointment
        self.checked |= other.checked
        self.text = other.text or self.text
        self.reasons += other.reasons
        self.blocking_reasons += other.blocking_reasons
        self.unread += other.unread
        self.facts += [fact for fact in other.facts if fact not in self.facts]
        self.found += other.found

    def waive(self, fields: Container[str]) -> None:
        """These are not needed after all: what was unclear about them goes into the notes."""
        self.blocking_reasons = [
            reason for reason in self.blocking_reasons if reason.field not in fields
        ]
        self.facts += self.unread

    def note(self, reason: Reason | None = None, fact: str | None = None) -> None:
        """A nicety that could not be taken: told, and kept in the notes."""
        self.reasons += [reason] if reason else []
        self.facts += [fact] if fact and fact not in self.facts else []
