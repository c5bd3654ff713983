"""Send emails through the SMTP server in ADAPTER_SMTP_URL, and explain failures."""

import contextlib
import dataclasses
import enum
import re
import smtplib
import ssl
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from email.message import EmailMessage
from email.policy import SMTPUTF8
from typing import Final

from adapter.operations.connection_error import connection_error

#: Timeout of each step with the SMTP server, in seconds.
TIMEOUT_SECONDS: Final = 10.0
_THIS_MACHINE: Final = ("127.0.0.1", "localhost", "::1")
#: From this status on, an SMTP server will not accept the email later either.
PERMANENT: Final = 500
#: From this status on, an SMTP server has not accepted what it was sent.
TEMPORARY: Final = 400
#: The statuses that mean that an SMTP server accepts a command.
ACCEPTED: Final = range(200, 300)
#: Letters that older and newer standards for domain names encode differently. The email could reach
#: another domain.
_AMBIGUOUS: Final = frozenset("ßς\u200c\u200d")
_DOMAIN: Final = re.compile(r"[A-Za-z0-9.-]+")


class MailProblem(enum.StrEnum):
    """The reason that an email was not sent."""

    NO_CONNECTION = "no_connection"
    SIGN_IN = "sign_in_rejected"
    SENDER = "sender_rejected"
    RECIPIENT = "recipient_rejected"
    EMAIL = "email_rejected"
    NO_RESPONSE = "no_response"
    NOT_SUPPORTED = "address_not_supported"
    INVALID = "address_invalid"


#: The explanation of each problem. ``{host}`` is the SMTP server, and ``{detail}`` its response.
_TEXTS: Final[Mapping[MailProblem, str]] = {
    MailProblem.NO_CONNECTION: "{host} cannot be reached: {detail}",
    MailProblem.SIGN_IN: "{host} rejects the user or the password: {detail}",
    MailProblem.SENDER: "{host} rejects the sender's address: {detail}",
    MailProblem.RECIPIENT: "{host} rejects the renter's address: {detail}",
    MailProblem.EMAIL: "{host} rejects the email: {detail}",
    MailProblem.NO_RESPONSE: "{host} did not respond after the email was sent",
    MailProblem.NOT_SUPPORTED: "{host} does not support addresses with non-ASCII letters",
    MailProblem.INVALID: "the renter's address is not valid",
}
#: Problems with the server or the settings. The email can be sent once they are fixed.
_OURS: Final = (MailProblem.NO_CONNECTION, MailProblem.SIGN_IN, MailProblem.SENDER)
#: Problems with one renter's address or email.
_RENTERS: Final = (MailProblem.RECIPIENT, MailProblem.EMAIL)


class MailFailure(Exception):
    """Raised if an email was not sent. Its text contains no personal data."""

    def __init__(self, problem: MailProblem, host: str = "", detail: str = "", status: int = 0):
        """Create an error. ``status`` is the SMTP status code, or 0 without a response."""
        super().__init__(_TEXTS[problem].format(host=host, detail=detail or f"SMTP {status}"))
        self.problem = problem
        self._is_temporary = problem in _RENTERS and status < PERMANENT

    @property
    def is_final(self) -> bool:
        """True if a retry would be useless or might send the email twice."""
        return not (self.is_ours or self._is_temporary)

    @property
    def is_ours(self) -> bool:
        """True if the server or ADAPTER_SMTP_URL is at fault, not the renter's address."""
        return self.problem in _OURS

    @property
    def may_be_ours(self) -> bool:
        """True if the server or its settings may be at fault."""
        return self.is_ours or self.problem in (*_RENTERS, MailProblem.NO_RESPONSE)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SmtpServer:
    """An SMTP server, as configured in ADAPTER_SMTP_URL."""

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

    def check(self) -> None:
        """Connect, sign in and set the sender. Raise MailFailure if the server refuses."""
        with self._session() as session:
            self._expect(MailProblem.SENDER, session.mail(self.sender))

    def send(self, message: EmailMessage) -> None:
        """Send an email. Raise MailFailure unless the server definitely accepted it."""
        recipient = message["To"].addresses[0].addr_spec
        with self._session() as session:
            options, content = self._encoded(message, session, recipient)
            self._expect(MailProblem.SENDER, session.mail(self.sender, options))
            self._expect(MailProblem.RECIPIENT, session.rcpt(recipient))
            try:
                self._expect(MailProblem.EMAIL, session.data(content))
            except smtplib.SMTPDataError as exc:
                raise MailFailure(MailProblem.EMAIL, self.host, status=exc.smtp_code) from None
            except OSError:  # which includes SMTPServerDisconnected
                # The server may have accepted it, and a second email would be worse than none.
                raise MailFailure(MailProblem.NO_RESPONSE, self.host) from None

    def _encoded(
        self, message: EmailMessage, session: smtplib.SMTP, recipient: str
    ) -> tuple[Sequence[str], bytes]:
        """Return the options of the SMTP command MAIL FROM, and the email as bytes."""
        if recipient.isascii():
            return (), message.as_bytes()
        if not session.has_extn("smtputf8"):
            raise MailFailure(MailProblem.NOT_SUPPORTED, self.host)
        return ("SMTPUTF8", "BODY=8BITMIME"), message.as_bytes(policy=SMTPUTF8)

    def _expect(self, problem: MailProblem, response: tuple[int, bytes]) -> None:
        status = response[0]
        if status >= TEMPORARY:
            raise MailFailure(problem, self.host, status=status)
        if status not in ACCEPTED:  # -1 means that the line is not an SMTP response
            is_sent = problem is MailProblem.EMAIL
            unclear = MailProblem.NO_RESPONSE if is_sent else MailProblem.NO_CONNECTION
            raise MailFailure(unclear, self.host, status=status)

    @contextlib.contextmanager
    def _session(self) -> Iterator[smtplib.SMTP]:
        """Connect, encrypt the connection and sign in. Raise MailFailure if that fails."""
        try:
            with self._connected() as server:
                server.ehlo_or_helo_if_needed()
                if self.user:
                    server.login(self.user, self.password)
                yield server
        except smtplib.SMTPAuthenticationError as exc:
            raise MailFailure(MailProblem.SIGN_IN, self.host, status=exc.smtp_code) from None
        except (OSError, UnicodeError) as exc:  # which includes smtplib's exceptions
            detail = connection_error(exc)
            raise MailFailure(MailProblem.NO_CONNECTION, self.host, detail) from None

    @contextlib.contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        """Connect to the server, and encrypt the connection unless it is on this machine."""
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
            yield server
        finally:
            with contextlib.suppress(OSError):
                server.quit()


def with_ascii_domain(address: str) -> str:
    """Convert an email address's domain to ASCII (IDNA).

    Raise ValueError if it is ambiguous or invalid.
    """
    local, _, domain = address.rpartition("@")
    encoded = domain.encode("idna").decode()
    if _AMBIGUOUS & {*domain}:
        raise ValueError("the domain could mean two domains")
    if not _DOMAIN.fullmatch(encoded):
        raise ValueError("the domain is invalid")
    return f"{local}@{encoded}"
