"""Notify people through Apprise, by email, chat, text message or on-call service."""

import logging
import socket
import threading
import time
import urllib.parse
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from adapter.operations.health import Level
from adapter.settings import Settings

log = logging.getLogger(__name__)

#: Maximum time for all deliveries of a message.
DELIVERY_SECONDS = 10.0
#: Apprise's type of message for each level.
_TYPES = {Level.BROKEN: "failure", Level.WARNING: "warning", Level.OK: "success"}


class Line(NamedTuple):
    """A part of a message: a problem that has begun, is ongoing or has ended."""

    level: Level
    #: The code of the problem, and its source.
    name: str
    text: str


class Message(NamedTuple):
    """A message to people. It contains no personal data."""

    title: str
    body: str
    level: Level


def message_of(settings: Settings, lines: Iterable[Line]) -> Message:
    """Combine lines into one message, worst problem first, with a link to the console."""
    lines = sorted(lines, key=lambda line: [*Level].index(line.level))
    names = {level: [line.name for line in lines if line.level is level] for level in Level}
    titles = [f"{level.upper()}: {', '.join(found)}" for level, found in names.items() if found]
    url = settings.public_url
    place = urllib.parse.urlsplit(url).netloc if url else socket.gethostname()
    texts = [line.text for line in lines] + ([f"{url.rstrip('/')}/console/"] if url else [])
    return Message(f"{'; '.join(titles)} ({place})", "\n\n".join(texts), lines[0].level)


class Notifier:
    """Sends messages to all configured Apprise URLs in parallel, and logs failures.

    If a service does not accept messages, only the first failure in a row is logged.
    """

    def __init__(self, urls: Sequence[str], seconds: float = DELIVERY_SECONDS) -> None:
        self._urls = urls
        self._seconds = seconds
        self._failed: set[int] = set()

    def send(self, message: Message) -> bool:
        """Send a message. Return True if at least one service accepts it."""
        errors = self.send_to_each(message)
        failed = {number for number, error in enumerate(errors, 1) if error}
        for number in failed - self._failed:
            service = service_of(self._urls[number - 1])
            facts = {"number": number, "service": service, "reason": errors[number - 1]}
            log.error("alarm_not_delivered", extra=facts)
        self._failed = failed
        return not all(errors) or not errors

    def send_to_each(self, message: Message) -> list[str]:
        """Send a message to every service. Return each service's error, or "" for success."""
        errors = ["no response"] * len(self._urls)

        def deliver(index: int) -> None:
            errors[index] = _deliver(self._urls[index], message)

        # Daemon threads, so that the process can exit without waiting for a service that hangs.
        threads = [
            threading.Thread(target=deliver, args=[index], name="alarm", daemon=True)
            for index in range(len(self._urls))
        ]
        deadline = time.monotonic() + self._seconds
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return list(errors)


def service_of(url: str) -> str:
    """Return the service in a notification URL, such as ``slack``."""
    return url.partition(":")[0]


def _deliver(url: str, message: Message) -> str:
    """Send a message to a URL. Return an error without secrets, or "" for success."""
    import apprise  # most processes never send a message

    # Apprise would log URLs and every failure.
    logging.getLogger("apprise").disabled = True
    service = apprise.Apprise()
    try:
        if not service.add(url):
            return "not a valid Apprise URL"
        is_accepted = service.notify(
            message.body,
            title=message.title,
            notify_type=apprise.NotifyType(_TYPES[message.level]),
            body_format=apprise.NotifyFormat.TEXT,
        )
    except Exception as exc:  # noqa: BLE001 - a service must not end the watch
        return type(exc).__name__
    return "" if is_accepted else "the service did not accept the message"
