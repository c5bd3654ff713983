"""Run an adapter with leads, and a browser for its console."""

import contextlib
import dataclasses
import datetime as dt
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
from playwright.sync_api import Browser, Page, sync_playwright

from adapter.mapping.registry import load_one
from adapter.operations.sign_in import new_user
from adapter.settings import Policy
from adapter.store.child_processes import popen
from adapter.store.embedded import EmbeddedServer
from adapter.webhooks import signed_client
from tests.adapter_process import ADAPTER, SECRETS, AdapterProcess, environment, is_ready, is_up
from tests.harness import sample
from tests.paths import MAPPINGS
from tests.users import PASSWORD
from tests.wait import wait_until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
#: Options that turn off the browser's background requests, which would only fail.
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclasses.dataclass
class Site:
    """A running adapter and its mappings folder."""

    running: AdapterProcess
    mappings: Path

    @property
    def console(self) -> str:
        return self.running.url + "/console"

    def send(self, name: str, payload: Any) -> int:
        """Send a signed webhook and return its event ID."""
        return int(self.answer(name, payload)["event"])

    def answer(self, name: str, payload: Any) -> Any:
        """Send a signed webhook and return the response."""
        source = load_one(self.mappings, name, Policy())
        secret = SECRETS[source.secrets[-1]]
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        request = signed_client.sign_webhook(
            source,
            secret,
            body=body,
            content_type="application/json",
            adapter_url=self.running.url,
        )
        answer = signed_client.send(request)
        assert answer.status == 200, answer
        return answer.body

    def settled(self, *numbers: int) -> None:
        """Wait until the given webhooks are mapped and none of their bookings are in flight."""
        url = EmbeddedServer(Path(self.running.environ["ADAPTER_DATA_DIR"])).url
        at_rest = (
            "SELECT count(*) FROM events WHERE id = ANY(%s) AND state <> 'received' AND NOT EXISTS "
            "(SELECT FROM bookings b WHERE b.event_id = events.id "
            "AND b.state IN ('pending', 'sending', 'submitted'))"
        )
        with psycopg.connect(url, autocommit=True) as connection:

            def are_at_rest() -> bool:
                row = connection.execute(at_rest, [list(numbers)]).fetchone()
                return row is not None and row[0] == len(numbers)

            wait_until(are_at_rest, "the leads are at rest", 60)

    def sql(self, statement: str) -> None:
        url = EmbeddedServer(Path(self.running.environ["ADAPTER_DATA_DIR"])).url
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement)


def portal_lead(
    number: int, *, days: int = 3, time: str = "2:30 PM", **contact: str
) -> dict[str, Any]:
    """Return a portal's lead with a tour ``days`` days from now."""
    payload: dict[str, Any] = sample("rentfeed-tour.json")
    day = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    payload |= {
        "leadId": f"RF-{number}",
        "createdAt": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }
    payload["tour"] |= {"date": day.strftime("%m/%d/%Y"), "time": time}
    # Unique phones: leads with the same phone are one person, whose tours replace each other.
    area = ("303", "970", "720")[number // 100]
    payload["contact"] |= {
        "email": f"renter{number}@example.com",
        "phone": f"({area}) 555-{100 + number % 100:04}",
    } | contact
    payload["preferences"]["moveIn"] = (day + dt.timedelta(days=40)).strftime("%m/%d/%Y")
    return payload


@contextlib.contextmanager
def running_site(prepare: Callable[[Path], None] | None = None) -> Iterator[Site]:
    """Run `adapter run` with two console users and a copy of the bundled mappings.

    ``prepare`` may change the mappings. In that case, the public URL points to this machine.
    """
    with tempfile.TemporaryDirectory(prefix="adapter-tests-") as name:
        folder = Path(name)
        mappings = folder / "mappings"
        shutil.copytree(MAPPINGS, mappings)
        users = ",".join(
            f"{known.name}:{known.role}:{known.password}"
            for known in (new_user("ana", PASSWORD, "operate"), new_user("rob", PASSWORD, "read"))
        )
        environ = environment(
            folder / "data", ADAPTER_MAPPINGS_DIR=str(mappings), ADAPTER_USERS=users
        )
        if prepare is not None:
            prepare(mappings)
            environ["ADAPTER_PUBLIC_URL"] = f"http://127.0.0.1:{environ['PORT']}"
        process = popen([*ADAPTER, "run"], env=environ)
        running = AdapterProcess(environ, process)
        try:
            wait_until(lambda: is_ready(running.url), "adapter run is ready", 60)
            wait_until(lambda: is_up(running.upstream.url), "the sandbox is ready", 60)
            yield Site(running, mappings)
        finally:
            process.terminate()
            process.wait(60)


@contextlib.contextmanager
def running_chromium() -> Iterator[Browser]:
    """Start Chromium, which must be installed."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        try:
            yield started
        finally:
            started.close()


@dataclasses.dataclass
class Reader:
    """A browser page, with everything that it has written to the browser's console."""

    page: Page
    site: Site
    console_messages: list[str]

    def go(self, path: str) -> None:
        self.page.goto(self.site.console + path)

    def sign_in(self, name: str) -> None:
        self.go("/")
        self.submit_sign_in(name)

    def submit_sign_in(self, name: str) -> None:
        """Fill in and submit the sign-in form."""
        self.page.get_by_label("Name", exact=True).fill(name)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.locator(".who", has_text=name).wait_for(state="attached")


@contextlib.contextmanager
def open_browser(browser: Browser, site: Site) -> Iterator[Reader]:
    """Open a browser page without a session."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 900},
        color_scheme="light",
        timezone_id="America/Denver",
    )
    context.set_default_timeout(20_000)
    page, console_messages = context.new_page(), list[str]()
    page.on("console", lambda said: console_messages.append(f"{said.type}: {said.text}"))
    page.on("pageerror", lambda error: console_messages.append(str(error)))
    page.on("dialog", lambda dialog: console_messages.append(f"dialog: {dialog.message}"))
    page.on("dialog", lambda dialog: dialog.dismiss())
    try:
        yield Reader(page, site, console_messages)
    finally:
        context.close()
