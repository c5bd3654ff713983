"""Send leads at a steady rate, and retry each lead until it is accepted, as portals do."""

import concurrent.futures
import datetime as dt
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import requests

from adapter.models import WebhookRequest
from adapter.server.demo_scenario import webhooks
from adapter.webhooks import signed_client
from tests.adapter_process import SECRETS
from tests.harness import load_cached
from tests.paths import MAPPINGS

RETRY_SECONDS = 0.3
#: Sends a request, and returns the status.
Post = Callable[[WebhookRequest], int]


def surname(number: int) -> str:
    letters = (number // 676, number // 26 % 26, number % 26)
    return "Roe" + "".join(chr(ord("a") + letter) for letter in letters)


def lead(number: int) -> dict[str, Any]:
    """Return a lead for a new person, with a tour in nine days."""
    _, _, payload = next(webhooks(MAPPINGS, dt.datetime.now(dt.UTC)))
    payload["leadId"] = f"RF-{number}"
    email = f"{surname(number).lower()}@example.com"
    payload["contact"] |= {"name": f"Dana {surname(number)}", "email": email, "phone": ""}
    return dict(payload)


def signed(url: str, payload: dict[str, Any]) -> WebhookRequest:
    return signed_client.sign_webhook(
        load_cached(MAPPINGS)["rentfeed"],
        SECRETS["RENTFEED_SECRET"],
        body=json.dumps(payload).encode(),
        content_type="application/json",
        adapter_url=url,
    )


def post(request: WebhookRequest) -> int:
    response = requests.post(
        request.url, data=request.body, headers=dict(request.headers), timeout=30
    )
    return response.status_code


class Senders:
    """Sends lead 0, lead 1 and so on, until it is stopped."""

    def __init__(self, url: str, per_second: float, post: Post = post) -> None:
        self._url = url
        self._post = post
        self.per_second = per_second
        self._stopping = threading.Event()
        self._threads = concurrent.futures.ThreadPoolExecutor(16)
        self._sent: list[concurrent.futures.Future[None]] = []

    def run(self) -> None:
        """Start sending one lead after another until :meth:`stop` is called."""
        while not self._stopping.wait(1 / self.per_second):
            self._sent.append(self._threads.submit(self.deliver, lead(self.count)))

    def stop(self) -> None:
        """Stop sending new leads, and wait until all have been accepted."""
        self._stopping.set()
        concurrent.futures.wait(self._sent, timeout=60)
        for future in self._sent:
            future.result(0)

    @property
    def count(self) -> int:
        """The number of leads sent so far."""
        return len(self._sent)

    def repeat_all(self) -> None:
        """Send all leads once more."""
        list(self._threads.map(self.deliver, map(lead, range(self.count))))

    def deliver(self, payload: dict[str, Any]) -> None:
        """Send a lead until it is accepted."""
        deadline = time.monotonic() + 60
        while not self._is_accepted(payload):
            assert time.monotonic() < deadline, "a lead was not accepted for a minute"
            time.sleep(RETRY_SECONDS)

    def _is_accepted(self, payload: dict[str, Any]) -> bool:
        try:
            return self._post(signed(self._url, payload)) == 200
        except OSError:  # requests' errors are OSErrors too
            return False


@contextmanager
def sending(url: str, per_second: float, post: Post = post) -> Iterator[Senders]:
    """Send leads during the block, or until :meth:`Senders.stop` is called."""
    senders = Senders(url, per_second, post)
    thread = threading.Thread(target=senders.run)
    thread.start()
    try:
        yield senders
    finally:
        senders.stop()
        thread.join()
