"""Run a sequence with the real pipeline and PostgreSQL, the sandbox, and a manual clock."""

import collections
import contextlib
import dataclasses
import datetime as dt
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import psycopg
import requests

from adapter import store
from adapter.exceptions import NotPossible
from adapter.models import Attempt, Booking, BookingState
from adapter.operations.release import Repairs
from adapter.propexo.client import Propexo
from adapter.propexo.responses import Accepted
from adapter.store import Database, Task, child_processes, embedded
from tests.databases import DELETE_ROWS, set_durable
from tests.harness import START, Harness, ManualClock
from tests.installed import server_for_tests
from tests.sandbox_client import SandboxClient, running_sandbox
from tools.people.record import WAITING, Lead, Record, Tour, Word
from tools.people.steps import (
    DEATHS,
    FAULTS,
    HARBOR,
    MAPLE,
    SOURCES,
    TOURS,
    UNSHARED,
    ZONE,
    Ask,
    Cancel,
    CancelInKnock,
    Discard,
    Dismiss,
    Fault,
    Meanwhile,
    Obey,
    Person,
    Play,
    Release,
    Repeat,
    Wait,
)

MAPPINGS = Path(__file__).parent / "mappings"
#: Settings that let everything end within :meth:`World.settle`.
TIMES: dict[str, Any] = {
    "sync_lag_hours": 1,
    "job_deadline_seconds": 120.0,
    "rate_per_minute": 100_000,
}
#: Longer than Propexo's longest delay.
LATEST = dt.timedelta(minutes=20)
#: Longer than the adapter keeps checking any booking.
SETTLE = dt.timedelta(hours=6)

#: Propexo's IDs of the communities.
PLACES = {"com_maple": MAPLE, "com_harbor": HARBOR}
#: If a user cancels a tour in Knock directly, the adapter does not know and cannot book it again.
NEVER = dt.datetime.max.replace(tzinfo=dt.UTC)

#: As after the migrations. IDs in messages are distinguished from other numbers by length.
FIRST_ID = "SELECT setval('lead_ids', 1001, false)"

#: When the next row becomes due.
NEXT_DUE = """
SELECT min(due_at) AS at FROM bookings
WHERE state IN ('pending', 'submitted', 'unknown') AND due_at > %(now)s
"""


class WorkerDied(BaseException):
    """The worker's process died in the middle of a request."""


class InterruptedPropexo(Propexo):
    """A Propexo client that can run another action, or die, during its next request."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.meanwhile: list[Callable[[], None]] = []
        self.deaths: list[str] = []

    def create(self, attempt: Attempt) -> Accepted:
        death = self.deaths.pop(0) if self.deaths else None
        if death == DEATHS[0]:
            raise WorkerDied
        try:
            return super().create(attempt)
        finally:
            while self.meanwhile:
                self.meanwhile.pop(0)()
            if death is not None:
                raise WorkerDied


@dataclasses.dataclass(kw_only=True, slots=True)
class Message:
    """A webhook, with data that only its sender and renter know."""

    number: int
    step: Ask | Cancel
    body: bytes
    headers: dict[str, str]
    mark: str
    place: str
    thread: str
    at: dt.datetime
    events: set[int] = dataclasses.field(default_factory=set)

    @property
    def text(self) -> str:
        """Return a description of the message."""
        verb = f"asks for tour {self.step.tour}" if isinstance(self.step, Ask) else "cancels"
        away = f" at {HARBOR}" * (self.place == HARBOR)
        return (
            f"message {self.number}: {self.step.who.name} {verb} through {self.step.through}{away}"
        )

    @property
    def booking(self) -> str:
        """Return the key that identifies a person's booking at a source."""
        return f"{self.thread} {self.step.who.slug}"


class Ground:
    """The environment of the sequences: a database and a sandbox, emptied between sequences."""

    def __init__(self, opened: Database) -> None:
        self.store = opened
        self.clock = ManualClock(START)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            options = {"clock": self.now, "limit_per_minute": 1_000_000}
            self.sandbox = stack.enter_context(running_sandbox(**options))
            self._connection = stack.enter_context(psycopg.connect(self.store.url, autocommit=True))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def now(self) -> dt.datetime:
        """Return the current time in the running sequence."""
        return self.clock()

    def empty(self) -> None:
        """Delete all rows and all sandbox data."""
        self._connection.execute(DELETE_ROWS)
        self._connection.execute(FIRST_ID)
        requests.post(self.sandbox.url + "/_sandbox/reset", timeout=5).raise_for_status()


@contextlib.contextmanager
def own_ground() -> Iterator[Ground]:
    """Yield an environment with its own PostgreSQL server, for manual runs."""
    with tempfile.TemporaryDirectory(prefix="adapter-people-") as folder:
        server = server_for_tests(Path(folder))
        process = server.spawn()
        try:
            server.wait(process)
            set_durable(server, is_durable=False)
            store.migrate(server.url)
            with Database(server.url, size=4) as opened, Ground(opened) as ground:
                yield ground
        finally:
            child_processes.stop(process, embedded.STOP_SIGNAL, 10.0)


class World:
    """A running sequence."""

    def __init__(self, ground: Ground) -> None:
        ground.empty()
        self.harness = Harness(
            ground.store, ground.sandbox, mappings=MAPPINGS, client=InterruptedPropexo, **TIMES
        )
        self.sandbox: SandboxClient = ground.sandbox
        self.clock = self.harness.clock
        ground.clock = self.clock
        pipeline = self.harness.pipeline
        self.store = pipeline.store
        self.repairs = Repairs(pipeline.settings, self.store, pipeline.sources, self.clock)
        self.messages: list[Message] = []
        self.log: list[tuple[dt.datetime, str]] = []
        self.is_calm = True
        self._threads: collections.Counter[tuple[str, str]] = collections.Counter()
        self._tours: dict[tuple[str, str], str] = {}
        self._places: dict[tuple[str, str], str] = {}
        self._acts: dict[int, set[str]] = collections.defaultdict(set)
        self._canceled_in_knock: dict[tuple[str, dt.datetime | None], dt.datetime] = {}
        self._do: dict[type, Callable[[Any], None]] = {
            Ask: self._ask,
            Cancel: self._cancel,
            Repeat: self._repeat,
            Fault: self._fault,
            Wait: lambda step: self._work(dt.timedelta(seconds=step.seconds)),
            Discard: lambda step: self._discard(step.who),
            Release: lambda step: self._release(step.who),
            CancelInKnock: lambda step: self._cancel_in_knock(step.who),
            Obey: lambda step: self._obey(step.who),
            Dismiss: lambda step: self._dismiss(step.who),
            Meanwhile: self._meanwhile,
        }

    def play(self, sequence: Play) -> Record:
        """Run the steps, wait until everything is processed, and return the final record."""
        for step in sequence:
            self.clock.advance(1)
            self._do[type(step)](step)
        self.clock.advance(1)
        self._settle()
        return self.record()

    # Sender actions

    def _ask(self, step: Ask) -> None:
        who, through = (step.who.slug, step.through)
        if step.key == "new" or not self._threads[who, through]:
            self._threads[who, through] += 1
        self.is_calm &= step.place == MAPLE
        is_shared = step.key == "shared" and SOURCES[through].has_key
        key = "0" if is_shared else f"{who}-{self._threads[who, through]}"
        self._tours[through, key] = step.tour
        self._places[through, key] = step.place
        self.is_calm &= step.who in UNSHARED and not is_shared
        self._send(step, key, step.tour)

    def _cancel(self, step: Cancel) -> None:
        who, through = (step.who.slug, step.through)
        if not self._threads[who, through]:
            self._threads[who, through] += 1
            # Without a time, it is unknown whether a request that arrives later is older.
            self.is_calm &= SOURCES[through].has_time
        key = f"{who}-{self._threads[who, through]}"
        self._send(step, key, self._tours.get((through, key), "A"))

    def _send(self, step: Ask | Cancel, key: str, tour: str) -> None:
        number, source = len(self.messages) + 1, SOURCES[step.through]
        place = self._places.get((step.through, key), MAPLE)
        sent_at = self.clock() - dt.timedelta(seconds=step.late)
        mark = f"{step.through}, {step.who.name}, {tour}" + f", {key}" * source.has_key
        mark += f", {HARBOR}" * (place == HARBOR)
        use = step.contact if isinstance(step, Ask) else "all"
        email, phone = step.who.contacts(use if source.has_phone else "email")
        self.is_calm &= use == "all"
        fields = {
            "property": place,
            "name": source.written(step.who.name),
            "email": email,
            "phone": phone,
            "tour": TOURS[tour].isoformat(),
            "mark": mark,
        }
        if isinstance(step, Cancel) and step.bare:
            fields = {"property": place, "mark": mark}
        if source.has_key:
            action = "cancel" if isinstance(step, Cancel) else "request"
            fields |= {"booking": key, "action": action}
        if source.has_time:
            fields |= {"sentAt": sent_at.isoformat(), "delivery": f"d{number}"}
        elif source.has_key and not source.has_delivery_id:
            fields |= {"revision": str(number)}
        message = Message(
            number=number,
            step=step,
            body=json.dumps(fields).encode(),
            headers={"X-Delivery": f"d{number}"} if source.has_delivery_id else {},
            mark=mark,
            place=place,
            thread=f"{step.through} {key}" if source.has_key else f"form {number}",
            at=sent_at if source.has_time else self.clock(),
        )
        if any(message.body == other.body and not message.headers for other in self.messages):
            self.is_calm = False
        self.messages.append(message)
        ago = f" (sent {step.late:g} s ago)" if step.late and source.has_time else ""
        self._deliver(message, message.text + f", key {key}" * source.has_key + ago)
        # A message that could be a retry of an earlier one counts as that earlier message.
        same = [one for one in self.messages if one.events & message.events]
        message.at = min(one.at for one in same)

    def _repeat(self, step: Repeat) -> None:
        if not self.messages:
            return
        message = self.messages[(step.number - 1) % len(self.messages)]
        self.is_calm &= SOURCES[message.step.through].has_delivery_id
        self._deliver(message, f"message {message.number} is delivered again")

    def _deliver(self, message: Message, text: str) -> None:
        receipt = self.harness.receive(message.step.through, message.body, **message.headers)
        message.events.add(receipt.changed_id or receipt.event_id)
        self._note(text + " -> duplicate" * (receipt.is_duplicate and not receipt.changed_id))
        self._run_tasks(self.clock(), only=Task.MAP)

    def _meanwhile(self, step: Meanwhile) -> None:
        def happen() -> None:
            self._note("while a request to Propexo is in flight:")
            self._do[type(step.step)](step.step)

        self._client().meanwhile.append(happen)

    def _client(self) -> InterruptedPropexo:
        client = self.harness.pipeline.propexo
        assert isinstance(client, InterruptedPropexo)
        return client

    def _fault(self, step: Fault) -> None:
        self.is_calm = False
        if step.kind in DEATHS:
            self._client().deaths.append(step.kind)
        else:
            self.sandbox.fault(dict(FAULTS[step.kind]))
        self._note(f"next request to Propexo: {step.kind}")

    # User actions

    def _discard(self, who: Person) -> None:
        if lead := self._newest_waiting(who):
            self._act("discarded", lead, lambda: self.repairs.discard(lead.id, "done", by="Uma"))

    def _release(self, who: Person) -> None:
        lead = self._newest_waiting(who)
        if lead is None:
            return
        standing = self._standing(who, lead.starts_at)
        is_in_knock = any(_is_tour_of(lead, tour) for tour in standing)
        if lead.state is BookingState.UNKNOWN and is_in_knock:
            self._act("confirmed", lead, lambda: self.repairs.confirm(lead.id, by="Uma"))
        else:
            self._act(
                "released",
                lead,
                lambda: self.repairs.release(lead.id, {}, by="Uma", is_not_in_knock=True),
            )

    def _obey(self, who: Person) -> None:
        lead = max(self._waiting(who, is_cancellation=True), key=lambda lead: lead.id, default=None)
        if lead is None:
            return
        named = self._named_by(lead) if lead.reason == "cancellation" else []
        for tour in self._standing(who, None if named else lead.starts_at):
            if named and not any(_is_tour_of(one, tour) for one in named):
                continue
            self._cancel_tour(tour)
            if not named:
                # The adapter does not know which booking the user canceled in Knock. The renter
                # wants no tour, including tours requested through other sources. Without a contact,
                # the adapter does not even know that this renter's tour was canceled.
                self._note_canceled(who, tour, self.clock() if lead.person_keys else NEVER)
        self._act("discarded", lead, lambda: self.repairs.discard(lead.id, "done", by="Uma"))

    def _named_by(self, lead: Booking) -> list[Booking]:
        """Return the bookings that a lead's reasons mention."""
        ids = re.findall(r"\b\d{4,}\b", " ".join(one.reason for one in lead.reasons))
        return [one for one in self._bookings() if str(one.id) in ids]

    def _dismiss(self, who: Person) -> None:
        asking = ("cancellation_merged", "cancellation_elsewhere")
        waiting = [one for one in self._waiting(who, is_cancellation=True) if one.reason in asking]
        if waiting:
            lead = waiting[-1]
            self._act("discarded", lead, lambda: self.repairs.discard(lead.id, "no", by="Uma"))

    def _cancel_in_knock(self, who: Person) -> None:
        for tour in self._standing(who, None):
            self._cancel_tour(tour)
            self._note_canceled(who, tour, NEVER)

    def _note_canceled(self, who: Person, tour: dict[str, Any], until: dt.datetime) -> None:
        person = _person_at(who.name, PLACES[tour["request"]["community_id"]])
        self._canceled_in_knock[person, _start_of(tour)] = until

    def _cancel_tour(self, tour: dict[str, Any]) -> None:
        self.is_calm = False
        url = f"{self.sandbox.url}/_sandbox/appointments/{tour['id']}/cancel"
        requests.post(url, timeout=5).raise_for_status()
        self._note(f"somebody cancels in Knock: {_tour_text(tour)}")

    def _act(self, act: str, lead: Booking, do: Callable[[], object]) -> None:
        self.is_calm = False
        try:
            do()
        except NotPossible as exc:
            self._note(f"Uma cannot have lead {lead.id} {act}: {exc}")
        else:
            self._acts[lead.id].add(act)
            self._note(f"Uma: lead {lead.id} {act} (it was {lead.state}, {lead.reason})")

    def _newest_waiting(self, who: Person) -> Booking | None:
        return max(self._waiting(who), key=lambda lead: lead.id, default=None)

    def _waiting(self, who: Person, *, is_cancellation: bool = False) -> list[Booking]:
        kind = Cancel if is_cancellation else Ask
        own = {
            event
            for one in self.messages
            if one.step.who == who and isinstance(one.step, kind)
            for event in one.events
        }
        return [lead for lead in self._bookings() if lead.event_id in own and lead.state in WAITING]

    def _standing(self, who: Person, at: dt.datetime | None) -> list[dict[str, Any]]:
        return [
            tour
            for tour in self.sandbox.appointments()
            if tour["status"] == "booked"
            and self._who(tour) == who.name
            and (at is None or _start_of(tour) == at)
        ]

    # Time

    def _work(self, time: dt.timedelta) -> None:
        """Advance the clock, and process everything that becomes due."""
        until = self.clock() + time
        self.harness.pipeline.recover()
        self._run_tasks(until)
        self.clock.at = max(self.clock(), until)
        self.harness.pipeline.recover()

    def _settle(self) -> None:
        """Process everything that remains after Propexo's last delayed request."""
        self._work(LATEST)
        for _ in range(2):
            self._run_tasks(self.clock() + SETTLE)
            self._work(dt.timedelta(minutes=1))

    def _run_tasks(self, until: dt.datetime, only: Task | None = None) -> None:
        """Process everything that is due, advancing the clock to ``until``."""
        for _ in range(2000):
            for task, step in self.harness.pipeline.steps.items():
                try:
                    if only is None or task is only:
                        step()
                except WorkerDied:
                    self._note("the worker died in the middle of its request to Propexo")
            with self.store.statement() as tx:
                row = tx.connection.execute(NEXT_DUE, {"now": self.clock()}).fetchone()
            at = row["at"] if row and row["at"] else until + dt.timedelta(seconds=1)
            if at > until and only is None and any(self.harness.pipeline.due().values()):
                at = self.clock() + dt.timedelta(seconds=1)
            if at > until:
                return
            self.clock.at = at
        raise AssertionError("it never comes to rest")

    # Results

    def record(self) -> Record:
        """Return the record of the finished sequence."""
        leads = self._bookings()
        of_event = collections.defaultdict(set)
        for lead in leads:
            of_event[lead.event_id].add(lead.id)
        ids = {lead.id for lead in leads} | {event for m in self.messages for event in m.events}
        return Record(
            words=[word for one in self.messages for word in self._words(one, of_event)],
            leads=[self._lead(lead, ids) for lead in leads],
            tours=[self._tour(tour, leads, of_event) for tour in self.sandbox.appointments()],
            canceled_in_knock=self._canceled_in_knock,
            is_calm=self.is_calm,
        )

    def _words(self, message: Message, of_event: dict[int, set[int]]) -> Iterator[Word]:
        """Yield a message's content for its community, and for the communities of its booking."""
        word = self._word(message, of_event)
        yield word
        places = {one.place for one in self.messages if one.booking == message.booking}
        for place in places - {message.place}:
            person = _person_at(message.step.who.name, place)
            yield dataclasses.replace(word, person=person, instant=None, is_move=True)

    def _word(self, message: Message, of_event: dict[int, set[int]]) -> Word:
        step = message.step
        return Word(
            number=message.number,
            person=_person_at(step.who.name, message.place),
            instant=TOURS[step.tour] if isinstance(step, Ask) else None,
            at=message.at,
            thread=message.booking,
            leads=set().union(*(of_event[event] for event in message.events)),
            text=message.text,
            is_told_apart=SOURCES[step.through].has_delivery_id,
        )

    def _lead(self, lead: Booking, ids: set[int]) -> Lead:
        sentences = [reason.reason for reason in lead.reasons]
        named = {int(number) for text in sentences for number in re.findall(r"\b\d{4,}\b", text)}
        return Lead(
            id=lead.id,
            state=lead.state,
            reason=lead.reason or "",
            sentences=sentences,
            names=(named & ids) - {lead.id},
            acts=frozenset(self._acts[lead.id]),
        )

    def _tour(
        self, tour: dict[str, Any], leads: list[Booking], of_event: dict[int, set[int]]
    ) -> Tour:
        by_job = {lead.id for lead in leads if lead.job_id == tour["job_id"]}
        mark = tour["request"].get("notes")
        marked = {event for one in self.messages if one.mark == mark for event in one.events}
        return Tour(
            id=tour["id"],
            person=_person_at(self._who(tour), PLACES[tour["request"]["community_id"]]),
            instant=_start_of(tour),
            stands=tour["status"] == "booked",
            canceled_by=tour["canceled_by"],
            leads=by_job or set().union(*(of_event[event] for event in marked)),
            booked_at=dt.datetime.fromisoformat(tour["created_at"]),
        )

    def _who(self, tour: dict[str, Any]) -> str:
        """Return the person in a tour's POST. The guest card may have been overwritten since."""
        request = tour["request"]
        return f"{request.get('first_name', '')} {request['last_name']}".strip().title()

    def _bookings(self) -> list[Booking]:
        with self.store.transaction() as tx:
            return tx.search.bookings(limit=1000)[::-1]

    def _note(self, text: str) -> None:
        self.log.append((self.clock(), text))


def _person_at(name: str, place: str) -> str:
    return name if place == MAPLE else f"{name} at {place}"


def _start_of(tour: dict[str, Any]) -> dt.datetime:
    return dt.datetime.fromisoformat(tour["starts_at"])


def _is_tour_of(lead: Booking, tour: dict[str, Any]) -> bool:
    place = PLACES[tour["request"]["community_id"]]
    return (lead.starts_at, lead.community) == (_start_of(tour), place)


def _tour_text(tour: dict[str, Any]) -> str:
    at = _start_of(tour).astimezone(ZONE)
    return f"{tour['person']['first_name']}'s tour of {at:%a %b %d, %I:%M %p}"
