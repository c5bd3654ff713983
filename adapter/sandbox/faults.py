"""Faults on demand: what the next calls shall suffer, said in JSON, taken one by one."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

#: Which calls a fault waits for: a POST that creates, a look at a job, a list, or any of them.
KINDS = ("create", "status", "list", "any")
OUTCOMES = ("SUCCESS", "FAILURE", "PARTIAL_SUCCESS", "PENDING")
#: Nothing is answered and nothing is done; nothing is answered; half of the answer is sent.
DROPS = ("before", "after", "during")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """What one call suffers. Durations are in seconds. All of it may be combined.

    ``book`` says whether a create is carried out; by itself it is, but for a ``status``, a
    ``drop`` before and a job that ends in ``FAILURE``.
    """

    on: str = "create"
    #: Waits before anything is done.
    delay_before: float = 0.0
    #: Waits when all is done, before the answer.
    delay: float = 0.0
    #: Answers with this status instead.
    status: int | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    #: The body to ``status``: text as it is, anything else as JSON; None: Propexo's error shape.
    body: Any = None
    drop: str | None = None
    book: bool | None = None
    #: How the job ends; ``PENDING``: never.
    job: str | None = None
    errors: tuple[str, ...] | None = None
    #: How long this job stays PENDING; None: as the sandbox was told.
    job_seconds: float | None = None
    #: ``generic`` answers ``{job_id, data}``, the other shape that Propexo's pages show.
    shape: str = "knock"
    #: As it was posted, for the list of requests.
    posted: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def is_booking(self) -> bool:
        """Whether a create is carried out all the same."""
        if self.book is not None:
            return self.book
        return self.status is None and self.drop != "before" and self.job != "FAILURE"


#: What a call suffers that no fault waits for.
NONE = Fault()


def _is_one_of(*words: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in words


def _is_number(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    )


def _is_headers(value: Any) -> bool:
    # Anything else would break the line structure of HTTP, and with it the server's answer.
    return isinstance(value, dict) and all(
        re.fullmatch(r"[A-Za-z0-9-]{1,100}", name)
        and isinstance(text, str)
        and re.fullmatch(r"[ -~]{0,1000}", text)
        for name, text in value.items()
    )


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


#: Key → what it must be, as a test and in words.
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
    "job": (_is_one_of(*OUTCOMES), "one of " + ", ".join(OUTCOMES)),
    "errors": (_is_texts, "a list of strings"),
    "job_seconds": (_is_number(0, 86400), "seconds from 0 to 86400"),
    "shape": (_is_one_of("knock", "generic"), "one of knock, generic"),
}
#: Keys that mean nothing to a call that only reads.
_OF_CREATES = {"book", "job", "errors", "job_seconds", "shape"}


class BadFault(ValueError):
    """A posted fault cannot be understood. The message names the key."""


def faults_from(body: Any) -> list[Fault]:
    """Faults from ``{"next": [{"status": 503}, {"delay": 40}, …]}``."""
    if not isinstance(body, dict) or list(body) != ["next"] or not isinstance(body["next"], list):
        raise BadFault('the body must be {"next": [fault, …]}')
    return [_fault_from(item, f"next[{number}]") for number, item in enumerate(body["next"])]


def _fault_from(item: Any, place: str) -> Fault:
    if not isinstance(item, dict):
        raise BadFault(f"{place} must be an object")
    for key, value in item.items():
        if key not in _KEYS:
            raise BadFault(f"{place}: unknown fault {key!r}; the faults are {', '.join(_KEYS)}")
        fits, meaning = _KEYS[key]
        if not fits(value):
            raise BadFault(f"{place}: {key!r} must be {meaning}")
    if item.get("on") in ("status", "list"):
        for key in _OF_CREATES & item.keys():
            raise BadFault(f'{place}: {key!r} needs a call that creates, not "on": {item["on"]!r}')
    errors = {"errors": tuple(item["errors"])} if "errors" in item else {}
    return Fault(**{**item, **errors}, posted=item)


class Faults:
    """The queue. Not locked: its owner does that."""

    def __init__(self) -> None:
        self.queue: list[Fault] = []

    def take(self, kind: str) -> Fault:
        """The first fault that waits for calls of this kind; without one, :data:`NONE`."""
        for number, fault in enumerate(self.queue):
            if fault.on in (kind, "any"):
                return self.queue.pop(number)
        return NONE
