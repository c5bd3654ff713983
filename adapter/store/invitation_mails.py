"""Queue and claim emails with a link to choose a tour time, and record their outcomes."""

import dataclasses
import datetime as dt

from adapter.store.queries import Statements


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class InvitationMail:
    """A queued email with a link to choose a tour time."""

    booking_id: int
    #: The code of the renter's language.
    language: str
    created_at: dt.datetime
    #: The number of attempts, including the current one.
    attempts: int


class InvitationMails(Statements):
    """Reads and writes queued emails within a transaction."""

    def queue(self, booking_id: int, language: str, now: dt.datetime) -> None:
        """Queue the email for a guest card unless it was queued before."""
        self._run("queue_invitation_mail", booking_id=booking_id, language=language, now=now)

    def claim(self, now: dt.datetime) -> InvitationMail | None:
        """Claim and return the next email that is due, or None if none is due."""
        row = self._one("claim_invitation_mail", now=now)
        return InvitationMail(**row) if row else None

    def end(self, booking_id: int, outcome: str, due_at: dt.datetime | None) -> None:
        """Record an email's outcome. If ``due_at`` is given, send it again at that time."""
        self._run("end_invitation_mail", booking_id=booking_id, outcome=outcome, due_at=due_at)

    def end_restored(self) -> None:
        """Cancel queued emails that may already have been sent after the backup was made."""
        self._run("end_restored_invitation_mails")
