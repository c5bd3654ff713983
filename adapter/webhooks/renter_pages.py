"""Serve the page where renters choose, move or cancel a tour (``/tour/<token>``).

The link itself grants access: it names one booking, and its signature cannot be guessed. A GET
changes nothing, because chat apps and mail scanners open links to preview them. The pages work
without scripts, and no proxy or browser may store them.
"""

import datetime as dt
import itertools
import logging
import math
from typing import Any, Final

import flask
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from adapter.bookings.renter_tours import RenterTours, RenterView, Stage
from adapter.exceptions import LimitReached, LinkRefused, StoreUnavailable, Unreadable
from adapter.mapping.renter_language import (
    ENGLISH,
    clock_in,
    day_in,
    local_time_in,
)
from adapter.models import BookingState, Clock, Kind
from adapter.parsing.text import CAP_NAME, clean_text
from adapter.settings import Settings
from adapter.signatures.renter_links import LINK_DAYS, RenterLinks
from adapter.webhooks.client_ip import rate_limit_key
from adapter.webhooks.http_request import client_ip_of_request
from adapter.webhooks.limits import RequestLimit
from adapter.webhooks.renter_texts import TEXTS

log = logging.getLogger(__name__)

#: Maximum number of requests per minute and link, per web process.
LINK_LIMIT_PER_MINUTE: Final = 30
MAX_FORM_BYTES: Final = 4 * 1024
MAX_NAME_LENGTH: Final = 80
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
    "Cache-Control": "no-store",
}
#: The HTTP status of each page that explains why a link or form cannot be used.
STATUS: Final = {"changed": 404, "expired": 410, "gone": 410, "busy": 429, "failed": 503}


class RenterPages:
    """Renders the pages for renters."""

    def __init__(
        self, settings: Settings, tours: RenterTours, links: RenterLinks, clock: Clock
    ) -> None:
        self._settings = settings
        self._tours = tours
        self._links = links
        self._clock = clock
        self._address_limit = RequestLimit(settings.address_limit_per_minute)
        self._link_limit = RequestLimit(LINK_LIMIT_PER_MINUTE)

    def count_request(self) -> None:
        """Count a request from an IP address. Raise LimitReached if there are too many."""
        address = client_ip_of_request(flask.request, self._settings)
        self._address_limit.take(rate_limit_key(address))

    def _booking_id(self, token: str) -> int:
        """Return the booking ID in a link, and count the request toward the link's limit.

        Raise LinkRefused if the link is invalid, and LimitReached after too many requests.
        """
        booking_id, made_at = self._links.read(token)
        self._link_limit.take(str(booking_id))
        flask.g.renter_link_made_at = made_at
        return booking_id

    def _view(self, token: str) -> RenterView:
        view = self._tours.view(self._booking_id(token))
        age = self._clock() - flask.g.renter_link_made_at
        if view.stage is Stage.GONE:
            raise LinkRefused("gone")
        is_old = age > dt.timedelta(days=LINK_DAYS)
        if view.booking.kind is Kind.PROSPECT and view.tour is None and is_old:
            raise LinkRefused("expired")
        return view

    def show(self, token: str, problem: str = "", status: int = 200) -> Any:
        """Render the page that a link opens, with an error message if there is a problem."""
        view, at = self._view(token), _time_from(flask.request.args.get("at", ""))
        if at is not None and at not in view.choices:
            at, problem = None, problem or "taken"
        return self._render(view, _step(view, at, problem), at, problem), status

    def submit(self, token: str) -> Any:
        """Book, move or cancel a tour as the form requests, and render the result."""
        view, form = self._view(token), flask.request.form
        try:
            seen = self._links.tour_seen(view.booking.id, form.get("form", ""))
            if "cancel" in form:
                self._tours.cancel(view.booking.id, seen=seen)
            else:
                at = _time_from(form.get("at", ""))
                if at is None:
                    raise LinkRefused("taken")
                name = _name_from(form.get("name", ""))
                self._tours.choose(view.booking.id, at, seen=seen, name=name)
        except LinkRefused as exc:
            log.info("renter_form_refused", extra={"booking_id": view.booking.id, "reason": exc})
            problem = {"name": "name_missing", "team": "meanwhile"}.get(exc.code, exc.code)
            return self.show(token, problem, 422 if problem == "name_missing" else 409)
        action = "cancel" if "cancel" in form else "choose"
        log.info("renter_form_accepted", extra={"booking_id": view.booking.id, "action": action})
        return Response(status=303, headers={"Location": f"?lang={language()}"})

    def _render(self, view: RenterView, step: str, at: dt.datetime | None, problem: str) -> str:
        lang, zone = language(), view.community.timezone if view.community else dt.UTC
        locals_ = [one.astimezone(zone) for one in view.choices]
        days = [
            (_capitalized(day_in(lang, times[0])), [(one, clock_in(lang, one)) for one in times])
            for _, group in itertools.groupby(locals_, lambda one: one.date())
            if (times := list(group))
        ]
        names = {"community": view.community.title if view.community else ""}
        if view.tour is not None and view.tour.starts_in_knock is not None:
            names["tour"] = local_time_in(lang, view.tour.starts_in_knock.astimezone(zone))
        notice, lost = "", view.lost
        if lost is not None and lost.starts_at is not None and view.stage is not Stage.TEAM:
            lost_at = local_time_in(lang, lost.starts_at.astimezone(zone))
            is_canceled = lost.state is BookingState.DISCARDED or lost.is_gone
            notice = _text(lang, "canceled" if is_canceled else "not_booked", {"tour": lost_at})
        return flask.render_template(
            "renter/page.html",
            t=lambda name, **more: _text(lang, name, {**names, **more}),
            lang=lang,
            view=view,
            step=step,
            stage=str(view.stage),
            at=at and _capitalized(local_time_in(lang, at.astimezone(zone))),
            at_value=at and at.isoformat(),
            days=days,
            problem=problem and _text(lang, problem, names),
            notice="" if problem or step in ("confirm", "cancel") else notice,
            form_token=self._links.form_token(view.booking.id, view.tour_id),
        )


def _step(view: RenterView, at: dt.datetime | None, problem: str) -> str:
    """Return the step that the page shows: confirm, cancel, choose, or "" for the overview."""
    query = flask.request.args
    if problem == "meanwhile":
        return "choose" if view.stage is Stage.CHOOSE and view.choices else ""
    if at is not None:
        return "confirm"
    if "cancel" in query and view.stage in (Stage.WAITING, Stage.BOOKED):
        return "cancel"
    is_choosing = view.stage is Stage.CHOOSE or "change" in query or problem == "taken"
    return "choose" if view.choices and is_choosing else ""


def blueprint(
    settings: Settings, tours: RenterTours, links: RenterLinks, clock: Clock
) -> flask.Blueprint:
    """Return the blueprint with the pages for renters."""
    routes = flask.Blueprint(
        "renter",
        __name__,
        url_prefix="/tour",
        static_folder="static",
        template_folder="templates",
    )
    pages = RenterPages(settings, tours, links, clock)

    @routes.before_request
    def count() -> None:
        if flask.request.endpoint != "renter.static":
            flask.request.max_content_length = MAX_FORM_BYTES
            pages.count_request()

    routes.get("/<token>")(pages.show)
    routes.post("/<token>")(pages.submit)

    @routes.route("/", defaults={"rest": ""}, methods=["GET", "POST"])
    @routes.route("/<path:rest>", methods=["GET", "POST"])
    def not_found(rest: str) -> Any:  # noqa: ARG001 - Flask's
        return _problem_page("changed")

    _add_error_pages(routes)
    return routes


def _add_error_pages(routes: flask.Blueprint) -> None:
    @routes.after_request
    def add_headers(response: Response) -> Response:
        response.headers.update(HEADERS)
        if flask.request.endpoint == "renter.static":
            response.headers["Cache-Control"] = "public, max-age=3600"
        return response

    @routes.errorhandler(LinkRefused)
    def refused(error: LinkRefused) -> Any:
        log.info("renter_link_refused", extra={"reason": error.code})
        return _problem_page(error.code)

    @routes.errorhandler(LimitReached)
    def limit_reached(error: LimitReached) -> Any:
        after = {"Retry-After": str(math.ceil(error.retry_after_seconds))}
        return (*_problem_page("busy"), after)

    @routes.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Any:
        return _problem_page("changed")[0], error.code or 404

    @routes.errorhandler(StoreUnavailable)
    def store_unavailable(_error: StoreUnavailable) -> Any:
        return _problem_page("failed")

    @routes.errorhandler(Exception)
    def unexpected(error: Exception) -> Any:
        log.error("renter_page_failed", exc_info=error)
        return _problem_page("failed")


def _problem_page(code: str) -> tuple[str, int]:
    lang = language()
    page = flask.render_template(
        "renter/problem.html",
        lang=lang,
        title=_text(lang, f"{code}_title", {}),
        text=_text(lang, code, {}),
        other=_text(lang, "other_language", {}),
    )
    return page, STATUS[code]


def language() -> str:
    """Return the page's language: the one in the link, or else the browser's."""
    preferred = (one.partition("-")[0].lower() for one in flask.request.accept_languages.values())
    asked = (flask.request.args.get("lang", ""), *preferred)
    return next((one for one in asked if one in TEXTS), ENGLISH)


def _text(lang: str, name: str, values: dict[str, Any]) -> str:
    return TEXTS[lang][name].format_map(values)


def _capitalized(text: str) -> str:
    """Capitalize text that stands alone, because Spanish weekdays are lowercase in a sentence."""
    return text[:1].upper() + text[1:]


def _name_from(text: str) -> str:
    """Return the name from a submitted form, cleaned for storage, or "" if it is invalid."""
    try:
        return clean_text(text[:MAX_NAME_LENGTH], CAP_NAME)
    except Unreadable:
        return ""


def _time_from(text: str) -> dt.datetime | None:
    """Parse the time in a link or form. Return None if it is missing or invalid."""
    try:
        at = dt.datetime.fromisoformat(text)
        return at.astimezone(dt.UTC) if at.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
