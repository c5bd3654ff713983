"""Undo an action on several leads."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import flask
from werkzeug.exceptions import NotFound

from adapter.console.context import bp, services
from adapter.console.form_input import row_ids_from
from adapter.console.lead_actions import MAX_CHANGED, apply_each, names_in_text, to_list


def _undo_release(number: int) -> None:
    services.take_backs.undo_release(number, by=flask.g.user.name)


def _bring_back(number: int) -> None:
    services.take_backs.bring_back(number, by=flask.g.user.name)


def _wake(number: int) -> None:
    services.take_backs.wake(number, by=flask.g.user.name)


def _unassign(number: int) -> None:
    services.take_backs.assign(number, None, by=flask.g.user.name)


#: How to undo each action, and the text that reports the result for one lead or for several.
_UNDO: Final[Mapping[str, tuple[Callable[[int], object], str, str]]] = {
    "release": (_undo_release, "Nothing was sent. 1 lead needs", "Nothing was sent. {} leads need"),
    "discard": (_bring_back, "1 lead needs", "{} leads need"),
    "snooze": (_wake, "1 lead needs", "{} leads need"),
    "assign": (_unassign, "", ""),
}


@bp.post("/undo")
def undo_many() -> Any:
    """Undo an action on several leads, and report the leads that it is too late for."""
    args = flask.request.args
    undo, one, several = _UNDO.get(args.get("act", "release"), (None, "", ""))
    if undo is None:
        raise NotFound("There is no such action.")
    ids = row_ids_from(args.get("ids", "").split(","))[:MAX_CHANGED]
    done, errors = apply_each(undo, ids)
    for user, numbers in _former(args.getlist("to")):
        done += _assign_back(user, numbers)
    if done:
        need = (one if len(done) == 1 else several).format(len(done))
        flask.flash(f"Undone. {need} you again." if need else "Undone.", "good")
    for text, numbers in errors.items():
        flask.flash(f"{names_in_text(numbers)}: {text}", "bad")
    return to_list()


def _former(texts: Iterable[str]) -> Iterator[tuple[str, list[int]]]:
    """Yield each former assignee with the IDs of the leads that were assigned to them."""
    for text in texts:
        user, _, ids = text.rpartition(":")
        yield user[:100], row_ids_from(ids.split(","))[:MAX_CHANGED]


def _assign_back(user: str, numbers: Iterable[int]) -> list[int]:
    by = flask.g.user.name
    done, _ = apply_each(lambda number: services.take_backs.assign(number, user, by=by), [*numbers])
    return done
