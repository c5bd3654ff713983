"""Define ``adapter users``, which lists, adds and removes console users."""

import getpass

import click

from adapter.cli import formatting, output
from adapter.cli.help import examples
from adapter.cli.leads import as_json, opened_store
from adapter.models import LOCAL_USER, utc_now
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
    """List console users. To change users, run `add` or `remove`.

    Until you add a user, the console opens only with the link that `adapter run` prints.
    """
    if context.invoked_subcommand is not None:
        return
    settings = settings_from()
    with opened_store(settings) as store:
        found = _sign_in(settings, store).users()
    everyone = [user for name, user in sorted(found.items()) if name != LOCAL_USER]
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
    help="Users with the role operate can change leads. Users with the role read can only view.",
)
@click.option(
    "--print",
    "only_print",
    is_flag=True,
    help="Print an entry for ADAPTER_USERS instead of adding the user.",
)
def add(name: str, role: str, only_print: bool) -> None:
    """Add a console user, or change a user's password and role. The command asks for a password."""
    # Never take it as an option, because other accounts can read a process's arguments.
    password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
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
    """Remove a console user and end their sessions."""
    settings = settings_from()
    with opened_store(settings) as store:
        sign_in = _sign_in(settings, store)
        is_removed = sign_in.remove(name, by=getpass.getuser())
        is_last = not sign_in.users()
    if not is_removed:
        output.fail(
            f"there is no user {name} in the database; to remove a user who is defined in "
            "ADAPTER_USERS, change that setting"
        )
    click.echo(f"Removed user {name}.")
    if is_last:
        click.echo(
            "No users are left. The console is closed until you add one or restart `adapter run`."
        )


@users.command(epilog=examples("adapter users unlock"))
def unlock() -> None:
    """Clear all failed sign-ins, so that every user can try again immediately."""
    settings = settings_from()
    with opened_store(settings) as store:
        _sign_in(settings, store).unlock(by=getpass.getuser())
    click.echo("Cleared all failed sign-ins.")


def _sign_in(settings: Settings, store: Database) -> SignIn:
    return SignIn(settings, store, utc_now)
