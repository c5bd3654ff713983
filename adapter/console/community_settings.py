"""Serve the page with the tour hours and options of a community that was added in the console."""

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

import flask
from werkzeug.exceptions import NotFound

from adapter.bookings.tour_choices import STEP
from adapter.console.community_pages import aliases
from adapter.console.context import bp, services
from adapter.mapping.overlay import community_from
from adapter.mapping.tour_hours import DAYS, Hours, texts_from_hours
from adapter.models import AddedCommunity

#: The weekdays as users read them, Monday first.
WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
#: The property management systems that a user may choose.
SYSTEMS: Final = {"yardi": "Yardi"}


@bp.app_context_processor
def hours_helper() -> dict[str, Any]:
    """Return the template function that displays tour hours, and the hours for all bookings."""
    policy = services.settings.policy
    every_day = dict.fromkeys(range(7), (policy.earliest_tour, policy.latest_tour))
    return {"hours_text": hours_text, "booking_hours": hours_text(every_day)}


def hours_text(hours: Hours) -> str:
    """Return tour hours for users, such as ``Mon-Fri 9:00 AM-6:00 PM`` with en dashes."""
    texts = texts_from_hours(hours).items()
    shown = (f"{days.title()} {text}" for days, text in texts)
    return ", ".join(shown).replace("-", "\N{EN DASH}")


@bp.get("/communities/<key>/settings")
def community_settings(key: str) -> str:
    """Show the tour hours and options of an added community."""
    community = community_from(_added(key))
    form = {
        f"{name}_{DAYS[day]}": f"{at:%H:%M}"
        for day, times in community.tour_hours.items()
        for name, at in zip(("opens", "closes"), times, strict=True)
    }
    form |= {"check": "yes"} if community.check_availability else {}
    return _page(key, form | {"pms": community.pms}, {})


@bp.post("/communities/<key>/settings")
def save_community_settings(key: str) -> Any:
    """Save the tour hours and options of an added community."""
    added, form = _added(key), flask.request.form
    hours, problems = _hours_from(form)
    if problems:
        return _page(key, form, problems), 422
    pms = form.get("pms", "")
    changed = dataclasses.replace(
        added,
        tour_hours=texts_from_hours(hours),
        check_availability="check" in form,
        pms=pms if pms in SYSTEMS else "",
    )
    aliases().change_community(changed)
    flask.flash(f"{added.name}'s settings have been saved.", "good")
    return flask.redirect(flask.url_for("console.communities"))


def _added(key: str) -> AddedCommunity:
    found = next((one for one in services.pipeline.live.added if one.key == key), None)
    if found is None:
        raise NotFound("This community was not added here. It is set up in communities.yaml.")
    return found


def _page(key: str, form: Mapping[str, str], problems: Mapping[str, str]) -> str:
    return flask.render_template(
        "console/community_settings.html",
        title=_added(key).name,
        days=[*zip(DAYS, WEEKDAYS, strict=True)],
        systems=SYSTEMS,
        form=form,
        problems=problems,
    )


def _hours_from(form: Mapping[str, str]) -> tuple[Hours, Mapping[str, str]]:
    """Return the hours in a form, keyed by weekday, and an error sentence for each invalid day."""
    hours, problems = {}, {}
    for number, day in enumerate(DAYS):
        texts = [form.get(f"{name}_{day}", "").strip() for name in ("opens", "closes")]
        if not any(texts):
            continue
        opens, closes = map(_time_from, texts)
        if opens is None or closes is None:
            problems[day] = "Enter both times, or leave both empty if there are no tours that day."
        elif _minutes(closes) - _minutes(opens) < STEP.total_seconds() / 60:
            problems[day] = "The closing time must be at least 30 minutes after the opening time."
        else:
            hours[number] = (opens, closes)
    return hours, problems


def _time_from(text: str) -> dt.time | None:
    try:
        return dt.datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 - a local time of day
    except ValueError:
        return None


def _minutes(at: dt.time) -> int:
    return at.hour * 60 + at.minute
