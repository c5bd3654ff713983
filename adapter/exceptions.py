"""Everything that can go wrong, as one tree. Each class says what happens next.

AdapterError
├── ConfigurationError     the deployment or a mapping is wrong: do not start, name what to fix
├── VerificationError      the request did not prove itself: 401, kept as a rejection
├── LimitReached           one address or source sends too much: 429, the sender waits
├── PayloadError           the bytes are not what they claim to be: the event is held for a person
├── Unreadable             one value cannot be read: noted when optional, held when required
├── StoreUnavailable       PostgreSQL cannot be reached: 503, the sender tries again
├── NotPossible            a person asked for what this booking's state does not allow: said, exit 1
├── SignInRefused          a person did not prove who they are: said, and counted
└── UpstreamError          Propexo did not take the booking
    ├── NotSent            the request never left: try again later, safe
    ├── RateLimited        429 or a 503 that says so: try again when told, safe
    ├── NotAuthorised      401 or 403: try again later, safe; a person must look at the token
    ├── Refused            400 and other clear answers: failed, a person must look
    └── OutcomeUnknown     it left, and no clear answer came: never sent again by itself
"""

from collections.abc import Mapping


class AdapterError(Exception):
    """The root of all errors that this program raises on purpose."""


class ConfigurationError(AdapterError):
    """The deployment or a mapping is wrong. The message names the exact thing to fix."""


class VerificationError(AdapterError):
    """A request did not prove who sent it."""

    #: A constant word (snake_case), for metrics, logs and the rejection's row.
    reason: str

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class LimitReached(AdapterError):
    """One address sends too much that proves nothing, or one source too much at all."""

    retry_after_seconds: float

    def __init__(self, *, retry_after_seconds: float) -> None:
        super().__init__("too many requests")
        self.retry_after_seconds = retry_after_seconds


class PayloadError(AdapterError):
    """The bytes are not what their content type claims. The message quotes no content."""


class Unreadable(AdapterError):
    """One value cannot be read. The message is a reason for a person and never quotes the value."""


class StoreUnavailable(AdapterError):
    """PostgreSQL cannot be reached, or did not answer in time."""


class NotPossible(AdapterError):
    """What was asked for is not allowed in this state. The message says why and what is."""

    #: What is wrong with single fields: field → sentence. Empty where it is the whole.
    faults: Mapping[str, str]

    def __init__(self, message: str, faults: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.faults = faults or {}


class SignInRefused(AdapterError):
    """Nobody signs in with this name and password, or nobody does for a while."""


class UpstreamError(AdapterError):
    """Propexo did not take the booking.

    The message is a constant sentence, safe for logs; what Propexo answered is in ``answer``.
    """

    #: HTTP status, or None where there was no answer.
    status: int | None
    #: Seconds that Propexo asked us to wait, or None.
    retry_after_seconds: float | None
    #: What Propexo said. May quote personal data: for the record, never for logs.
    answer: str | None
    #: What its headers said of its rate limit: calls allowed and calls left, or None.
    rate: tuple[int, int] | None

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after_seconds: float | None = None,
        answer: str | None = None,
        rate: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_seconds = retry_after_seconds
        self.answer = answer
        self.rate = rate


class NotSent(UpstreamError):
    """The request never left this machine: trying again cannot book twice."""


class RateLimited(UpstreamError):
    """Propexo refused before doing anything and said to come back later."""


class NotAuthorised(UpstreamError):
    """Propexo does not accept our token. Nothing was booked."""


class Refused(UpstreamError):
    """Propexo gave a clear no. Nothing was booked; trying again would be refused again."""


class OutcomeUnknown(UpstreamError):
    """The request left and no clear answer came. It may or may not have been booked."""
