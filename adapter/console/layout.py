"""Provide the layout of every page: navigation, status line and template functions."""

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any, Final

import flask
from markupsafe import Markup

from adapter.console import time_html, wording
from adapter.console.context import bp, services
from adapter.console.display import tour_html
from adapter.console.needs_you import leads_that_need_you
from adapter.console.status_line import (
    current_verdict,
    problem_sentence,
    status_level,
    status_sentence,
)
from adapter.store import MOST_COUNTED


@dataclasses.dataclass(frozen=True, slots=True)
class NavigationItem:
    """A page in the console's navigation."""

    endpoint: str
    title: str
    icon: str
    #: Other endpoints that highlight this item as current.
    also: tuple[str, ...] = ()

    @property
    def is_current(self) -> bool:
        """True if the navigation item belongs to the current page."""
        endpoint = flask.g.get("opened_from", flask.request.endpoint)
        return endpoint in (self.endpoint, *self.also)


#: The pages whose buttons are hidden from users with view-only access.
PAGES_TO_EDIT: Final = frozenset(
    f"console.{name}"
    for name in (
        *("communities", "playground", "read_again", "rejection", "rejections", "source"),
        *("people", "group"),
    )
)
#: The pages for all users, and those for users who set up the adapter. A page that does not
#: exist yet is omitted.
NAVIGATION: Final = (
    (
        NavigationItem("console.queue", "Needs you", "inbox", ("console.group",)),
        NavigationItem("console.leads", "Leads", "list", ("console.lead", "console.decisions")),
        NavigationItem(
            "console.sources",
            "Sources",
            "plug",
            ("console.source", "console.invoice", "console.compare_invoice"),
        ),
        NavigationItem("console.overview", "Health", "pulse"),
    ),
    (
        NavigationItem(
            "console.communities",
            "Communities",
            "home",
            ("console.pick_community", "console.assigned_community", "console.new_community"),
        ),
        NavigationItem("console.playground", "Mappings", "map"),
        NavigationItem("console.rejections", "Rejected", "shield", ("console.rejection",)),
        NavigationItem("console.audit", "Activity", "clock"),
        NavigationItem("console.people", "People", "people", ("console.person",)),
    ),
)


#: How many days a user's choice of UTC is kept.
UTC_DAYS: Final = 365
#: Tours that start within this time are marked.
SOON_SECONDS: Final = 4 * 3600


def navigation(part: int) -> Iterator[NavigationItem]:
    """Yield the menu items in a section, skipping items whose pages do not exist."""
    known = flask.current_app.view_functions
    return (item for item in NAVIGATION[part] if item.endpoint in known)


def need_count(*, is_live: bool = False) -> Markup:
    """Render the number of leads that need review, updated by htmx if ``is_live``."""
    number = leads_that_need_you()
    more = "+" if number >= MOST_COUNTED else ""
    return Markup('<span class="count{}" id="need-count"{}>{}</span>').format(
        " due" * bool(number), Markup(' hx-swap-oob="true"') * is_live, f"{number:,}{more}"
    )


#: Functions that templates can call by these names, for the layout, times and wording.
_FUNCTIONS: Final[tuple[Callable[..., Any], ...]] = (
    *(navigation, need_count, status_sentence, status_level, problem_sentence),
    *(time_html.moment, time_html.time_ago, tour_html, time_html.tour_time),
    *(time_html.full_text, time_html.is_utc_chosen),
    *(wording.shown_value, wording.shown_changes, wording.changed_value, wording.fault_text),
    *(wording.ignored_text, wording.state_word, wording.event_word, wording.state_class),
    *(wording.replay_refusal, wording.is_done_cancellation, wording.in_knock_sentence),
    *(wording.phone_text, wording.error_text),
)


@bp.app_context_processor
def layout_helpers() -> dict[str, Any]:
    """Return the functions and values that every template can use."""
    return {one.__name__: one for one in _FUNCTIONS} | {
        "verdict": current_verdict,
        "view_only_text": wording.VIEW_ONLY,
        "pages_to_edit": PAGES_TO_EDIT,
        "now_at": services.now,
        "soon": lambda epoch: 0 < epoch - services.now().timestamp() < SOON_SECONDS,
        "time_ago_epoch": lambda epoch: time_html.time_ago(
            dt.datetime.fromtimestamp(epoch, dt.UTC)
        ),
        "community_name": services.community_name,
        "siblings": lambda views, booking: [
            one.booking for one in views if one.booking.id != booking.id
        ],
    }


@bp.post("/times")
def choose_times() -> Any:
    """Set whether this browser shows times in UTC or in the user's time zone."""
    answer = flask.redirect(flask.url_for("console.overview"))
    answer.set_cookie(
        time_html.UTC_COOKIE,
        "1" if flask.request.form.get("utc") else "",
        max_age=UTC_DAYS * 86400 if flask.request.form.get("utc") else 0,
        path=flask.url_for("console.overview"),
        secure=flask.request.is_secure,
        httponly=True,
        samesite="Lax",
    )
    return answer


@bp.get("/status")
def status_line() -> str:
    """Render the status line and the number of leads. Pages reload them every few seconds."""
    return flask.render_template("console/_live.html", now=current_verdict())
