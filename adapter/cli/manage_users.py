"""``users``: who may sign in to the console."""

import getpass
import sys

import click

from adapter.cli import formatting
from adapter.cli.leads import as_json, opened_store, print_json
from adapter.models import utc_now
from adapter.operations.sign_in import SignIn, new_user
from adapter.settings import ROLES, Settings, settings_from
from adapter.store import Database


@click.group("users", invoke_without_command=True)
@as_json
@click.pass_context
def users(context: click.Context, as_json: bool) -> None:
    """List who may sign in to the console; `add` and `remove` change that.

    Without anybody, the console answers on this machine only.
    """
    if context.invoked_subcommand is not None:
        return
    settings = settings_from()
    with opened_store(settings) as store:
        found = sorted(_sign_in(settings, store).users().values(), key=lambda user: user.name)
    if as_json:
        shown = [{"name": user.name, "role": user.role} for user in found]
        print_json({"users": shown})
        return
    rows = (
        (user.name, user.role, "adapter users add" if user.added_at else "ADAPTER_USERS")
        for user in found
    )
    click.echo(formatting.table(("name", "role", "given by"), rows))


@users.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(ROLES),
    default="operate",
    show_default=True,
    help="read: look at leads; operate: also release, discard, confirm, map again.",
)
@click.option("--print", "only_print", is_flag=True, help="Print an entry for ADAPTER_USERS.")
@click.password_option(help="Asked for where it is not given.")
def add(name: str, role: str, only_print: bool, password: str) -> None:
    """Let NAME sign in, or give NAME another password or role."""
    user = new_user(name, password, role)
    if only_print:
        click.echo(f"{user.name}:{user.role}:{user.password}")
        return
    settings = settings_from()
    with opened_store(settings) as store:
        _sign_in(settings, store).add(name, password, role, by=getpass.getuser())
    click.echo(f"{name} may sign in ({role})")


@users.command()
@click.argument("name")
def remove(name: str) -> None:
    """Let NAME sign in no more; whoever is signed in as NAME is signed out."""
    settings = settings_from()
    with opened_store(settings) as store:
        was_there = _sign_in(settings, store).remove(name, by=getpass.getuser())
    if not was_there:
        click.echo(f"adapter: there is no {name}; those of ADAPTER_USERS leave there", err=True)
        sys.exit(1)
    click.echo(f"{name} may sign in no more")


def _sign_in(settings: Settings, store: Database) -> SignIn:
    return SignIn(settings, store, utc_now)
