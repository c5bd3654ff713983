"""Summarize the adapter's health in one line, which every console page shows."""

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Final

from adapter.console.context import services
from adapter.operations.health import Level, Problem, Verdict, verdict_of

#: What each problem means for the people who work with leads, by code.
SENTENCES: Final[Mapping[str, str]] = {
    "database_unreachable": "The database is down{since}. Nothing is received or booked.",
    "no_web": "New leads are not arriving{since}: the receiving program is not running.",
    "no_worker": "Bookings are not going out: the sending program has been silent{since}.{waiting}",
    "sending_stopped": "Bookings are not going out{since}: {why}.{waiting} No leads are lost.",
    "nothing_sent": "Bookings are not going out: Propexo has accepted none{since}.{waiting}",
    "webhooks_not_mapped": "New leads are not being read{since}.{waiting}",
    "source_refused": "Messages from {source} are rejected{since}: we cannot verify the sender.",
    "source_silent": "{source} is quiet: it has sent nothing{since}.",
    "format_changed": "{source} has been sending another format{since}. Some of it cannot be read.",
    "tour_soon": "A lead needs you soon: its tour starts within 4 hours.",
    "tours_expired": "Some tours could not be booked in time. Call these renters.",
    "bookings_unknown": "Some tours may or may not be in Knock. Check them.",
    "review_overdue": "A lead has been waiting for you for more than a day.",
    "mappings_outdated": "A changed mapping was not loaded{since}. The previous one is in use.",
    "status_webhooks_failing": "Another system is not receiving our updates{since}.",
    "status_webhooks_given_up": "Another system has missed some of our updates.",
    "database_slow": "The database is slow. Bookings may take longer.",
    "connections_low": "The database is almost out of connections.",
    "disk_low": "The database is almost out of disk space.",
    "clock_differs": "A server's clock is wrong.",
    "pause_forgotten": "Sending has been paused{since}{source_part}. Was it forgotten?",
    "paused": "Sending is paused{source_part}.{waiting}",
    "sending_paused": "Propexo asked for a short break. Bookings continue by themselves.",
    "sandbox": "Test mode is on.",
}
#: Why sending is stopped, by reason code.
STOPPED: Final[Mapping[str, str]] = {
    "not_authorized": "Propexo rejected our key",
    "no_clear_answer": "Propexo does not respond clearly",
    "wrong_path": "Propexo's address is wrong",
    "unreachable": "Propexo cannot be reached",
    "unchecked": "past bookings are being checked first",
    "restored": "the database was restored from a backup",
}
#: A worker reports every 5 seconds. One that is silent for this long has stopped or hangs. Alarms
#: wait longer, because a restart takes about as long.
SILENT_AFTER: Final = dt.timedelta(seconds=9)


def current_verdict() -> Verdict:
    """Return the verdict on the adapter's health, including early signs of a stopped worker."""
    verdict = verdict_of(services.store, services.sources, services.settings, services.now())
    silent = _silence(verdict)
    if silent is None:
        return verdict
    return dataclasses.replace(verdict, problems=(silent, *verdict.problems))


def _silence(verdict: Verdict) -> Problem | None:
    """Return a problem if no worker has checked the queue for several seconds, or None."""
    if verdict.facts is None or any(one.code == "no_worker" for one in verdict.problems):
        return None
    workers = [one for one in verdict.facts.processes if one.kind == "worker"]
    idle = min((one.looked_ago or one.age for one in workers), default=None)
    if idle is None or idle < SILENT_AFTER:
        return None
    return Problem(code="no_worker", since=verdict.at - idle, sentence="No worker is running.")


def status_level(verdict: Verdict) -> Level:
    """Return the severity to display. A user's pause counts as a warning."""
    if verdict.level is Level.OK and any(one.code == "paused" for one in verdict.problems):
        return Level.WARNING
    return verdict.level


def status_sentence(verdict: Verdict | None) -> str:
    """Return a sentence about the worst problem, or about the last booking if all is well."""
    if verdict is None:
        return "We cannot tell right now whether bookings go out."
    level = status_level(verdict)
    problems = [one for one in verdict.problems if one.level is level or one.code == "paused"]
    if level is not Level.OK and problems:
        others = len([one for one in verdict.problems if one.level is not Level.NOTE]) - 1
        more = f" {others} more {'problem' if others == 1 else 'problems'}." if others > 0 else ""
        return problem_sentence(problems[0], verdict) + more
    sent_at = verdict.facts.queue.answered_at if verdict.facts else None
    last = f" Last tour booked {_duration(verdict.at - sent_at)} ago." if sent_at else ""
    return f"All good.{last or ' No tour has been booked yet.'}"


def problem_sentence(problem: Problem, verdict: Verdict) -> str:
    """Return a problem's description for people who work with leads."""
    stopped = verdict.facts.queue.stopped_for if verdict.facts else None
    since = f" for {_duration(verdict.at - problem.since)}" if problem.since else ""
    return SENTENCES[problem.code].format(
        since=since,
        waiting=_waiting(verdict),
        why=STOPPED.get(stopped or "", "it was suspended"),
        source=problem.source,
        source_part=f" for {problem.source}" if problem.source else "",
    )


def _waiting(verdict: Verdict) -> str:
    queue = verdict.facts.queue if verdict.facts else None
    count = queue.unmapped + queue.pending if queue else 0
    if not count:
        return ""
    return f" {count:,} {'lead is' if count == 1 else 'leads are'} waiting."


def _duration(length: dt.timedelta) -> str:
    seconds = max(int(length.total_seconds()), 0)
    for unit, size in (("day", 86400), ("hour", 3600), ("min", 60)):
        if seconds >= size:
            number = seconds // size
            plural = "s" if number > 1 and unit != "min" else ""
            return f"{number} {unit}{plural}"
    return f"{seconds} s"
