"""``adapter run``, and each of its parts alone: ``web``, ``worker``, ``migrate``."""

import os

import click

from adapter import logs, services, store
from adapter.exceptions import ConfigurationError
from adapter.mapping.registry import load
from adapter.server import worker
from adapter.server.supervisor import Supervisor, become_web, renewal_signal, stop_signals
from adapter.settings import settings_from
from adapter.store.embedded import EmbeddedServer
from adapter.webhooks import endpoints


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the web process (or PORT).")
def run(port: int | None) -> None:
    """Run everything on this machine: PostgreSQL, web, worker, and the sandbox without a token.

    PostgreSQL is the embedded one unless DATABASE_URL is set. What dies is started again.
    A changed mapping is taken up by itself; Ctrl-C stops all of it.
    """
    environ = dict(os.environ)
    if port is not None:
        environ |= {"PORT": str(port)}
        environ.setdefault("ADAPTER_HOST", "127.0.0.1")
    supervisor = Supervisor(environ, say=lambda text: click.echo(text, err=True))
    with stop_signals() as stopped, renewal_signal() as asked, supervisor.running(stopped):
        if not stopped():
            _announce(supervisor)
        supervisor.watch(until=stopped, asked=asked)
        click.echo("stopping", err=True)


def _announce(supervisor: Supervisor) -> None:
    click.echo(f"ready: webhooks are taken at {supervisor.web_url}/hooks/<source>", err=True)
    for name in endpoints.unsigned_sources(
        load(supervisor.settings.mappings_dir, supervisor.settings.policy)
    ):
        click.echo(
            f"{name} is OPEN (scheme: none): anybody who knows its address may send", err=True
        )
    if supervisor.sandbox_url is not None:
        click.echo(
            f"PROPEXO_TOKEN is not set: tours are booked in the sandbox at "
            f"{supervisor.sandbox_url}, not in Knock",
            err=True,
        )
    if supervisor.settings.database_url is None:
        folder = supervisor.settings.data_dir / "postgres"
        click.echo(f"DATABASE_URL is not set: the data lies in {folder}", err=True)


@click.command()
def web() -> None:
    """Run the web process alone (gunicorn). Needs DATABASE_URL, or a running `adapter run`."""
    settings = settings_from()
    endpoints.check(settings)
    store.check_reachable(services.database_url(settings))
    become_web(settings)


@click.command("worker")
def run_worker() -> None:
    """Run one worker. Needs DATABASE_URL, or a running `adapter run`."""
    settings = settings_from()
    logs.configure(settings.log_level)
    if settings.propexo_token is None and settings.database_url is not None:
        raise ConfigurationError(
            "PROPEXO_TOKEN is not set; to book in a sandbox set PROPEXO_TOKEN=sandbox and "
            "PROPEXO_BASE_URL to its address"
        )
    # A connection for each task that runs at a time, and some for what looks after them.
    size = settings.worker_concurrency + 2
    worker.run(
        services.pipeline_from(settings, store.Database(services.database_url(settings), size=size))
    )


@click.command()
def migrate() -> None:
    """Bring the database up to date. Safe to run again, and by two at once."""
    settings = settings_from()
    if settings.database_url is not None:
        done = store.migrate(settings.database_url)
    else:
        with EmbeddedServer(settings.data_dir).running() as url:
            done = store.migrate(url)
    own = [name for name in done if not name.startswith("procrastinate/")]
    click.echo(
        f"migrated: {len(done)} steps" if done else "nothing to do: the database is up to date"
    )
    for name in own:
        click.echo(f"  {name}")
