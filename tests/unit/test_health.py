"""Test how problems are detected from facts, without a database."""

import dataclasses
import datetime as dt
from typing import Any

import pytest

from adapter.models import FormatChange, FormatKind, MappingVersion
from adapter.operations.health import (
    ALIVE,
    CONDITIONS,
    FORGOTTEN_AFTER,
    GIVEN_UP_FOR,
    LEAST_DISK_BYTES,
    NO_WEB_AFTER,
    NO_WORKER_AFTER,
    NOTHING_SENT_AFTER,
    REVIEW_AFTER,
    SILENT_USUAL,
    TOUR_SOON,
    Facts,
    Level,
    Problem,
    Verdict,
    problems_in,
    unreachable,
)
from adapter.store import MailFailures, Pause, WebhookSummary
from adapter.store.monitoring import Process, QueueFacts, ReviewFacts, SourceFacts

NOW = dt.datetime(2026, 3, 2, 18, 0, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)
MINUTE = dt.timedelta(minutes=1)


def process(kind: str = "worker", **changes: Any) -> Process:
    given: dict[str, Any] = {
        "kind": kind,
        "host": "app1",
        "pid": 4711,
        "version": "1",
        "age": dt.timedelta(hours=1),
        "seen_ago": 5 * SECOND,
        "looked_ago": 5 * SECOND if kind == "worker" else None,
        "clock_ahead_seconds": 0.0,
        "outdated_for": None,
        "write_seconds": 0.01,
        "is_waiting": False,
    }
    return Process(**given | changes)


GOOD = Facts(now=NOW, processes=(process("web"), process()), propexo_host="api.propexo.com")


CHANGE = FormatChange(
    source="rentfeed",
    kind=FormatKind.PATH,
    name="tour.time",
    since=NOW - 5 * MINUTE,
    first_event=7,
    affected=14,
    of=14,
    new_paths={"tour.slot": 13},
)


VERSION = MappingVersion(
    source="rentfeed",
    number=3,
    text="accept: {}",
    file_hash="0" * 64,
    reason="a new field",
    by="ana",
    at=NOW - 5 * MINUTE,
)


def facts(**changes: Any) -> Facts:
    return dataclasses.replace(GOOD, **changes)


def with_processes(*processes: Process) -> Facts:
    return facts(processes=processes)


def queue(**values: Any) -> Facts:
    return facts(queue=QueueFacts(**values))


def review(**values: Any) -> Facts:
    return facts(review=ReviewFacts(**values))


def source(**values: Any) -> Facts:
    return facts(sources=(SourceFacts(name="rentfeed", **values),))


def paused(since: dt.datetime) -> Facts:
    pause = Pause(source="", community="", reason="a test", by="ana", since=since)
    return facts(pauses=(pause,))


def webhooks(**values: Any) -> Facts:
    none = {"failing_since": None, "given_up": 0, "given_up_at": None, "waiting": 0, "failed": 0}
    known = none | {"last_error": "HTTP 500", "oldest_at": None} | values
    return facts(webhooks=WebhookSummary(**known))


def mails(**values: Any) -> Facts:
    error = "mail.example.com cannot be reached: Connection refused"
    known: dict[str, Any] = {"failed_at": NOW, "last_error": error, "waiting": 2}
    return facts(mail_failures=MailFailures(**(known | values)))


def verdict(given: Facts) -> Verdict:
    return Verdict(at=NOW, problems=problems_in(given), facts=given)


#: Facts that barely cause a problem, the problem's sentence, and facts that barely do not.
CASES: list[tuple[str, Facts, str, Facts]] = [
    (
        "no_web",
        with_processes(process("web", seen_ago=NO_WEB_AFTER), process()),
        "No web process has run since 17:58 UTC (90 s ago): the adapter does not receive webhooks.",
        with_processes(process("web", seen_ago=NO_WEB_AFTER - SECOND), process()),
    ),
    (
        "no_worker",
        with_processes(process(seen_ago=NO_WORKER_AFTER, looked_ago=NO_WORKER_AFTER)),
        "No worker has run since 17:59 UTC (60 s ago): nothing is waiting yet.",
        with_processes(process(seen_ago=50 * SECOND, looked_ago=NO_WORKER_AFTER - SECOND)),
    ),
    (
        "no_worker",
        with_processes(process(looked_ago=7 * MINUTE)),
        (
            "The worker on app1 (PID 4711) has hung since 17:53 UTC (7 min ago): "
            "nothing is waiting yet."
        ),
        with_processes(process(looked_ago=7 * MINUTE), process(pid=4712)),
    ),
    ("no_worker", with_processes(), "No worker is running: nothing is waiting yet.", GOOD),
    (
        "no_worker",
        with_processes(process(looked_ago=None)),
        (
            "The worker on app1 (PID 4711) has hung since 17:00 UTC (60 min ago): "
            "nothing is waiting yet."
        ),
        with_processes(process(looked_ago=None, age=5 * SECOND)),
    ),
    (
        "sending_stopped",
        queue(stopped_for="not_authorized", stopped_at=NOW - MINUTE, pending=1),
        (
            "Nothing has been sent since 17:59 UTC (60 s ago), because Propexo rejects our API "
            "token: 1 booking is waiting."
        ),
        GOOD,
    ),
    (
        "sending_stopped",
        queue(stopped_for="unreachable", stopped_why="timed out"),
        (
            "Nothing has been sent, because Propexo cannot be reached (timed out): nothing is "
            "waiting yet."
        ),
        GOOD,
    ),
    (
        "pause_forgotten",
        paused(NOW - FORGOTTEN_AFTER),
        "ana has paused all sources since March 1, 18:00 UTC (24 h ago).",
        paused(NOW - FORGOTTEN_AFTER + SECOND),
    ),
    (
        "paused",
        paused(NOW),
        "ana has paused all sources since 18:00 UTC (0 s ago).",
        GOOD,
    ),
    (
        "status_webhooks_failing",
        webhooks(failing_since=NOW - MINUTE, waiting=12, failed=1),
        (
            "The receiver of status webhooks has been failing since 17:59 UTC (60 s ago) "
            "(HTTP 500): 12 status webhooks have not been delivered."
        ),
        webhooks(waiting=12),
    ),
    (
        "status_webhooks_failing",
        webhooks(waiting=1, failed=1, oldest_at=NOW - MINUTE),
        (
            "The receiver of status webhooks has rejected some of them since 17:59 UTC (60 s ago) "
            "(HTTP 500): 1 status webhook has not been delivered."
        ),
        GOOD,
    ),
    (
        "status_webhooks_given_up",
        webhooks(given_up=1, given_up_at=NOW - GIVEN_UP_FOR + SECOND),
        "1 status webhook could not be delivered, the latest 24 h ago.",
        webhooks(given_up=1, given_up_at=NOW - GIVEN_UP_FOR),
    ),
    (
        "nothing_sent",
        queue(
            failing_since=NOW - NOTHING_SENT_AFTER,
            is_postponed=True,
            pending=8,
            outcome="not_sent",
            answer="Connection refused: api.propexo.com",
        ),
        (
            "Propexo has been unreachable (Connection refused: api.propexo.com) since 17:55 UTC "
            "(5 min ago): 8 bookings are waiting."
        ),
        queue(
            failing_since=NOW - NOTHING_SENT_AFTER + SECOND, is_postponed=True, outcome="not_sent"
        ),
    ),
    (
        "nothing_sent",
        queue(
            failing_since=NOW - 6 * MINUTE, is_postponed=True, outcome="rate_limited", status=429
        ),
        (
            "Propexo has accepted no booking (its response: 429) since 17:54 UTC (6 min ago): "
            "nothing is waiting yet."
        ),
        queue(failing_since=NOW - 6 * MINUTE, outcome="unknown"),
    ),
    (
        "nothing_sent",
        queue(is_late=True, oldest_due_at=NOW - 6 * MINUTE, pending=2),
        (
            "No booking has been sent, although some have been due since 17:54 UTC (6 min ago): "
            "2 bookings are waiting."
        ),
        queue(is_late=True, oldest_due_at=NOW - 6 * MINUTE, answered_at=NOW - MINUTE),
    ),
    (
        "webhooks_not_mapped",
        queue(unmapped=6, oldest_unmapped_at=NOW - 2 * MINUTE),
        "6 webhooks are waiting to be mapped, the oldest one since 17:58 UTC (2 min ago).",
        queue(unmapped=6, oldest_unmapped_at=NOW - 2 * MINUTE + SECOND),
    ),
    (
        "source_refused",
        source(refused=3, refused_since=NOW - 2 * MINUTE, accepted_at=NOW - 90 * MINUTE),
        (
            "3 requests from rentfeed failed verification, and none has been accepted since 16:30 "
            "UTC (90 min ago): the sender's secret may have changed."
        ),
        source(refused=2, refused_since=NOW - 2 * MINUTE),
    ),
    (
        "source_refused",
        source(refused=100, refused_since=NOW - 2 * MINUTE),
        (
            "100 or more requests from rentfeed failed verification, and none has ever been "
            "accepted: the sender's secret may have changed."
        ),
        source(refused=100, refused_since=NOW - 2 * MINUTE + SECOND),
    ),
    (
        "source_silent",
        source(usual=SILENT_USUAL + 0.01, accepted_at=NOW - 7 * 60 * MINUTE),
        (
            "rentfeed has sent nothing since 11:00 UTC (7 h ago), although it usually sends "
            "7 webhooks in that time."
        ),
        source(usual=SILENT_USUAL, accepted_at=NOW - 7 * 60 * MINUTE),
    ),
    (
        "format_changed",
        facts(formats=(CHANGE, dataclasses.replace(CHANGE, name="tour.date"))),
        (
            "rentfeed has changed its format since 17:55 UTC (5 min ago): tour.time is missing "
            "from 14 of 14 webhooks; new: tour.slot in 13 of 14 (and 1 other change)."
        ),
        facts(),
    ),
    (
        "tour_soon",
        review(soonest_at=NOW + TOUR_SOON),
        "A lead needs review, and its tour starts in 4 h.",
        review(soonest_at=NOW + TOUR_SOON + SECOND),
    ),
    (
        "tours_expired",
        review(expired=3, expired_at=NOW - 3 * MINUTE),
        "3 leads could not be sent in time, the latest 3 min ago.",
        GOOD,
    ),
    (
        "bookings_unknown",
        review(unknown=1, unknown_since=NOW - dt.timedelta(days=1)),
        (
            "1 booking has an unknown outcome and may exist in Knock, the oldest since March 1, "
            "18:00 UTC (24 h ago)."
        ),
        GOOD,
    ),
    (
        "review_overdue",
        review(oldest_booking_at=NOW - MINUTE, oldest_event_at=NOW - REVIEW_AFTER),
        "The oldest lead that needs review arrived 24 h ago.",
        review(oldest_booking_at=NOW - REVIEW_AFTER + SECOND),
    ),
    (
        "mappings_outdated",
        with_processes(
            process(outdated_for=MINUTE + 5 * SECOND), process("web", outdated_for=2 * MINUTE)
        ),
        (
            "Changed mappings have not been loaded since 17:58 UTC (2 min ago): "
            "web on app1, worker on app1."
        ),
        with_processes(
            process(outdated_for=MINUTE + 4 * SECOND),
            process("web", outdated_for=2 * MINUTE, seen_ago=12 * SECOND),
        ),
    ),
    (
        "version_replaced",
        facts(replaced_versions=(VERSION,)),
        (
            "rentfeed.yaml has changed since ana published version 3 of this mapping in the "
            "console, so the file is in use."
        ),
        GOOD,
    ),
    (
        "no_worker",
        with_processes(process(looked_ago=MINUTE, is_waiting=True)),
        (
            "The worker on app1 (PID 4711) has waited for the right database version since "
            "17:59 UTC (60 s ago): nothing is waiting yet."
        ),
        with_processes(process(looked_ago=MINUTE - SECOND, is_waiting=True)),
    ),
    (
        "invitations_failing",
        mails(failures=3, failing_since=NOW - 2 * MINUTE),
        (
            "No invitation has been emailed since 17:58 UTC (2 min ago): "
            "mail.example.com cannot be reached: Connection refused. 2 emails are waiting."
        ),
        mails(failures=3, failing_since=NOW - 2 * MINUTE + SECOND),
    ),
    (
        "invitations_failing",
        mails(failures=3, failing_since=NOW - 9 * MINUTE, failed_at=NOW - GIVEN_UP_FOR + SECOND),
        (
            "No invitation has been emailed since 17:51 UTC (9 min ago): "
            "mail.example.com cannot be reached: Connection refused. 2 emails are waiting."
        ),
        mails(failures=2, failing_since=NOW - 9 * MINUTE),
    ),
    (
        "database_slow",
        with_processes(process(write_seconds=0.81), process("web", write_seconds=None)),
        "PostgreSQL needs 0.8 s to save a row for the worker process on app1.",
        with_processes(process(write_seconds=0.5)),
    ),
    (
        "connections_low",
        facts(connections=(90, 100)),
        "90 of 100 connections to PostgreSQL are in use.",
        facts(connections=(89, 100)),
    ),
    (
        "disk_low",
        facts(disk_free=LEAST_DISK_BYTES - 1),
        "Only 1024 MiB is free on PostgreSQL's disk.",
        facts(disk_free=LEAST_DISK_BYTES),
    ),
    (
        "clock_differs",
        with_processes(process(clock_ahead_seconds=-3.4)),
        "The clock of app1 is 3 s behind PostgreSQL's.",
        with_processes(process(clock_ahead_seconds=2.0)),
    ),
    (
        "sending_paused",
        queue(paused_until=NOW + MINUTE),
        "Sending is paused until 18:01:00 UTC at Propexo's request.",
        queue(paused_until=NOW),
    ),
    ("sandbox", facts(is_sandbox=True), "Tours are booked in the sandbox, not in Knock.", GOOD),
]


@pytest.mark.parametrize(("code", "given", "sentence", "before"), CASES)
def test_a_problem_begins_at_its_limit(
    code: str, given: Facts, sentence: str, before: Facts
) -> None:
    (problem,) = problems_in(given)
    assert (problem.code, problem.sentence) == (code, sentence)
    assert problem.next_step
    assert code not in [one.code for one in problems_in(before)]


def test_every_condition_is_tested_and_in_order() -> None:
    tested = [code for code, *_ in CASES]
    # These two are found with the leads, in tests/integration/test_formats.py.
    others = {"database_unreachable", "format_suspected", "leads_rejected"}
    assert {*tested, *others} == CONDITIONS.keys()
    levels = [condition.level for condition in CONDITIONS.values()]
    assert levels == sorted(levels, key=[*Level].index)


def test_the_headline_says_that_all_is_well() -> None:
    assert problems_in(GOOD) == ()
    good = verdict(GOOD)
    assert (good.level, good.exit_code) == ("ok", 0)
    assert good.headline == "OK: All is well. 1 worker is running."
    sent = verdict(queue(answered_at=NOW - 3 * MINUTE))
    assert sent.headline == (
        "OK: All is well. 1 worker is running, and the latest booking was sent 3 min ago."
    )


@pytest.mark.parametrize("key", ["{ago x}", "{ago 2026-03-02}", "{ago 2026-13-45T00:00:00+00:00}"])
def test_a_senders_key_is_not_read_as_an_age(key: str) -> None:
    (problem,) = problems_in(facts(formats=(dataclasses.replace(CHANGE, new_paths={key: 3}),)))
    assert f"; new: {key} in 3 of " in problem.sentence


def test_a_note_is_no_problem() -> None:
    noted = verdict(facts(is_sandbox=True))
    assert (noted.level, noted.exit_code) == ("ok", 0)
    assert noted.headline.startswith("OK: ")
    assert noted.notes == ("Tours are booked in the sandbox, not in Knock.",)


def test_the_headline_names_the_worst_problem() -> None:
    bad = verdict(facts(processes=(), disk_free=0, connections=(9, 9)))
    assert (bad.level, bad.exit_code) == ("broken", 2)
    assert bad.headline == (
        "BROKEN: No worker is running: nothing is waiting yet. (and 2 other problems)"
    )
    warned = verdict(facts(disk_free=0))
    assert (warned.level, warned.exit_code) == ("warning", 1)


def test_what_waits_for_a_missing_worker_is_not_another_problem() -> None:
    waiting = QueueFacts(
        unmapped=6,
        oldest_unmapped_at=NOW - 7 * MINUTE,
        pending=1,
        is_late=True,
        oldest_due_at=NOW - 6 * MINUTE,
    )
    (problem,) = problems_in(facts(processes=(), queue=waiting))
    assert problem.sentence == "No worker is running: 6 webhooks and 1 booking are waiting."


def test_a_source_that_is_rejected_is_not_silent_too() -> None:
    given = source(refused=3, refused_since=NOW - 5 * MINUTE, accepted_at=NOW, usual=100.0)
    (problem,) = problems_in(given)
    assert problem.code == "source_refused"
    assert "adapter rejections retry rentfeed" in problem.next_step


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (GOOD, None),
        (review(expired=1, expired_at=NOW), None),
        (with_processes(), "No worker is running: nothing is waiting yet."),
        (
            queue(paused_until=NOW + MINUTE),
            "Sending is paused until 18:01:00 UTC at Propexo's request.",
        ),
    ],
)
def test_the_reason_why_bookings_are_not_sent(given: Facts, why: str | None) -> None:
    assert verdict(given).why_unsent == why


def test_a_database_that_is_away_is_the_only_problem() -> None:
    away = unreachable("connection refused", NOW, NOW - MINUTE)
    assert away.headline == (
        "BROKEN: PostgreSQL has been unavailable since 17:59 UTC (60 s ago): connection refused."
    )
    assert (away.exit_code, away.facts) == (2, None)
    assert isinstance(away.problems[0], Problem)


def test_a_dead_process_counts_no_more() -> None:
    gone = process(seen_ago=ALIVE, outdated_for=MINUTE * 9, clock_ahead_seconds=9.0)
    given = with_processes(gone, process())
    assert problems_in(given) == ()
    assert given.workers == 1
