"""Send hostile requests from several threads, and check each response."""

import dataclasses
import itertools
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

from tools.hostile.attacks import Attack, Target, draw
from tools.hostile.canaries import leaks

THREADS = 8
TIMEOUT_SECONDS = 45.0
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_FINE_5XX = 501
SLOWER = "slower than"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The bytes received on one connection."""

    data: bytes
    #: Seconds from the last byte sent to the last byte received.
    seconds: float

    @property
    def statuses(self) -> list[int]:
        return [int(match) for match in _STATUS.findall(self.data)]


@dataclasses.dataclass(kw_only=True)
class Sent:
    """The results of all requests so far."""

    statuses: Counter[tuple[str, int | None]] = dataclasses.field(default_factory=Counter)
    seconds: list[float] = dataclasses.field(default_factory=list)
    #: The kind and seconds of the slowest responses.
    slowest: dict[str, float] = dataclasses.field(default_factory=dict)
    #: The IDs of acknowledged events.
    events: set[int] = dataclasses.field(default_factory=set)
    #: The number of a request, its kind and the problem.
    faults: list[tuple[int, str, str]] = dataclasses.field(default_factory=list)


def send_all(
    target: Target,
    seed: int,
    numbers: range,
    forbidden: frozenset[str],
    progress: Callable[[int], object],
) -> Sent:
    """Send the requests with the given numbers."""
    sent, counter, lock = Sent(), itertools.count(numbers.start), threading.Lock()

    def run() -> None:
        while (number := next(counter)) < numbers.stop:
            attack = draw(target, seed, number)
            answer = send(attack, target.url)
            with lock:
                _record(sent, target, number, attack, answer, forbidden)
                progress(len(sent.seconds))

    threads = [threading.Thread(target=run, daemon=True) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sent


def forgive_busy_machine(sent: Sent, target: Target, seed: int) -> None:
    """Repeat each slow request by itself. Keep its fault only if it is slow again."""

    def is_slow_again(number: int) -> bool:
        attack = draw(target, seed, number)
        return send(attack, target.url).seconds > attack.limit_seconds

    sent.faults = [
        (number, kind, text)
        for number, kind, text in sent.faults
        if not text.startswith(SLOWER) or is_slow_again(number)
    ]


def send(attack: Attack, url: str) -> Answer:
    """Send one request, and read until its response is complete or the connection is closed."""
    port, data = int(url.rpartition(":")[2]), b""
    ended = None
    with socket.socket() as sock:
        sock.bind((attack.address, 0))
        sock.settimeout(TIMEOUT_SECONDS)
        began = time.monotonic()
        try:
            sock.connect(("127.0.0.1", port))
            sock.sendall(attack.data)
            if attack.is_closed:
                sock.shutdown(socket.SHUT_WR)
            began = time.monotonic()
        except OSError:  # it may have responded already
            pass
        try:
            while not _is_whole(attack, data) and (part := sock.recv(65536)):
                data, ended = data + part, time.monotonic()
        except OSError:
            pass
        # An idle connection may stay open after its response.
        return Answer(data=data, seconds=(ended or time.monotonic()) - began)


def _is_whole(attack: Attack, data: bytes) -> bool:
    """Return True if the first response is complete, unless several requests may have been sent."""
    if not attack.is_answered:
        return False
    head, end, body = data.partition(b"\r\n\r\n")
    if not end or head.startswith(b"HTTP/1.1 100"):
        return False
    length = _LENGTH.search(head + b"\r\n")
    return attack.data.startswith(b"HEAD") or (length is not None and len(body) >= int(length[1]))


def _record(
    sent: Sent,
    target: Target,
    number: int,
    attack: Attack,
    answer: Answer,
    forbidden: frozenset[str],
) -> None:
    sent.seconds.append(answer.seconds)
    sent.slowest[attack.kind] = max(answer.seconds, sent.slowest.get(attack.kind, 0.0))
    statuses: list[int | None] = [*answer.statuses]
    for status in statuses or [None]:
        sent.statuses[attack.kind, status] += 1
    sent.faults += [(number, attack.kind, fault) for fault in faults(attack, answer, forbidden)]
    if attack.is_proved and (event := _event_in(answer)):
        sent.events.add(event)
        target.last_event = max(target.last_event, event)


def faults(attack: Attack, answer: Answer, forbidden: frozenset[str]) -> Iterator[str]:
    """Yield the problems with a response."""
    for status in answer.statuses:
        if status >= 500 and not (status == _FINE_5XX and attack.may_be_501):
            yield f"status {status}"
    if answer.seconds > attack.limit_seconds:
        yield f"{SLOWER} {attack.limit_seconds:g} s"
    if attack.is_answered and not answer.statuses:
        yield "no response"
    text = answer.data.decode("utf-8", "replace")
    for leak in leaks(text, forbidden):
        if leak == "a secret" or not attack.is_proved:
            yield f"the response contains {leak}"


def _event_in(answer: Answer) -> int | None:
    try:
        data = json.loads(answer.data.partition(b"\r\n\r\n")[2])
        return int(data["event"])
    except (ValueError, TypeError, KeyError):
        return None
