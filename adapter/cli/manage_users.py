"""``users``: list, add and remove console users."""

import getpass

import click

from adapter.cli import formatting, output
from adapter.cli.help import examples
from adapter.cli.leads import as_json, opened_store
from adapter.models import utc_now
from adapter.operations.sign_in import SignIn, new_user
from adapter.settings import ROLES, Settings, settings_from
from adapter.store import Database


@click.group(
    "users",
    invoke_without_command=True,
    epilog=examples("adapter users", "adapter users add ana --role read"),
)
@as_json
@click.pass_context
def users(context: click.Context, as_json: bool) -> None:
    """List console users; `add` and `remove` change them.

    Until you add a user, the console is open to anyone on this machine and closed to everyone else.
    """
    if context.invoked_subcommand is not None:
        return
    settings = settings_from()
    with opened_store(settings) as store:
        everyone = sorted(_sign_in(settings, store).users().values(), key=lambda user: user.name)
    data = {"users": [{"name": user.name, "role": user.role} for user in everyone]}
    rows = (
        (user.name, user.role, "adapter users add" if user.added_at else "ADAPTER_USERS")
        for user in everyone
    )
    output.show(data, formatting.table(("name", "role", "defined in"), rows), as_json=as_json)


@users.command(
    epilog=examples("adapter users add ana", "adapter users add ana --role read --print")
)
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(ROLES),
    default="operate",
    help="read: view leads; operate: also release, discard, confirm and replay them.",
)
@click.option(
    "--print",
    "only_print",
    is_flag=True,
    help="Only print an entry for ADAPTER_USERS; do not add the user.",
)
@click.password_option(help="Prompted for if not given.")
def add(name: str, role: str, only_print: bool, password: str) -> None:
    """Add user NAME, or change their password and role."""
    user = new_user(name, password, role)
    if only_print:
        click.echo(f"{user.name}:{user.role}:{user.password}")
        return
    settings = settings_from()
    with opened_store(settings) as store:
        _sign_in(settings, store).add(name, password, role, by=getpass.getuser())
    click.echo(f"Added user {name} ({role}).")


@users.command(epilog=examples("adapter users remove ana"))
@click.argument("name")
def remove(name: str) -> None:
    """Remove user NAME and end their sessions."""
    settings = settings_from()
    with opened_store(settings) as store:
        is_removed = _sign_in(settings, store).remove(name, by=getpass.getuser())
    if not is_removed:
        output.fail(
            f"there is no user {name} in the database; remove users in ADAPTER_USERS from that "
            "setting"
        )
    click.echo(f"Removed user {name}.")


def _sign_in(settings: Settings, store: Database) -> SignIn:
    return SignIn(settings, store, utc_now)
