"""Test the format and content of responses to chatbots and voice agents.

The schemas follow each sender's documentation, which is linked next to them.
"""

import json

import pytest

from adapter.mapping.respond import Respond, seconds_from
from adapter.mapping.webhook_outcome import Outcome, WebhookOutcome, webhook_outcome_from
from adapter.models import BookingState, EventState, Kind, WebhookRequest
from tests.chatbots import (
    BOTS,
    IN_TOUCH,
    SCHEMAS,
    SOURCES,
    first_test_request,
    matches_documented_format,
)
from tests.rows import booking


def answer_of(name: str, found: WebhookOutcome) -> tuple[str, str]:
    source = SOURCES[name]
    body, content_type, query = first_test_request(source)
    asked = source.request_values(
        WebhookRequest.from_body(body, content_type=content_type, query=query)
    )
    assert source.respond is not None
    reply = Respond.from_section(source.respond).reply(found, asked)
    return reply.body, reply.mimetype


FINDINGS = {
    **{
        str(state): webhook_outcome_from(5, EventState.MAPPED, [booking(state)])
        for state in BookingState
    },
    **{
        f"guest card {state}": webhook_outcome_from(
            5, EventState.MAPPED, [booking(state, kind=Kind.PROSPECT, starts_at=None)]
        )
        for state in BookingState
    },
    "event received": webhook_outcome_from(5, EventState.RECEIVED, []),
    "event held": webhook_outcome_from(5, EventState.HELD, []),
    "event ignored": webhook_outcome_from(5, EventState.IGNORED, []),
}


def test_each_waiting_sender_has_a_schema() -> None:
    assert sorted([*SCHEMAS, "twilio-sms"]) == BOTS


@pytest.mark.parametrize("name", BOTS)
@pytest.mark.parametrize("found", FINDINGS.values(), ids=FINDINGS)
def test_every_outcome_is_returned_in_the_senders_format(name: str, found: WebhookOutcome) -> None:
    body, mimetype = answer_of(name, found)

    assert matches_documented_format(name, body), body
    assert mimetype == ("application/xml" if name == "twilio-sms" else "application/json")
    assert ("You are booked" in body) is (found.outcome is Outcome.BOOKED)
    assert ("You are booked for Saturday, March 14 at 2:30 PM." in body) is (
        found.outcome is Outcome.BOOKED
    )
    assert (IN_TOUCH in body) is (found.outcome is Outcome.PROSPECT)


@pytest.mark.parametrize("name", BOTS)
def test_a_name_with_markup_does_not_break_the_format(name: str) -> None:
    source = SOURCES[name]
    assert source.respond is not None
    nasty = {"say": {"booked": '{booking.first_name}"}}<Message>&\n'}}
    body, content_type, query = first_test_request(source)
    asked = source.request_values(
        WebhookRequest.from_body(body, content_type=content_type, query=query)
    )
    one = booking(BookingState.BOOKED, appointment={"first_name": '"]}<Response/>&amp;\x00'})
    found = webhook_outcome_from(5, EventState.MAPPED, [one])

    assert matches_documented_format(
        name, Respond.from_section({**source.respond, **nasty}).reply(found, asked).body
    )


def test_each_vapi_tool_call_gets_its_own_outcome() -> None:
    bookings = [
        booking(BookingState(state), id=number)
        for number, state in enumerate(("booked", "failed", "held"))
    ]
    body, _ = answer_of("vapi", webhook_outcome_from(5, EventState.MAPPED, bookings))
    results = {one["toolCallId"]: one["result"] for one in json.loads(body)["results"]}

    assert list(results) == ["toolu_01", "toolu_02", "toolu_03"]
    assert results["toolu_01"].startswith("You are booked for ")
    assert results["toolu_02"].startswith("We could not book ")
    assert results["toolu_03"].startswith("We have your request. ")


def test_other_vapi_messages_get_no_results() -> None:
    source = SOURCES["vapi"]
    asked = source.request_values(
        WebhookRequest.from_body(b'{"message": {"type": "status-update"}}')
    )
    assert source.respond is not None
    body = Respond.from_section(source.respond).reply(FINDINGS["event ignored"], asked).body

    assert json.loads(body) == {"results": []}


def test_an_unreadable_request_still_gets_a_response() -> None:
    for name in BOTS:
        source = SOURCES[name]
        assert source.respond is not None
        asked = source.request_values(WebhookRequest.from_body(b"{not json"))
        assert Respond.from_section(source.respond).reply(FINDINGS["event held"], asked).body


@pytest.mark.parametrize("name", BOTS)
def test_the_wait_ends_before_the_sender_does(name: str) -> None:
    respond = SOURCES[name].respond
    assert respond is not None

    assert seconds_from(respond["wait"]) < seconds_from(respond["deadline"])


# --- over HTTP -------------------------------------------------------------------------------
