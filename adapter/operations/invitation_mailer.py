"""Email renters a link to choose a tour time.

Each email is sent once. It is retried only if the server has definitely not accepted it. Bookings
never wait for emails.
"""

import datetime as dt
import logging
import threading
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from typing import Final

from adapter.bookings import backoff
from adapter.bookings.invitations import LIVE
from adapter.mapping.renter_language import ENGLISH, SPANISH, day_in
from adapter.mapping.source import Source
from adapter.models import Booking, Clock, InvitationMail, Kind
from adapter.operations.mail_server import MailFailure, MailProblem, SmtpServer, with_ascii_domain
from adapter.settings import Settings
from adapter.signatures.renter_links import LINK_DAYS, RenterLinks
from adapter.store import Database, Transaction

log = logging.getLogger(__name__)

#: How long an email is retried. After that, someone has probably called the renter.
GIVE_UP_AFTER: Final = dt.timedelta(days=1)
#: Pause before the first retry. It doubles with each further retry, up to a maximum.
FIRST_PAUSE: Final = dt.timedelta(minutes=1)
MAX_PAUSE: Final = dt.timedelta(hours=1)
#: Maximum number of emails in one run.
BATCH: Final = 10
#: The outcome of an email that the server accepted.
SENT: Final = "sent"

_SUBJECTS: Final = {
    ENGLISH: "Choose a time for your tour of {community}",
    SPANISH: "Elija el horario de su visita a {community}",
}
_TEXTS: Final = {
    ENGLISH: "Hello,\n\nThank you for your interest in {community}. Choose a time for your tour "
    "here:\n\n{url}\n\nThe link works until {until}. If you did not contact us, you can ignore "
    "this email.\n",
    SPANISH: "Hola:\n\nGracias por su interés en {community}. Elija aquí el horario de su visita:"
    "\n\n{url}\n\nEl enlace es válido hasta el {until}. Si usted no se comunicó con nosotros, "
    "puede ignorar este correo.\n",
}


class InvitationMailer:
    """Sends the queued emails to renters."""

    def __init__(
        self,
        settings: Settings,
        store: Database,
        clock: Clock,
        links: RenterLinks,
        sources: Callable[[], Mapping[str, Source]],
    ) -> None:
        assert settings.smtp_url is not None  # noqa: S101 - the caller checks it
        self._server = SmtpServer.from_url(settings.smtp_url)
        self._store = store
        self._clock = clock
        self._links = links
        self._sources = sources
        #: Set at shutdown, so that the run stops after the current email.
        self.stopping = threading.Event()

    def run(self) -> None:
        """Send the emails that are due, up to :data:`BATCH`."""
        for _ in range(BATCH):
            if self.stopping.is_set() or not self.send_next():
                return

    def send_next(self) -> bool:
        """Send the next email. Return False if none is due."""
        self._store.fingerprints()
        with self._store.transaction() as tx:
            mail = tx.invitation_mails.claim(self._clock())
            booking = _waiting_booking(tx, mail) if mail else None
        if mail is None:
            return False
        if booking is None:
            with self._store.statement() as tx:
                tx.invitation_mails.end(mail.booking_id, "not_needed", self._clock(), None)
            return True
        try:
            self._server.send(self._message(booking, mail))
        except MailFailure as exc:
            self._record_failure(mail, exc)
        else:
            self._record_success(mail)
        return True

    def _record_success(self, mail: InvitationMail) -> None:
        with self._store.transaction() as tx:
            tx.invitation_mails.end(mail.booking_id, SENT, self._clock(), None)
            tx.invitation_mails.forget_failures()
        log.info("invitation_mailed", extra={"booking_id": mail.booking_id})

    def _record_failure(self, mail: InvitationMail, failure: MailFailure) -> None:
        now = self._clock()
        pause = backoff.doubling_pause(mail.attempts, FIRST_PAUSE, MAX_PAUSE)
        is_over = failure.is_final or now + pause > mail.created_at + GIVE_UP_AFTER
        with self._store.transaction() as tx:
            due_at = None if is_over else now + pause
            tx.invitation_mails.end(mail.booking_id, failure.problem, now, due_at)
            # A renter's address that is rejected again and again counts once.
            if failure.is_ours or (failure.may_be_ours and mail.attempts == 1):
                tx.invitation_mails.count_failure(str(failure), now)
        extra = {"booking_id": mail.booking_id, "reason": str(failure), "will_retry": not is_over}
        log.warning("invitation_not_mailed", extra=extra)

    def _message(self, booking: Booking, mail: InvitationMail) -> EmailMessage:
        """Return the email in the renter's language. Raise MailFailure for an invalid address."""
        language = mail.language if mail.language in _TEXTS else ENGLISH
        source = self._sources().get(booking.source)
        community = source.communities.get(booking.community or "") if source else None
        until = self._clock() + dt.timedelta(days=LINK_DAYS)
        values = {
            "community": community.title if community else booking.community,
            "url": self._links.url(booking.id, language),
            "until": day_in(
                language, until.astimezone(community.timezone if community else dt.UTC)
            ),
        }
        message = EmailMessage(policy=SMTP_POLICY)
        try:
            message["Subject"] = _SUBJECTS[language].format_map(values)
            message["From"] = self._server.sender
            message["To"] = address = with_ascii_domain(str(booking.appointment["email_1"]))
            if [one.addr_spec for one in message["To"].addresses] != [address]:
                raise ValueError("the header means another address")  # it has an encoded word
        except ValueError:
            raise MailFailure(MailProblem.INVALID) from None
        message["Date"] = format_datetime(self._clock())
        domain = self._server.sender.rpartition("@")[2].rstrip("> ")
        message["Message-ID"] = f"<invitation-{booking.id}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(_TEXTS[language].format_map(values))
        return message


def _waiting_booking(tx: Transaction, mail: InvitationMail) -> Booking | None:
    """Return an email's guest card if the renter still needs the link, or None."""
    booking = tx.bookings.get(mail.booking_id)
    if booking is None or booking.state not in LIVE or "email_1" not in booking.appointment:
        return None
    others = tx.bookings.of_event(booking.event_id)
    has_tour = any(one.kind is Kind.APPOINTMENT and one.id > booking.id for one in others)
    return None if has_tour else booking
