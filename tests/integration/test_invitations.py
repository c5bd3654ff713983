"""Test the links that renters use to choose, move and cancel tours, with real services."""

import contextlib
import dataclasses
import datetime as dt
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml
from flask.testing import FlaskClient

from adapter import store
from adapter.app import create_app
from adapter.bookings.invitations import renter_links
from adapter.bookings.later_words import LINK_LABEL
from adapter.mapping.registry import load
from adapter.models import BookingState, Kind, KnockFacts, WebhookRequest
from adapter.operations.erase_personal_data import Eraser, Found
from adapter.webhooks.endpoints import build_endpoint
from adapter.webhooks.outcome import load_outcome, render_response
from adapter.webhooks.renter_pages import LINK_LIMIT_PER_MINUTE
from tests.gunicorn_process import LEAD, write_mappings
from tests.harness import Harness, settle
from tests.ports import free_port
from tests.propexo_webhooks import PropexoWebhooks
from tests.renter import Renter, link_in
from tests.sandbox_client import SandboxClient

PENDING, HELD, BOOKED = BookingState.PENDING, BookingState.HELD, BookingState.BOOKED
DISCARDED, SUPERSEDED = BookingState.DISCARDED, BookingState.SUPERSEDED

PUBLIC_URL = "https://leads.example.com"
SAMPLE = LEAD | {"at": "", "message": "Is there covered parking?", "lang": "en"}
TOUR_HOURS = {"mon-fri": "9:00 AM-6:00 PM", "sat": "10:00 AM-5:00 PM", "sun": "closed"}
#: The sections of a chatbot's mapping.
BOT: dict[str, Any] = {
    "signature": {"scheme": "hmac", "header": "X-Signature", "secrets": ["RENTFEED_SECRET"]},
    "appointment": {
        "name": "name",
        "email_1": "email",
        "starts_at": "at",
        "notes": ["{message}"],
    },
    "without_time": "invite",
    "respond": {"wait": "8s", "language": "lang", "json": {"say": "{say}"}},
    "tests": [{"name": "a lead", "payload": SAMPLE, "prospect_some": {"last_name": "Okafor"}}],
}
#: A mapping for webhooks that are not signed.
FORM = {k: v for k, v in BOT.items() if k != "respond"} | {"signature": {"scheme": "none"}}
MOVABLE = {
    "wait": "8s",
    "json": {"say": "{say}"},
    "say": {"booked": "You are booked for {booking.starts_at}. Change: {booking.change_link}"},
}


@pytest.fixture
def harness(opened: store.Database, upstream: SandboxClient, tmp_path: Path) -> Harness:
    """Return a pipeline with a chatbot, a portal and an unverified form, all with invitations."""
    learn(tmp_path)
    harness = Harness(opened, upstream, public_url=PUBLIC_URL)
    harness.pipeline.sources = load(tmp_path, harness.settings.policy)
    return harness


def learn(folder: Path, **community: Any) -> None:
    """Write the mappings and communities.yaml, and load them."""
    mappings = {"bot": BOT, "portal": BOT | {"respond": MOVABLE}, "form": FORM}
    write_mappings(folder, mappings)
    file = folder / "communities.yaml"
    known = yaml.safe_load(file.read_text())
    known["maple-court"] |= {"name": "Maple Court", "tour_hours": TOUR_HOURS} | community
    file.write_text(yaml.safe_dump({key: known[key] for key in known}))


Visit = Callable[..., Renter]


@pytest.fixture
def client(harness: Harness, upstream: SandboxClient) -> Iterator[FlaskClient]:
    """Yield a client of a web process that also uses mappings that change later."""
    settings = dataclasses.replace(
        harness.settings,
        database_url=harness.pipeline.store.url,
        propexo_token="sandbox",
        propexo_base_url=upstream.url,
    )
    app = create_app(settings, harness.clock, harness.pipeline.sources)
    yield app.test_client()
    app.extensions["pipeline"].store.__exit__()


@pytest.fixture
def visit(client: FlaskClient, harness: Harness) -> Visit:
    """Return a function that opens a link as a renter, with the current mappings."""

    def open_link(url: str, **headers: str) -> Renter:
        client.application.extensions["pipeline"].sources = harness.pipeline.sources
        return Renter(client, url, **headers)

    return open_link


def lead(number: int = 1, **changes: Any) -> dict[str, Any]:
    """Return a lead without a time, from a new person."""
    return SAMPLE | {"id": f"L-{number}", "email": f"person{number}@example.com"} | changes


def invited(harness: Harness, source: str = "bot", **changes: Any) -> tuple[int, str]:
    """Return the ID of a new guest card in Knock, and the link in its notes."""
    (card,) = harness.mapped(source, lead(**changes))
    settle(harness)
    return card.id, link_in(harness.booking(card.id))


def answer(harness: Harness, source: str, event_id: int, **payload: Any) -> str:
    """Return the response that the sender gets for an event."""
    endpoint = build_endpoint(harness.pipeline.sources[source], harness.settings)
    links = renter_links(harness.settings, harness.pipeline.store, harness.clock)
    outcome = load_outcome(harness.pipeline.store, event_id)
    request = WebhookRequest.from_body(json.dumps(payload).encode(), "application/json")
    return str(json.loads(render_response(endpoint, outcome, request, links).data)["say"])


def tours_of(harness: Harness, booking_id: int) -> list[Any]:
    return [one for one in harness.story(booking_id).bookings if one.kind is Kind.APPOINTMENT]


# --- from the lead to the tour


def test_a_renter_chooses_a_time_and_is_booked(
    harness: Harness, upstream: SandboxClient, visit: Visit
) -> None:
    card_id, link = invited(harness)
    assert link.startswith(f"{PUBLIC_URL}/tour/")
    assert [one["notes"] for one in upstream.cards()] == [
        f"Is there covered parking?\n{LINK_LABEL}{link}"
    ]
    renter = visit(link)
    assert "Choose a time for your tour" in renter.text
    assert "Maple Court" in renter.text
    assert "person1@example.com" not in renter.response.text
    assert "Okafor" not in renter.response.text

    renter.follow("12:30 PM")
    assert "Monday, March 2 at 12:30 PM" in renter.text
    assert upstream.posts() == []
    assert tours_of(harness, card_id) == [], "a GET books nothing"
    renter.submit()
    assert "We are booking your tour" in renter.text
    settle(harness)
    renter.open("?lang=en")
    assert "Maple Court is expecting you on Monday, March 2 at 12:30 PM." in renter.text

    (tour,) = tours_of(harness, card_id)
    assert (tour.state, tour.starts_at) == (BOOKED, dt.datetime(2026, 3, 2, 19, 30, tzinfo=dt.UTC))
    (posted,) = upstream.posts()
    assert posted["appointment_time"] == "19:30:00"
    assert posted["notes"] == "Is there covered parking?", "the link is not needed anymore"
    first = next(one for one in harness.story(card_id).history if one.booking_id == tour.id)
    assert (first.why, first.by) == ("chosen_by_renter", "renter")


def test_the_answer_to_the_sender_has_the_link_in_both_languages(harness: Harness) -> None:
    (card,) = harness.mapped("bot", lead())
    english = answer(harness, "bot", card.event_id, lang="en")
    assert english.startswith("Thank you. Choose a time for your tour here: https://")
    spanish = answer(harness, "bot", card.event_id, lang="es-MX")
    assert spanish.startswith("Gracias. Elija aquí el horario de su visita: https://")
    assert spanish.endswith("?lang=es")


def test_the_page_is_in_the_language_of_the_link_or_browser(harness: Harness, visit: Visit) -> None:
    _, link = invited(harness)
    assert "Elija el horario" in visit(link, **{"Accept-Language": "es-MX,en;q=0.5"}).text
    assert "Choose a time" in visit(link, **{"Accept-Language": "fr"}).text
    renter = visit(link + "?lang=es")
    assert "Lunes 2 de marzo" in renter.text
    renter.follow("12:30 p. m.")
    assert "Lunes 2 de marzo a las 12:30 p. m." in renter.text
    renter.follow("English")
    assert "Monday, March 2 at 12:30 PM" in renter.text


def test_a_tour_is_moved_and_canceled_in_spanish(harness: Harness, visit: Visit) -> None:
    """Check that sentences end with one period, and that texts address the renter as "usted"."""
    (tour,) = harness.mapped("portal", lead(at="2026-03-14T20:30:00Z"))
    settle(harness)
    renter = visit(answer(harness, "portal", tour.event_id).rpartition(" ")[2])
    when, texts = "sábado 14 de marzo a las 2:30 p. m.", []
    renter.open("?lang=es")
    assert f"El equipo de Maple Court le espera el {when} Elegir otro horario" in renter.text
    renter.follow("Elegir otro horario")
    renter.follow("1:00 p. m.")
    assert f"Esta visita reemplazará la del {when} Recibirá una nueva confirmación." in renter.text
    texts.append(renter.text)
    renter.submit()
    texts.append(renter.text)
    assert "La reserva suele tardar menos de un minuto." in renter.text
    renter.follow("Cancelar mi visita")
    assert "Cancelaremos su visita a Maple Court del lunes 2 de marzo" in renter.text
    texts.append(renter.text)
    assert ".." not in "".join(texts)


def test_a_tour_is_moved_and_canceled_with_the_link_in_the_answer(
    harness: Harness, upstream: SandboxClient, visit: Visit
) -> None:
    (tour,) = harness.mapped("portal", lead(at="2026-03-14T20:30:00Z"))
    settle(harness)
    text = answer(harness, "portal", tour.event_id)
    assert text.startswith("You are booked for Saturday, March 14 at 2:30 PM. Change: https://")
    renter = visit(text.rpartition(" ")[2])
    assert "Maple Court is expecting you on Saturday, March 14 at 2:30 PM." in renter.text

    renter.follow("Choose another time")
    renter.follow("1:00 PM")
    assert "This replaces your tour on Saturday, March 14 at 2:30 PM." in renter.text
    renter.submit()
    settle(harness)
    renter.open("?lang=en")
    assert "Maple Court is expecting you on Monday, March 2 at 1:00 PM." in renter.text
    assert [one["status"] for one in upstream.appointments()] == ["cancelled", "booked"]

    renter.follow("Cancel my tour")
    assert "We will cancel your tour on Monday, March 2 at 1:00 PM at Maple Court." in renter.text
    renter.submit()
    assert "We will cancel your tour" in renter.text
    wish = harness.story(tour.id).bookings[-1]
    assert (wish.state, wish.reason, wish.is_cancellation) == (HELD, "cancellation", True)
    assert wish.because_of == tours_of(harness, tour.id)[1].id
    assert [one["status"] for one in upstream.appointments()] == ["cancelled", "booked"]
    harness.repairs.discard(wish.id, "canceled in Knock", by="ana")
    renter.open("?lang=en")
    assert "Your tour on Monday, March 2 at 1:00 PM is canceled." in renter.text


def test_a_wish_to_cancel_is_closed_when_knock_reports_the_cancellation(
    harness: Harness, upstream: SandboxClient, visit: Callable[[str], Renter]
) -> None:
    card_id, link = invited(harness)
    renter = visit(link)
    renter.follow("12:30 PM")
    renter.submit()
    settle(harness)
    renter.open("?lang=en")
    renter.follow("Cancel my tour")
    renter.submit()
    tour, wish = tours_of(harness, card_id)
    assert (wish.state, wish.is_cancellation) == (HELD, True)
    propexo, ids = PropexoWebhooks(harness), {"integration_id": tour.appointment["integration_id"]}
    contact = {"prospect_id": "p1", "email": tour.appointment["email_1"]}
    record = ids | contact | {"id": "t1", "start": tour.starts_at.isoformat()}
    propexo.data("crm_events", record | {"status": "Booked"})
    assert harness.state(wish.id) is HELD
    propexo.data("crm_events", record | {"status": "Canceled"}, "DATA_UPDATE")
    done = harness.booking(wish.id)
    assert (done.state, done.reason, done.because_of) == (DISCARDED, "cancellation_done", tour.id)
    renter.open("?lang=en")
    assert "is canceled." in renter.text


def test_a_tour_that_was_not_sent_yet_is_canceled_at_once(
    harness: Harness, upstream: SandboxClient, visit: Visit
) -> None:
    (card,) = harness.mapped("bot", lead())
    renter = visit(link_in(card := harness.booking(card.id)))
    renter.follow("12:30 PM")
    renter.submit()
    assert harness.state(card.id) is SUPERSEDED, "the tour creates the guest card"
    renter.follow("Cancel my tour")
    renter.submit()
    assert "Your tour on Monday, March 2 at 12:30 PM is canceled." in renter.text
    settle(harness)

    (tour,) = tours_of(harness, card.id)
    assert (tour.state, tour.reason) == (DISCARDED, "canceled_by_renter")
    assert upstream.posts() == []
    assert harness.state(card.id) is BOOKED, "the lead still becomes a guest card"


def moved_tour(harness: Harness, visit: Visit, by: dt.timedelta) -> tuple[Renter, Any]:
    """Book a tour that a renter chooses, and move it in Knock. Return the page and the tour."""
    card_id, link = invited(harness)
    renter = visit(link)
    renter.follow("12:30 PM")
    renter.submit()
    settle(harness)
    (tour,) = tours_of(harness, card_id)
    assert tour.starts_at is not None
    now = harness.clock()
    facts = KnockFacts(moved_to=tour.starts_at + by, moved_at=now, why="moved_in_knock")
    with harness.pipeline.store.transaction() as tx:
        tx.bookings.record_in_knock(tour, facts, by="web", now=now)
    return renter, tour


def test_a_tour_that_was_moved_in_knock_has_its_new_time(harness: Harness, visit: Visit) -> None:
    renter, tour = moved_tour(harness, visit, dt.timedelta(hours=1))
    renter.open("?lang=en")
    assert "Maple Court is expecting you on Monday, March 2 at 1:30 PM." in renter.text
    renter.follow("Choose another time")
    first_day = renter.text.partition("Tuesday")[0]
    assert "1:00 PM 2:00 PM" in first_day, "its new time and its first time are not offered"
    assert "12:30 PM" not in first_day

    harness.clock.advance((tour.starts_at - harness.clock()).total_seconds() + 60)
    renter.open("?lang=en")
    assert "Maple Court is expecting you on Monday, March 2 at 1:30 PM." in renter.text


def test_a_tour_that_was_moved_to_a_later_day_is_upcoming_until_then(
    harness: Harness, visit: Visit
) -> None:
    renter, tour = moved_tour(harness, visit, dt.timedelta(days=2))
    harness.clock.advance(24 * 3600)
    assert harness.clock() > tour.starts_at
    renter.open("?lang=en")
    assert "Maple Court is expecting you on Wednesday, March 4 at 12:30 PM." in renter.text
    later = dict(lead(), id="another-message")
    (card,) = harness.mapped("bot", later)
    assert card.state is not PENDING, "Knock gets no guest card beside the tour"
    harness.clock.advance(2 * 24 * 3600)
    renter.open("?lang=en")
    assert "is expecting you" not in renter.text


def test_a_tour_moved_before_its_move_was_sent_is_canceled_in_knock_too(
    harness: Harness, visit: Visit
) -> None:
    card_id, link = invited(harness)
    renter = visit(link)
    renter.follow("12:30 PM")
    renter.submit()
    settle(harness)
    renter.open("?lang=en")
    for step in ("Choose another time", "1:00 PM"):
        renter.follow(step)
    renter.submit()
    renter.follow("Cancel my tour")
    renter.submit()

    first, second, wish = harness.story(card_id).bookings[1:]
    assert (second.state, second.reason) == (DISCARDED, "canceled_by_renter")
    assert (wish.state, wish.is_cancellation, wish.because_of) == (HELD, True, first.id)
    assert "We will cancel your tour" in renter.text
    renter.follow("Choose another time")
    renter.follow("2:00 PM")
    renter.submit()
    settle(harness)
    renter.open("?lang=en")
    assert "Maple Court is expecting you on Monday, March 2 at 2:00 PM." in renter.text
    assert harness.booking(wish.id).reason == "taken_back"


# --- what can go wrong


def test_a_second_click_and_a_second_window_book_nothing_more(
    harness: Harness, upstream: SandboxClient, visit: Visit
) -> None:
    card_id, link = invited(harness)
    renter, again, other = visit(link), visit(link), visit(link)
    renter.follow("12:30 PM")
    again.follow("12:30 PM")
    other.follow("1:00 PM")
    renter.submit()
    again.submit()
    assert again.response.status_code == 200
    assert "We are booking your tour" in again.text
    other.submit()
    assert other.response.status_code == 409
    assert "Your tour has changed since you opened this page." in other.text
    assert "12:30 PM" in other.text
    settle(harness)
    again.open("?lang=en&at=2026-03-02T19:30:00%2B00:00")
    assert len(tours_of(harness, card_id)) == len(upstream.posts()) == 1


def test_a_get_books_nothing(harness: Harness, visit: Visit) -> None:
    card_id, link = invited(harness)
    renter = visit(link)
    renter.follow("12:30 PM")
    assert visit(link).response.status_code == 200
    assert renter._client.head(renter.at).status_code == 200
    assert renter._client.put(renter.at).status_code == 405
    # A redirect would contain the Host header of the request.
    assert renter._client.get(renter.at.replace("/tour/", "/tour//")).status_code == 404
    assert tours_of(harness, card_id) == []


def test_a_time_that_has_passed_meanwhile_is_not_booked(harness: Harness, visit: Visit) -> None:
    card_id, link = invited(harness)
    renter = visit(link)
    renter.follow("12:30 PM")
    harness.clock.advance(3600)
    renter.submit()
    assert renter.response.status_code == 409
    assert "That time is no longer available." in renter.text
    assert "1:30 PM" in renter.links(), "the other times are shown"
    for at in ("2026-03-02T08:00:00+00:00", "2026-03-02T20:01:00+00:00", "x", ""):
        visit(link).open(f"?at={at}")
    assert tours_of(harness, card_id) == []


def test_a_form_without_our_token_changes_nothing(harness: Harness, visit: Visit) -> None:
    card_id, link = invited(harness)
    other = visit(link_in(harness.booking(invited(harness, number=2)[0])))
    other.follow("12:30 PM")
    foreign = other.form()[1]["form"]
    for token in ("", "x", foreign):
        renter = visit(link)
        renter.follow("12:30 PM")
        renter.submit(form=token)
        assert renter.response.status_code == 409
        assert "Please try again." in renter.text
    harness.clock.advance(3 * 3600 + 60)
    assert tours_of(harness, card_id) == []
    renter = visit(link)
    renter.follow("4:00 PM")
    harness.clock.advance(3 * 3600 + 60)
    renter.submit()
    assert renter.response.status_code == 409
    assert tours_of(harness, card_id) == []


@pytest.mark.parametrize("end", ["", "x", "A" * 400, "MTAwMQ.aaXQIA.xxxx", "a/b", "%00"])
def test_a_changed_link_has_its_page(visit: Visit, end: str) -> None:
    renter = visit(f"{PUBLIC_URL}/tour/{end}")
    assert (renter.response.status_code, "This link does not work" in renter.text) == (404, True)


def test_a_link_that_is_too_old_has_its_page(harness: Harness, visit: Visit) -> None:
    _, link = invited(harness)
    harness.clock.advance(31 * 24 * 3600)
    renter = visit(link + "?lang=es")
    assert renter.response.status_code == 410
    assert "Este enlace venció" in renter.text


def test_the_link_to_a_tour_that_is_over_says_so(harness: Harness, visit: Visit) -> None:
    (tour,) = harness.mapped("portal", lead(at="2026-03-14T20:30:00Z"))
    settle(harness)
    link = answer(harness, "portal", tour.event_id).rpartition(" ")[2]
    harness.clock.advance(13 * 24 * 3600)
    assert "This tour is over" in visit(link).text


def test_a_discarded_or_erased_lead_has_a_page_without_its_data(
    harness: Harness, visit: Visit
) -> None:
    (card,) = harness.mapped("bot", lead())
    link = link_in(harness.booking(card.id))
    repairs = harness.repairs
    repairs.discard(card.id, "spam", by="ana")
    renter = visit(link)
    assert (renter.response.status_code, "This request is closed" in renter.text) == (410, True)

    card_id, link = invited(harness, number=2)
    eraser = Eraser(harness.settings, harness.pipeline.store, harness.clock)
    event_id = harness.booking(card_id).event_id
    eraser.erase(Found(events=(event_id,), rejections=()), by="ana")
    renter = visit(link)
    assert (renter.response.status_code, "This request is closed" in renter.text) == (410, True)


def test_a_card_in_review_shows_that_the_team_will_call(harness: Harness, visit: Visit) -> None:
    card_id, link = invited(harness, phone="")
    with harness.pipeline.store.transaction() as tx:
        tx.connection.execute("UPDATE bookings SET state = 'failed' WHERE id = %s", [card_id])
    renter = visit(link)
    assert "The team at Maple Court will contact you." in renter.text
    assert "12:30 PM" not in renter.links()


def test_a_stranger_cannot_see_or_move_a_verified_tour(
    harness: Harness, upstream: SandboxClient, client: FlaskClient, visit: Visit
) -> None:
    harness.mapped("portal", lead(1, at="2026-03-14T20:30:00Z"))
    settle(harness)
    sent = client.post("/hooks/form", json=lead(2, email="person1@example.com"))
    event_id = json.loads(sent.data)["event"]
    harness.map_event(event_id)
    (card,) = harness.story(event_id).bookings
    links = renter_links(harness.settings, harness.pipeline.store, harness.clock)
    assert links is not None
    renter = visit(links.url(card.id))
    assert "Choose a time for your tour" in renter.text
    renter.follow("12:30 PM")
    renter.submit()
    assert "The team at Maple Court will confirm it." in renter.text
    settle(harness)
    (tour,) = tours_of(harness, card.id)
    assert (tour.state, tour.reason) == (HELD, "not_proved")
    assert len(upstream.posts()) == 1


def test_a_renter_without_a_name_is_asked_for_it(
    harness: Harness, upstream: SandboxClient, visit: Visit
) -> None:
    _, link = invited(harness, name="")
    renter = visit(link)
    renter.follow("12:30 PM")
    renter.submit(name="  ")
    assert renter.response.status_code == 422
    assert "Enter your first and last name" in renter.text
    renter.submit(name="\0\x1b \u202e")
    assert renter.response.status_code == 422
    renter.submit(name="Da\0na  van\x1b \u202eOkafor")
    settle(harness)
    (posted,) = upstream.posts()
    assert (posted["first_name"], posted["last_name"]) == ("Dana van", "Okafor")


def test_long_notes_are_not_shortened_for_the_link(
    harness: Harness, upstream: SandboxClient
) -> None:
    words = "word " * 180
    harness.mapped("bot", lead(message=words))
    settle(harness)
    (posted,) = upstream.cards()
    assert posted["notes"] == words.strip()


def test_without_tour_hours_nobody_is_invited(harness: Harness, tmp_path: Path) -> None:
    learn(tmp_path, tour_hours={"sun": "closed"})
    harness.pipeline.sources = load(tmp_path, harness.settings.policy)
    (card,) = harness.mapped("bot", lead())
    assert LINK_LABEL not in harness.booking(card.id).appointment["notes"]
    assert "{" not in answer(harness, "bot", card.event_id)
    assert "http" not in answer(harness, "bot", card.event_id)


def test_a_link_that_is_opened_too_often_gets_a_page(harness: Harness, visit: Visit) -> None:
    _, link = invited(harness)
    renter = visit(link)
    for _ in range(20 * LINK_LIMIT_PER_MINUTE):  # on a slow machine, the limit fills up again
        if renter.open(link).status_code != 200:
            break
    assert renter.response.status_code == 429
    assert "Retry-After" in renter.response.headers
    assert "This page was opened too many times." in renter.text


def test_the_pages_are_not_stored_indexed_or_framed(harness: Harness, visit: Visit) -> None:
    _, link = invited(harness)
    for url in (link, f"{PUBLIC_URL}/tour/x"):
        headers = visit(url).response.headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Robots-Tag"] == "noindex, nofollow"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "Set-Cookie" not in headers


def test_a_renter_who_has_a_tour_through_another_sender_sees_it(
    harness: Harness, upstream: SandboxClient, visit: Visit
) -> None:
    card_id, link = invited(harness)
    harness.clock.advance(60)
    harness.mapped("portal", lead(9, email="person1@example.com", at="2026-03-14T20:30:00Z"))
    settle(harness)
    renter = visit(link)
    assert "Maple Court is expecting you on Saturday, March 14 at 2:30 PM." in renter.text
    renter.open("?at=2026-03-14T20:30:00%2B00:00")
    assert "That time is no longer available." in renter.text
    renter.open("?lang=en")
    renter.follow("Cancel my tour")
    renter.submit()
    assert "We will cancel your tour" in renter.text
    assert tours_of(harness, card_id)[0].is_cancellation
    assert len(upstream.posts()) == 1


def test_the_link_of_a_webhook_that_was_mapped_again_still_works(
    harness: Harness, visit: Visit
) -> None:
    (card,) = harness.mapped("bot", lead())
    link = link_in(harness.booking(card.id))
    harness.replays.replay(card.event_id, by="ana", dry_run=False)
    renter = visit(link)
    renter.follow("12:30 PM")
    renter.submit()
    settle(harness)
    (tour,) = tours_of(harness, card.id)
    assert tour.state is BOOKED


def test_a_webhook_is_not_mapped_again_instead_of_the_tour_that_the_renter_chose(
    harness: Harness, visit: Visit
) -> None:
    (card,) = harness.mapped("bot", lead())
    renter = visit(link_in(harness.booking(card.id)))
    renter.follow("12:30 PM")
    renter.submit()
    found = harness.replays.replay(card.event_id, by="ana", dry_run=False)
    assert found.refusal == f"its booking {card.id} is superseded"
    settle(harness)
    (tour,) = tours_of(harness, card.id)
    assert tour.state is BOOKED


def test_a_webhook_is_not_mapped_again_instead_of_the_renters_wish_to_cancel(
    harness: Harness, visit: Visit
) -> None:
    card_id, link = invited(harness)
    renter = visit(link)
    renter.follow("12:30 PM")
    renter.submit()
    settle(harness)
    renter.open("?lang=en")
    renter.follow("Cancel my tour")
    renter.submit()
    wish = harness.story(card_id).bookings[-1]
    event_id = harness.booking(card_id).event_id
    harness.replays.replay(event_id, by="ana", dry_run=False, forced_because="the mapping")
    assert harness.state(wish.id) is HELD


def test_the_link_is_not_sent_to_knock_as_the_renters_words(
    harness: Harness, upstream: SandboxClient, visit: Visit
) -> None:
    (card,) = harness.mapped("bot", lead())
    renter = visit(link_in(harness.booking(card.id)))
    renter.follow("12:30 PM")
    renter.submit()
    settle(harness)
    harness.send_messages()
    assert upstream.notes() == []
    assert harness.messages() == []


# --- free times in Knock

TWO = dt.datetime(2026, 3, 3, 21, 0, tzinfo=dt.UTC)
THREE = TWO + dt.timedelta(hours=1)


def test_the_times_are_those_that_are_free_in_knock(
    harness: Harness, upstream: SandboxClient, visit: Visit, tmp_path: Path
) -> None:
    learn(tmp_path, check_availability=True, tour_hours={"sun": "closed"})
    harness.pipeline.sources = load(tmp_path, harness.settings.policy)
    upstream.set_free_times("com_1", [TWO, THREE])
    card_id, link = invited(harness)
    renter = visit(link)
    assert "Tuesday, March 3 2 open times 2:00 PM 3:00 PM" in renter.text

    renter.follow("2:00 PM")
    harness.clock.advance(61)
    upstream.set_free_times("com_1", [THREE])
    renter.submit()
    assert renter.response.status_code == 409
    assert "That time is no longer available." in renter.text
    renter.follow("3:00 PM")
    renter.submit()
    harness.clock.advance(61)
    upstream.set_free_times("com_1", [TWO, THREE + dt.timedelta(hours=1)])
    settle(harness)
    (tour,) = tours_of(harness, card_id)
    assert (tour.state, tour.reason) == (HELD, "time_taken")
    renter.open("?lang=en")
    assert "We could not book your tour on Tuesday, March 3 at 3:00 PM." in renter.text
    renter.follow("2:00 PM")
    renter.submit()
    settle(harness)
    renter.open("?lang=en")
    assert "Maple Court is expecting you on Tuesday, March 3 at 2:00 PM." in renter.text
    assert harness.state(tour.id) is SUPERSEDED
    assert len(upstream.posts()) == 1


def test_if_the_free_times_are_unknown_the_tour_hours_are_shown(
    harness: Harness, upstream: SandboxClient, visit: Visit, tmp_path: Path
) -> None:
    learn(tmp_path, check_availability=True)
    harness.pipeline.sources = load(tmp_path, harness.settings.policy)
    _, link = invited(harness)
    upstream.fault({"status": 500})
    assert "12:30 PM" in visit(link).links()


def test_two_clicks_at_the_same_time_book_once(
    harness: Harness, upstream: SandboxClient, visit: Visit
) -> None:
    card_id, link = invited(harness)
    renters = [visit(link) for _ in range(4)]
    for renter, time in zip(renters, ("12:30 PM", "12:30 PM", "1:00 PM", "1:30 PM"), strict=True):
        renter.follow(time)
    with ThreadPoolExecutor() as pool:
        statuses = list(pool.map(lambda renter: renter.submit().status_code, renters))
    settle(harness)
    assert set(statuses) == {200, 409}
    assert len(tours_of(harness, card_id)) == len(upstream.posts()) == 1


def test_without_a_database_there_is_a_page_too(harness: Harness) -> None:
    url = f"postgresql://127.0.0.1:{free_port()}/adapter"
    settings = dataclasses.replace(harness.settings, database_url=url)
    app = create_app(settings, harness.clock, harness.pipeline.sources)
    with contextlib.closing(app.extensions["pipeline"].store._pool):
        renter = Renter(app.test_client(), f"{PUBLIC_URL}/tour/MQ.aaXQIA.x?lang=es")
    assert renter.response.status_code == 503
    assert "Inténtelo de nuevo en un minuto, por favor" in renter.text


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "now"])
def test_a_time_out_of_range_is_not_available(harness: Harness, visit: Visit, at: str) -> None:
    card_id, link = invited(harness)
    renter = visit(link)
    page = renter.open(f"{link}?{urlencode({'at': at})}")
    assert page.status_code == 200
    renter.follow("12:30 PM")
    assert renter.submit(at=at).status_code == 409
    assert "no longer available" in renter.text
    assert tours_of(harness, card_id) == []
