"""Provide a pipeline with real services and a clock that tests control."""

import datetime as dt
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapter import signatures
from adapter.mapping.registry import load
from adapter.mapping.source import Source
from adapter.models import Booking, BookingState, EventState, LeadHistory, Message, WebhookRequest
from adapter.operations.health import Verdict, verdict_of
from adapter.operations.release import Repairs
from adapter.operations.replay import Replays
from adapter.pipeline import Pipeline
from adapter.propexo.client import Propexo
from adapter.settings import Policy, Settings
from adapter.store import Database
from adapter.webhooks.dedupe import Receipt
from adapter.webhooks.endpoints import build_endpoint
from tests.paths import MAPPINGS
from tests.sandbox_client import SandboxClient

SECRETS = {"RENTFEED_SECRET": "one", "LEASEBOT_SECRET": "two", "TYPEFORM_SECRET": "three"}
START = dt.datetime(2026, 3, 2, 18, 0, tzinfo=dt.UTC)
TIMEOUT_SECONDS = 1.0


@functools.cache
def load_cached(folder: Path = MAPPINGS) -> Mapping[str, Source]:
    """Load a folder of mappings that never change, once for all tests in this process."""
    return load(folder, Policy())


class ManualClock:
    """A clock that is stopped until a test moves it."""

    def __init__(self, at: dt.datetime) -> None:
        self.at = at

    def __call__(self) -> dt.datetime:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += dt.timedelta(seconds=seconds)


class Harness:
    """A pipeline with a manual clock, with shortcuts for tests."""

    def __init__(
        self,
        opened: Database,
        upstream: SandboxClient,
        policy: Policy | None = None,
        mappings: Path = MAPPINGS,
        client: type[Propexo] = Propexo,
        **settings: Any,
    ) -> None:
        self.clock = ManualClock(START)
        sources = load_cached(mappings) if policy is None else load(mappings, policy)
        named = {secret: "four" for source in sources.values() for secret in source.secrets}
        self.settings = Settings(
            mappings_dir=mappings, environ=named | SECRETS, policy=policy or Policy(), **settings
        )
        self.pipeline = Pipeline(
            self.settings,
            opened,
            sources,
            client(upstream.url, "sandbox", timeout_seconds=TIMEOUT_SECONDS, meter=opened.meter),
            self.clock,
            pause=self.clock.advance,
        )
        self.pipeline.mapper.fetcher.is_in_background = False

    @property
    def repairs(self) -> Repairs:
        return Repairs(self.settings, self.pipeline.store, self.pipeline.sources, self.clock)

    @property
    def replays(self) -> Replays:
        return Replays(self.settings, self.pipeline.store, self.pipeline.sources, self.clock)

    def verdict(self) -> Verdict:
        pipeline = self.pipeline
        return verdict_of(pipeline.store, pipeline.sources, self.settings, self.clock())

    def receive(self, name: str, payload: Any, *, query: str = "", **headers: str) -> Receipt:
        source = self.pipeline.sources[name]
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        request = WebhookRequest(
            method="POST",
            url=f"https://adapter.example.com/hooks/{name}" + (query and f"?{query}"),
            headers={"Content-Type": "application/json"} | headers,
            body=body,
        )
        secret = self.settings.environ[source.secrets[-1]]
        signed = signatures.sign(source.signature, secret, request, self.clock().timestamp())
        verified = self.pipeline.receiver.verify(build_endpoint(source, self.settings), signed)
        return self.pipeline.receiver.store(verified)

    def mapped(self, name: str, payload: Any, **headers: str) -> list[Booking]:
        event_id = self.receive(name, payload, **headers).event_id
        self.map_event(event_id)
        return list(self.story(event_id).bookings)

    def map_event(self, event_id: int) -> None:
        """Map the event with this ID, after fetching its documents."""
        mapper = self.pipeline.mapper
        with self.pipeline.store.transaction() as tx:
            event = tx.events.get(event_id, lock=True)
            if event is None or event.state is not EventState.RECEIVED:
                return
            wanted = mapper.map(tx, event)
        if wanted:
            mapper.fetcher.run(mapper.sources[event.source], event, wanted)
            self.map_event(event_id)

    def story(self, key: int) -> LeadHistory:
        with self.pipeline.store.transaction() as tx:
            story = tx.events.history(str(key))
        assert story is not None
        return story

    def send(self) -> None:
        """Send everything that is due, including resends."""
        self.pipeline.sender.send_due()
        self.pipeline.sender.send_due()

    def check(self) -> None:
        """Check every submitted and unknown booking that is due."""
        self.pipeline.follower.check_due()

    def send_messages(self) -> None:
        """Send the notes that are due, and follow their jobs to the end."""
        for _ in range(8):
            self.pipeline.messenger.send_due()
            self.clock.advance(3)

    def messages(self) -> list[Message]:
        """Return all messages, oldest first."""
        with self.pipeline.store.transaction() as tx:
            rows = tx.connection.execute("SELECT id FROM messages ORDER BY id").fetchall()
            return [one for row in rows if (one := tx.messages.lock(row["id"]))]

    def state(self, booking_id: int) -> BookingState:
        return self.booking(booking_id).state

    def booking(self, booking_id: int) -> Booking:
        with self.pipeline.store.transaction() as tx:
            booking = tx.bookings.get(booking_id)
        assert booking is not None
        return booking


def settle(harness: Harness) -> None:
    """Send everything that is due, and follow every job to its end."""
    harness.send()
    harness.clock.advance(10)
    harness.check()


def sample(name: str) -> Any:
    return json.loads((MAPPINGS / "samples" / name).read_text())


def tour(**changes: Any) -> Any:
    return sample("rentfeed-tour.json") | changes
