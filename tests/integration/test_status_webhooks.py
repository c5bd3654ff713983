"""Test that another system gets each lead's status in order and never delays bookings."""

import base64
import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from adapter.bookings import backoff
from adapter.exceptions import ConfigurationError
from adapter.mapping.registry import load
from adapter.models import Booking, utc_now
from adapter.operations import status_webhooks
from adapter.operations.health import verdict_of
from adapter.operations.status_webhooks import StatusNotifier
from adapter.server.worker import Worker
from adapter.settings import settings_from
from adapter.store import Database
from tests.harness import Harness, settle
from tests.integration.test_erasure import DANA
from tests.integration.test_metrics import client
from tests.integration.test_once_and_in_order import CANCELLED
from tests.leads import lead
from tests.paths import MAPPINGS
from tests.propexo_webhooks import PropexoWebhooks
from tests.sandbox_client import SandboxClient
from tests.shell import Shell
from tests.wait import wait_until
from tests.webhook_receiver import Receiver, running_receiver

SECRET, NEXT = ("whsec_" + base64.b64encode(each * 32).decode() for each in (b"1", b"2"))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


@pytest.fixture
def told(opened: Database, upstream: SandboxClient, receiver: Receiver) -> Harness:
    """Return a harness that reports all further changes."""
    harness = Harness(
        opened, upstream, status_webhook_url=receiver.url, status_webhook_secrets=(SECRET,)
    )
    notify(harness)
    return harness


def notifier(harness: Harness) -> StatusNotifier:
    assert harness.pipeline.notifier is not None
    return harness.pipeline.notifier


def notify(harness: Harness) -> None:
    notifier(harness).run()


def payloads(receiver: Receiver) -> list[Any]:
    return [json.loads(one.body) for one in receiver.requests]


def statuses(receiver: Receiver) -> list[tuple[str, int | None]]:
    return [(one["type"], one["data"]["booking"]) for one in payloads(receiver)]


def waiting(harness: Harness) -> int:
    with harness.pipeline.store.transaction() as tx:
        return tx.outbox.summary().waiting


def test_a_booked_tour_is_reported_without_personal_data(told: Harness, receiver: Receiver) -> None:
    (booking,) = told.mapped("rentfeed", lead(1, **DANA))
    settle(told)
    notify(told)
    (payload,) = payloads(receiver)
    assert payload == {
        "type": "lead.booked",
        "timestamp": "2026-03-02T18:00:10Z",
        "data": {
            "event": booking.event_id,
            "booking": booking.id,
            "status": "booked",
            "state": "booked",
            "reason": "job_succeeded",
            "kind": "appointment",
            "source": "rentfeed",
            "community": "maple-court",
            "starts_at": "2026-03-14T20:30:00Z",
            "timezone": "America/Denver",
            "job_id": told.booking(booking.id).job_id,
        },
    }
    assert waiting(told) == 0
    notify(told)
    assert len(receiver.requests) == 1


def test_each_of_the_secrets_verifies_the_signature(told: Harness, receiver: Receiver) -> None:
    told.mapped("rentfeed", lead(1, time="11:30 PM"))
    notifier(told).queue()
    StatusNotifier(
        settings_from(
            {
                "ADAPTER_STATUS_WEBHOOK_URL": receiver.url,
                "ADAPTER_STATUS_WEBHOOK_SECRET": f"{SECRET},{NEXT}",
            }
        ),
        told.pipeline.store,
        utc_now,
    ).deliver()
    (request,) = receiver.requests
    for secret in (SECRET, NEXT):
        verified = Webhook(secret).verify(request.body, request.headers)
        assert verified["type"] == "lead.needs_review"
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "MzMz" * 8).verify(request.body, request.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(request.body + b" ", request.headers)


def test_a_receiver_that_fails_first_gets_the_same_webhook_again(
    told: Harness, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    receiver.answers = [500, "drop", 302]
    (booking,) = told.mapped("rentfeed", lead(1, time="11:30 PM"))
    attempts: list[float] = []
    for _ in range(200):
        notify(told)
        if len(receiver.requests) > len(attempts):
            attempts.append((told.clock() - told.booking(booking.id).created_at).total_seconds())
        told.clock.advance(1)
    assert attempts == [0, 5, 15, 35]
    assert len({one.headers["webhook-id"] for one in receiver.requests}) == 1
    assert len({one.headers["webhook-timestamp"] for one in receiver.requests}) == 4
    assert waiting(told) == 0
    logged = [one.message for one in caplog.records if "status_webhook" in one.message]
    assert logged == ["status_webhook_failed", "status_webhooks_recovered"]


def test_a_failing_receiver_is_named_in_stats_and_metrics(
    told: Harness, receiver: Receiver, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answers = [500]
    monkeypatch.setenv("ADAPTER_STATUS_WEBHOOK_URL", receiver.url)
    monkeypatch.setenv("ADAPTER_STATUS_WEBHOOK_SECRET", SECRET)
    assert "status webhook" not in shell("stats", "--check", exit_code=2)
    told.mapped("rentfeed", lead(1, time="11:30 PM"))
    notify(told)
    assert "(HTTP 500): 1 status webhook has not been delivered." in shell(
        "stats", "--check", exit_code=2
    )
    web = client(told, metrics_token="open sesame", status_webhook_url=receiver.url)
    with web.application.extensions["pipeline"].store:
        text = web.get("/metrics").text
    assert 'adapter_problem{code="status_webhooks_failing",source=""} 1.0' in text
    told.clock.advance(60)
    notify(told)
    assert "status webhook" not in shell("stats", "--check", exit_code=2)


def test_webhooks_of_one_lead_keep_their_order_and_others_pass(
    told: Harness, receiver: Receiver
) -> None:
    receiver.answers = [500]
    (first,) = told.mapped("rentfeed", lead(1, time="11:30 PM"))
    told.repairs.discard(first.id, "okafor", by="ana")
    (second,) = told.mapped("rentfeed", lead(2, time="11:30 PM"))
    for _ in range(3):
        notify(told)
        told.clock.advance(1)
    assert statuses(receiver)[1:] == [("lead.needs_review", second.id)]
    told.clock.advance(5)
    notify(told)
    assert statuses(receiver)[2:] == [("lead.needs_review", first.id), ("lead.canceled", first.id)]
    assert payloads(receiver)[-1]["data"]["reason"] == "by_user", "users' words are not sent"


def test_a_change_that_commits_late_is_reported(
    told: Harness, receiver: Receiver, database: str
) -> None:
    """Commit a change whose ID is lower than one that was already read."""
    event_id = told.receive("rentfeed", b"{").event_id
    with psycopg.connect(database) as late:
        late.execute(
            "INSERT INTO history (event_id, at, from_state, to_state, why, by)"
            " VALUES (%s, %s, 'received', 'held', 'unreadable', 'worker')",
            [event_id, told.clock()],
        )
        (booking,) = told.mapped("rentfeed", lead(1, time="11:30 PM"))
        notify(told)
        assert receiver.requests == []
        late.commit()
    notify(told)
    notify(told)
    assert statuses(receiver) == [("lead.needs_review", None), ("lead.needs_review", booking.id)]


def test_steady_writers_do_not_keep_changes_back(
    told: Harness, receiver: Receiver, database: str
) -> None:
    """Check that a read waits only for transactions that were open at the previous read."""
    told.mapped("rentfeed", lead(1, time="11:30 PM"))
    sql = "UPDATE history SET why = why WHERE id = -1"
    former = psycopg.connect(database)
    former.execute(sql)
    for _ in range(3):
        notify(told)
        following = psycopg.connect(database)
        following.execute(sql)
        former.close()
        former = following
    former.close()
    assert len(receiver.requests) == 1


def bot(harness: Harness, folder: Path, kind: str) -> Booking:
    """Map a request from a sender that can cancel bookings."""
    if "simple" not in harness.pipeline.sources:
        known = (MAPPINGS / "communities.yaml").read_text()
        known = known.replace("rentfeed: att_rentfeed_m", "simple: att_s, rentfeed: att_r", 1)
        token = "{scheme: token, in: header, name: X-Token, secrets: [RENTFEED_SECRET]}"
        (folder / "communities.yaml").write_text(known)
        (folder / "simple.yaml").write_text(CANCELLED.replace("{scheme: none}", token))
        harness.pipeline.sources = load(folder, harness.settings.policy)
    payload = {"type": kind, "id": "1", "name": "Roe", "email": "roe@example.com"}
    (booking,) = harness.mapped("simple", payload | {"start": "2026-03-14T20:30:00Z"})
    return booking


def test_a_tour_that_knock_reports_as_canceled_is_reported(
    told: Harness, receiver: Receiver
) -> None:
    (booking,) = told.mapped("rentfeed", lead(1))
    settle(told)
    propexo, request = PropexoWebhooks(told), told.booking(booking.id).appointment
    ids = {"integration_id": request["integration_id"], "prospect_id": "p1"}
    propexo.data("crm_prospects", ids | {"id": "p1", "email": request["email_1"]})
    tour = ids | {"id": "t1", "start": "2026-03-14T20:30:00Z"}
    propexo.data("crm_events", tour | {"status": "Booked"})
    told.clock.advance(60)
    for _ in range(2):
        canceled = tour | {"status": "Canceled", "updated_at": told.clock().isoformat()}
        propexo.data("crm_events", canceled, "DATA_UPDATE")
    notify(told)
    assert statuses(receiver) == [("lead.booked", booking.id), ("lead.canceled", booking.id)]
    data = payloads(receiver)[-1]["data"]
    assert (data["state"], data["reason"]) == ("booked", "canceled_in_knock")
    told.clock.advance(60)
    again = tour | {"status": "Booked", "updated_at": told.clock().isoformat()}
    propexo.data("crm_events", again, "DATA_UPDATE")
    notify(told)
    assert statuses(receiver)[2:] == [("lead.booked", booking.id)]


def test_a_tour_that_a_user_canceled_in_knock_is_reported(
    told: Harness, receiver: Receiver, tmp_path: Path
) -> None:
    booking = bot(told, tmp_path, "booked")
    settle(told)
    told.clock.advance(60)
    cancellation = bot(told, tmp_path, "cancelled")
    notify(told)
    told.clock.advance(60)
    told.repairs.discard(cancellation.id, "done", by="ana")
    assert told.booking(booking.id).gone_at == told.clock()
    notify(told)
    assert statuses(receiver) == [
        ("lead.booked", booking.id),
        ("lead.needs_review", cancellation.id),
        ("lead.canceled", booking.id),
    ]
    data = payloads(receiver)[-1]["data"]
    assert (data["event"], data["state"]) == (booking.event_id, "booked")
    assert data["reason"] == "canceled_in_knock"


def test_a_tour_that_its_sender_cancels_before_it_is_sent_is_reported(
    told: Harness, receiver: Receiver, tmp_path: Path
) -> None:
    booking = bot(told, tmp_path, "booked")
    told.clock.advance(60)
    bot(told, tmp_path, "cancelled")
    notify(told)
    assert statuses(receiver) == [("lead.canceled", booking.id)]
    assert payloads(receiver)[0]["data"]["reason"] == "cancelled_by_sender"


def test_a_refused_booking_has_failed(
    told: Harness, receiver: Receiver, upstream: SandboxClient
) -> None:
    (booking,) = told.mapped("rentfeed", lead(1))
    upstream.fault({"status": 400})
    told.send()
    notify(told)
    assert statuses(receiver) == [("lead.failed", booking.id)]


def test_nothing_from_before_the_setting_is_reported(
    harness: Harness, receiver: Receiver, opened: Database, upstream: SandboxClient
) -> None:
    harness.mapped("rentfeed", lead(1, time="11:30 PM"))
    assert harness.pipeline.notifier is None
    later = Harness(
        opened, upstream, status_webhook_url=receiver.url, status_webhook_secrets=(SECRET,)
    )
    notify(later)
    notify(later)
    assert receiver.requests == []


def test_after_three_days_a_webhook_is_given_up(
    told: Harness, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers = [500] * 1000
    told.mapped("rentfeed", lead(1, time="11:30 PM"))
    for _ in range(75 * 6):
        notify(told)
        told.clock.advance(600)
    assert 24 < len(receiver.requests) < 60
    assert waiting(told) == 0
    (logged,) = [one for one in caplog.records if one.message == "status_webhooks_given_up"]
    assert (logged.levelname, logged.__dict__["count"]) == ("ERROR", 1)
    verdict = verdict_of(told.pipeline.store, (), told.settings, told.clock())
    (problem,) = [one for one in verdict.problems if one.code == "status_webhooks_given_up"]
    assert problem.sentence.startswith("1 status webhook could not be delivered, the latest ")


def test_two_workers_deliver_each_webhook_once(
    told: Harness, receiver: Receiver, opened: Database
) -> None:
    other = StatusNotifier(told.settings, opened, told.clock)
    for number in range(6):
        told.mapped("rentfeed", lead(number, time="11:30 PM"))
    notifier(told).queue()
    other.queue()
    for _ in range(6):
        other.deliver()
        notifier(told).deliver()
    assert len({one.headers["webhook-id"] for one in receiver.requests}) == 6
    assert len(receiver.requests) == 6


def test_many_changes_are_read_in_parts(
    told: Harness, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.store.outbox.MOST_READ", 2)
    made = [told.mapped("rentfeed", lead(one, time="11:30 PM"))[0].id for one in range(5)]
    notify(told)
    assert [one for _, one in statuses(receiver)] == made


def test_a_receiver_that_hangs_delays_no_booking_and_no_stop(
    told: Harness, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.server.worker.NOTIFY_GRACE_SECONDS", 0.1)
    receiver.answers = ["hang"] * 9
    told.mapped("rentfeed", lead(1, time="11:30 PM"))
    with Worker(told.pipeline).running():
        wait_until(lambda: receiver.requests, "the receiver hangs")
        (booking,) = told.mapped("rentfeed", lead(2))
        wait_until(lambda: told.state(booking.id) == "submitted", "it is sent")
        assert receiver.answers, "the receiver still hangs"
    receiver.released.set()


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"URL": "https://crm.example.com/x"}, "ADAPTER_STATUS_WEBHOOK_URL also needs"),
        ({"URL": "http://crm.example.com/x"}, "must start with https://, except to this machine"),
        ({"SECRET": "hunter2"}, "must be whsec_ followed by 24 to 64 bytes in base64"),
        ({"SECRET": "whsec_aHVudGVyMg=="}, "must be whsec_ followed by"),
        ({"SECRET": f"{SECRET},hunter2"}, "must be whsec_ followed by"),
    ],
)
def test_wrong_settings_are_named(environ: dict[str, str], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        settings_from({f"ADAPTER_STATUS_WEBHOOK_{name}": text for name, text in environ.items()})


def test_pauses_grow_up_to_three_hours() -> None:
    limits = (status_webhooks.FIRST_PAUSE, status_webhooks.MAX_PAUSE)
    pauses = [backoff.doubling_pause(one, *limits) for one in (1, 2, 3, 12, 99)]
    assert pauses[:3] == [dt.timedelta(seconds=one) for one in (5, 10, 20)]
    assert pauses[3:] == [dt.timedelta(hours=one) for one in (5 * 2**11 / 3600, 3)]
