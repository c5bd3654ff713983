"""Run the demo: PostgreSQL, web, worker, sandbox, and sample webhooks from simulated senders.

Only the senders are simulated, and the sandbox replaces Propexo. All data is deleted at the end.
"""

import dataclasses
import datetime as dt
import json
import os
import secrets
import shutil
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from adapter.mapping.authoring.install import install_mapping
from adapter.mapping.communities_yaml import FILE
from adapter.mapping.gallery import BUNDLED
from adapter.mapping.gallery import FOLDER as GALLERY
from adapter.mapping.loader.yaml_document import document_from_file, text_from_data
from adapter.mapping.registry import load, load_one
from adapter.mapping.source import Source
from adapter.models import Booking, BookingState, Event
from adapter.server.child_process import Echo
from adapter.server.ports import free_port
from adapter.server.supervisor import Supervisor
from adapter.settings import Policy, replaced
from adapter.store import Database
from adapter.webhooks import signed_client

#: Time limit for all bookings to become final.
TIMEOUT_SECONDS = 60.0

_FINAL_STATES = frozenset(BookingState) - {
    BookingState.PENDING,
    BookingState.SENDING,
    BookingState.SUBMITTED,
}

#: A sender from the gallery that waits for the outcome. Its copy has the same name.
GALLERY_CHATBOT: Final = "manychat"
CHATBOT: Final = "manychat-demo"

DENVER, LOS_ANGELES = ZoneInfo("America/Denver"), ZoneInfo("America/Los_Angeles")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """A webhook that the demo sent, and the adapter's response."""

    description: str
    source: str
    status: int
    answer: Any
    #: The chatbot's message to the renter, or None if the sender does not wait for the outcome.
    sentence: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """The demo's webhooks, bookings and appointments, once all of them are final."""

    sent: Sequence[Sent]
    events: Sequence[Event]
    bookings: Sequence[Booking]
    #: The appointments in the sandbox.
    appointments: Sequence[Mapping[str, Any]]
    #: The folder that the demo ran in. It is deleted afterward.
    folder: Path

    def faults(self) -> list[str]:
        """Return the demo's errors, or [] if every lead was booked or held as expected."""
        in_knock = [one["job_id"] for one in self.appointments if one["status"] == "booked"]
        booked = [one.job_id for one in self.bookings if one.state is BookingState.BOOKED]
        faults = []
        if sorted(in_knock) != sorted(map(str, booked)):
            faults.append("the appointments in Knock differ from the adapter's booked bookings")
        if len(booked) != 5 or len(self.bookings) != 6:
            faults.append(f"{len(booked)} of {len(self.bookings)} bookings are booked, not 5 of 6")
        if [sent.status for sent in self.sent] != [200, 200, 200, 200, 200, 401, 200]:
            faults.append("the responses were not 200 for all webhooks and 401 for the forged one")
        return faults


def environment(folder: Path) -> dict[str, str]:
    """Return the demo's environment variables, with free ports and random secrets."""
    mappings = _mappings_in(folder)
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PROPEXO_", "ADAPTER_"))
        and name not in ("DATABASE_URL", "DATABASE_URL_FILE", "PORT", "WEB_CONCURRENCY")
    }
    random_secrets = {
        name: secrets.token_hex(16)
        for source in load(mappings, Policy()).values()
        for name in source.secrets
    }
    return replaced(
        inherited,
        **random_secrets,
        ADAPTER_DATA_DIR=str(folder),
        ADAPTER_MAPPINGS_DIR=str(mappings),
        ADAPTER_HOST="127.0.0.1",
        PORT=str(free_port()),
        ADAPTER_SANDBOX_PORT=str(free_port()),
        ADAPTER_LOG_LEVEL="ERROR",
    )


def _mappings_in(folder: Path) -> Path:
    """Copy the bundled mappings to the demo's folder, and install a chatbot from the gallery."""
    mappings = folder / "mappings"
    shutil.copytree(BUNDLED, mappings, ignore=shutil.ignore_patterns(GALLERY))
    chatbot = load_one(BUNDLED / GALLERY, GALLERY_CHATBOT, Policy())
    install_mapping(chatbot, mappings / f"{CHATBOT}.yaml")
    _add_chatbot_to(mappings / FILE)
    return mappings


def _add_chatbot_to(communities: Path) -> None:
    data = document_from_file(communities)[0].data
    data["maple-court"]["known_as"][CHATBOT] = ["maple-court"]
    data["maple-court"]["attributions"][CHATBOT] = "att_chatbot_demo"
    communities.write_text(text_from_data(data), encoding="utf-8")


def run(echo: Echo) -> Result:
    """Run the demo, printing a line for each step."""
    echo("starting PostgreSQL, the sandbox, a worker and the web process …")
    with tempfile.TemporaryDirectory(prefix="adapter-demo-") as folder:
        return _run(Supervisor(environment(Path(folder)), echo), Path(folder), echo)


def _run(supervisor: Supervisor, folder: Path, echo: Echo) -> Result:
    keys = supervisor.settings.encryption_keys
    with supervisor.running(), Database(supervisor.database_url, size=2, keys=keys) as store:
        echo(f"ready: send webhooks to {supervisor.web_url}/hooks/<source>\n")
        sources = load(supervisor.settings.mappings_dir, supervisor.settings.policy)
        sent = [
            _send(supervisor, sources[name], description, payload, echo)
            for description, name, payload in webhooks(
                supervisor.settings.mappings_dir, dt.datetime.now(dt.UTC)
            )
        ]
        events, bookings = _wait_until_settled(supervisor, store)
        return Result(
            sent=sent,
            events=events,
            bookings=bookings,
            appointments=_appointments(supervisor),
            folder=folder,
        )


def _send(
    supervisor: Supervisor, source: Source, description: str, payload: Any, echo: Echo
) -> Sent:
    secret = supervisor.settings.environ[source.secrets[-1]]
    request = signed_client.sign_webhook(
        source,
        secret + "?" if description.startswith("a forged") else secret,
        body=json.dumps(payload).encode(),
        content_type="application/json",
        adapter_url=supervisor.web_url,
    )
    answer, sentence = signed_client.send(request), None
    echo(f"  {answer.status}  {description}")
    if source.name == CHATBOT:
        sentence = str(answer.body["content"]["messages"][0]["text"])
        echo(f"       and tells the renter: {sentence}")
    return Sent(
        description=description,
        source=source.name,
        status=answer.status,
        answer=answer.body,
        sentence=sentence,
    )


def webhooks(folder: Path, now: dt.datetime) -> Iterator[tuple[str, str, Any]]:
    """Yield each sample webhook's description, source and payload, with tours in the future."""
    day = (now.astimezone(DENVER) + dt.timedelta(days=9)).date()
    portal, form, bot = (
        json.loads((folder / "samples" / name).read_text())
        for name in ("rentfeed-tour.json", "website-response.json", "leasebot-handoff.json")
    )
    portal["tour"] |= {"date": day.strftime("%m/%d/%Y"), "time": "2:30 PM"}
    yield "a listing portal's lead: local date and time", "rentfeed", portal

    answers = {answer["field"]["ref"]: answer for answer in form["form_response"]["answers"]}
    answers["first_name"]["text"], answers["last_name"]["text"] = "Imani", "Farouk"
    answers["email"]["email"] = "imani.farouk@example.com"
    answers["phone"]["phone_number"] = "+13035550177"
    answers["tour_date"]["date"] = (day + dt.timedelta(days=1)).isoformat()
    yield "a form's response: answers in a list", "website", form

    naive = dt.datetime.combine(day + dt.timedelta(days=2), dt.time(14, 30))
    bot["handoff"]["tours"][0]["startsAt"] = naive.isoformat()
    evening = dt.datetime.combine(day + dt.timedelta(days=3), dt.time(17, 30), LOS_ANGELES)
    bot["handoff"]["tours"][1]["startsAt"] = evening.isoformat()
    yield "a chatbot's handoff: JSON in a string, tours at two communities", "leasebot", bot

    yield "the portal's lead again: a retry by a sender that got no response", "rentfeed", portal

    skipped = spring_forward(day, DENVER)
    changed = portal | {"leadId": "RF-88213048"}
    changed["tour"] = portal["tour"] | {"date": skipped.strftime("%m/%d/%Y"), "time": "2:30 AM"}
    changed["contact"] = portal["contact"] | {"name": "Ida Whitfield", "email": "ida@example.com"}
    yield "a lead whose tour time is skipped by daylight saving", "rentfeed", changed

    yield "a forged lead, signed with another secret", "rentfeed", portal | {"leadId": "RF-0"}

    chat = json.loads((folder / "samples" / "manychat-book.json").read_text())
    chat |= {"first_name": "Noor", "last_name": "Haddad", "email": "noor.haddad@example.com"}
    chat |= {"phone": "303-555-0188", "tour_time": f"{day + dt.timedelta(days=4)} 14:30"}
    yield "a chatbot that waits for the outcome", CHATBOT, chat


def spring_forward(after: dt.date, zone: ZoneInfo) -> dt.date:
    """Return the next day when daylight saving time starts in ``zone``."""
    for days in range(1, 400):
        day = dt.datetime.combine(after + dt.timedelta(days=days), dt.time(0, 0), zone)
        offset, next_offset = day.utcoffset(), (day + dt.timedelta(days=1)).utcoffset()
        if offset is not None and next_offset is not None and next_offset > offset:
            return day.date()
    raise LookupError(f"{zone} has no daylight saving time")


def _wait_until_settled(
    supervisor: Supervisor, store: Database
) -> tuple[list[Event], list[Booking]]:
    """Wait until all events and bookings are final. Return them, oldest first."""
    deadline = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=TIMEOUT_SECONDS)
    events: list[Event] = []
    bookings: list[Booking] = []

    def done() -> bool:
        nonlocal events, bookings
        with store.transaction() as tx:
            events, bookings = tx.search.events()[::-1], tx.search.bookings()[::-1]
        waiting = [one for one in events if one.state == "received"]
        waiting += [one for one in bookings if one.state not in _FINAL_STATES]  # type: ignore[misc]
        return not waiting or dt.datetime.now(dt.UTC) > deadline

    supervisor.watch(until=done)
    return events, bookings


def _appointments(supervisor: Supervisor) -> list[Mapping[str, Any]]:
    url = f"{supervisor.sandbox_url}/_sandbox/appointments"
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own loopback address
        appointments: list[Mapping[str, Any]] = json.load(answer)["appointments"]
    return appointments
