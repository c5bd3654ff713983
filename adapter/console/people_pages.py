"""Serve the page on which people are added, and get roles and passwords."""

from typing import Any, Final

import flask
from werkzeug.exceptions import NotFound

from adapter.console.context import bp, services
from adapter.exceptions import NotPossible
from adapter.operations.sign_in import LOCAL
from adapter.store import User

ROLE_NAMES: Final = {"read": "View only", "operate": "Can edit"}


@bp.app_context_processor
def people_helpers() -> dict[str, Any]:
    """Return what the templates need to name roles."""
    return {"role_names": ROLE_NAMES}


@bp.get("/people")
def people() -> str:
    """Show who may use the console, with their roles and when they last did something."""
    known = [one for one in services.sign_in.users().values() if one.name != LOCAL]
    with services.store.transaction() as tx:
        seen = tx.audit.last_actions([one.name for one in known])
    return flask.render_template(
        "console/people.html",
        people=sorted(known, key=lambda one: one.name.casefold()),
        seen=seen,
        is_configured={one.name: one.added_at is None for one in known},
    )


@bp.post("/people/add")
def add_person() -> Any:
    """Add a person with a role and a password."""
    form = flask.request.form
    name, password = form.get("name", "").strip(), form.get("password", "")
    if name in services.sign_in.users():
        raise NotPossible(f"There is already somebody with the name {name}.")
    role = form.get("role", "")
    services.sign_in.add(name, password, role, by=flask.g.user.name)
    flask.flash(f"Added {name}. Tell them their password; they can change it here.", "good")
    return flask.redirect(flask.url_for("console.people"))


@bp.post("/people/<name>/role")
def change_role(name: str) -> Any:
    """Give a person another role."""
    person, role = _person(name), flask.request.form.get("role", "")
    if role != "operate":
        _require_another_editor(person)
    services.sign_in.set_role(name, role, by=flask.g.user.name)
    flask.flash(f"{name}: {ROLE_NAMES[role]}.", "good")
    return flask.redirect(flask.url_for("console.people"))


@bp.post("/people/<name>/password")
def reset_password(name: str) -> Any:
    """Give a person a new password, which ends their sessions."""
    person, password = _person(name), flask.request.form.get("password", "")
    services.sign_in.add(name, password, person.role, by=flask.g.user.name)
    flask.flash(f"{name} has a new password and was signed out.", "good")
    return flask.redirect(flask.url_for("console.people"))


@bp.post("/people/<name>/remove")
def remove_person(name: str) -> Any:
    """Remove a person and end their sessions."""
    _require_another_editor(_person(name))
    services.sign_in.remove(name, by=flask.g.user.name)
    flask.flash(f"Removed {name}.", "good")
    return flask.redirect(flask.url_for("console.people"))


@bp.post("/password")
def change_own_password() -> Any:
    """Change the user's own password. They stay signed in; their other sessions end."""
    form, user = flask.request.form, flask.g.user
    _person(user.name)
    if form.get("new", "") != form.get("again", ""):
        raise NotPossible("The new passwords differ. Enter the same one twice.")
    services.sign_in.change_password(user, form.get("old", ""), form.get("new", ""))
    changed = services.sign_in.users()[user.name]
    flask.session["mark"] = services.sign_in.mark_of(changed)
    flask.flash("Your password was changed.", "good")
    return flask.redirect(flask.url_for("console.people"))


def _person(name: str) -> User:
    """Return a person who can be changed here. Raise NotFound or NotPossible otherwise."""
    known = services.sign_in.users().get(name)
    if known is None or name == LOCAL:
        raise NotFound("There is nobody with this name.")
    if known.added_at is None:
        raise NotPossible(f"{name} is set up in ADAPTER_USERS. An engineer can change it there.")
    return known


def _require_another_editor(person: User) -> None:
    """Raise NotPossible if the person is the last one who can edit."""
    others = services.sign_in.users().values()
    if not any(one.role == "operate" and one.name not in (person.name, LOCAL) for one in others):
        raise NotPossible(f"{person.name} is the last person who can edit. Add another one first.")
