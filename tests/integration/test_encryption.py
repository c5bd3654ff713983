"""Test that stored requests are encrypted if a key is set, and that all else stays the same."""

import base64
import contextlib
import dataclasses
import json
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from cryptography.fernet import Fernet

from adapter.app import create_app
from adapter.cli import commands, output
from adapter.exceptions import KeyMissing
from adapter.models import BookingState, EventState, WebhookRequest
from adapter.operations import readmit
from adapter.operations.contact_matcher import Contact
from adapter.operations.erase_personal_data import Eraser, Found
from adapter.operations.rotate_keys import rotate
from adapter.store import Database, Filter, NewEvent, Undecryptable
from adapter.webhooks.endpoints import build_endpoint
from tests.harness import Harness, settle
from tests.integration.test_erasure import everything, refuse
from tests.leads import lead, same_person
from tests.rows import whole_rejections
from tests.sandbox_client import SandboxClient

OLD, NEW, THIRD = (base64.urlsafe_b64encode(bytes([number]) * 32).decode() for number in (1, 2, 3))
EMAIL = "dana.okafor@example.com"
#: Text that is in no mapped field.
UNMAPPED: dict[str, Any] = {"income": "canary 91,000"}
CANARIES = ("canary 91,000", "x-canary", "555-0142")


@pytest.fixture
def keyed(database: str, upstream: SandboxClient) -> Iterator[Callable[..., Harness]]:
    """Return a function that creates a pipeline with these keys on one database."""
    with contextlib.ExitStack() as stack:

        def make(*keys: str, url: str = database) -> Harness:
            opened = stack.enter_context(Database(url, size=4, keys=keys))
            return Harness(opened, upstream, encryption_keys=keys)

        yield make


def fill(harness: Harness) -> int:
    """Store a lead and a rejected request, and return the event's ID."""
    event_id = harness.receive(
        "rentfeed", lead(1, email=EMAIL, **UNMAPPED), **{"X-Canary": "x-canary"}
    ).event_id
    refuse(harness)
    return event_id


def keys_of(harness: Harness) -> set[Any]:
    with harness.pipeline.store.transaction() as tx:
        rows = tx.connection.execute(
            "SELECT encryption_key FROM events UNION ALL SELECT encryption_key FROM rejections"
        ).fetchall()
    return {row["encryption_key"] for row in rows}


def visible(harness: Harness) -> list[str]:
    """Return which texts are readable in the tables: a body, a header or a rejected request."""
    text = everything(harness.pipeline.store)
    return [word for word in CANARIES if word in text]


def test_a_request_is_stored_encrypted_and_used_as_before(keyed: Callable[..., Harness]) -> None:
    harness = keyed(NEW)
    event_id = fill(harness)
    assert visible(harness) == []
    harness.map_event(event_id)
    settle(harness)

    (booking,) = harness.story(event_id).bookings
    event = harness.story(event_id).event
    assert booking.state is BookingState.BOOKED
    assert json.loads(event.body)["contact"]["income"] == UNMAPPED["income"]
    assert event.headers["x-canary"] == "x-canary"
    assert event.size == len(event.body)
    with harness.pipeline.store.transaction() as tx:
        assert [one.id for one in tx.search.bookings(Filter(text=EMAIL))] == [booking.id]
        assert [one.body for one in tx.search.recent_events("rentfeed", limit=9)] == [event.body]
        (rejection,) = whole_rejections(tx)
    assert json.loads(rejection.body or b"")["leadId"] == "RF-7"
    assert rejection.url.endswith("/hooks/rentfeed")


def test_a_rejected_request_is_accepted_after_all(keyed: Callable[..., Harness]) -> None:
    harness = keyed(NEW)
    refuse(harness)
    source = harness.pipeline.sources["rentfeed"]
    right = dict.fromkeys(source.secrets, "wrong")
    verifier = build_endpoint(source, dataclasses.replace(harness.settings, environ=right)).verifier
    retried = readmit.retry(harness.pipeline.receiver, source, verifier, by="ana", dry_run=False)
    assert retried.accepted == 1


def test_a_contact_is_found_and_erased(keyed: Callable[..., Harness]) -> None:
    harness = keyed(NEW)
    event_id = harness.receive("rentfeed", b'{"oops": "dana.okafor@example.com"').event_id
    refuse(harness)
    other = harness.receive("rentfeed", lead(3)).event_id
    with harness.pipeline.store.transaction() as tx:
        (rejection,) = tx.rejections.newest()
    eraser = Eraser(harness.settings, harness.pipeline.store, harness.clock)

    found = eraser.find(Contact.from_phone("+13035550142"), lambda read, total: None)
    assert found == Found(events=(), rejections=(rejection.id,))
    found = eraser.find(Contact.from_email(EMAIL), lambda read, total: None)
    assert found == Found(events=(event_id,), rejections=(rejection.id,))
    eraser.erase(found, by="ana")

    assert harness.story(event_id).event.body == b""
    assert harness.story(other).event.body
    with harness.pipeline.store.transaction() as tx:
        assert tx.rejections.newest() == []


@pytest.mark.parametrize("keys", [(), (OLD,)])
def test_a_lead_waits_for_its_key_and_others_do_not_wait_for_it(
    keyed: Callable[..., Harness], keys: tuple[str, ...]
) -> None:
    right, wrong = keyed(NEW), keyed(*keys)
    first = right.receive("rentfeed", lead(1)).event_id
    second = wrong.receive("rentfeed", lead(2)).event_id
    wrong.pipeline.mapper.map_due()

    assert wrong.story(second).event.state is EventState.MAPPED
    with pytest.raises(KeyMissing, match=f"request {first} .* ADAPTER_ENCRYPTION_KEYS"):
        wrong.story(first)
    assert wrong.receive("rentfeed", lead(1)).is_duplicate, "the sender has its response"

    right.clock.advance(31)
    right.pipeline.mapper.map_due()
    assert right.story(first).event.state is EventState.MAPPED


def test_a_lead_is_held_if_an_earlier_request_of_the_renter_lost_its_key(
    keyed: Callable[..., Harness],
) -> None:
    lost, harness = keyed(OLD), keyed(NEW)
    (first,) = lost.mapped("rentfeed", same_person(1))
    again = harness.receive("rentfeed", same_person(2)).event_id
    harness.pipeline.mapper.map_due()

    event = harness.story(again).event
    assert event.state is EventState.HELD
    assert event.reasons[0].reason.startswith(f"request {first.event_id} cannot be decrypted")


@pytest.mark.parametrize("keys", [(), (NEW,)])
def test_many_large_requests_of_a_renter_are_not_in_memory_together(
    keyed: Callable[..., Harness], keys: tuple[str, ...]
) -> None:
    harness, size = keyed(*keys), 500_000
    ids = [
        harness.receive("rentfeed", lead(number, notes="x" * size)).event_id for number in range(30)
    ]
    with harness.pipeline.store.transaction() as tx:
        tracemalloc.start()
        assert tx.events.repeated(ids[-1], ids[:-1], header=None, scheme=None) is None
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 10 * size


@pytest.mark.parametrize("keys", [((), ()), ((), (NEW,)), ((NEW,), (OLD, NEW))])
def test_the_same_bytes_are_recognized_whether_encrypted_or_not(
    keyed: Callable[..., Harness], keys: tuple[tuple[str, ...], ...]
) -> None:
    """Check that the newest delivery counts, and that one with another ID is not a repeat."""
    before, harness = (keyed(*given) for given in keys)
    payload = json.dumps(lead(1)).encode()
    ids = [
        one.pipeline.store.insert_event(
            NewEvent(
                source="rentfeed",
                digest=str(number).encode(),
                content=b"",
                received_at=one.clock(),
                request=WebhookRequest(
                    method="POST",
                    url="https://adapter.example.com/hooks/rentfeed",
                    headers={"Webhook-Id": name} if name else {},
                    body=payload,
                ),
            )
        )
        for number, (one, name) in enumerate(
            [(before, "a"), (before, ""), (before, "b"), (harness, "a")]
        )
    ]
    assert all(ids)
    retry, plain, other, new = map(int, filter(None, ids))
    with harness.pipeline.store.transaction() as tx:
        assert tx.events.repeated(new, [retry, plain, other], header=None, scheme=None) == (
            retry,
            True,
        )
        assert tx.events.repeated(new, [plain, other], header=None, scheme=None) == (
            plain,
            False,
        )
        assert tx.events.repeated(new, [other], header=None, scheme=None) is None


def test_a_body_that_looks_encrypted_is_read_as_it_came(keyed: Callable[..., Harness]) -> None:
    forged = Fernet(NEW).encrypt(b'["x"]\n{}')
    harness = keyed()
    event_id = harness.receive("rentfeed", forged).event_id
    assert keyed(NEW).story(event_id).event.body == forged


def rotated(harness: Harness) -> int:
    sources = harness.pipeline.sources.values()
    return rotate(harness.pipeline.store, sources, lambda done: None)[0]


def test_keys_are_rotated_and_encryption_is_switched_on_and_off(
    keyed: Callable[..., Harness],
) -> None:
    plain = keyed()
    event_id = fill(plain)
    whole = plain.story(event_id).event
    with plain.pipeline.store.transaction() as tx:
        rejections = whole_rejections(tx)

    for keys in [(OLD,), (NEW, OLD), (NEW,), ("off", NEW), ()]:
        harness = keyed(*keys)
        assert rotated(harness) == 0
        assert bool(visible(harness)) is (keys[:1] in [(), ("off",)])
        assert len(keys_of(harness)) == 1
        assert harness.story(event_id).event == whole
        with harness.pipeline.store.transaction() as tx:
            assert whole_rejections(tx) == rejections


def test_an_interrupted_rotation_is_repeated_and_does_the_rest(
    keyed: Callable[..., Harness], database: str
) -> None:
    plain, harness = keyed(), keyed(NEW)
    ids = [plain.receive("rentfeed", lead(number)).event_id for number in range(30)]

    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotate(harness.pipeline.store, [], stop)
    assert len(keys_of(harness)) == 2
    harness.pipeline.mapper.map_due()
    with psycopg.connect(database) as other:
        other.execute("SELECT FROM events WHERE id = %s FOR UPDATE", [ids[-1]])
        assert rotated(harness) == 1
    assert rotated(harness) == 0
    assert len(keys_of(harness)) == 1
    assert {str(harness.story(one).event.state) for one in ids} == {"mapped"}


def test_a_delivery_keeps_its_id_readable_to_tell_it_from_others(
    keyed: Callable[..., Harness],
) -> None:
    """Check that the same bytes with another ID are a second request, even after a key rotation."""
    plain, harness = keyed(), keyed(NEW)
    payload = lead(1)
    first = plain.receive("rentfeed", payload, **{"Webhook-Id": "one"})
    assert rotated(harness) == 0

    assert harness.receive("rentfeed", payload, **{"Webhook-Id": "one"}).changed_id is None
    with harness.pipeline.store.transaction() as tx:
        row = tx.connection.execute("SELECT headers FROM events").fetchone()
        assert row is not None
        assert row["headers"] == {"webhook-id": "one"}
        known = tx.claims.record_duplicate(
            source="rentfeed",
            digest=_digest(tx, first.event_id),
            content=b"",
            delivery={"webhook-id": "two"},
            now=harness.clock(),
        )
    assert known.is_other_delivery


def _digest(tx: Any, event_id: int) -> bytes:
    row = tx.connection.execute(
        "SELECT digest FROM claims WHERE lead_id = %s", [event_id]
    ).fetchone()
    return bytes(row["digest"])


def test_the_web_process_encrypts_and_the_command_rotates(
    keyed: Callable[..., Harness], fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = keyed(OLD, url=fresh_database)
    settings = dataclasses.replace(harness.settings, database_url=fresh_database)
    pipeline = create_app(settings, clock=harness.clock).extensions["pipeline"]
    with pipeline.store:
        harness.pipeline.receiver = pipeline.receiver
        event_id = harness.receive("rentfeed", lead(1, **UNMAPPED)).event_id
    assert visible(harness) == []

    for name, value in harness.settings.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABASE_URL", fresh_database)
    monkeypatch.setenv("ADAPTER_MAPPINGS_DIR", str(harness.settings.mappings_dir))
    key = CliRunner().invoke(commands, ["encryption", "key"]).output.strip()
    monkeypatch.setenv("ADAPTER_ENCRYPTION_KEYS", key)
    run = CliRunner().invoke(commands, ["encryption", "rotate"])
    assert (run.exit_code, f"events: {event_id}" in run.stdout) == (1, True), "OLD is not set"

    monkeypatch.setenv("ADAPTER_ENCRYPTION_KEYS", f"{key},{OLD}")
    run = CliRunner().invoke(commands, ["encryption", "rotate", "--json"])
    assert (run.exit_code, json.loads(run.stdout)) == (
        0,
        {
            "stored_again": 1,
            "remaining": 0,
            "undecryptable": {"events": [], "rejections": []},
        },
    )
    again = CliRunner().invoke(commands, ["encryption", "rotate"])
    assert "no longer needed once all processes use these keys" in again.output
    shown = CliRunner().invoke(commands, ["show", str(event_id)])
    assert shown.exit_code == 0


@dataclasses.dataclass(frozen=True)
class Lost:
    """Requests whose key is lost, and one request of each kind that can be decrypted."""

    harness: Harness
    mapped: int
    unmapped: int
    rejection: int
    event: int


@pytest.fixture
def lost(keyed: Callable[..., Harness]) -> Lost:
    before, harness = keyed(OLD), keyed(NEW)
    (booking,) = before.mapped("rentfeed", lead(1, email=EMAIL))
    unmapped = before.receive("rentfeed", lead(2, email=EMAIL)).event_id
    refuse(before)
    with before.pipeline.store.transaction() as tx:
        (rejection,) = tx.rejections.newest()
    event = harness.receive("rentfeed", lead(3, email=EMAIL)).event_id
    refuse(harness)
    return Lost(harness, booking.event_id, unmapped, rejection.id, event)


def test_a_search_for_a_contact_skips_what_cannot_be_decrypted(lost: Lost) -> None:
    """Check that an event without a key is found through its booking, which is not encrypted."""
    eraser = Eraser(lost.harness.settings, lost.harness.pipeline.store, lost.harness.clock)
    found = eraser.find(Contact.from_email(EMAIL), lambda read, total: None)

    assert found.events == (lost.mapped, lost.event)
    assert len(found.rejections) == 1
    assert lost.rejection not in found.rejections
    assert found.undecryptable == Undecryptable(
        events=(lost.unmapped,), rejections=(lost.rejection,)
    )
    assert eraser.erase(found, by="ana") == []
    assert lost.harness.story(lost.mapped).event.body == b""


def test_data_is_deleted_by_age_without_its_key(lost: Lost) -> None:
    harness = lost.harness
    with harness.pipeline.store.transaction() as tx:
        tx.connection.execute("UPDATE events SET state = 'held' WHERE state = 'received'")
    harness.clock.advance(3 * 365 * 86400)
    eraser = Eraser(harness.settings, harness.pipeline.store, harness.clock)
    assert eraser.forget_old() > 0
    assert harness.story(lost.unmapped).event.kept == "nothing"


def test_a_rotation_skips_what_cannot_be_decrypted(lost: Lost) -> None:
    harness = lost.harness
    sources = harness.pipeline.sources.values()
    remaining, skipped = rotate(harness.pipeline.store, sources, lambda done: None)
    assert remaining == 3
    assert skipped == Undecryptable(
        events=(lost.mapped, lost.unmapped), rejections=(lost.rejection,)
    )


def test_commands_list_what_they_skip_and_exit_with_1(
    lost: Lost, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = lost.harness
    for name, value in harness.settings.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABASE_URL", harness.pipeline.store.url)
    monkeypatch.setenv("ADAPTER_MAPPINGS_DIR", str(harness.settings.mappings_dir))
    monkeypatch.setenv("ADAPTER_ENCRYPTION_KEYS", f"{THIRD},{NEW}")
    events = f"{lost.mapped}, {lost.unmapped}"
    for command, skipped in {
        "rejections retry rentfeed": "",
        "encryption rotate": f"2 events: {events}\n",
        f"purge --email {EMAIL} --yes": f"1 events: {lost.unmapped}\n",
    }.items():
        run = CliRunner().invoke(commands, command.split())
        assert isinstance(run.exception, SystemExit), run.output
        assert run.exit_code == 1
        assert skipped in run.output
        assert f"1 rejected requests: {lost.rejection}\n" in run.output


def test_progress_is_one_line_where_no_terminal_shows_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with output.progress() as show:
        show("stored again: 500")
        show("stored again: 1,000")
    with output.progress():
        pass

    assert capsys.readouterr().err == "stored again: 1,000\n"
