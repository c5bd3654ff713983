"""Simulate lead sources that resend each webhook until they get a 2xx response."""

import contextlib
import dataclasses
import datetime as dt
import http.client
import json
import threading
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from adapter.models import WebhookRequest
from adapter.webhooks import signed_client
from tools.chaos.agents import Agents
from tools.chaos.leads import Journey, Lead, Step
from tools.chaos.renters import Renters
from tools.chaos.stage import Stage

#: Timeout of one attempt, and of all attempts for one webhook.
ANSWER_SECONDS = 5.0
PATIENCE_SECONDS = 120.0
PAUSE_SECONDS = 0.3


@dataclasses.dataclass(kw_only=True, slots=True)
class Told:
    """The response to one copy of a webhook."""

    lead: Lead
    #: The final response, or None without a clear response in time.
    status: int | None = None
    event_id: int | None = None
    #: The link in the response that the renter uses to choose a time, or "".
    link: str = ""
    #: Seconds from the first attempt to that response.
    waited_seconds: float = 0.0

    @property
    def is_acknowledged(self) -> bool:
        """Return True if the sender got a 2xx response and does not need to retry."""
        return self.status == 200


class Senders:
    """The senders: one thread per journey, and another for each additional copy of a webhook."""

    def __init__(self, stage: Stage, inject: Callable[[str], object]) -> None:
        self._stage = stage
        self._inject = inject
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self.told: list[Told] = []
        self.renters = Renters(stage, inject, self._stopping)
        self.agents = Agents(stage, self._stopping)
        #: When each lead was written, by its sender's clock.
        self.sent_at: dict[str, dt.datetime] = {}

    def start(self, journeys: Sequence[Journey]) -> None:
        """Start all senders, and return immediately."""
        for journey in journeys:
            thread = threading.Thread(target=self._go, args=[journey], daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Stop all senders."""
        self._stopping.set()
        self.wait(ANSWER_SECONDS * 2)

    def wait(self, seconds: float) -> bool:
        """Return True if all senders finished in time."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))
        return not any(thread.is_alive() for thread in self._threads)

    def _go(self, journey: Journey) -> None:
        for step in journey:
            self._stopping.wait(step.pause_seconds)
            if step.fault is not None:
                self._inject(step.fault)
            for lead in (*step.written, *step.leads):
                self.sent_at.setdefault(lead.id, dt.datetime.now(dt.UTC))
            told = [Told(lead=lead) for lead in step.leads]
            self.told += told
            together = threading.Barrier(len(told))
            threads = [
                threading.Thread(target=self._deliver, args=[one, step, together], daemon=True)
                for one in told
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if step.choices:
                link = next((one.link for one in told if one.link), "")
                self.renters.choose(step.leads[0], link, step.choices)
            if step.act is not None:
                self.agents.act(step.leads[0], step.act)

    def _deliver(self, told: Told, step: Step, together: threading.Barrier) -> None:
        """Send one copy of a webhook repeatedly until the response is final."""
        together.wait()
        began = time.monotonic()
        cut = step.cut
        while not self._stopping.is_set() and time.monotonic() - began < PATIENCE_SECONDS:
            status, event_id, told.link = self._try(told.lead, cut)
            if status is not None and status != http.HTTPStatus.SERVICE_UNAVAILABLE:
                told.status, told.event_id = status, event_id
                break
            cut = None
            self._stopping.wait(PAUSE_SECONDS)
        told.waited_seconds = time.monotonic() - began

    def _try(self, lead: Lead, cut: str | None) -> tuple[int | None, int | None, str]:
        """Send a request and return the status, event ID and link, if received."""
        source = self._stage.sources[lead.source]
        request = signed_client.sign_webhook(
            source,
            self._stage.secrets[source.secrets[-1]],
            body=lead.body(self.sent_at[lead.id]),
            content_type="application/json",
            adapter_url=self._stage.web_url,
        )
        try:
            return _post(request, cut)
        except (OSError, http.client.HTTPException, ValueError):
            return None, None, ""


def _post(request: WebhookRequest, cut: str | None) -> tuple[int | None, int | None, str]:
    url = urlsplit(request.url)
    connection = http.client.HTTPConnection(url.netloc, timeout=ANSWER_SECONDS)
    with contextlib.closing(connection):
        connection.putrequest(request.method, url.path)
        for name, value in request.headers.items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(request.body)))
        connection.endheaders()
        connection.send(request.body if cut != "early" else request.body[:40])
        if cut is not None:
            return None, None, ""
        answer = connection.getresponse()
        body = json.loads(answer.read())
        event_id = body.get("event")
        link = str(body.get("link") or "")
        return answer.status, int(event_id) if event_id else None, link
