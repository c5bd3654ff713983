"""Parse and queue faults, each for one upcoming request."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

from adapter.sandbox.request_body import InvalidBody

#: The kinds of requests that a fault may apply to: creates, events, job statuses, lists, available
#: times, or any of these.
KINDS = ("create", "event", "status", "list", "availability", "any")
OUTCOMES = ("SUCCESS", "FAILURE", "PARTIAL_SUCCESS", "PENDING")
#: When to close the connection: before booking, after booking, or after half of the response.
DROPS = ("before", "after", "during")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A fault for one request. Its fields can be combined.

    ``book`` sets whether a create request takes effect. By default it does, unless there is a
    ``status``, the connection drops before booking, or the job fails. With ``book_after``, it
    always does.
    """

    on: str = "create"
    #: Wait before booking.
    delay_before: float = 0.0
    #: Wait after booking, before the response.
    delay: float = 0.0
    #: Respond with this HTTP status instead.
    status: int | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    #: The body for ``status``: a string as is, other types as JSON, None as Propexo's error.
    body: Any = None
    drop: str | None = None
    book: bool | None = None
    #: Delay until the create request is executed, independently of the response.
    book_after: float = 0.0
    #: The job's final status, or ``PENDING`` if it never ends.
    job: str | None = None
    errors: tuple[str, ...] | None = None
    #: How long this job stays PENDING, or None for the sandbox's default.
    job_seconds: float | None = None
    #: ``generic`` returns ``{job_id, data}``, the other shape in Propexo's documentation.
    shape: str = "knock"
    #: The fault as it was posted, for the list of requests.
    posted: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def is_booking(self) -> bool:
        """True if a create request with this fault still takes effect in Knock."""
        if self.book is not None:
            return self.book
        is_clean = self.status is None and self.drop != "before" and self.job != "FAILURE"
        return is_clean or self.book_after > 0


#: The value for requests without a fault.
NONE = Fault()


def _is_one_of(*words: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in words


def _is_number(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    )


def _is_headers(value: Any) -> bool:
    # Any other value would break the HTTP response.
    return isinstance(value, dict) and all(
        re.fullmatch(r"[A-Za-z0-9-]{1,100}", name)
        and isinstance(text, str)
        and re.fullmatch(r"[ -~]{0,1000}", text)
        for name, text in value.items()
    )


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


#: For each key, a check of its value and a description of valid values.
_KEYS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "on": (_is_one_of(*KINDS), "one of " + ", ".join(KINDS)),
    "delay_before": (_is_number(0, 600), "seconds from 0 to 600"),
    "delay": (_is_number(0, 600), "seconds from 0 to 600"),
    "status": (
        lambda value: _is_number(200, 599)(value) and isinstance(value, int),
        "a whole number from 200 to 599",
    ),
    "headers": (_is_headers, "header names with printable ASCII text"),
    "body": (lambda _: True, "anything"),
    "drop": (_is_one_of(*DROPS), "one of " + ", ".join(DROPS)),
    "book": (lambda value: isinstance(value, bool), "true or false"),
    "book_after": (_is_number(0, 86400), "seconds from 0 to 86400"),
    "job": (_is_one_of(*OUTCOMES), "one of " + ", ".join(OUTCOMES)),
    "errors": (_is_texts, "a list of strings"),
    "job_seconds": (_is_number(0, 86400), "seconds from 0 to 86400"),
    "shape": (_is_one_of("knock", "generic"), "one of knock, generic"),
}
#: Keys that do not apply to read requests.
_OF_CREATES = {"book", "book_after", "job", "errors", "job_seconds", "shape"}


class BadFault(InvalidBody):
    """Raised if a posted fault is invalid. The message names the invalid key."""

    code = "invalid_fault"


def faults_from(body: Any) -> list[Fault]:
    """Parse a list of faults from JSON such as ``{"next": [{"status": 503}, {"delay": 40}]}``."""
    if not isinstance(body, dict) or list(body) != ["next"] or not isinstance(body["next"], list):
        raise BadFault('the body must be {"next": [fault, …]}')
    return [_fault_from(item, f"next[{number}]") for number, item in enumerate(body["next"])]


def _fault_from(item: Any, location: str) -> Fault:
    if not isinstance(item, dict):
        raise BadFault(f"{location} must be an object")
    for key, value in item.items():
        if key not in _KEYS:
            raise BadFault(f"{location}: unknown fault {key!r}; the faults are {', '.join(_KEYS)}")
        fits, meaning = _KEYS[key]
        if not fits(value):
            raise BadFault(f"{location}: {key!r} must be {meaning}")
    if item.get("on", "create") not in ("create", "event", "any"):
        for key in _OF_CREATES & item.keys():
            raise BadFault(f'{location}: {key!r} needs a create request, not "on": {item["on"]!r}')
    errors = {"errors": tuple(item["errors"])} if "errors" in item else {}
    return Fault(**{**item, **errors}, posted=item)


class Faults:
    """The queue of faults for upcoming requests. The caller must hold the lock."""

    def __init__(self) -> None:
        self.queue: list[Fault] = []

    def take(self, kind: str) -> Fault:
        """Remove and return the first fault for a kind of request, or return :data:`NONE`."""
        for number, fault in enumerate(self.queue):
            if fault.on in (kind, "any"):
                return self.queue.pop(number)
        return NONE
