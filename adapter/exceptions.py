"""Define the adapter's exceptions. The tree below shows how each exception is handled.

AdapterError
├── ConfigurationError     invalid setting or mapping: the process does not start
│   └── KeyMissing         encrypted with an unknown key: the event is retried
├── VerificationError      unverified request: 401, stored as a rejection
├── LimitReached           rate limit of an IP address or source: 429
├── PayloadError           malformed body: the event is held
├── Unreadable             unreadable value: noted if optional, held if required
├── StoreUnavailable       PostgreSQL cannot be reached: 503, the sender retries
│   └── WrongSchema        the database was migrated by another version: the worker waits
├── NotPossible            the booking's state does not allow this action: error message, exit 1
│   └── TimeNotAvailable   the tour's time is taken in Knock: the user may choose another one
├── LinkRefused            invalid or outdated link of a renter: a page that explains it
├── SignInRefused          incorrect username or password: error message, counted
└── UpstreamError          a request to Propexo failed
    ├── NotSent            the request was never sent: retried, cannot book twice
    │   └── Unreachable    no connection to Propexo: sending stops if it happens repeatedly
    ├── RateLimited        429, or 503 with Retry-After: retried after that time
    ├── NotAuthorized      401 or 403: retried later; the token needs a fix
    ├── Refused            400 and other clear rejections: failed, needs review
    │   └── WrongPath      404, a redirect: retried; sending stops if it happens repeatedly
    └── OutcomeUnknown     sent without a clear response: never sent again automatically; sending
                           stops if it happens repeatedly
"""

import datetime as dt
from collections.abc import Mapping, Sequence

#: Exit code for an invalid setting or mapping (EX_CONFIG). Restarting does not help.
WRONG_CONFIGURATION = 78


class AdapterError(Exception):
    """Base class of the adapter's exceptions."""


class ConfigurationError(AdapterError):
    """Raised if a setting or mapping is invalid. The message says how to fix it."""


def exit_code(exc: AdapterError) -> int:
    """Return the exit code of a command that fails with the given exception."""
    return WRONG_CONFIGURATION if isinstance(exc, ConfigurationError) else 1


class KeyMissing(ConfigurationError):
    """Raised if a stored request is encrypted with a key that is not configured."""

    #: The request's ID.
    row_id: int

    def __init__(self, row_id: int, key_id: str) -> None:
        super().__init__(
            f"request {row_id} cannot be decrypted: add the key with the ID {key_id} to "
            "ADAPTER_ENCRYPTION_KEYS"
        )
        self.row_id = row_id


class VerificationError(AdapterError):
    """Raised if a webhook request fails verification."""

    #: A code from :data:`adapter.signatures.REASONS`, for the log and the stored rejection.
    reason: str

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class LimitReached(AdapterError):
    """Raised if an IP address or a source has exceeded its rate limit."""

    retry_after_seconds: float

    def __init__(self, *, retry_after_seconds: float) -> None:
        super().__init__("too many requests")
        self.retry_after_seconds = retry_after_seconds


class PayloadError(AdapterError):
    """Raised if a body does not match its content type. The message does not quote the body."""


class Unreadable(AdapterError):
    """Raised if a value cannot be read. The message is for users and never quotes the value."""


class StoreUnavailable(AdapterError):
    """Raised if PostgreSQL cannot be reached or does not respond in time."""


class WrongSchema(StoreUnavailable):
    """Raised if the database schema does not match this version. The message says what to do."""


class NotPossible(AdapterError):
    """Raised if the booking's state does not allow an action. The message gives the reason."""

    #: Messages by field. Empty if the problem is not about a field.
    faults: Mapping[str, str]

    def __init__(self, message: str, faults: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.faults = faults or {}


class TimeNotAvailable(NotPossible):
    """Raised if a user books a tour at a time that is not available in Knock."""

    #: The nearest available times (aware, UTC).
    free_times: Sequence[dt.datetime]

    def __init__(self, free_times: Sequence[dt.datetime]) -> None:
        text = "is not available in Knock"
        super().__init__(f"starts_at: {text}", {"starts_at": text})
        self.free_times = free_times


class LinkRefused(AdapterError):
    """Raised if a renter's link is invalid or has expired, or if the submitted form is outdated."""

    #: The name of the message that explains the problem to the renter.
    code: str

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class SignInRefused(AdapterError):
    """Raised if a username or password is incorrect, or sign-in is temporarily blocked."""


class UpstreamError(AdapterError):
    """Base class of exceptions for failed requests to Propexo.

    The message is constant and safe to log. Propexo's response is in ``answer``.
    """

    #: The HTTP status, or None if there was no response.
    status: int | None
    #: The number of seconds in Retry-After, or None.
    retry_after_seconds: float | None
    #: Propexo's response, or the reason for its absence. It may quote personal data, so it is
    #: stored but never logged.
    answer: str | None
    #: The numbers of calls allowed and left according to the response's headers, or None.
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
    """Raised if a request was never sent to Propexo. Retrying it cannot book the tour twice."""


class Unreachable(NotSent):
    """Raised if Propexo cannot be reached. The message contains the host and the reason."""


class RateLimited(UpstreamError):
    """Raised if a request exceeded Propexo's rate limit. The request can be retried later."""


class NotAuthorized(UpstreamError):
    """Raised if Propexo rejected the API token. Nothing was booked."""


class Refused(UpstreamError):
    """Raised if Propexo rejected the booking. Nothing was booked, and retries would fail too."""


class WrongPath(Refused):
    """Raised if the URL does not exist at Propexo, because of an incorrect setting or ID."""


class OutcomeUnknown(UpstreamError):
    """Raised if Propexo's response is missing or unclear. Propexo may have booked the tour."""
