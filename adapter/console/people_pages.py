"""Serve the page for adding and removing users and for changing roles and passwords."""

from collections.abc import Mapping
from typing import Any, Final

import flask
from werkzeug.exceptions import NotFound

from adapter.console.context import bp, services
from adapter.console.wording import plain
from adapter.exceptions import NotPossible
from adapter.models import LOCAL_USER
from adapter.operations.sign_in import EDITOR
from adapter.store import User

ROLE_NAMES: Final = {"read": "View only", "operate": "Can edit"}


@bp.app_context_processor
def people_helpers() -> dict[str, Any]:
    """Return the template variables that display roles."""
    return {"role_names": ROLE_NAMES}


@bp.get("/people")
def people() -> str:
    """Show the console's users, with their roles and when they were last active."""
    return _page({}, "")


def _page(form: Mapping[str, str], problem: str) -> str:
    """Render the page, with a rejected form and its error but without the password."""
    known = [one for one in services.sign_in.users().values() if one.name != LOCAL_USER]
    with services.store.transaction() as tx:
        seen = tx.audit.last_actions([one.name for one in known])
    return flask.render_template(
        "console/people.html",
        people=sorted(known, key=lambda one: one.name.casefold()),
        seen=seen,
        has_editor=any(one.role == EDITOR for one in known),
        is_configured={one.name: one.added_at is None for one in known},
        form=form,
        problem=problem,
    )


@bp.post("/people/add")
def add_person() -> Any:
    """Add a user with the role and password from the form."""
    form = flask.request.form
    name, password = form.get("name", "").strip(), form.get("password", "")
    try:
        if name in services.sign_in.users():
            raise NotPossible(f"There is already a user named {name}.")
        services.sign_in.add(name, password, form.get("role", ""), by=flask.g.user.name)
    except NotPossible as exc:
        return _page(form, plain(str(exc))), 409
    if flask.g.user.name == LOCAL_USER:  # the link's user no longer exists
        flask.session.clear()
        flask.flash(f"Added {name}. The link no longer works, so sign in as {name}.", "good")
        return flask.redirect(flask.url_for("console.sign_in"))
    flask.flash(f"Added {name}. Tell them the password. They can change it on this page.", "good")
    return flask.redirect(flask.url_for("console.people"))


@bp.post("/people/<name>/role")
def change_role(name: str) -> Any:
    """Change a user's role."""
    person, role = _person(name), flask.request.form.get("role", "")
    services.sign_in.set_role(person.name, role, by=flask.g.user.name)
    can = "can edit now" if role == EDITOR else "can only view now"
    flask.flash(f"{name} {can}.", "good")
    return flask.redirect(flask.url_for("console.people"))


@bp.post("/people/<name>/password")
def reset_password(name: str) -> Any:
    """Set a new password for a user, and end the user's sessions."""
    person, password = _person(name), flask.request.form.get("password", "")
    services.sign_in.set_password(person, password, by=flask.g.user.name)
    flask.flash(f"{name} has a new password and was signed out.", "good")
    return flask.redirect(flask.url_for("console.people"))


@bp.post("/people/<name>/remove")
def remove_person(name: str) -> Any:
    """Remove a user, and end the user's sessions."""
    services.sign_in.remove(_person(name).name, by=flask.g.user.name, keeps_editor=True)
    flask.flash(f"Removed {name}.", "good")
    return flask.redirect(flask.url_for("console.people"))


@bp.post("/password")
def change_own_password() -> Any:
    """Change the signed-in user's own password, and end the user's other sessions."""
    form, user = flask.request.form, flask.g.user
    _person(user.name)
    if form.get("new", "") != form.get("again", ""):
        raise NotPossible("The two new passwords are different.")
    services.sign_in.change_password(user, form.get("old", ""), form.get("new", ""))
    changed = services.sign_in.users()[user.name]
    flask.session["mark"] = services.sign_in.mark_of(changed)
    flask.flash("Your password was changed.", "good")
    return flask.redirect(flask.url_for("console.people"))


def _person(name: str) -> User:
    """Return a user who is not in ADAPTER_USERS. Raise NotFound or NotPossible otherwise."""
    known = services.sign_in.users().get(name)
    if known is None or name == LOCAL_USER:
        raise NotFound("There is no user with this name.")
    if known.added_at is None:
        raise NotPossible(f"An engineer has to change {name} in ADAPTER_USERS.")
    return known
