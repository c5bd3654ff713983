"""Queue and claim emails to renters with a link to choose a time, and record the outcomes."""

import dataclasses
import datetime as dt

from adapter.models import InvitationMail
from adapter.store.queries import Statements

#: Maximum number of waiting emails to count.
MOST_WAITING = 1000


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MailFailures:
    """The failed attempts to send emails since the SMTP server last accepted an email."""

    failures: int
    failing_since: dt.datetime
    failed_at: dt.datetime
    #: The last error, without personal data.
    last_error: str
    #: The number of emails that will be tried again.
    waiting: int


class InvitationMails(Statements):
    """Reads and writes queued emails within a transaction."""

    def queue(self, booking_id: int, language: str, now: dt.datetime) -> None:
        """Queue the email for a guest card unless it was queued before."""
        self._run("queue_invitation_mail", booking_id=booking_id, language=language, now=now)

    def claim(self, now: dt.datetime) -> InvitationMail | None:
        """Claim and return the next email that is due, or None if none is due."""
        row = self._one("claim_invitation_mail", now=now)
        return InvitationMail(**row) if row else None

    def of_event(self, event_id: int) -> tuple[InvitationMail, ...]:
        """Return the emails to the renters of an event's guest cards."""
        rows = self._all("invitation_mails_of_event", event_id=event_id)
        return tuple(InvitationMail(**row) for row in rows)

    def end(
        self, booking_id: int, outcome: str, now: dt.datetime, due_at: dt.datetime | None
    ) -> None:
        """Record the outcome of an attempt to send an email. With ``due_at``, schedule a retry."""
        self._run(
            "end_invitation_mail", booking_id=booking_id, outcome=outcome, now=now, due_at=due_at
        )

    def count_failure(self, error: str, now: dt.datetime) -> None:
        """Count a failed attempt that may be caused by the SMTP server or its settings."""
        self._run("count_failed_invitation_mail", error=error, now=now)

    def forget_failures(self) -> None:
        """Reset the failure count, because the SMTP server accepted an email."""
        self._run("forget_failed_invitation_mails")

    def failures(self) -> MailFailures | None:
        """Return the failed attempts since the last accepted email, or None if there are none."""
        row = self._one("failed_invitation_mails", limit=MOST_WAITING)
        return MailFailures(**row) if row else None

    def end_restored(self) -> None:
        """Cancel queued emails that may already have been sent after the backup was made."""
        self._run("end_restored_invitation_mails")
