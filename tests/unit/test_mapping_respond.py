"""Test the outcome, message and escaping of responses to senders that wait."""

import datetime as dt
import json
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from adapter.mapping.renter_language import IN_SPANISH, SENTENCES, language_from_text
from adapter.mapping.respond import (
    Reader,
    RequestValues,
    Respond,
    format_tour_time,
    values_from,
)
from adapter.mapping.webhook_outcome import (
    OUTCOME_BY_STATE,
    Outcome,
    WebhookOutcome,
    webhook_outcome_from,
)
from adapter.models import SETTLED, BookingState, EventState, Reason
from tests.rows import AT, booking

NASTY = '"}<Say>&amp; \x0b{event} \ud800'


def of(*words: str) -> WebhookOutcome:
    """Return the outcome of an event that has a booking in each of the given states."""
    bookings = [booking(BookingState(word), id=number) for number, word in enumerate(words)]
    return webhook_outcome_from(5, EventState.MAPPED, bookings)


@pytest.mark.parametrize(
    ("states", "outcome", "which"),
    [
        (["booked"], "booked", 0),
        (["pending"], "accepted", 0),
        (["sending"], "accepted", 0),
        (["submitted"], "accepted", 0),
        (["held"], "held", 0),
        (["failed"], "failed", 0),
        (["expired"], "failed", 0),
        (["unknown"], "unknown", 0),
        (["duplicate"], "duplicate", 0),
        (["superseded"], "duplicate", 0),
        (["discarded"], "ignored", 0),
        (["booked", "booked"], "booked", 0),
        (["booked", "submitted"], "accepted", 1),
        (["failed", "pending"], "accepted", 1),
        (["booked", "held", "held"], "held", 1),
        (["held", "unknown"], "unknown", 1),
        (["unknown", "failed"], "failed", 1),
        (["duplicate", "booked"], "booked", 1),
    ],
)
def test_the_worst_of_several_bookings_decides_once_all_are_settled(
    states: list[str], outcome: str, which: int
) -> None:
    found = of(*states)

    assert found.outcome == outcome
    assert found.booking is not None
    assert found.booking.id == which
    assert found.is_final == (outcome != "accepted")


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        ("received", "accepted"),
        ("ignored", "ignored"),
        ("held", "held"),
        ("discarded", "ignored"),
        ("mapped", "ignored"),
    ],
)
def test_an_event_without_bookings_has_an_outcome(state: str, outcome: str) -> None:
    assert webhook_outcome_from(5, EventState(state), []).outcome == outcome


def test_an_event_that_is_mapped_again_is_open_whatever_its_first_bookings_are() -> None:
    old = [booking(BookingState.HELD)]

    assert webhook_outcome_from(5, EventState.RECEIVED, old).outcome is Outcome.ACCEPTED


def test_a_notice_is_sent_for_every_state_that_ends_the_waiting() -> None:
    assert set(OUTCOME_BY_STATE) == set(BookingState)
    assert {
        state for state in BookingState if OUTCOME_BY_STATE[state] is not Outcome.ACCEPTED
    } == SETTLED


@pytest.mark.parametrize(
    ("at", "zone", "words"),
    [
        (AT, "America/Denver", "Saturday, March 14 at 2:30 PM"),
        (AT, "Europe/London", "Saturday, March 14 at 8:30 PM"),
        (
            AT - dt.timedelta(hours=2, minutes=30),
            "America/Denver",
            "Saturday, March 14 at 12:00 PM",
        ),
        (AT + dt.timedelta(hours=9, minutes=35), "America/Denver", "Sunday, March 15 at 12:05 AM"),
        (None, "America/Denver", ""),
        (AT, None, ""),
    ],
)
def test_the_start_is_in_the_communitys_time_zone(
    at: dt.datetime | None, zone: str | None, words: str
) -> None:
    assert format_tour_time(at, zone) == words


def test_the_values_of_a_booking() -> None:
    values = values_from(of("booked"))

    assert values["event"] == "5"
    assert values["status"] == "booked"
    assert values["booking.state"] == "booked"
    assert values["booking.community"] == "maple-court"
    assert values["booking.starts_at_utc"] == "2026-03-14T20:30:00Z"
    assert values["booking.first_name"] == "Dana"
    assert values["booking.pets"] == "cat, small_dog"
    assert values["booking.notes"] == ""


def test_a_reason_is_returned_without_the_value() -> None:
    told = (Reason(field="starts_at", reason="the time has passed", value='"2020"'),) * 2
    held = webhook_outcome_from(5, EventState.MAPPED, [booking(BookingState.HELD, reasons=told)])
    booked = webhook_outcome_from(
        5, EventState.MAPPED, [booking(BookingState.BOOKED, reasons=told)]
    )
    unreadable = webhook_outcome_from(5, EventState.HELD, [], told)

    assert values_from(held)["booking.reason"] == "the time has passed"
    assert values_from(unreadable)["booking.reason"] == "the time has passed"
    assert values_from(booked)["booking.reason"] == ""


# --- templates


def nasty() -> WebhookOutcome:
    """Return a booking for someone whose name contains markup."""
    one = booking(BookingState.BOOKED, appointment={"first_name": NASTY})
    return webhook_outcome_from(5, EventState.MAPPED, [one])


def reply(
    said: dict[str, Any], found: WebhookOutcome, asked: RequestValues | None = None
) -> tuple[str, str]:
    made = Respond.from_section(said).reply(found, asked or RequestValues())
    return made.body, made.mimetype


def test_a_json_response_can_contain_any_value() -> None:
    template = {"a": ["{booking.first_name}", 1, True, None], "b": {"c": "{{x}} {status}"}}
    body, mimetype = reply({"json": template}, nasty())

    assert json.loads(body) == {"a": [NASTY, 1, True, None], "b": {"c": "{x} booked"}}
    assert mimetype == "application/json"


def test_an_xml_response_can_contain_any_value() -> None:
    template = '<Response a="{booking.first_name}"><Say>{booking.first_name}</Say></Response>'
    body, mimetype = reply({"xml": template}, nasty())
    read = ET.fromstring(body)  # well-formed, and one element as written

    assert mimetype == "application/xml"
    assert [child.text for child in read] == ['"}<Say>&amp; {event} ']
    assert read.attrib["a"] == '"}<Say>&amp; {event} '


def test_a_text_response_is_plain() -> None:
    said = {"text": "You are booked for {booking.starts_at}, {booking.first_name}."}
    body, mimetype = reply(said, of("booked"))

    assert body == "You are booked for Saturday, March 14 at 2:30 PM, Dana."
    assert mimetype == "text/plain"


def test_outcomes_without_their_own_template_share_one() -> None:
    said = {"text": "thanks", "booked": {"json": {"ok": "{event}"}}, "held": {"xml": "<wait/>"}}

    assert reply(said, of("booked")) == ('{"ok": "5"}', "application/json")
    assert reply(said, of("held")) == ("<wait/>", "application/xml")
    assert reply(said, of("failed")) == ("thanks", "text/plain")


SAY = {"text": "{say}"}


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("booked", "You are booked for Saturday, March 14 at 2:30 PM."),
        ("pending", "We have your request and will confirm shortly."),
        ("sending", "We have your request and will confirm shortly."),
        ("submitted", "We have your request and will confirm shortly."),
        ("unknown", "We have your request and will confirm shortly."),
        ("held", "We have your request. Our team will review it and be in touch."),
        ("failed", "We could not book that tour. Our team will look into it."),
        ("expired", "That time is too soon to book, or has passed. Please choose another."),
        ("superseded", "You have since requested another tour, which replaced this one."),
        ("discarded", "No tour was booked."),
    ],
)
def test_each_state_has_a_sentence_for_the_renter(state: str, sentence: str) -> None:
    assert reply(SAY, of(state))[0] == sentence


def taken(**changes: Any) -> WebhookOutcome:
    """Return the outcome of a tour whose time is taken, with three available times in Denver."""
    hours = dt.timedelta(hours=1)
    times = (AT - 20 * hours, AT - hours, AT + hours)
    given = {"reason": "time_taken", "free_times": times} | changes
    held = booking(BookingState.HELD, **given)
    return webhook_outcome_from(5, EventState.MAPPED, [held])


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        (
            "en",
            (
                "That time is not available. Would one of these work: Friday, March 13 at 6:30 PM; "
                "Saturday, March 14 at 1:30 PM or 3:30 PM?"
            ),
        ),
        (
            "es",
            (
                "Ese horario no está disponible. ¿Le sirve alguno de estos: viernes 13 de marzo a "
                "las 6:30 p. m.; sábado 14 de marzo a la 1:30 p. m. o a las 3:30 p. m.?"
            ),
        ),
        (
            "fr",
            (
                "That time is not available. Would one of these work: 2026-03-13, 6:30 PM; "
                "2026-03-14, 1:30 PM, 3:30 PM?"
            ),
        ),
    ],
)
def test_a_renter_whose_time_is_taken_gets_free_times(language: str, sentence: str) -> None:
    said = {"text": "{say}", "language": ["locale"], "say": {"fr": {"booked": "Oui"}}}
    asked = RequestValues(read={"locale": language}.get)  # type: ignore[arg-type] # it has a value
    assert reply(said, taken(), asked)[0] == sentence


def test_free_times_are_data_too() -> None:
    each = {"each_free_time": {"title": "{free_time}", "at": "{free_time_utc}"}}
    template = {"json": {"say": "{booking.free_times}", "times": [each]}}
    body = json.loads(reply(template, taken())[0])
    assert body["say"] == "Friday, March 13 at 6:30 PM; Saturday, March 14 at 1:30 PM or 3:30 PM"
    assert body["times"] == [
        {"title": "Friday, March 13 at 6:30 PM", "at": "2026-03-14T00:30:00Z"},
        {"title": "Saturday, March 14 at 1:30 PM", "at": "2026-03-14T19:30:00Z"},
        {"title": "Saturday, March 14 at 3:30 PM", "at": "2026-03-14T21:30:00Z"},
    ]
    local = {"json": [{"each_free_time": "{free_time_local}"}]}
    assert json.loads(reply(local, taken())[0])[0] == "2026-03-13T18:30"


def test_free_times_are_offered_only_while_the_time_is_taken() -> None:
    for found in (taken(free_times=()), taken(reason="held_by_mapping"), of("booked")):
        text, _ = reply(
            {"json": {"t": "{booking.free_times}", "l": [{"each_free_time": 1}]}}, found
        )
        assert json.loads(text) == {"t": "", "l": []}
    assert reply(SAY, taken(free_times=()))[0].startswith("We have your request.")


def test_every_outcome_has_a_sentence_for_the_renter() -> None:
    assert set(Outcome) <= SENTENCES.keys() == IN_SPANISH.keys()


def test_only_what_is_booked_is_called_booked() -> None:
    for state in set(BookingState) - {BookingState.BOOKED}:
        said = reply(SAY, of(state))[0]
        assert said
        assert not said.startswith("You are booked")


def test_a_mapping_can_override_some_sentences() -> None:
    said = {"say": {"booked": "See you {booking.starts_at},\n  {booking.first_name}!"}, **SAY}

    assert reply(said, of("booked"))[0] == "See you Saturday, March 14 at 2:30 PM, Dana!"
    assert (
        reply(said, of("failed"))[0] == "We could not book that tour. Our team will look into it."
    )


def test_a_sentence_is_one_line_and_safe_wherever_it_stands() -> None:
    nasty_one = {"say": {"booked": "{booking.first_name}\nnew line"}}
    body, _ = reply(nasty_one | {"json": {"result": "{say}"}}, nasty())
    assert json.loads(body) == {"result": " ".join(f"{NASTY} new line".split())}

    body, _ = reply(nasty_one | {"xml": "<Message>{say}</Message>"}, nasty())
    assert ET.fromstring(body).text == '"}<Say>&amp; {event}  new line'


# --- the renter's language


@pytest.mark.parametrize(
    ("text", "code"),
    [
        *(("es", "es"), ("es-MX", "es"), ("ES_419", "es"), (" Español ", "es"), ("spanish", "es")),
        *(("es-MX,es;q=0.9,en;q=0.8", "es"), ("en-US", "en"), ("English", "en"), ("fr", "fr")),
        *(
            ("", "en"),
            ("estonian", "en"),
            ("klingon", "en"),
            ("{{lang}}", "en"),
            ("x" * 9999, "en"),
        ),
    ],
)
def test_a_language_has_many_names(text: str, code: str) -> None:
    assert language_from_text(text) == code


def in_language(text: str, outcome: str = "booked", **say: Any) -> str:
    section = {"language": ["call.locale", "locale"], "say": say, "text": "{say}"}
    return reply(section, of(outcome), RequestValues(read=reader(locale=text)))[0]


def test_the_message_is_in_the_renters_language() -> None:
    assert in_language("es-US") == (
        "Su visita del sábado 14 de marzo a las 2:30 p. m. está confirmada."
    )
    assert in_language("") == "You are booked for Saturday, March 14 at 2:30 PM."
    assert in_language("tlh") == "You are booked for Saturday, March 14 at 2:30 PM."
    assert in_language("es", "failed").startswith("No pudimos")


def test_a_mapping_has_messages_in_other_languages() -> None:
    say: dict[str, Any] = {
        "booked": "See you!",
        "es": {"booked": "¡Nos vemos el {booking.starts_at}!"},
        "fr": {"booked": "À bientôt : {booking.starts_at}"},
    }
    assert in_language("en", **say) == "See you!"
    assert in_language("es", **say) == "¡Nos vemos el sábado 14 de marzo a las 2:30 p. m.!"
    assert in_language("fr", **say) == "À bientôt : 2026-03-14, 2:30 PM"
    assert in_language("fr", "held", **say).startswith("We have your request")
    assert in_language("es", "held", **say).startswith("Recibimos")


def test_the_language_of_an_item_is_that_of_its_webhook() -> None:
    request = RequestValues(items=[(reader(**{"call.locale": "es"}), True)])
    section = {"language": ["call.locale"], "json": [{"each": {"said": "{say}"}}, "{say}"]}
    said = json.loads(reply(section, of("booked"), request)[0])
    assert said[0]["said"] == said[1] == in_language("es")


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (AT - dt.timedelta(hours=1), "sábado 14 de marzo a la 1:30 p. m."),
        (AT + dt.timedelta(hours=9, minutes=35), "domingo 15 de marzo a las 12:05 a. m."),
    ],
)
def test_a_tour_time_in_spanish(at: dt.datetime, words: str) -> None:
    assert format_tour_time(at, "America/Denver", "es") == words


# --- values from the webhook itself


def reader(**texts: str) -> Reader:
    return lambda place: texts.get(place, "")


CALLS = {"json": {"results": [{"each": {"id": "{request.call.id}", "said": "{say}"}}, "{status}"]}}


def test_a_webhook_value_is_returned_escaped() -> None:
    asked = RequestValues(read=reader(id=NASTY))

    assert json.loads(reply({"json": {"id": "{request.id}"}}, of("held"), asked)[0]) == {
        "id": NASTY
    }
    assert ET.fromstring(reply({"xml": "<a>{request.id}</a>"}, of("held"), asked)[0]).tag == "a"
    assert reply({"text": "[{request.other}]"}, of("held"), asked)[0] == "[]"


def test_each_item_gets_its_own_outcome() -> None:
    bookings = [booking(BookingState("booked"), id=1), booking(BookingState("failed"), id=2)]
    found = webhook_outcome_from(5, EventState.MAPPED, bookings)
    calls = [(reader(**{"call.id": "a"}), True), (reader(**{"call.id": "b"}), False)]
    calls += [(reader(**{"call.id": "c"}), True)]
    told = json.loads(reply(CALLS, found, RequestValues(items=calls))[0])["results"]

    assert [one["id"] for one in told[:3]] == ["a", "b", "c"]
    assert [one["said"].split()[0:4] for one in told[:3]] == [
        ["You", "are", "booked", "for"],
        ["No", "tour", "was", "booked."],
        ["We", "could", "not", "book"],
    ]
    assert told[3] == "failed"


def test_items_that_do_not_match_the_bookings_get_the_worst_outcome() -> None:
    bookings = [booking(BookingState("booked"), id=1), booking(BookingState("failed"), id=2)]
    found = webhook_outcome_from(5, EventState.MAPPED, bookings)
    told = json.loads(reply(CALLS, found, RequestValues(items=[(reader(), True)] * 3))[0])[
        "results"
    ]

    assert {one["said"] for one in told[:3]} == {
        "We could not book that tour. Our team will look into it."
    }


def test_an_event_without_bookings_has_one_outcome_for_all_items() -> None:
    held = webhook_outcome_from(5, EventState.HELD, [])
    told = json.loads(reply(CALLS, held, RequestValues(items=[(reader(), True)]))[0])["results"]

    assert told[0]["said"].startswith("We have your request. Our team")
    assert json.loads(reply(CALLS, held)[0]) == {"results": ["held"]}


def test_without_a_template_the_response_is_the_default() -> None:
    assert reply({"wait": "8s"}, of("held")) == (
        '{"event": 5, "status": "held"}',
        "application/json",
    )


def test_the_wait_is_read() -> None:
    assert Respond.from_section({"wait": "8s"}).wait_seconds == 8
    assert Respond.from_section({"text": "thanks"}).wait_seconds == 0
