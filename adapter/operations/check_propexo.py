"""Check the connection to Propexo, the token, the clock and IDs for ``adapter doctor``."""

import contextlib
import datetime as dt
import email.utils
import http
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from adapter.exceptions import NotSent, StoreUnavailable, UpstreamError
from adapter.mapping.communities_yaml import Communities, communities_from_folder
from adapter.mapping.problems import MappingErrors
from adapter.models import Clock
from adapter.operations.check_communities import problems_of
from adapter.operations.check_database import clock_finding
from adapter.operations.check_models import CONTENTS, states_of
from adapter.operations.finding import Finding, fault, ok, warning
from adapter.propexo import responses
from adapter.propexo.client import Propexo
from adapter.propexo.directory import VENDOR, Directory, RateLimitedReads, Read
from adapter.propexo.http import Response
from adapter.propexo.responses import Page
from adapter.settings import Settings
from adapter.store import Database
from adapter.store.crm_models import Reading

AREA: Final = "propexo"

#: Maximum number of lists to read, because each counts against the rate limit.
MOST_READS: Final = 20
#: Timeout of each request, in seconds.
SECONDS: Final = 5.0
#: A date in an HTTP header has whole seconds.
DATE_SECONDS: Final = 1.0


#: Why available times are unknown, by the problem's code.
PROBLEMS: Final = {
    "no_answer": "Propexo did not respond",
    "rejected": "Propexo rejected the request",
    "busy": "the rate limit did not allow a request",
}
UNCHECKED: Final = "tours are booked unchecked until Propexo responds; ask Propexo if it continues"
REPORT: Final = (
    "tours are booked unchecked, unless their time is listed; report this format, which contains "
    "no values"
)


class _TooManyReads(UpstreamError):
    """Raised if comparing all IDs would need too many API calls."""


def propexo_findings(
    settings: Settings, propexo: Propexo, url: str | None, clock: Clock
) -> Iterator[Finding]:
    """Check Propexo's API with one request, and then the IDs in communities.yaml.

    The requests count against the rate limit that all processes share if the database can be used.
    """
    host = urlsplit(propexo.base_url).netloc
    where = "the sandbox" if settings.is_sandbox else "Propexo"
    yield ok(AREA, f"tours are booked in {where} at {host}")
    with contextlib.ExitStack() as stack:
        store = _usable(url, stack)
        reads = RateLimitedReads(propexo, settings, store, clock, time.sleep)
        try:
            reads.wait()
            before = clock()
            response = propexo.integrations()
            seconds = (clock() - before).total_seconds()
        except NotSent as exc:
            yield _unreachable(exc, settings, host)
            return
        yield from _clock(response, before, seconds)
        try:
            page = responses.page(response)
        except UpstreamError as exc:
            yield _rejected(exc, host)
            return
        yield from _integrations(page.records, settings)
        yield from _ids(settings, reads)
        if store is not None:
            yield from _calendars(store)


def _calendars(store: Database) -> Iterator[Finding]:
    """Check that the latest responses with available times were readable, and show their format."""
    with store.transaction() as tx:
        calendars = tx.free_times.all()
    for one in calendars:
        name = f"available times at {one.key.community_id} ({one.key.appointment_type})"
        shape = f": {one.shape}" if one.shape else ""
        if one.problem is None and one.is_complete:
            yield ok(AREA, f"{name} were read ({len(one.times)}){shape}")
        elif one.problem in (None, "unreadable"):
            yield warning(AREA, f"{name} cannot all be read{shape}", REPORT)
        else:
            yield warning(AREA, f"{name} are unknown: {PROBLEMS[one.problem]}", UNCHECKED)


def _usable(url: str | None, stack: contextlib.ExitStack) -> Database | None:
    """Return the database that stores the rate limit, or None if it cannot be used."""
    if url is None:
        return None
    try:
        store = stack.enter_context(Database(url, size=1))
        store.check_schema()
    except StoreUnavailable:
        return None
    return store


def _unreachable(exc: NotSent, settings: Settings, host: str) -> Finding:
    text = f"{host} cannot be reached: {exc.answer or exc}"
    if settings.is_sandbox:
        return warning(AREA, text, "start the sandbox: `adapter run` or `adapter sandbox`")
    return fault(AREA, text, "check PROPEXO_BASE_URL, DNS and the firewall, then ask Propexo")


def _rejected(exc: UpstreamError, host: str) -> Finding:
    if exc.status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
        text = f"{host} rejects PROPEXO_TOKEN ({exc.status}), so nothing is sent"
        return fault(AREA, text, "copy the token from Propexo again, and restart web and worker")
    if exc.status == http.HTTPStatus.NOT_FOUND:
        return fault(AREA, f"{host} does not have this API (404)", "correct PROPEXO_BASE_URL")
    status = f" ({exc.status})" if exc.status else ""
    fix = "try again, and ask Propexo if the problem persists"
    return fault(AREA, f"{host}: {exc}{status}", fix)


def _clock(response: Response, before: dt.datetime, seconds: float) -> Iterator[Finding]:
    """Compare our clock with the date in Propexo's response."""
    try:
        date = email.utils.parsedate_to_datetime(response.headers.get("date", ""))
    except ValueError:
        return
    ours = before + dt.timedelta(seconds=seconds / 2)
    yield clock_finding("Propexo", date.astimezone(dt.UTC), ours, DATE_SECONDS + seconds / 2)


def _integrations(records: list[Mapping[str, Any]], settings: Settings) -> Iterator[Finding]:
    """Check the Knock integrations that the API token gives access to."""
    knock = [one for one in records if one.get("vendor") in (None, "", VENDOR)]
    if not knock:
        fix = "ask Propexo to connect Knock for this token"
        yield fault(AREA, "the token has no integration with Knock", fix)
        return
    yield ok(AREA, f"the token is accepted, with {len(knock)} integrations with Knock")
    for one in knock:
        name = f"integration {one.get('id')}"
        if one.get("active") is False:
            yield fault(AREA, f"{name} is inactive", "activate it at Propexo")
        if one.get("can_authenticate") is False:
            text = f"Propexo cannot sign in to Knock for {name}"
            yield fault(AREA, text, "renew the Knock credentials at Propexo")
        if one.get("system") == "SANDBOX" and not settings.is_sandbox:
            text = f"{name} is a test system at Propexo, not production"
            yield warning(AREA, text, "use the production system's token")


def _ids(settings: Settings, reads: RateLimitedReads) -> Iterator[Finding]:
    """Compare the IDs in communities.yaml with Propexo's lists."""
    try:
        listed = communities_from_folder(settings.mappings_dir)
    except MappingErrors:
        return  # reported with the mappings
    calls = iter(range(MOST_READS))

    def read(path: str, query: Mapping[str, str]) -> Page:
        if next(calls, None) is None:
            raise _TooManyReads("there are too many lists")
        return reads.page(path, query)

    yield from _compared(listed, Directory(read))
    yield from _models(listed, settings, read)


def _models(listed: Communities, settings: Settings, read: Read) -> Iterator[Finding]:
    """Check that Propexo lets us read Knock's records, as searches for bookings require."""
    ids = {one.integration_id for one in listed.by_key.values()}
    try:
        states = list(states_of(ids, read))
    except UpstreamError:
        return  # too many lists, or reported with the communities
    wrong = [one for one in states if one.state is not Reading.READABLE]
    for one in wrong:
        if one.state is Reading.OFF:
            yield warning(AREA, one.text(), f"ask Propexo to enable the model {one.model}")
        elif settings.is_sandbox:
            yield ok(AREA, f"the sandbox has no {CONTENTS[one.model]} yet")
        else:
            fix = f"if Knock has {CONTENTS[one.model]}, ask Propexo to enable the model {one.model}"
            yield warning(AREA, one.text(), fix)
    if not wrong:
        yield ok(AREA, "Propexo lets us read Knock's tours and guest cards")


def _compared(listed: Communities, directory: Directory) -> Iterator[Finding]:
    try:
        problems = problems_of(listed, directory)
    except _TooManyReads:
        text = f"not all {len(listed.by_key)} communities could be compared with Propexo's lists"
        yield ok(AREA, f"{text}; run adapter communities check to compare them")
        return
    except UpstreamError as exc:
        status = f" ({exc.status})" if exc.status else ""
        text = f"the lists of communities and attributions cannot be read: {exc}{status}"
        fix = "ask Propexo to enable the models crm_communities and crm_attributions"
        yield warning(AREA, text, fix)
        return
    for problem in problems:
        yield fault(AREA, str(problem), "correct the ID; adapter communities pull prints all IDs")
    if not problems:
        yield ok(AREA, f"Propexo lists all IDs of {len(listed.by_key)} communities")
