"""What chatbots and voice agents are answered: in their own shape, in true words, in time.

The schemas are written from each sender's documentation, whose address stands beside them.
"""

import concurrent.futures
import contextlib
import dataclasses
import datetime as dt
import json
import re
import shutil
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adapter import signatures, sources
from adapter.answers import Finding, Outcome, Respond, finding_from, seconds_from
from adapter.config import Policy
from adapter.events import BookingState, EventState, Kind
from adapter.mapping import Delivery
from adapter.sources import Source
from adapter.sources.samples import content_type_of, sample_from_test
from tests.schemas import fits
from tests.serving import Answer, Served, served, target_of, timed, working
from tests.test_answers import booking
from tests.upstream import Upstream, served_sandbox
from tests.waiting import wait_until

GALLERY = Path(__file__).parents[1] / "mappings" / "gallery"
SOURCES = sources.load(GALLERY, Policy())
BOTS = sorted(name for name, one in SOURCES.items() if "wait" in (one.respond or {}))

#: What is said where a guest card stands in Knock.
IN_TOUCH = "Thank you. Our team has your details and will be in touch."

SENTENCE = {"type": "string", "pattern": r"\A[^\r\n]+\Z"}
WORD = {"enum": [str(outcome) for outcome in Outcome]}


def only(**properties: Any) -> dict[str, Any]:
    """An object of exactly these."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def some(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": 1}


TEXTS = only(text=only(text=some(SENTENCE)))
SCHEMAS = {
    # https://docs.cloud.google.com/dialogflow/es/docs/reference/rest/v2/WebhookResponse
    "dialogflow-es": only(fulfillmentText=SENTENCE, fulfillmentMessages=some(TEXTS)),
    # https://docs.cloud.google.com/dialogflow/cx/docs/reference/rest/v3/WebhookResponse
    "dialogflow-cx": only(
        fulfillment_response=only(messages=some(TEXTS), merge_behavior={"const": "REPLACE"}),
        session_info=only(parameters=only(tour_status=WORD)),
    ),
    # https://docs.vapi.ai/tools/custom-tools: the id of the call, a result on one line
    "vapi": only(
        results=some(only(toolCallId={"type": "string", "pattern": r"\Atoolu_"}, result=SENTENCE))
    ),
    # https://docs.retellai.com/build/single-multi-prompt/custom-function: any JSON object
    "retell": only(result=SENTENCE, status=WORD),
    # https://elevenlabs.io/docs/agents-platform/customization/tools/server-tools: any JSON
    "elevenlabs-tool": only(result=SENTENCE, status=WORD),
    # https://docs.aws.amazon.com/lexv2/latest/dg/lambda-response-format.html
    "lex-v2": only(
        sessionState=only(
            dialogAction=only(type={"const": "Close"}),
            intent=only(name={"const": "BookTour"}, state={"enum": ["Fulfilled", "Failed"]}),
        ),
        messages=some(only(contentType={"const": "PlainText"}, content=SENTENCE)),
    ),
    # https://docs.aws.amazon.com/lex/latest/dg/lambda-input-response-format.html
    "lex-v1": only(
        dialogAction=only(
            type={"const": "Close"},
            fulfillmentState={"enum": ["Fulfilled", "Failed"]},
            message=only(contentType={"const": "PlainText"}, content=SENTENCE),
        )
    ),
    # https://manychat.github.io/dynamic_block_docs/
    "manychat": only(
        version={"const": "v2"},
        content=only(
            messages=some(only(type={"const": "text"}, text=SENTENCE)),
            actions={
                "type": "array",
                "items": only(
                    action={"const": "set_field_value"},
                    field_name={"type": "string"},
                    value=WORD,
                ),
            },
            quick_replies={"type": "array"},
        ),
    ),
}


def is_twiml(body: str) -> bool:
    """https://www.twilio.com/docs/messaging/twiml: a Response with Messages, or with nothing."""
    root = ET.fromstring(body)
    texts = [child.text or "" for child in root]
    return root.tag == "Response" and all(child.tag == "Message" for child in root) and all(texts)


def is_understood(name: str, body: str) -> bool:
    return is_twiml(body) if name == "twilio-sms" else fits(json.loads(body), SCHEMAS[name])


#: A body, its content type and the query.
Body = tuple[bytes, str, str]


def sample_of(source: Source) -> Body:
    """What the mapping's first test sends."""
    test = source.sections["tests"][0]
    file = GALLERY / test["payload"]
    return file.read_bytes(), content_type_of(file, file.read_bytes()), test.get("query", "")


def timeless_of(source: Source) -> Body:
    """The same of the test that shows a guest card, as JSON."""
    test = next(
        test for test in source.sections["tests"] if {"prospect", "prospect_some"} & test.keys()
    )
    sample = sample_from_test(test, GALLERY, source.kind).changed(test["change"])
    return json.dumps(sample.payload).encode(), "application/json", test.get("query", "")


def answer_of(name: str, found: Finding) -> tuple[str, str]:
    source = SOURCES[name]
    body, content_type, query = sample_of(source)
    asked = source.asked(Delivery(body=body, content_type=content_type, query=query))
    assert source.respond is not None
    reply = Respond.from_section(source.respond).reply(found, asked)
    return reply.body, reply.mimetype


FINDINGS = {
    **{str(state): finding_from(5, EventState.MAPPED, [booking(state)]) for state in BookingState},
    **{
        f"guest card {state}": finding_from(
            5, EventState.MAPPED, [booking(state, kind=Kind.PROSPECT, starts_at=None)]
        )
        for state in BookingState
    },
    "event received": finding_from(5, EventState.RECEIVED, []),
    "event held": finding_from(5, EventState.HELD, []),
    "event ignored": finding_from(5, EventState.IGNORED, []),
}


def test_each_sender_that_waits_has_a_schema() -> None:
    assert sorted([*SCHEMAS, "twilio-sms"]) == BOTS


@pytest.mark.parametrize("name", BOTS)
@pytest.mark.parametrize("found", FINDINGS.values(), ids=FINDINGS)
def test_every_outcome_is_told_in_the_senders_shape(name: str, found: Finding) -> None:
    body, mimetype = answer_of(name, found)

    assert is_understood(name, body), body
    assert mimetype == ("application/xml" if name == "twilio-sms" else "application/json")
    assert ("You are booked" in body) is (found.outcome is Outcome.BOOKED)
    assert ("You are booked for Saturday 14 March at 2:30 PM." in body) is (
        found.outcome is Outcome.BOOKED
    )
    assert (IN_TOUCH in body) is (found.outcome is Outcome.PROSPECT)


@pytest.mark.parametrize("name", BOTS)
def test_a_name_that_would_like_to_be_markup_leaves_the_shape_whole(name: str) -> None:
    source = SOURCES[name]
    assert source.respond is not None
    nasty = {"say": {"booked": '{booking.first_name}"}}<Message>&\n'}}
    body, content_type, query = sample_of(source)
    asked = source.asked(Delivery(body=body, content_type=content_type, query=query))
    one = booking(BookingState.BOOKED, appointment={"first_name": '"]}<Response/>&amp;\x00'})
    found = finding_from(5, EventState.MAPPED, [one])

    assert is_understood(
        name, Respond.from_section(source.respond | nasty).reply(found, asked).body
    )


def test_each_tool_call_of_vapi_is_told_its_own_outcome() -> None:
    bookings = [
        booking(BookingState(state), id=number)
        for number, state in enumerate(("booked", "failed", "held"))
    ]
    body, _ = answer_of("vapi", finding_from(5, EventState.MAPPED, bookings))
    results = {one["toolCallId"]: one["result"] for one in json.loads(body)["results"]}

    assert list(results) == ["toolu_01", "toolu_02", "toolu_03"]
    assert results["toolu_01"].startswith("You are booked for ")
    assert results["toolu_02"].startswith("We could not book ")
    assert results["toolu_03"].startswith("We have your request. ")


def test_what_is_no_tool_call_has_no_results() -> None:
    source = SOURCES["vapi"]
    asked = source.asked(Delivery(body=b'{"message": {"type": "status-update"}}'))
    assert source.respond is not None
    body = Respond.from_section(source.respond).reply(FINDINGS["event ignored"], asked).body

    assert json.loads(body) == {"results": []}


def test_what_cannot_be_read_is_answered_all_the_same() -> None:
    for name in BOTS:
        source = SOURCES[name]
        assert source.respond is not None
        asked = source.asked(Delivery(body=b"{not json"))
        assert Respond.from_section(source.respond).reply(FINDINGS["event held"], asked).body


@pytest.mark.parametrize("name", BOTS)
def test_the_wait_ends_before_the_sender_does(name: str) -> None:
    respond = SOURCES[name].respond
    assert respond is not None

    assert seconds_from(respond["wait"]) < seconds_from(respond["deadline"])


# --- over HTTP -------------------------------------------------------------------------------

DENVER = ZoneInfo("America/Denver")
PUBLIC = "https://adapter.example.com"
SECRET = "only-for-this-test"
#: The ends of the samples' phone numbers.
PEOPLE = ["42", "77", "88"]


@dataclasses.dataclass
class Stage:
    """The gallery in use: a web server, a worker and the sandbox."""

    web: Served
    upstream: Upstream
    #: Of the tours: in the future, in summer time as the samples' offsets are.
    day: dt.date

    def ask(self, name: str, body_of: Callable[[Source], Body] = sample_of) -> Answer:
        """The sender's sample, each of somebody else, as one person has one tour."""
        source = SOURCES[name]
        body, content_type, query = body_of(source)
        text = moved(body.decode(), self.day, name)
        request = signatures.Request(
            method="POST",
            url=f"{PUBLIC}/hooks/{name}" + (f"?{query}" if query else ""),
            headers={"Content-Type": content_type},
            body=text.encode(),
        )
        signed = signatures.sign(source.signature, SECRET, request, time.time())
        _, target = target_of(signed.url)
        return self.web.call("POST", target, signed.headers, signed.body)


def moved(text: str, day: dt.date, name: str) -> str:
    """A sample on another day, with people of its own."""
    sunday = day + dt.timedelta(days=1)
    text = text.replace("2026-03-14", f"{day}").replace("2026-03-15", f"{sunday}")
    text = text.replace(
        '"year": 2026, "month": 3, "day": 14',
        f'"year": {day.year}, "month": {day.month}, "day": {day.day}',
    )
    text = re.sub(r"([a-z.]+)@example\.com", rf"\1.{name}@example.com", text)
    first = 3 * BOTS.index(name)
    return re.sub(
        r"555([- ]?)01(42|77|88)",
        lambda at: f"555{at[1]}01{first + PEOPLE.index(at[2]):02}",
        text,
    )


def summer_day(today: dt.date) -> dt.date:
    """The next day, three from now at least, on which Denver is six hours behind."""
    for days in range(3, 365):
        day = today + dt.timedelta(days=days)
        noon = dt.datetime.combine(day, dt.time(14, 30), DENVER)
        if noon.utcoffset() == dt.timedelta(hours=-6):
            return day
    raise LookupError("Denver has no summer time any more")


@contextlib.contextmanager
def staged(database: str, folder: Path, **propexo: Any) -> Iterator[Stage]:
    """All of it, for the time of the block."""
    shutil.copytree(GALLERY, folder)
    threads = 2 * len(BOTS) + 4
    secrets = {secret for source in SOURCES.values() for secret in source.secrets}
    shaken = (source.handshake for source in SOURCES.values())
    secrets |= {said["meta"] for said in shaken if isinstance(said, Mapping)}
    environ = dict.fromkeys(secrets, SECRET)
    environ |= {"ADAPTER_LOG_LEVEL": "ERROR", "ADAPTER_WEB_THREADS": str(threads)}
    environ |= {"ADAPTER_PUBLIC_URL": PUBLIC}
    with (
        served_sandbox(**propexo) as upstream,
        working(folder, database, upstream, environ),
        served(folder, database, threads=threads, **environ) as web,
    ):
        yield Stage(web, upstream, summer_day(dt.datetime.now(DENVER).date()))


def all_at_once(
    ask: Callable[[str], Answer], names: Sequence[str] = BOTS
) -> Mapping[str, tuple[Answer, float]]:
    """The answer to each sender and the seconds that it took, all asking at the same time."""
    with concurrent.futures.ThreadPoolExecutor(len(names)) as threads:
        asked = {name: threads.submit(timed, lambda name=name: ask(name)) for name in names}
        return {name: one.result(60) for name, one in asked.items()}


@pytest.mark.processes
def test_a_chatbot_can_say_that_the_tour_is_booked(database: str, tmp_path: Path) -> None:
    with staged(database, tmp_path / "gallery") as stage:
        words = f"You are booked for {stage.day:%A} {stage.day.day} {stage.day:%B} at 2:30 PM."

        def answer(name: str) -> Answer:
            """Asks again, as a repeat is answered like the first, where this machine was slow."""
            wanted = "Thank you. We have your message" if name == "twilio-sms" else words
            wait_until(lambda: wanted in stage.ask(name).body.decode(), f"{name} says it")
            return stage.ask(name)

        told = all_at_once(answer)
        posts = stage.upstream.posts()

    for name, (one, _) in told.items():
        assert one.status == 200, name
        assert is_understood(name, one.body.decode()), one.body
    assert len({post["phone_1"] for post in posts}) == len(posts) == len(BOTS) - 1 + 2


@pytest.mark.processes
def test_a_chatbot_without_a_time_can_say_that_the_team_has_the_details(
    database: str, tmp_path: Path
) -> None:
    names = [name for name in BOTS if name != "twilio-sms"]
    with staged(database, tmp_path / "gallery") as stage:

        def answer(name: str) -> Answer:
            """Asks again, as a repeat is answered like the first, where this machine was slow."""
            wait_until(
                lambda: IN_TOUCH in stage.ask(name, timeless_of).body.decode(), f"{name} says it"
            )
            return stage.ask(name, timeless_of)

        told = all_at_once(answer, names)
        cards, posts = stage.upstream.cards(), stage.upstream.posts()

    for name, (one, _) in told.items():
        assert one.status == 200, name
        assert is_understood(name, one.body.decode()), one.body
        assert "You are booked" not in one.body.decode()
    assert len({card["phone_1"] for card in cards}) == len(cards) == len(names)
    assert posts == []


@pytest.mark.processes
def test_a_slow_propexo_gets_each_sender_the_honest_sentence_before_it_gives_up(
    database: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with staged(database, tmp_path / "gallery", job_seconds=3600.0) as stage:
        told = all_at_once(stage.ask)

    for name, (answer, took) in told.items():
        respond = SOURCES[name].respond
        assert respond is not None
        deadline = seconds_from(respond["deadline"])
        record_property(name, f"{took:.2f} of {deadline} s")
        print(f"{name:16} answered after {took:5.2f} s, waits {deadline} s")
        assert took < deadline, name
        body = answer.body.decode()
        assert answer.status == 200
        assert is_understood(name, body), body
        assert "You are booked" not in body
        if name != "twilio-sms":
            assert "We have your request and will confirm shortly." in body
