"""Determine whether the adapter is healthy, for commands, the console and metrics.

:func:`read_facts` reads a limited number of rows from the database, and :func:`problems_in` derives
the problems from these facts alone. :data:`CONDITIONS` explains each kind of problem, here and in
docs/monitoring.md.
"""

import dataclasses
import datetime as dt
import enum
import hashlib
import itertools
import math
import shutil
import urllib.parse
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import Final

from adapter.exceptions import StoreUnavailable
from adapter.models import FormatChange, MappingVersion, shown_user
from adapter.operations.serializers import age_of, ago, with_ages
from adapter.settings import Settings
from adapter.store import Database, MailFailures, Pause, WebhookSummary
from adapter.store.database_clock import DANGEROUS_OFFSET
from adapter.store.monitoring import Process, QueueFacts, ReviewFacts, SourceFacts
from adapter.store.rows import Row

#: If the same value is missing from this many of a source's leads, the sender has changed its
#: format. If the leads have a value with a similar name instead, two are enough.
MANY: Final = 3
MANY_WITH_NEW_NAME: Final = 2
#: An outdated mapping counts only if its process reported it within this time. A process that was
#: replaced reports nothing more.
OUTDATED_SEEN: Final = dt.timedelta(seconds=12)
#: A process counts as alive if its last heartbeat is newer than this. It sends one every five
#: seconds.
ALIVE: Final = dt.timedelta(seconds=30)
#: Maximum time without a worker that checks the queue. A worker checks it twice a second, and
#: reports that with each heartbeat.
NO_WORKER_AFTER: Final = dt.timedelta(minutes=1)
#: Maximum time without a web process's heartbeat. gunicorn replaces a hung process sooner.
NO_WEB_AFTER: Final = dt.timedelta(seconds=90)
UNMAPPED_AFTER: Final = dt.timedelta(minutes=2)
NOTHING_SENT_AFTER: Final = dt.timedelta(minutes=5)
#: A secret's use is recorded once a minute, so only after this time is it certain that no request
#: was accepted.
REFUSED_AFTER: Final = dt.timedelta(minutes=2)
REFUSED_FOR: Final = dt.timedelta(days=1)
MIN_REFUSED: Final = 3
#: A source's silence is a problem if it is less likely than this, assuming that webhooks arrive
#: independently.
SILENCE_PROBABILITY: Final = 0.001
#: The number of webhooks is then Poisson-distributed: if N are usual, none arrive with probability
#: exp(-N).
SILENT_USUAL: Final = -math.log(SILENCE_PROBABILITY)
FORGOTTEN_AFTER: Final = dt.timedelta(days=1)
OUTDATED_AFTER: Final = dt.timedelta(minutes=1)
GIVEN_UP_FOR: Final = dt.timedelta(days=1)
MAIL_FAILING_AFTER: Final = dt.timedelta(minutes=2)
MIN_MAIL_FAILURES: Final = 3
REVIEW_AFTER: Final = dt.timedelta(hours=24)
TOUR_SOON: Final = dt.timedelta(hours=4)
UNKNOWN_AFTER: Final = dt.timedelta(hours=1)
#: Senders give up after 5 to 10 seconds, and booking a lead takes more than a dozen round trips.
SLOW_SECONDS: Final = 0.5
MOST_CONNECTIONS: Final = 0.9
LEAST_DISK_BYTES: Final = 1024**3
MAX_CLOCK_SECONDS: Final = 2.0

#: Reasons for rejections that indicate an invalid secret or a wrong clock. Other reasons also occur
#: when a stranger calls a URL without a signature.
REFUSED_REASONS: Final = frozenset(
    {
        "body_hash_mismatch",
        "credentials_mismatch",
        "signature_mismatch",
        "timestamp_outside_tolerance",
        "token_mismatch",
    }
)


#: Why sending is stopped, by reason code.
STOPPED: Final[Mapping[str, str]] = {
    "not_authorized": "Propexo rejects our API token",
    "no_clear_answer": "Propexo does not respond clearly",
    "wrong_path": "Propexo responds as if the URL did not exist: PROPEXO_BASE_URL or an ID in "
    "communities.yaml is wrong",
    "unreachable": "Propexo cannot be reached",
    "unchecked": "no worker ran for a while, and Propexo's list of writes must be read first, to "
    "make sure that the database is not an old copy",
    "restored": "the database was restored or copied; `adapter restored` resumes sending",
}

NO_QUEUE: Final = QueueFacts()
NO_REVIEW: Final = ReviewFacts()


class Level(enum.StrEnum):
    """The severity of a problem, or of the worst problem."""

    #: Leads are not received, not booked, or rejected.
    BROKEN = "broken"
    #: Something needs attention, but leads are booked.
    WARNING = "warning"
    #: Worth knowing, but not a problem.
    NOTE = "note"
    #: There is no problem.
    OK = "ok"


#: Exit codes of `adapter stats --check`.
EXIT_CODES: Final = {Level.BROKEN: 2, Level.WARNING: 1, Level.OK: 0}


@dataclasses.dataclass(frozen=True, slots=True)
class Condition:
    """A kind of problem, with its severity, meaning and fix."""

    level: Level
    #: When the problem is reported, and what it means.
    when: str
    meaning: str
    next_step: str


#: All kinds of problems, by code, most important first.
CONDITIONS: Final[Mapping[str, Condition]] = {
    "database_unreachable": Condition(
        Level.BROKEN,
        "PostgreSQL is unavailable",
        "Senders get a 503 response and retry. No tours are booked.",
        "Start PostgreSQL, or fix DATABASE_URL. All processes then resume automatically.",
    ),
    "no_web": Condition(
        Level.BROKEN,
        "no web process has sent a heartbeat for 90 seconds",
        "The adapter does not receive webhooks. Senders retry for a limited time.",
        "Start `adapter web`. The web process's log says why it stopped.",
    ),
    "no_worker": Condition(
        Level.BROKEN,
        "no worker has checked the queue for 1 minute",
        "Every worker has stopped, has hung or is waiting. Webhooks are stored, but no tours are "
        "booked.",
        "Start `adapter worker`, or restart it if it has hung. The worker's log says why it "
        "stopped. If the worker is waiting because its version does not match the database, "
        "restart it with the new version, or run `adapter migrate`.",
    ),
    "sending_stopped": Condition(
        Level.BROKEN,
        "sending is stopped for one of these reasons: Propexo rejects the API token (401 or 403), "
        "several POSTs in a row had no clear response, or the database was restored",
        "Webhooks are stored, but no tours are booked.",
        "If Propexo rejects the token, set PROPEXO_TOKEN to a valid token and restart the worker. "
        "Otherwise, check Propexo's status and the network. Sending then resumes automatically. "
        "To resume sending immediately, run `adapter resume`. After a restore, run `adapter "
        "restored`.",
    ),
    "nothing_sent": Condition(
        Level.BROKEN,
        "bookings are due, but Propexo has accepted none for 5 minutes",
        "The adapter cannot reach Propexo, or the worker is not sending.",
        "Check Propexo's status, the network and the worker's log. The adapter retries bookings "
        "automatically.",
    ),
    "webhooks_not_mapped": Condition(
        Level.BROKEN,
        "a webhook has been waiting for a worker for 2 minutes",
        "The worker is running, but it is failing or cannot keep up.",
        "Check the worker's log, and run `adapter events --state received`.",
    ),
    "source_refused": Condition(
        Level.BROKEN,
        "3 or more requests from a source failed verification, and none has been accepted since",
        "The sender probably changed its secret, or one of the clocks is wrong.",
        "Fix the secret, then run `adapter rejections retry SOURCE`.",
    ),
    "source_silent": Condition(
        Level.WARNING,
        "a source has sent nothing in a period when it usually sends 7 or more webhooks (P < "
        "0.001)",
        "The sender's webhook may be disabled, or its URL may be wrong.",
        "Ask the sender to check the webhook. If the source is no longer used, remove its mapping.",
    ),
    "format_changed": Condition(
        Level.WARNING,
        "a source's webhooks are missing values that its mapping reads, or contain new values",
        "The sender has changed its format. Leads from this sender are held, or are booked without "
        "the missing values.",
        "Run `adapter sources SOURCE`, which shows what changed and suggests an edit to the "
        "mapping if one fits.",
    ),
    "format_suspected": Condition(
        Level.WARNING,
        "3 or more leads of a source are held because their webhooks are missing the same path, or "
        "2 if they have a path with a similar name (no alarm)",
        "The sender has probably changed its format, but too few webhooks have arrived to be sure.",
        "Open the leads in the console, which suggests an edit to the mapping if one fits, or run "
        "`adapter queue`.",
    ),
    "leads_rejected": Condition(
        Level.WARNING,
        "requests from a source failed verification in the last 24 hours, and may be leads (no "
        "alarm)",
        "The sender may use another secret, or a stranger found the URL.",
        "Run `adapter rejections`. If they are leads, fix the secret, then run `adapter rejections "
        "retry SOURCE`.",
    ),
    "tour_soon": Condition(
        Level.WARNING,
        "a lead needs review, and its tour starts within 4 hours",
        "The renter may show up without an appointment.",
        "Open the queue, or run `adapter queue`.",
    ),
    "tours_expired": Condition(
        Level.WARNING,
        "leads could not be sent to Knock in time",
        "These leads were not booked.",
        "Call the renters. To list the leads, run `adapter bookings --state expired`.",
    ),
    "bookings_unknown": Condition(
        Level.WARNING,
        "bookings have had an unknown outcome for 1 hour, or the search for them has ended",
        "These bookings may exist in Knock, so the adapter does not send them again.",
        "Check Knock, then run `adapter confirm ID` or `adapter release ID --not-in-knock`.",
    ),
    "review_overdue": Condition(
        Level.WARNING,
        "a lead has needed review for 24 hours",
        "The renter is waiting for an answer.",
        "Open the queue, or run `adapter queue`.",
    ),
    "mappings_outdated": Condition(
        Level.WARNING,
        "the mapping files have differed from the mappings in use for 1 minute",
        "The mapping files have an error or were not reloaded.",
        "Run `adapter check`, fix the errors, and send SIGHUP to the process.",
    ),
    "version_replaced": Condition(
        Level.WARNING,
        "a mapping that was published in the console is not in use, because its file was changed "
        "afterward",
        "The mapping in use does not contain the changes that were made in the console.",
        "Open the mapping in the console. To end this warning, publish the version again or roll "
        "back to the file.",
    ),
    "status_webhooks_failing": Condition(
        Level.WARNING,
        "the receiver of status webhooks is failing, or rejects some of them",
        "The receiving system is not notified of changes. Bookings are not affected.",
        "Check the receiver at ADAPTER_STATUS_WEBHOOK_URL. The adapter retries status webhooks "
        "for 3 days.",
    ),
    "status_webhooks_given_up": Condition(
        Level.WARNING,
        "in the last day, the adapter gave up on status webhooks that had failed for 3 days",
        "The receiving system has outdated lead statuses.",
        "Fix the receiver, and have it read the leads from /api/leads.",
    ),
    "invitations_failing": Condition(
        Level.WARNING,
        "the SMTP server has accepted no emails with tour links for 2 minutes, and 3 or more "
        "attempts have failed",
        "Renters do not get their links by email. Bookings are not affected.",
        "Fix the error in ADAPTER_SMTP_URL or on the mail server, and restart the worker. To test "
        "the mail server, run `adapter doctor`. The adapter retries emails for a day.",
    ),
    "database_slow": Condition(
        Level.WARNING,
        "PostgreSQL takes more than half a second to save a row (median over 2 minutes)",
        "Acknowledging a webhook requires one database write, and booking a lead requires several.",
        "Check PostgreSQL's load, its disk and the network connection to it.",
    ),
    "connections_low": Condition(
        Level.WARNING,
        "90% of PostgreSQL's connections are in use",
        "When no connection is left, senders get a 503 response.",
        "Raise PostgreSQL's connection limit, or run fewer processes or threads.",
    ),
    "disk_low": Condition(
        Level.WARNING,
        "the disk on which PostgreSQL stores its data on this machine has less than 1 GiB of free "
        "space",
        "When the disk is full, senders get a 503 response.",
        "Free up some space, or enlarge the disk.",
    ),
    "clock_differs": Condition(
        Level.WARNING,
        "a machine's clock differs from PostgreSQL's by more than 2 seconds",
        "All processes use PostgreSQL's clock. A worker whose machine is off by more than 30 "
        "seconds sends nothing.",
        "Synchronize the clocks of all machines (NTP).",
    ),
    "pause_forgotten": Condition(
        Level.WARNING,
        "a user paused sending more than a day ago",
        "Paused bookings are not sent, and they expire when their tours start too soon.",
        "Run `adapter resume` with the same source or community, or resume sending in the console.",
    ),
    "sending_paused": Condition(
        Level.NOTE,
        "Propexo has requested a pause (429 or 503 with Retry-After, or few requests left)",
        "The adapter sends bookings after the pause.",
        "No action is needed. If this happens often, other programs may be using the same token.",
    ),
    "paused": Condition(
        Level.NOTE,
        "a user has paused all sending, a source or a community",
        "Webhooks are stored and mapped, but paused bookings are not sent.",
        "To send these bookings, run `adapter resume` with the same source or community.",
    ),
    "sandbox": Condition(
        Level.NOTE,
        "PROPEXO_TOKEN is unset or `sandbox`",
        "Tours are booked in the sandbox, not in Knock.",
        "To book tours in Knock, set PROPEXO_TOKEN.",
    ),
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """A problem that was detected. It contains no personal data."""

    code: str
    #: The source that has the problem, or "".
    source: str = ""
    since: dt.datetime | None = None
    #: What is wrong, with numbers.
    sentence: str
    #: The sentence with placeholders for ages, to be stored and shown later.
    template: str = ""

    @property
    def level(self) -> Level:
        """The severity of the problem."""
        return CONDITIONS[self.code].level

    @property
    def next_step(self) -> str:
        """A sentence that tells users how to solve the problem."""
        return CONDITIONS[self.code].next_step.replace("SOURCE", self.source or "SOURCE")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """The facts about the adapter that its problems are derived from."""

    now: dt.datetime
    processes: tuple[Process, ...] = ()
    queue: QueueFacts = NO_QUEUE
    review: ReviewFacts = NO_REVIEW
    sources: tuple[SourceFacts, ...] = ()
    #: The numbers of connections to PostgreSQL in use and allowed.
    connections: tuple[int, int] = (0, 0)
    #: The pauses that users have set.
    pauses: tuple[Pause, ...] = ()
    #: The number of free bytes where PostgreSQL stores its data, or None if unknown.
    disk_free: int | None = None
    #: A summary of status webhooks, or None if they are not set up.
    webhooks: WebhookSummary | None = None
    #: None if the last email with a link was accepted, or if no SMTP server is set up.
    mail_failures: MailFailures | None = None
    #: Changes in the formats of sources.
    formats: tuple[FormatChange, ...] = ()
    #: Mappings from the console that are not in use, because their files have changed since.
    replaced_versions: tuple[MappingVersion, ...] = ()
    #: The host of Propexo's API.
    propexo_host: str = ""
    is_sandbox: bool = False

    @property
    def workers(self) -> int:
        """The number of workers with a recent heartbeat."""
        return sum(one.kind == "worker" and one.seen_ago < ALIVE for one in self.processes)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The adapter's health, with all problems."""

    at: dt.datetime
    #: All problems, most important first.
    problems: tuple[Problem, ...]
    #: The facts, or None if PostgreSQL cannot be reached.
    facts: Facts | None

    @property
    def level(self) -> Level:
        """The severity of the worst problem, or OK if there is none."""
        levels = {problem.level for problem in self.problems}
        return next((one for one in (Level.BROKEN, Level.WARNING) if one in levels), Level.OK)

    @property
    def exit_code(self) -> int:
        """The exit code: 0 if all is well, 1 for warnings, and 2 if something is broken."""
        return EXIT_CODES[self.level]

    @property
    def headline(self) -> str:
        """One line about the worst problem, or "OK" if there is none."""
        real = [problem for problem in self.problems if problem.level is not Level.NOTE]
        if not real:
            return f"OK: {self._good_news()}"
        more = f" (and {_count(len(real) - 1, 'other problem')})" if real[1:] else ""
        return f"{real[0].level.upper()}: {real[0].sentence}{more}"

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about facts that are worth knowing but are not problems."""
        return tuple(one.sentence for one in self.problems if one.level is Level.NOTE)

    @property
    def why_unsent(self) -> str | None:
        """The reason why pending bookings are not sent, or None."""
        codes = ("no_worker", "sending_stopped", "nothing_sent", "sending_paused")
        total = [one for one in self.facts.pauses if one.is_total] if self.facts else []
        if total:
            return f"{shown_user(total[0].by)} has paused sending."
        return next((one.sentence for one in self.problems if one.code in codes), None)

    def _good_news(self) -> str:
        facts = self.facts
        if facts is None:
            return "All is well."
        workers = _count(facts.workers, "worker is running", "workers are running")
        sent = facts.queue.answered_at
        latest = f", and the latest booking was sent {ago(sent, facts.now)}" if sent else ""
        return f"All is well. {workers}{latest}."


def verdict_of(
    store: Database,
    names: Iterable[str],
    settings: Settings,
    now: dt.datetime,
    *,
    includes_suspicions: bool = True,
) -> Verdict:
    """Return a verdict on the adapter and the named sources at ``now``.

    Suspicions are about sources. The console's pages, which show the leads in question instead,
    leave them out, because reading them takes longer.
    """
    names = list(names)
    try:
        facts = read_facts(store, names, settings, now)
        suspicions = _suspicions(store, now) if names and includes_suspicions else []
    except StoreUnavailable as exc:
        return unreachable(str(exc), now)
    problems = problems_in(facts)
    reported = {(one.code, one.source) for one in problems}
    more = (one for one in suspicions if _is_unreported(one, {*names}, reported))
    return Verdict(at=now, problems=in_order((*problems, *more)), facts=facts)


def _is_unreported(
    problem: Problem, names: Container[str], reported: Container[tuple[str, str]]
) -> bool:
    """Return True if no similar problem is reported for the same source."""
    known = {"format_suspected": "format_changed", "leads_rejected": "source_refused"}
    return problem.source in names and (known[problem.code], problem.source) not in reported


def _suspicions(store: Database, now: dt.datetime) -> list[Problem]:
    """Return the warnings that are shown to people but not sent to them as alarms."""
    with store.transaction() as tx:
        held = tx.monitoring.held_for_paths()
        rejected = tx.monitoring.rejected_leads(
            reasons=REFUSED_REASONS, since=now - FORGOTTEN_AFTER
        )
    many = [
        one for one in held if one["leads"] >= (MANY_WITH_NEW_NAME if one["has_new_name"] else MANY)
    ]
    found = [*(_suspected(one, now) for one in many), *map(_rejected, rejected)]
    return [_shown(one, now) for one in found]


def _suspected(row: Row, now: dt.datetime) -> Problem:
    source, since = row["source"], row["since"]
    sentence = (
        f"{source} seems to have changed its format{_since(since, now)}: {row['path']} is missing "
        f"from {row['leads']} leads that are held."
    )
    return Problem(code="format_suspected", source=source, since=since, sentence=sentence)


def _rejected(row: Row) -> Problem:
    source, latest = row["source"], row["latest_at"]
    sentence = (
        f"{_count(row['requests'], 'request')} from {source} failed verification and may be leads, "
        f"the latest {age_of(latest)}."
    )
    return Problem(code="leads_rejected", source=source, since=latest, sentence=sentence)


def unreachable(reason: str, now: dt.datetime, since: dt.datetime | None = None) -> Verdict:
    """Return the verdict to report while the database cannot be used."""
    state = "has been unavailable" if since else "is unavailable"
    sentence = with_ages(f"PostgreSQL {state}{_since(since, now)}: {reason}.", now)
    problem = Problem(code="database_unreachable", since=since, sentence=sentence)
    return Verdict(at=now, problems=(problem,), facts=None)


def read_facts(
    store: Database, names: Iterable[str], settings: Settings, now: dt.datetime
) -> Facts:
    """Read the facts about health. Raise StoreUnavailable if PostgreSQL cannot be reached."""
    names = list(names)
    with store.transaction() as tx:
        monitoring = tx.monitoring
        folder = monitoring.data_folder()
        return Facts(
            now=now,
            processes=monitoring.processes(),
            queue=monitoring.queue(
                now,
                late=now - NOTHING_SENT_AFTER,
                too_late=now + dt.timedelta(minutes=settings.notice_minutes),
            ),
            review=monitoring.review(now, unknown_before=now - UNKNOWN_AFTER),
            sources=monitoring.sources(
                names, now, reasons=REFUSED_REASONS, refused_after=now - REFUSED_FOR
            ),
            connections=monitoring.connections(),
            pauses=tuple(tx.send_queue.pauses()),
            disk_free=_disk_free(folder),
            webhooks=tx.outbox.summary() if settings.status_webhook_url else None,
            mail_failures=tx.invitation_mails.failures() if settings.smtp_url else None,
            formats=tx.formats.changes(names),
            replaced_versions=_replaced(tx.overrides.newest_versions(), settings),
            propexo_host=urllib.parse.urlsplit(settings.propexo_base_url).netloc,
            is_sandbox=settings.is_sandbox,
        )


def _replaced(versions: Iterable[MappingVersion], settings: Settings) -> tuple[MappingVersion, ...]:
    """Return the mappings from the console that are unused because their file has changed."""
    if settings.mappings_from_files_only:
        return ()
    return tuple(one for one in versions if one.text is not None and _is_replaced(one, settings))


def _is_replaced(version: MappingVersion, settings: Settings) -> bool:
    try:
        content = (settings.mappings_dir / f"{version.source}.yaml").read_bytes()
    except OSError:  # the source was removed, or its files are on other machines
        return False
    is_changed = hashlib.sha256(content).hexdigest() != version.file_hash
    return is_changed and content.decode("utf-8-sig", "replace") != version.text


def _disk_free(folder: str | None) -> int | None:
    if folder is None:
        return None
    try:
        return shutil.disk_usage(folder).free
    except OSError:  # the folder is not on this machine, or not accessible to this user
        return None


def problems_in(facts: Facts) -> tuple[Problem, ...]:
    """Return all problems indicated by the facts, most important first."""
    found = [_shown(problem, facts.now) for check in _CHECKS for problem in check(facts)]
    # If no worker is running, that explains the other two problems.
    if any(problem.code == "no_worker" for problem in found):
        found = [one for one in found if one.code not in ("webhooks_not_mapped", "nothing_sent")]
    return in_order(found)


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return problems in the order of their importance."""
    return tuple(sorted(problems, key=lambda problem: [*CONDITIONS].index(problem.code)))


def _shown(problem: Problem, now: dt.datetime) -> Problem:
    """Return a problem whose sentence contains ages as of ``now``."""
    sentence = with_ages(problem.sentence, now)
    return dataclasses.replace(problem, sentence=sentence, template=problem.sentence)


def _web(facts: Facts) -> Iterator[Problem]:
    """Yield a problem if no web process is running although one has run before."""
    seen = [one.seen_ago for one in facts.processes if one.kind == "web"]
    if seen and min(seen) >= NO_WEB_AFTER:
        since = facts.now - min(seen)
        yield Problem(
            code="no_web",
            since=since,
            sentence=f"No web process has run{_since(since, facts.now)}: the adapter does not "
            f"receive webhooks.",
        )


def _worker(facts: Facts) -> Iterator[Problem]:
    workers = [one for one in facts.processes if one.kind == "worker"]
    # A worker that has just started has not checked the queue yet.
    idle = min((one.looked_ago or one.age for one in workers), default=None)
    if idle is not None and idle < NO_WORKER_AFTER:
        return
    since = facts.now - idle if idle is not None else None
    hung = next((one for one in workers if one.seen_ago < ALIVE), None)
    subject = "No worker has run" if idle is not None else "No worker is running"
    if hung is not None:
        what = "has waited for the right database version" if hung.is_waiting else "has hung"
        subject = f"The worker on {hung.host} (PID {hung.pid}) {what}"
    sentence = f"{subject}{_since(since, facts.now)}: {_waiting(facts.queue)}."
    yield Problem(code="no_worker", since=since, sentence=sentence)


def _sending(facts: Facts) -> Iterator[Problem]:
    queue = facts.queue
    if queue.stopped_for is not None:
        since = _since(queue.stopped_at, facts.now)
        reason = STOPPED.get(queue.stopped_for, f"it is suspended ({queue.stopped_for})")
        why = f" ({queue.stopped_why})" if queue.stopped_why else ""
        sentence = f"Nothing has been sent{since}, because {reason}{why}: {_waiting(queue)}."
        yield Problem(code="sending_stopped", since=queue.stopped_at, sentence=sentence)
        return
    if queue.paused_until is not None and queue.paused_until > facts.now:
        until = f"{queue.paused_until:%H:%M:%S} UTC"
        sentence = f"Sending is paused until {until} at Propexo's request."
        yield Problem(code="sending_paused", sentence=sentence)
    limit = facts.now - NOTHING_SENT_AFTER
    failing = queue.failing_since
    is_failing = queue.is_postponed and failing is not None and failing <= limit
    is_stalled = queue.is_late and (queue.answered_at is None or queue.answered_at <= limit)
    if is_failing or is_stalled:
        began_at = failing if is_failing else queue.oldest_due_at
        what = _failure(facts, is_failing=is_failing)
        sentence = f"{what}{_since(began_at, facts.now)}: {_waiting(queue)}."
        yield Problem(code="nothing_sent", since=began_at, sentence=sentence)


def _pauses(facts: Facts) -> Iterator[Problem]:
    for pause in facts.pauses:
        is_old = facts.now - pause.since >= FORGOTTEN_AFTER
        code = "pause_forgotten" if is_old else "paused"
        sentence = (
            f"{shown_user(pause.by)} has paused {pause.scope}{_since(pause.since, facts.now)}."
        )
        yield Problem(code=code, source=pause.source, since=pause.since, sentence=sentence)


def _failure(facts: Facts, *, is_failing: bool) -> str:
    queue = facts.queue
    if not is_failing:
        return "No booking has been sent, although some have been due"
    if queue.outcome == "not_sent":
        return f"Propexo has been unreachable ({queue.answer or facts.propexo_host})"
    return f"Propexo has accepted no booking (its response: {queue.status or 'none'})"


def _unmapped(facts: Facts) -> Iterator[Problem]:
    oldest = facts.queue.oldest_unmapped_at
    if oldest is not None and facts.now - oldest >= UNMAPPED_AFTER:
        count = _count(facts.queue.unmapped, "webhook is waiting", "webhooks are waiting")
        sentence = f"{count} to be mapped, the oldest one{_since(oldest, facts.now)}."
        yield Problem(code="webhooks_not_mapped", since=oldest, sentence=sentence)


def _sources(facts: Facts) -> Iterator[Problem]:
    for one in facts.sources:
        if is_refused(one, facts.now):
            count = "100 or more" if one.refused >= 100 else str(one.refused)
            accepted = "none has ever been accepted"
            if one.accepted_at is not None:
                accepted = f"none has been accepted{_since(one.accepted_at, facts.now)}"
            yield Problem(
                code="source_refused",
                source=one.name,
                since=one.refused_since,
                sentence=f"{count} requests from {one.name} failed verification, and {accepted}: "
                "the sender's secret may have changed.",
            )
        elif one.usual is not None and one.usual > SILENT_USUAL:
            yield Problem(
                code="source_silent",
                source=one.name,
                since=one.accepted_at,
                sentence=f"{one.name} has sent nothing{_since(one.accepted_at, facts.now)}, "
                f"although it usually sends {one.usual:.0f} webhooks in that time.",
            )


def _formats(facts: Facts) -> Iterator[Problem]:
    by_source = itertools.groupby(facts.formats, key=lambda one: one.source)
    for source, group in by_source:
        first, *others = group
        more = f" (and {_count(len(others), 'other change')})" if others else ""
        since = _since(first.since, facts.now)
        sentence = f"{source} has changed its format{since}: {first.text}{more}."
        yield Problem(code="format_changed", source=source, since=first.since, sentence=sentence)


def is_refused(source: SourceFacts, now: dt.datetime) -> bool:
    """Return True if a source's requests failed verification, and none was accepted since.

    It counts only after two minutes, because accepted requests are recorded once a minute.
    """
    since = source.refused_since
    return source.refused >= MIN_REFUSED and since is not None and now - since >= REFUSED_AFTER


def _review(facts: Facts) -> Iterator[Problem]:
    review, now = facts.review, facts.now
    if review.soonest_at is not None and review.soonest_at - now <= TOUR_SOON:
        sentence = f"A lead needs review, and its tour starts {age_of(review.soonest_at)}."
        yield Problem(code="tour_soon", sentence=sentence)
    if review.expired:
        count = _count(review.expired, "lead", "leads")
        sentence = f"{count} could not be sent in time, the latest {age_of(review.expired_at)}."
        yield Problem(code="tours_expired", since=review.expired_at, sentence=sentence)
    if review.unknown:
        count = _count(review.unknown, "booking has", "bookings have")
        sentence = f"{count} an unknown outcome and may exist in Knock, the oldest"
        yield Problem(
            code="bookings_unknown",
            since=review.unknown_since,
            sentence=f"{sentence}{_since(review.unknown_since, now)}.",
        )
    oldest = min(filter(None, (review.oldest_booking_at, review.oldest_event_at)), default=None)
    if oldest is not None and now - oldest >= REVIEW_AFTER:
        sentence = f"The oldest lead that needs review arrived {age_of(oldest)}."
        yield Problem(code="review_overdue", since=oldest, sentence=sentence)


def _processes(facts: Facts) -> Iterator[Problem]:
    alive = [one for one in facts.processes if one.seen_ago < ALIVE]
    outdated = [one for one in alive if _is_outdated(one)]
    if outdated:
        since = facts.now - max(one.outdated_for or dt.timedelta() for one in outdated)
        names = ", ".join(sorted({f"{one.kind} on {one.host}" for one in outdated}))
        sentence = f"Changed mappings have not been loaded{_since(since, facts.now)}: {names}."
        yield Problem(code="mappings_outdated", since=since, sentence=sentence)
    worst = max(alive, key=lambda one: abs(one.clock_ahead_seconds), default=None)
    if worst is not None and abs(worst.clock_ahead_seconds) > MAX_CLOCK_SECONDS:
        side = "ahead of" if worst.clock_ahead_seconds > 0 else "behind"
        seconds = abs(worst.clock_ahead_seconds)
        is_idle = worst.kind == "worker" and seconds > DANGEROUS_OFFSET.total_seconds()
        what = ", so its worker sends nothing" if is_idle else ""
        sentence = f"The clock of {worst.host} is {seconds:.0f} s {side} PostgreSQL's{what}."
        yield Problem(code="clock_differs", sentence=sentence)


def _is_outdated(process: Process) -> bool:
    """Return True if a process recently reported that its mappings have long been outdated."""
    age = (process.outdated_for or dt.timedelta()) - process.seen_ago
    return age >= OUTDATED_AFTER and process.seen_ago < OUTDATED_SEEN


def _versions(facts: Facts) -> Iterator[Problem]:
    for one in facts.replaced_versions:
        sentence = (
            f"{one.source}.yaml has changed since {shown_user(one.by)} published version "
            f"{one.number} of this mapping in the console, so the file is in use."
        )
        yield Problem(code="version_replaced", source=one.source, sentence=sentence)


def _speed(facts: Facts) -> Iterator[Problem]:
    alive = [one for one in facts.processes if one.seen_ago < ALIVE]
    worst = max(alive, key=lambda one: one.write_seconds or 0.0, default=None)
    if worst is not None and (worst.write_seconds or 0.0) > SLOW_SECONDS:
        who = f"the {worst.kind} process on {worst.host}"
        sentence = f"PostgreSQL needs {worst.write_seconds:.1f} s to save a row for {who}."
        yield Problem(code="database_slow", sentence=sentence)


def _webhooks(facts: Facts) -> Iterator[Problem]:
    one, now = facts.webhooks, facts.now
    if one is None:
        return
    if one.failed:
        since = one.failing_since or one.oldest_at
        who = "has been failing" if one.failing_since else "has rejected some of them"
        sentence = f"The receiver of status webhooks {who}{_since(since, now)} ({one.last_error}): "
        waiting = _count(one.waiting, "status webhook has", "status webhooks have")
        sentence += f"{waiting} not been delivered."
        yield Problem(code="status_webhooks_failing", since=since, sentence=sentence)
    if one.given_up_at is not None and now - one.given_up_at < GIVEN_UP_FOR:
        count = _count(one.given_up, "status webhook")
        sentence = f"{count} could not be delivered, the latest {age_of(one.given_up_at)}."
        yield Problem(code="status_webhooks_given_up", since=one.given_up_at, sentence=sentence)


def _invitations(facts: Facts) -> Iterator[Problem]:
    one, now = facts.mail_failures, facts.now
    if one is None or one.failures < MIN_MAIL_FAILURES or now - one.failed_at >= GIVEN_UP_FOR:
        return
    if now - one.failing_since >= MAIL_FAILING_AFTER:
        since = _since(one.failing_since, now)
        waiting = _count(one.waiting, "email is waiting", "emails are waiting")
        sentence = f"No invitation has been emailed{since}: {one.last_error}. {waiting}."
        yield Problem(code="invitations_failing", since=one.failing_since, sentence=sentence)


def _room(facts: Facts) -> Iterator[Problem]:
    used, allowed = facts.connections
    if allowed and used >= allowed * MOST_CONNECTIONS:
        sentence = f"{used} of {allowed} connections to PostgreSQL are in use."
        yield Problem(code="connections_low", sentence=sentence)
    free = facts.disk_free
    if free is not None and free < LEAST_DISK_BYTES:
        sentence = f"Only {free / 1024**2:.0f} MiB is free on PostgreSQL's disk."
        yield Problem(code="disk_low", sentence=sentence)


def _sandbox(facts: Facts) -> Iterator[Problem]:
    if facts.is_sandbox:
        yield Problem(code="sandbox", sentence="Tours are booked in the sandbox, not in Knock.")


_CHECKS: Final[tuple[Callable[[Facts], Iterator[Problem]], ...]] = (
    _web,
    _worker,
    _sending,
    _pauses,
    _unmapped,
    _sources,
    _formats,
    _review,
    _processes,
    _versions,
    _speed,
    _webhooks,
    _invitations,
    _room,
    _sandbox,
)


def _waiting(queue: QueueFacts) -> str:
    """Return a phrase with the numbers of waiting webhooks and bookings."""
    webhooks = _count(queue.unmapped, "webhook")
    bookings = _count(queue.pending, "booking")
    parts = [
        text for text, count in ((webhooks, queue.unmapped), (bookings, queue.pending)) if count
    ]
    verb = "is waiting" if queue.unmapped + queue.pending == 1 else "are waiting"
    return f"{' and '.join(parts)} {verb}" if parts else "nothing is waiting yet"


def _since(at: dt.datetime | None, now: dt.datetime) -> str:
    """Return a phrase such as `` since 15:38 UTC (7 min ago)``, or "" if ``at`` is None."""
    if at is None:
        return ""
    day = "" if at.date() == now.date() else f"{at:%B} {at.day}, "
    return f" since {day}{at:%H:%M} UTC ({age_of(at)})"


def _count(number: int, singular: str, plural: str = "") -> str:
    return f"{number} {singular if number == 1 else plural or singular + 's'}"
