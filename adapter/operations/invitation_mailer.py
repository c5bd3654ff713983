"""Email renters a link to choose a tour time.

Each email is sent once. It is retried only if the server has certainly not accepted it. Bookings
never wait for emails.
"""

import contextlib
import dataclasses
import datetime as dt
import logging
import smtplib
import ssl
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from typing import Final

from adapter.bookings import backoff
from adapter.bookings.invitations import LIVE
from adapter.mapping.renter_language import ENGLISH, SPANISH, day_in
from adapter.mapping.source import Source
from adapter.models import Booking, Clock, Kind
from adapter.settings import Settings
from adapter.signatures.renter_links import LINK_DAYS, RenterLinks
from adapter.store import Database, InvitationMail, Transaction

log = logging.getLogger(__name__)

#: Timeout of each step with the SMTP server, in seconds.
TIMEOUT_SECONDS: Final = 10.0
#: How long an email is retried. After that, someone has probably called the renter.
GIVE_UP_AFTER: Final = dt.timedelta(days=1)
#: Pause before the first retry. It doubles with each further retry, up to a maximum.
FIRST_PAUSE: Final = dt.timedelta(minutes=1)
MAX_PAUSE: Final = dt.timedelta(hours=1)
#: Maximum number of emails in one run.
BATCH: Final = 10
_THIS_MACHINE: Final = ("127.0.0.1", "localhost", "::1")
#: With this SMTP status or a higher one, the server will not accept the email later either.
PERMANENT: Final = 500
#: With this SMTP status or a higher one, the server has not accepted the command.
TEMPORARY: Final = 400

_SUBJECTS: Final = {
    ENGLISH: "Choose a time for your tour of {community}",
    SPANISH: "Elija el horario de su visita a {community}",
}
_TEXTS: Final = {
    ENGLISH: "Hello,\n\nthank you for your interest in {community}. Choose a time for your tour "
    "here:\n\n{url}\n\nThe link works until {until}. If you did not contact us, you can ignore "
    "this email.\n",
    SPANISH: "Hola:\n\nGracias por su interés en {community}. Elija aquí el horario de su visita:"
    "\n\n{url}\n\nEl enlace es válido hasta el {until}. Si usted no se comunicó con nosotros, "
    "puede ignorar este correo.\n",
}


class MailFailure(Exception):
    """Raised unless the SMTP server has certainly accepted an email."""

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        """Create an error. ``reason`` has no personal data; ``is_final`` rules out a retry."""
        super().__init__(reason)
        self.is_final = is_final


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SmtpServer:
    """The SMTP server in ADAPTER_SMTP_URL."""

    host: str
    port: int
    is_tls: bool
    user: str
    password: str = dataclasses.field(repr=False)
    sender: str

    @classmethod
    def from_url(cls, url: str) -> "SmtpServer":
        """Create an instance from a URL that :func:`adapter.settings.read_smtp_url` accepted."""
        parts = urllib.parse.urlsplit(url)
        is_tls = parts.scheme == "smtps"
        return cls(
            host=parts.hostname or "",
            port=parts.port or (465 if is_tls else 587),
            is_tls=is_tls,
            user=urllib.parse.unquote(parts.username or ""),
            password=urllib.parse.unquote(parts.password or ""),
            sender=urllib.parse.parse_qs(parts.query)["from"][0],
        )

    @contextlib.contextmanager
    def session(self) -> Iterator[smtplib.SMTP]:
        """Connect, encrypt the connection and sign in. Raise OSError or SMTPException."""
        context = ssl.create_default_context()
        server: smtplib.SMTP
        if self.is_tls:
            server = smtplib.SMTP_SSL(
                self.host, self.port, timeout=TIMEOUT_SECONDS, context=context
            )
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_SECONDS)
        try:
            if not self.is_tls and self.host not in _THIS_MACHINE:
                server.starttls(context=context)
            server.ehlo_or_helo_if_needed()
            if self.user:
                server.login(self.user, self.password)
            yield server
        finally:
            with contextlib.suppress(OSError, smtplib.SMTPException):
                server.quit()


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
            self._end(mail, "not_needed")
            return True
        try:
            _send(self._server, self._message(booking, mail))
        except MailFailure as exc:
            self._record_failure(mail, exc)
        else:
            self._end(mail, "sent")
            log.info("invitation_mailed", extra={"booking_id": booking.id})
        return True

    def _record_failure(self, mail: InvitationMail, failure: MailFailure) -> None:
        now = self._clock()
        pause = backoff.doubling_pause(mail.attempts, FIRST_PAUSE, MAX_PAUSE)
        is_over = failure.is_final or now + pause > mail.created_at + GIVE_UP_AFTER
        self._end(mail, str(failure), None if is_over else now + pause)
        extra = {"booking_id": mail.booking_id, "reason": str(failure), "will_retry": not is_over}
        log.warning("invitation_not_mailed", extra=extra)

    def _end(self, mail: InvitationMail, outcome: str, due_at: dt.datetime | None = None) -> None:
        with self._store.statement() as tx:
            tx.invitation_mails.end(mail.booking_id, outcome, due_at)

    def _message(self, booking: Booking, mail: InvitationMail) -> EmailMessage:
        """Return the email in the renter's language. Raise MailFailure for a bad address."""
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
            message["To"] = str(booking.appointment["email_1"])
        except ValueError:
            raise MailFailure("the address is not valid", is_final=True) from None
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


def _send(server: SmtpServer, message: EmailMessage) -> None:
    """Send an email. Raise MailFailure unless the server has certainly accepted it."""
    try:
        with server.session() as session:
            _check(session.mail(message["From"].addresses[0].addr_spec), "sender")
            _check(session.rcpt(message["To"].addresses[0].addr_spec), "recipient")
            try:
                _check(session.data(message.as_bytes()), "email")
            except smtplib.SMTPResponseException:
                raise
            except OSError:  # which includes SMTPServerDisconnected
                # The server may have accepted it, and a second email would be worse than none.
                raise MailFailure("no response after it was sent", is_final=True) from None
    except smtplib.SMTPResponseException as exc:
        raise MailFailure(f"SMTP {exc.smtp_code}") from None
    except OSError as exc:
        raise MailFailure(f"no connection ({type(exc).__name__})") from None
    except UnicodeError:
        raise MailFailure("the address is not ASCII", is_final=True) from None


def _check(response: tuple[int, bytes], what: str) -> None:
    status = response[0]
    if status >= TEMPORARY:
        raise MailFailure(f"the {what} was rejected: SMTP {status}", is_final=status >= PERMANENT)
