"""Summarize the adapter's health in one line for every console page."""

import dataclasses
import datetime as dt
import textwrap
from collections.abc import Mapping
from typing import Final

from adapter.console.context import services
from adapter.models import shown_user
from adapter.operations.health import Level, Problem, Verdict, verdict_of

#: What each problem means for users who work with leads, by code. Details for engineers are under
#: "Technical". ``{ago}`` and ``{lasting}`` are empty if the problem has just begun.
SENTENCES: Final[Mapping[str, str]] = {
    "database_unreachable": "The database went down{ago}. Tell your engineer. "
    "No leads have been lost.",
    "no_web": "New leads stopped arriving{ago}. Tell your engineer.",
    "no_worker": "Bookings have stopped. Tell your engineer.{waiting} No leads have been lost.",
    "sending_stopped": "Bookings stopped{ago} because {why}. Tell your engineer."
    "{waiting} No leads have been lost.",
    "nothing_sent": "No booking has gone through{lasting}. Tell your engineer.{waiting}",
    "webhooks_not_mapped": "New leads have been stuck{lasting}. Tell your engineer.{waiting}",
    "source_refused": "Messages from {source} are being rejected, because its secret key "
    "doesn't match ours. An admin can fix this.",
    "source_silent": "{source} has sent nothing{lasting}, which is unusual. Ask the sender.",
    "format_changed": "{source} changed its message format{ago}, and we can't read all of its "
    "messages. An admin can fix this.",
    "format_suspected": "{source} seems to have changed its message format{ago}, and leads are "
    "waiting for a fix. An admin can fix this.",
    "leads_rejected": "Messages from {source} were rejected and may be leads. An admin can check.",
    "tour_soon": "A lead needs you now: its tour starts within 4 hours.",
    "tours_expired": "Some tours were not booked in time. Call these renters.",
    "bookings_unknown": "Some tours may or may not be in Knock. Please check.",
    "review_overdue": "A lead has been waiting for you for more than a day.",
    "mappings_outdated": "A changed mapping could not be loaded. The previous one is still in use.",
    "version_replaced": "The mapping for {source} that was published here is no longer in use, "
    "because its file has changed since then.",
    "status_webhooks_failing": "Another system stopped accepting our status updates{ago}. "
    "Tell your engineer.",
    "status_webhooks_given_up": "Another system missed some of our status updates. "
    "Tell your engineer.",
    "invitations_failing": "Emails with a link to choose a tour time stopped going out{ago}. "
    "Tell your engineer.",
    "database_slow": "The database is slow, so bookings may take longer than usual.",
    "connections_low": "The database is almost out of connections. Tell your engineer.",
    "disk_low": "The database is almost out of disk space. Tell your engineer.",
    "clock_differs": "A server's clock is wrong. Tell your engineer.",
    "pause_forgotten": "Bookings{source_part} have been paused{lasting}. Should they resume?",
    "paused": "Bookings{source_part} are paused.{waiting}",
    "sending_paused": "Propexo asked us to pause briefly. Bookings will resume automatically.",
    "sandbox": "Test mode is on.",
}
#: The reason that sending is stopped, by reason code.
STOPPED: Final[Mapping[str, str]] = {
    "not_authorized": "Propexo rejected our key",
    "no_clear_answer": "Propexo is not responding properly",
    "wrong_path": "Propexo's address is wrong",
    "unreachable": "Propexo can't be reached",
    "unchecked": "earlier bookings are being checked first",
    "restored": "the database was restored from a backup",
}
#: A worker reports every 5 seconds. If it is silent for this long, it has stopped or hangs.
#: Alarms wait longer, because a restart takes about as long.
SILENT_AFTER: Final = dt.timedelta(seconds=9)
#: The status line says how long a pause has lasted if it is longer than this.
LONG_PAUSE: Final = dt.timedelta(hours=1)
#: The maximum length of a pause's reason in the status line.
MAX_REASON: Final = 60


def current_verdict() -> Verdict:
    """Return the adapter's health, including early signs that the worker has stopped."""
    parts = (services.store, services.sources, services.settings, services.now())
    verdict = verdict_of(*parts, includes_suspicions=False)
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
    sentence = f"No worker has checked the queue for {idle.total_seconds():.0f} s."
    return Problem(code="no_worker", since=verdict.at - idle, sentence=sentence)


def status_level(verdict: Verdict) -> Level:
    """Return the severity level to display. If users paused sending, it is at least a warning."""
    if verdict.level is Level.OK and any(one.code == "paused" for one in verdict.problems):
        return Level.WARNING
    return verdict.level


def status_sentence(verdict: Verdict | None) -> str:
    """Return a sentence about the worst problem, or about the last booking if all is well."""
    if verdict is None:
        return "We can't tell right now whether bookings are going out."
    pauses = _pauses(verdict)
    problems = [one for one in verdict.problems if one.level is not Level.NOTE]
    problems = [one for one in problems if one.code != "pause_forgotten"]
    if pauses and not problems:
        return pauses + _waiting(verdict)
    if problems:
        others = len(problems) - 1
        more = f" {others} more {'problem' if others == 1 else 'problems'}." if others > 0 else ""
        return f"{pauses} {problem_sentence(problems[0], verdict)}{more}".lstrip()
    sent_at = verdict.facts.queue.answered_at if verdict.facts else None
    to_knock = "" if services.settings.is_sandbox else " to Knock"
    if sent_at is None:
        return f"Bookings are working. Nothing has been sent{to_knock} yet."
    return f"Bookings are working. The last lead was sent{to_knock} {_ago(verdict.at - sent_at)}."


def _pauses(verdict: Verdict) -> str:
    """Return a sentence about the pause that applies to the most bookings, or "" if none."""
    pauses = verdict.facts.pauses if verdict.facts else ()
    if not pauses:
        return ""
    pause = max(pauses, key=lambda one: one.is_total)
    place = pause.source or services.community_name(pause.community)
    what = "All bookings" if pause.is_total else f"Bookings for {place}"
    length = _duration(verdict.at - pause.since) if verdict.at - pause.since > LONG_PAUSE else ""
    are = f"have been paused for {length}" if length else "are paused"
    reason = textwrap.shorten(pause.reason.rstrip("."), MAX_REASON, placeholder=" …")
    return f"{what} {are} ({shown_user(pause.by)}: {reason})."


def problem_sentence(problem: Problem, verdict: Verdict) -> str:
    """Describe a problem for users who work with leads."""
    stopped = verdict.facts.queue.stopped_for if verdict.facts else None
    length = _duration(verdict.at - problem.since) if problem.since else ""
    return SENTENCES[problem.code].format(
        ago=f" {length} ago" if length else "",
        lasting=f" for {length}" if length else "",
        waiting=_waiting(verdict),
        why=STOPPED.get(stopped or "", "they were suspended"),
        source=problem.source,
        source_part=f" for {problem.source}" if problem.source else "",
    )


def _waiting(verdict: Verdict) -> str:
    queue = verdict.facts.queue if verdict.facts else None
    count = queue.unmapped + queue.pending if queue else 0
    if not count:
        return ""
    return f" {count:,} {'lead is' if count == 1 else 'leads are'} waiting."


def _ago(length: dt.timedelta) -> str:
    text = _duration(length)
    return f"{text} ago" if text else "just now"


def _duration(length: dt.timedelta) -> str:
    """Return a duration such as ``5 min`` or ``2 hours``, or "" for less than a minute."""
    seconds = length.total_seconds()
    for unit, size in (("day", 86400), ("hour", 3600), ("min", 60)):
        if seconds >= size:
            number = int(seconds // size)
            plural = "s" if number > 1 and unit != "min" else ""
            return f"{number} {unit}{plural}"
    return ""
