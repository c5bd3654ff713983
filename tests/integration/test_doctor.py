"""Create faults in an installation, and check that `adapter doctor` finds each of them."""

import dataclasses
import datetime as dt
import hashlib
import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from werkzeug.serving import make_server

import adapter
from adapter.app import create_app
from adapter.exceptions import WRONG_CONFIGURATION
from adapter.models import utc_now
from adapter.operations.check_settings import GivenSettings
from adapter.operations.check_web import FORGED, proxy_finding
from adapter.operations.examine import examine
from adapter.operations.finding import (
    CONFIGURATION,
    Finding,
    Status,
    exit_code,
    fault,
    ok,
    run_checks,
    warning,
)
from adapter.sandbox.catalog import BUNDLED, catalog_from
from adapter.services import propexo_from
from adapter.settings import EnvFile, Proxies, read_proxies, read_settings
from adapter.store import Database
from adapter.store.calendars import CalendarKey
from adapter.store.monitoring import Heartbeat
from adapter.webhooks.client_ip import client_ip
from adapter.webhooks.self_check import Arrival
from tests.adapter_process import kept_environ, run_command
from tests.databases import run_sql
from tests.harness import START
from tests.paths import MAPPINGS
from tests.ports import free_port
from tests.rows import new_event
from tests.sandbox_client import SandboxClient, running_sandbox
from tests.webhook_receiver import running_receiver

SECRETS = {
    "RENTFEED_SECRET": "a-secret-of-rentfeed",
    "LEASEBOT_SECRET": "a-secret-of-leasebot",
    "TYPEFORM_SECRET": "a-secret-of-typeform",
}
CLOSED_PORT = "127.0.0.1:1"


@dataclasses.dataclass
class Installation:
    """A healthy installation in which tests create faults."""

    environ: dict[str, str]
    url: str
    folder: Path
    ahead: dt.timedelta = dt.timedelta(0)

    def mapping(self, name: str, old: str, new: str) -> None:
        """Change a mapping file."""
        file = self.folder / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))

    def sql(self, statement: str) -> None:
        run_sql(self.url, statement)

    def found(self) -> list[Finding]:
        settings, faults = read_settings(self.environ)
        given = GivenSettings(settings, faults, EnvFile(None, frozenset()))
        return examine(given, propexo_from(settings), lambda: utc_now() + self.ahead)


@pytest.fixture(scope="module")
def upstream() -> Iterator[SandboxClient]:
    catalog = catalog_from(json.loads(BUNDLED.read_text()))
    # All tests together send more requests than Propexo allows in a minute.
    with running_sandbox(catalog=catalog, limit_per_minute=100_000) as upstream:
        yield upstream


@pytest.fixture
def installation(fresh_database: str, upstream: SandboxClient, tmp_path: Path) -> Installation:
    folder = tmp_path / "mappings"
    shutil.copytree(MAPPINGS, folder, ignore=shutil.ignore_patterns("gallery"))
    environ = SECRETS | {
        "DATABASE_URL": fresh_database,
        "PROPEXO_TOKEN": "sandbox",
        "PROPEXO_BASE_URL": upstream.url,
        "ADAPTER_MAPPINGS_DIR": str(folder),
    }
    run_sql(fresh_database, "INSERT INTO users VALUES ('ana', 'operate', 'scrypt:x', now())")
    with Database(fresh_database, size=1) as opened:
        for kind in ("web", "worker"):
            record_heartbeat(opened, kind)
    return Installation(environ, fresh_database, folder)


def record_heartbeat(opened: Database, kind: str, **changes: Any) -> None:
    now = dt.timedelta(0)
    facts: dict[str, Any] = {"id": kind, "kind": kind, "host": "here", "pid": 1, "age": now}
    facts |= {"version": adapter.__version__, "looked_ago": now, "outdated_for": None}
    facts |= {"write_seconds": None, "is_waiting": False}
    with opened.transaction() as tx:
        tx.monitoring.record_heartbeat(Heartbeat(**facts | {"at": utc_now()} | changes))


def without_role_rights(one: Installation) -> None:
    one.sql("DROP ROLE IF EXISTS reader")
    one.sql("CREATE ROLE reader")
    one.sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    one.environ["DATABASE_URL"] += "&options=-c%20role%3Dreader"


def free_times(**changes: Any) -> Callable[[Installation], None]:
    """Store a response about available times."""
    shape = "{result: [{slot: text}]}"
    given = {"times": [], "is_complete": False, "problem": None, "shape": shape}

    def plant(one: Installation) -> None:
        key = CalendarKey(
            integration_id="int_7Qm2", community_id="com_maple", appointment_type="APPOINTMENT"
        )
        with Database(one.url, size=1) as opened, opened.transaction() as tx:
            tx.free_times.begin(key, START)
            tx.free_times.end(key, START, START, **given | changes)  # type: ignore[arg-type]

    return plant


def waiting_event(one: Installation) -> None:
    with Database(one.url, size=1) as opened:
        opened.insert_event(dataclasses.replace(new_event(), received_at=utc_now()))
    one.sql("UPDATE events SET received_at = now() - interval '10 minutes', due_at = 'epoch'")


def waiting_booking(one: Installation) -> None:
    waiting_event(one)
    one.sql(
        "UPDATE events SET state = 'mapped';"
        "INSERT INTO bookings (event_id, item, source, kind, state, appointment, asked_at, due_at,"
        " created_at, updated_at) SELECT id, 0, source, 'prospect', 'pending', '{}', now(),"
        " now() - interval '1 hour', now(), now() FROM events"
    )


def old_web(one: Installation) -> None:
    with Database(one.url, size=1) as opened:
        record_heartbeat(opened, "web", id="old", version="0.1.9")


def not_migrated(one: Installation) -> None:
    one.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")


def database_name(one: Installation) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(one.url)["dbname"])


def alter_database(clause: str) -> Callable[[Installation], None]:
    return lambda one: one.sql(f"ALTER DATABASE {database_name(one)} {clause}")


def setting(**changes: str) -> Callable[[Installation], None]:
    return lambda one: one.environ.update(changes)


def sql(statement: str) -> Callable[[Installation], None]:
    return lambda one: one.sql(statement)


def mapping(*change: str) -> Callable[[Installation], None]:
    return lambda one: one.mapping(*change)


def clock_ahead(one: Installation) -> None:
    one.ahead = dt.timedelta(minutes=1)


#: Each fault: how to create it, and the expected finding's area, status, text and advice.
PLANTED: Mapping[str, tuple[Callable[[Installation], object], str, Status, str, str]] = {
    "a setting is invalid": (
        setting(PORT="many"), "settings", Status.FAULT, "PORT must be a whole number", "correct",
    ),
    "a setting is misspelled": (
        setting(PROPEXO_TOKN="x"), "settings", Status.FAULT, "PROPEXO_TOKN is not", "correct",
    ),
    "the token is missing": (
        setting(PROPEXO_TOKEN=""), "settings", Status.FAULT, "PROPEXO_TOKEN is not set", "set",
    ),
    "a secret is missing": (
        setting(RENTFEED_SECRET=""), "mappings", Status.FAULT, "RENTFEED_SECRET is not set", "web",
    ),
    "a secret has quotes and a line end": (
        setting(RENTFEED_SECRET='"a-secret-of-rentfeed"\n'),
        "settings", Status.WARNING, "RENTFEED_SECRET has whitespace or quotes", "remove",
    ),
    "two secrets are equal": (
        setting(LEASEBOT_SECRET="a-secret-of-rentfeed"),
        "settings", Status.WARNING, "(RENTFEED|LEASEBOT)_SECRET have the same value", "its own",
    ),
    "a secret is short": (
        setting(RENTFEED_SECRET="x"), "settings", Status.WARNING, "too short", "longer",
    ),
    "Kubernetes sets variables": (
        setting(ADAPTER_PORT="tcp://10.0.0.1:8000", ADAPTER_SERVICE_HOST="10.0.0.1"),
        "settings", Status.WARNING, "ADAPTER_PORT, ADAPTER_SERVICE_HOST", "enableServiceLinks",
    ),
    "a mapping is wrong": (
        mapping("rentfeed.yaml", "email_1: contact.email", "e_mail: contact.email"),
        "mappings", Status.FAULT, r"rentfeed\.yaml:\d+:\d+: .*e_mail", "correct the mapping",
    ),
    "the mappings are elsewhere": (
        setting(ADAPTER_MAPPINGS_DIR="nowhere"),
        "mappings", Status.FAULT, "/nowhere is not a folder; set ADAPTER_MAPPINGS_DIR", "correct",
    ),
    "PostgreSQL is away": (
        setting(DATABASE_URL=f"postgresql://leads:hunter2@{CLOSED_PORT}/leads"),
        "database", Status.FAULT, f"at {CLOSED_PORT}/leads: Connection refused", "start PostgreSQL",
    ),
    "the database is not migrated": (
        not_migrated, "database", Status.FAULT, "migrations: 0001_init", "run adapter migrate",
    ),
    "a migration was changed": (
        sql("UPDATE migrations SET sha256 = 'x' WHERE name = '0001_initial.sql'"),
        "database", Status.FAULT, "a different version of 0001_initial.sql", "install the version",
    ),
    "the database is newer": (
        sql("INSERT INTO migrations (name) VALUES ('9999_newer.sql')"),
        "database", Status.FAULT, "a newer version: it has 9999_newer.sql", "upgrade",
    ),
    "the role may only read": (
        without_role_rights, "database", Status.FAULT, "role reader cannot use", "GRANT",
    ),
    "PostgreSQL is read-only": (
        alter_database("SET default_transaction_read_only = on"),
        "database", Status.FAULT, "is read-only", "primary",
    ),
    "few connections are allowed": (
        alter_database("CONNECTION LIMIT 30"),
        "database", Status.WARNING, "up to .* of 30", "lower WEB_CONCURRENCY",
    ),
    "the sandbox would book for real renters": (
        sql("UPDATE installation SET propexo_host = 'api.example.com'"),
        "database", Status.FAULT, "has booked in Knock through api.example.com", "PROPEXO_TOKEN",
    ),
    "the clock is ahead": (
        clock_ahead, "clock", Status.FAULT, "60 seconds ahead of PostgreSQL's", "chrony",
    ),
    "the token is rejected": (
        setting(PROPEXO_TOKEN="wrong"),
        "propexo", Status.FAULT, r"rejects PROPEXO_TOKEN \(401\)", "copy the token",
    ),
    "Propexo is away": (
        setting(PROPEXO_TOKEN="real", PROPEXO_BASE_URL=f"http://{CLOSED_PORT}"),
        "propexo", Status.FAULT, f"{CLOSED_PORT} cannot be reached: Connection refused", "firewall",
    ),
    "a community has a wrong ID": (
        mapping("communities.yaml", "community_id: com_maple", "community_id: com_mapel"),
        "propexo", Status.FAULT, r"communities\.yaml:\d+.*did you mean 'com_maple'", "pull",
    ),
    "free times have an unknown format": (
        free_times(problem="unreadable"),
        "propexo", Status.WARNING, r"com_maple .* \{result: \[\{slot: text\}\]\}", "this format",
    ),
    "free times can be read in part": (
        free_times(times=[START]), "propexo", Status.WARNING, "cannot all be read", "unless",
    ),
    "Propexo does not tell free times": (
        free_times(problem="no_answer"), "propexo", Status.WARNING, "not respond", "unchecked",
    ),
    "the public URL leads nowhere": (
        setting(ADAPTER_PUBLIC_URL=f"https://{CLOSED_PORT}"),
        "web", Status.FAULT, f"https://{CLOSED_PORT} cannot be reached", "proxy",
    ),
    "no worker runs": (
        sql("DELETE FROM processes WHERE kind = 'worker'"),
        "work", Status.FAULT, "No worker is running", "Start `adapter worker`",
    ),
    "web was not restarted after the upgrade": (
        old_web, "work", Status.WARNING, r"runs version 0\.1\.9", "restart the process",
    ),
    "webhooks are not mapped": (
        waiting_event, "work", Status.FAULT, "1 webhook is waiting .*10 min ago", "worker's log",
    ),
    "bookings are not sent": (
        waiting_booking, "work", Status.FAULT, "No booking has been sent", "worker's log",
    ),
    "sending is stopped": (
        sql("UPDATE rate_limit SET stopped_for = 'not_authorized'"),
        "work", Status.FAULT, "Propexo rejects our API token", "PROPEXO_TOKEN",
    ),
    "nobody may use the console": (
        sql("DELETE FROM users"), "users", Status.WARNING, "no users", "adapter users add",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found_with_what_to_do(name: str, installation: Installation) -> None:
    plant, area, status, text, fix = PLANTED[name]
    plant(installation)

    found = installation.found()

    assert any(
        one.area == area
        and one.status is status
        and re.search(text, one.text)
        and re.search(fix, one.fix)
        for one in found
    ), found
    assert not any("hunter2" in one.text for one in found)


def test_an_installation_without_a_fault_is_ok(installation: Installation) -> None:
    found = installation.found()

    assert [one for one in found if one.status is not Status.OK] == []
    assert {one.area for one in found} == {
        *CONFIGURATION, "database", "clock", "propexo", "web", "work", "users"
    }  # fmt: skip
    texts = "\n".join(one.text for one in found)
    digest = hashlib.sha256(b"a-secret-of-rentfeed").hexdigest()[:8]
    assert f"RENTFEED_SECRET: 20 characters, fingerprint {digest} (from the environment)" in texts
    assert re.search(r"Propexo lists all IDs of \d communities", texts)
    assert not any(secret in texts for secret in SECRETS.values())


def test_the_format_of_free_times_is_shown_if_it_can_be_read(installation: Installation) -> None:
    free_times(times=[START], is_complete=True)(installation)
    found = installation.found()
    texts = [one.text for one in found if "available times" in one.text]
    assert texts == [
        "available times at com_maple (APPOINTMENT) were read (1): {result: [{slot: text}]}"
    ]
    assert [one for one in found if one.status is not Status.OK] == []


def test_models_that_cannot_be_read_are_named(
    installation: Installation, upstream: SandboxClient
) -> None:
    upstream.sync(off=["crm_events"])
    try:
        found = [one for one in installation.found() if one.area == "propexo"]
    finally:
        upstream.sync(off=[])
    (wrong,) = [one for one in found if one.status is Status.WARNING]
    assert "Propexo does not let us read tours (crm_events is not enabled)" in wrong.text
    assert wrong.fix == "ask Propexo to enable the model crm_events"
    assert any(one.text == "the sandbox has no guest cards yet" for one in found)


def test_it_writes_nothing(installation: Installation) -> None:
    def counts() -> object:
        with psycopg.connect(installation.url) as connection:
            return connection.execute(
                "SELECT relname, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables"
                " WHERE relname NOT IN ('calls', 'rate_limit') ORDER BY 1"
            ).fetchall()

    installation.sql("SELECT pg_stat_force_next_flush()")
    before = counts()
    installation.found()
    installation.sql("SELECT pg_stat_force_next_flush()")
    assert counts() == before


@pytest.mark.parametrize(
    ("answer", "status", "text"),
    [
        (405, Status.OK, "can be reached"),
        (501, Status.OK, "can be reached"),
        (502, Status.WARNING, "responds with HTTP 502"),
        (404, Status.FAULT, "responds with HTTP 404"),
        (None, Status.FAULT, "cannot be reached: Connection refused"),
    ],
)
def test_the_receiver_of_status_webhooks_is_checked_without_a_webhook(
    installation: Installation, answer: int | None, status: Status, text: str
) -> None:
    with running_receiver() as receiver:
        receiver.head_status = answer or 0
        url = receiver.url if answer else f"http://{CLOSED_PORT}"
        installation.environ["ADAPTER_STATUS_WEBHOOK_URL"] = f"{url}/secret-path"
        installation.environ["ADAPTER_STATUS_WEBHOOK_SECRET"] = "whsec_" + "MDEy" * 8
        (found,) = (one for one in installation.found() if one.area == "status webhooks")
        assert receiver.requests == []
    assert (found.status, text in found.text) == (status, True), found
    assert "secret-path" not in found.text


# --- one check does not affect the others -------------------------------------------------


def test_a_check_that_hangs_or_fails_leaves_the_others_alone() -> None:
    never = threading.Event()

    def hang() -> Iterator[Finding]:
        yield ok("slow", "it begins")
        never.wait(30)

    def fail() -> Iterator[Finding]:
        raise LookupError

    found = run_checks({"slow": hang, "broken": fail, "good": lambda: [ok("good", "fine")]}, 0.3)
    never.set()

    assert [(one.area, one.status) for one in found] == [
        ("slow", Status.OK),
        ("slow", Status.FAULT),
        ("broken", Status.FAULT),
        ("good", Status.OK),
    ]
    assert "did not finish within 0.3 seconds" in found[1].text
    assert "LookupError" in found[2].text


def test_what_a_check_raises_after_its_time_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    ends = threading.Event()
    threads: list[threading.Thread] = []

    def late() -> Iterator[Finding]:
        threads.append(threading.current_thread())
        yield ok("late", "it begins")
        ends.wait(30)
        raise LookupError

    run_checks({"late": late}, 0.3)
    ends.set()
    threads[0].join(30)
    assert "check_failed" not in caplog.messages


@pytest.mark.parametrize(
    ("areas", "code"), [([], 0), (["settings"], 78), (["settings", "mappings"], 78), (["web"], 1)]
)
def test_the_exit_code_names_a_wrong_configuration(areas: list[str], code: int) -> None:
    found = [ok("web", ""), warning("work", "", ""), *(fault(area, "", "") for area in areas)]

    assert exit_code(found, WRONG_CONFIGURATION) == code
    assert exit_code([*found, fault("work", "", "")], WRONG_CONFIGURATION) == 1


# --- proxies ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proxies", "forwarded_for", "peer", "status", "fix"),
    [
        ("0", [FORGED], "203.0.113.5", Status.OK, ""),
        ("1", [FORGED, "203.0.113.5"], "10.0.0.1", Status.OK, ""),
        ("10.0.0.0/8", [FORGED, "203.0.113.5", "10.0.0.2"], "10.0.0.1", Status.OK, ""),
        ("1", ["203.0.113.5"], "10.0.0.1", Status.OK, ""),
        ("0", [FORGED, "203.0.113.5"], "10.0.0.1", Status.FAULT, "PROXIES=1"),
        ("0", [], "10.0.0.1", Status.FAULT, "add_x_forwarded_for"),
        ("1", [], "10.0.0.1", Status.FAULT, "add_x_forwarded_for"),
        ("1", [FORGED], "10.0.0.1", Status.FAULT, "add_x_forwarded_for"),
        ("2", [FORGED, "203.0.113.5"], "10.0.0.1", Status.FAULT, "PROXIES=1"),
        ("1", [FORGED, "203.0.113.5", "10.0.0.2"], "10.0.0.1", Status.FAULT, "PROXIES=2"),
    ],
)
def test_the_proxies_that_are_trusted_are_those_in_front(
    proxies: str, forwarded_for: list[str], peer: str, status: Status, fix: str
) -> None:
    trusted: Proxies = read_proxies(proxies)
    client = client_ip(peer, ",".join(forwarded_for), trusted)
    seen = Arrival(version="", peer=peer, forwarded_for=tuple(forwarded_for), client=client)

    found = proxy_finding(seen, trusted)

    assert (found.status, fix in found.fix) == (status, True), found


@pytest.mark.parametrize(
    ("proxies", "status"), [("0", Status.OK), ("1", Status.FAULT)], ids=["right", "wrong"]
)
def test_it_asks_itself_through_the_public_url(
    installation: Installation, proxies: str, status: Status
) -> None:
    port = free_port()
    installation.environ |= {
        "ADAPTER_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "ADAPTER_TRUSTED_PROXIES": proxies,
    }
    app = create_app(read_settings(installation.environ)[0])
    server = make_server("127.0.0.1", port, app)
    with app.extensions["pipeline"].store:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found = [one for one in installation.found() if one.area == "web"]
        server.shutdown()

    assert {one.status for one in found} == {Status.OK, status}, found
    texts = " ".join(one.text for one in found)
    assert "belongs to this installation's web process" in texts
    assert "/console and /metrics require users to sign in" in texts
    assert ("anyone can forge" in texts) == (status is Status.FAULT)


# --- the command --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code"),
    [({}, 0), ({"PORT": "many"}, 78), ({"PROPEXO_TOKEN": "wrong"}, 1)],
    ids=["fine", "configuration", "fault"],
)
def test_the_command_prints_json_and_has_an_exit_code(
    installation: Installation, changes: dict[str, str], code: int
) -> None:
    ended = run_command(kept_environ() | installation.environ | changes, "doctor", "--json")

    assert (ended.returncode, ended.stderr) == (code, "")
    data = json.loads(ended.stdout)
    assert data["version"]
    assert {one["status"] for one in data["findings"]} >= {"ok"}


def test_the_command_says_what_to_do(installation: Installation, tmp_path: Path) -> None:
    file = tmp_path / "env"
    lines = [f"{name}={value}" for name, value in installation.environ.items()]
    file.write_text("\n".join([*lines, "PROPEXO_TOKN=x"]))
    environ = kept_environ() | {"ADAPTER_ENV_FILE": str(file)}

    short = run_command(environ, "doctor").stdout
    full = run_command(environ, "doctor", "--all").stdout

    assert "fault   settings: PROPEXO_TOKN is not a setting" in short
    assert "→ correct the variable where it is set" in short
    assert "RENTFEED_SECRET: 20 characters" not in short
    assert "RENTFEED_SECRET: 20 characters, fingerprint" in full
    assert f"(from {file})" in full
