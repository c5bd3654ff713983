"""Define ``adapter run``, ``web``, ``worker`` and ``migrate``."""

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping

import click

import adapter
from adapter import logs, services, store, tracing
from adapter.cli.help import examples
from adapter.exceptions import AdapterError, StoreUnavailable, exit_code
from adapter.mapping.registry import load
from adapter.models import utc_now
from adapter.operations.sign_in import SignIn
from adapter.operations.start_checks import check_token, database_url
from adapter.server.signals import reload_signal, stop_signals
from adapter.server.supervisor import Supervisor
from adapter.server.web_process import become_web, check_listening
from adapter.server.worker import run as run_worker
from adapter.settings import SECRET_NAMES, UNTRIMMED, settings_from, untrimmed
from adapter.store.embedded import EmbeddedServer
from adapter.webhooks import endpoints

log = logging.getLogger(__name__)

WORKER = (sys.executable, "-m", "adapter", "worker")


@click.command(epilog=examples("adapter run", "PROPEXO_TOKEN=… adapter run --port 8080"))
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on. Overrides PORT.")
def run(port: int | None) -> None:
    """Run PostgreSQL, the web process, the worker and the sandbox on this machine.

    PostgreSQL is embedded unless DATABASE_URL is set. The sandbox runs if PROPEXO_TOKEN is
    `sandbox`, or if it is not set and the embedded PostgreSQL has no bookings in Knock. Processes
    that exit are restarted, and changed mappings are reloaded. Ctrl-C stops everything.
    """
    supervisor = Supervisor(
        run_environment(os.environ, port), echo=lambda text: click.echo(text, err=True)
    )
    with stop_signals() as is_stopped, reload_signal() as is_due, supervisor.running(is_stopped):
        if not is_stopped():
            _announce(supervisor)
        supervisor.watch(until=is_stopped, is_reload_requested=is_due)
        click.echo("stopping", err=True)


@contextlib.contextmanager
def errors_as_json() -> Iterator[None]:
    """Log startup errors as JSON, unless the process runs in a terminal."""
    try:
        yield
    except AdapterError as exc:
        if sys.stderr.isatty():
            raise
        logs.configure()
        for line in str(exc).splitlines():
            log.critical("start_failed", extra={"problem": line})
        sys.exit(exit_code(exc))


def run_environment(environ: Mapping[str, str], port: int | None) -> dict[str, str]:
    """Return the environment for ``adapter run``, which by default listens only on this machine."""
    chosen = {"PORT": str(port)} if port is not None else {}
    return {**environ, "ADAPTER_HOST": environ.get("ADAPTER_HOST") or "127.0.0.1", **chosen}


def _announce(supervisor: Supervisor) -> None:
    click.echo(f"ready: send webhooks to {supervisor.web_url}/hooks/<source>", err=True)
    _announce_console(supervisor)
    sources = load(supervisor.settings.mappings_dir, supervisor.settings.policy)
    for name in endpoints.unsigned_sources(sources):
        click.echo(
            f"{name} is UNSIGNED (scheme: none): anyone who knows its URL can send webhooks",
            err=True,
        )
    for name in endpoints.untrimmed_secrets(sources, supervisor.settings):
        click.echo(f"{name} {UNTRIMMED}", err=True)
    if supervisor.sandbox_url is not None:
        click.echo(
            f"PROPEXO_TOKEN is not set: tours are booked in the sandbox at "
            f"{supervisor.sandbox_url}, not in Knock",
            err=True,
        )
    if supervisor.settings.database_url is None:
        folder = supervisor.settings.data_dir / "postgres"
        click.echo(f"DATABASE_URL is not set: data is stored in {folder}", err=True)


def _announce_console(supervisor: Supervisor) -> None:
    try:
        with store.Database(supervisor.database_url, size=1) as opened:
            key = SignIn(supervisor.settings, opened, utc_now).new_link()
    except StoreUnavailable:
        # Keep running during an outage, because the supervisor restarts PostgreSQL.
        text = (
            "console: no sign-in link, because PostgreSQL does not respond; restart to create one"
        )
        click.echo(text, err=True)
        return
    if key is None:
        click.echo(f"console: {supervisor.web_url}/console", err=True)
        return
    click.echo(
        f"console: {supervisor.web_url}/console/open?key={key}\n"
        "  (works once, on this machine, until you add a user: adapter users add NAME)",
        err=True,
    )


@click.command(epilog=examples("DATABASE_URL=postgresql://… PORT=8080 adapter web"))
def web() -> None:
    """Run only the web process (gunicorn), which needs DATABASE_URL or a running `adapter run`.

    While PostgreSQL is unavailable, the web process responds with 503, including at startup.
    """
    with errors_as_json():
        settings = settings_from()
        logs.configure(settings.log_level)
        endpoints.check(settings)
        tracing.check(settings.traces_url)
        check_listening(settings)
        try:
            store.check_reachable(database_url(settings))
        except StoreUnavailable as exc:
            facts = {"part": "start", "reason": str(exc), "seconds": 0}
            log.warning("postgresql_unavailable", extra=facts)
    become_web(settings)


@click.command(epilog=examples("DATABASE_URL=postgresql://… PROPEXO_TOKEN=… adapter worker"))
def worker() -> None:
    """Run one worker process. The worker needs DATABASE_URL or a running `adapter run`."""
    # A SIGHUP then waits until the worker can reload. The mask is inherited through `execv`.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    with errors_as_json():
        settings = settings_from()
        logs.configure(settings.log_level)
        logs.log_crashes()
        for name in untrimmed(settings.environ, SECRET_NAMES):
            log.warning("secret_not_trimmed", extra={"variable": name})
        services.log_service_links(settings)
        check_token(settings)
        tracing.configure(settings.traces_url, adapter.__version__)
        # One connection per concurrent task, and six for polling, recovery, the heartbeat, alarms,
        # status webhooks and metrics.
        size = settings.worker_concurrency + 6
        url, keys = database_url(settings), settings.encryption_keys
        database = store.Database(url, size=size, keys=keys)
        if run_worker(services.pipeline_from(settings, database, store.DatabaseClock())):
            os.execv(sys.executable, WORKER)  # noqa: S606 - a list of arguments without a shell


@click.command(epilog=examples("adapter migrate"))
def migrate() -> None:
    """Migrate the database to this version. You can safely repeat this command."""
    settings = settings_from()
    if settings.database_url is not None:
        done = store.migrate(settings.database_url)
    else:
        with EmbeddedServer(settings.data_dir).running() as url:
            done = store.migrate(url)
    click.echo(f"migrated: {len(done)} steps" if done else "the database is already up to date")
    for name in done:
        click.echo(f"  {name}")
