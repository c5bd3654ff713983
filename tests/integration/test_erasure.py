"""What is forgotten is nowhere: every column of every table is read afterwards."""

import datetime as dt
import json
from typing import Any
from urllib.parse import quote_plus

import pytest
from click.testing import CliRunner

from adapter import signatures
from adapter.cli import commands
from adapter.exceptions import VerificationError
from adapter.models import BookingState
from adapter.operations.contact_matcher import Contact
from adapter.operations.erase import BATCH, Erasure, Found
from adapter.operations.replay import Replays
from adapter.store import SIGN_IN_WINDOW, Database, Rejections, Users
from adapter.webhooks.endpoints import build_verifier
from tests.harness import House, settle
from tests.leads import lead
from tests.sandbox_client import Upstream

EMAIL = "dana.okafor@example.com"
PHONE = "+13035550142"
DANA = {"name": "Dana Okafor", "email": EMAIL, "phone": "(303) 555-0142"}
#: What says who it was, in any of its spellings.
TRACES = ("okafor", "dana.okafor", "5550142", "555-0142", "covered parking")


def erasure(house: House) -> Erasure:
    return Erasure(house.settings, house.pipeline.store, house.clock)


def find(house: House, contact: Contact) -> Found:
    return erasure(house).find(contact, lambda read, total: None)


def everything(store: Database) -> str:
    """Every row of every table of ours, as one lower-case text."""
    with store.transaction() as tx:
        names = tx.connection.execute(
            "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
        rows = []
        for row in names:
            found = tx.connection.execute(f'SELECT * FROM "{row["name"]}"').fetchall()
            rows += [str(value) for one in found for value in one.values()]
    return "\n".join(rows).lower()


def traces(house: House) -> list[str]:
    text = everything(house.pipeline.store)
    return [trace for trace in TRACES if trace in text]


def refuse(house: House) -> None:
    """A request with a wrong signature, which is kept as a rejection."""
    source = house.pipeline.sources["rentfeed"]
    request = signatures.Request(
        method="POST",
        url="https://adapter.example.com/hooks/rentfeed",
        headers={"Content-Type": "application/json"},
        body=json.dumps(lead(7, **DANA)).encode(),
    )
    signed = signatures.sign(source.signature, "wrong", request, house.clock().timestamp())
    with pytest.raises(VerificationError):
        house.pipeline.receiver.verify(source, build_verifier(source, house.settings), signed)
    house.pipeline.receiver.background_writer.flush()


@pytest.mark.parametrize("contact", [Contact.from_email(EMAIL), Contact.from_phone(PHONE)])
def test_a_renter_who_asks_is_forgotten_everywhere(
    house: House, upstream: Upstream, contact: Contact
) -> None:
    payload = lead(1, **DANA)
    (booked,) = house.mapped("rentfeed", payload)
    settle(house)
    (waits,) = house.mapped("rentfeed", lead(2, day=15, time="2:30 AM", **DANA))
    house.mapped("rentfeed", b'{"oops": "call Dana Okafor, 303.555.0142 / dana.okafor@example.com"')
    refuse(house)
    house.mapped("rentfeed", lead(3) | {"comments": ""})
    assert traces(house)

    found = find(house, contact)
    assert (len(found.events), len(found.rejections)) == (3, 1)
    assert erasure(house).erase(found, by="ana") == []

    assert traces(house) == []
    assert house.state(booked.id) is BookingState.BOOKED
    assert house.state(waits.id) is BookingState.DISCARDED
    assert house.booking(booked.id).appointment["community_id"] == "com_maple"
    assert "person3@example.com" in everything(house.pipeline.store)
    assert find(house, contact) == Found(events=(), rejections=())
    # The same webhook again brings nobody back.
    assert house.receive("rentfeed", payload).is_repeat
    assert traces(house) == []


def test_an_erased_lead_is_not_replayed(house: House) -> None:
    (waits,) = house.mapped("rentfeed", lead(1, time="2:30 AM", **DANA))
    erasure(house).erase(find(house, Contact.from_email(EMAIL)), by="ana")
    replays = Replays(house.settings, house.pipeline.store, house.pipeline.sources, house.clock)
    refused = replays.replay(waits.event_id, by="ana", dry_run=False, forced_because="again")
    assert refused.refusal == "what was sent is erased"


def test_what_is_on_its_way_is_left_and_named(house: House, upstream: Upstream) -> None:
    upstream.fault({"job": "PENDING"})
    (booking,) = house.mapped("rentfeed", lead(1, **DANA))
    house.send()
    left = erasure(house).erase(find(house, Contact.from_email(EMAIL)), by="ana")

    assert left == [booking.event_id]
    assert traces(house)


def test_words_that_a_person_wrote_are_forgotten_too(house: House) -> None:
    (booking,) = house.mapped("rentfeed", lead(1, time="2:30 AM", **DANA))
    with house.pipeline.store.transaction() as tx:
        tx.move(
            booking.id,
            BookingState.DISCARDED,
            why="Dana Okafor rang us",
            now=house.clock(),
            by="ana",
        )
    erasure(house).erase(find(house, Contact.from_email(EMAIL)), by="ana")
    assert traces(house) == []


def forget(house: House) -> None:
    while erasure(house).forget_old():
        pass


def test_payloads_go_first_and_people_later_once_the_tour_is_over(house: House) -> None:
    (booked,) = house.mapped("rentfeed", lead(1, **DANA))
    settle(house)
    refuse(house)
    house.clock.advance(89 * 86400)
    forget(house)
    assert house.story(booked.id).event.body

    house.clock.advance(2 * 86400)
    forget(house)
    story = house.story(booked.id)
    assert (story.event.kept, story.event.body, dict(story.event.headers)) == ("lead", b"", {})
    assert story.attempts[booked.id][0].request == {}
    assert booked.appointment["last_name"] == "Okafor"
    with house.pipeline.store.transaction() as tx:
        assert Rejections(tx.connection).newest() == []

    house.clock.advance(640 * 86400)
    forget(house)
    assert house.story(booked.id).event.kept == "nothing"
    assert traces(house) == []
    assert [change.to_state for change in house.story(booked.id).history][-1] == "booked"


def test_a_tour_to_come_and_what_waits_are_kept_whatever_their_age(house: House) -> None:
    (far,) = house.mapped("rentfeed", lead(1, **DANA))
    with house.pipeline.store.transaction() as tx:
        tx.connection.execute("UPDATE events SET received_at = received_at - interval '1000 days'")
    forget(house)
    assert house.story(far.id).event.kept == "all"

    settle(house)
    forget(house)
    assert house.story(far.id).event.kept == "all"

    house.clock.advance(13 * 86400)
    forget(house)
    assert house.story(far.id).event.kept == "nothing"


def test_everything_older_than_some_days_is_erased_in_batches(house: House) -> None:
    events = [house.mapped("rentfeed", lead(number))[0].event_id for number in range(5)]
    settle(house)
    house.clock.advance(30 * 86400)
    (young,) = house.mapped("rentfeed", lead(9, day=14))
    heard: list[int] = []
    count = erasure(house).older_than(20, by="ana", told=heard.append)

    assert (count, heard) == (5, [5])
    assert {house.story(event).event.kept for event in events} == {"nothing"}
    assert house.story(young.id).event.kept == "all"


JSON = json.dumps


@pytest.mark.parametrize(
    ("data", "is_named"),
    [
        (b"mail dana.okafor@example.com now", True),
        (b"DANA.OKAFOR@EXAMPLE.COM", True),
        (JSON({"note": "write to\ndana.okafor@example.com"}).encode(), True),
        (rb'{"e": "dana.okafor\u0040example.com"}', True),
        (JSON({"slots": JSON({"mail": EMAIL})}).encode(), True),
        (f"email={quote_plus(EMAIL)}&x=1".encode(), True),
        (b"<email>dana.okafor&#64;example.com</email>", True),
        (b"\xff\xfe dana.okafor@example.com", True),
        (b"to dana.okafor@example.com.", True),
        (b"jordana.okafor@example.com", False),
        (b"dana.okafor@example.community", False),
        (b"dana.okafor@example.com.mx", False),
        (b"danaXokafor@example.com", False),
        (b"", False),
    ],
    ids=str,
)
def test_an_address_is_found_however_it_is_written(data: bytes, is_named: bool) -> None:
    assert Contact.from_email(EMAIL).is_in(data) is is_named


@pytest.mark.parametrize(
    ("data", "is_named"),
    [
        (b"+13035550142", True),
        (b"(303) 555-0142", True),
        (b"1-303-555-0142", True),
        (b"303.555.0142 x12", True),
        (JSON({"phone": 3035550142}).encode(), True),
        (b"phone=%28303%29+555-0142", True),
        (b"93035550142", False),
        (b"30355501423", False),
        (b"303 555 0143", False),
        (b"0113035550142", False),
        (b"00 1 303 555 0142", True),
    ],
    ids=str,
)
def test_a_number_is_found_however_it_is_written(data: bytes, is_named: bool) -> None:
    assert Contact.from_phone(PHONE).is_in(data) is is_named


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "give exactly one of --email, --phone and --older-than"),
        (["--email", EMAIL, "--phone", PHONE], "give exactly one of"),
        (["--email", "dana"], "not an e-mail address"),
        (["--email", "none@none.com"], "is a placeholder"),
        (["--phone", "12"], "not a valid phone number"),
        (["--older-than", "30", "--dry-run"], "--dry-run needs"),
    ],
    ids=str,
)
def test_wrong_usage_says_what_is_wrong(arguments: list[str], text: str) -> None:
    ended = CliRunner().invoke(commands, ["purge", *arguments])
    assert ended.exit_code == 2
    assert text in ended.output


def test_the_command_asks_erases_and_says_what(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", house.pipeline.store.url)
    (waits,) = house.mapped("rentfeed", lead(1, time="2:30 AM", **DANA))

    def run(*more: str, answer: str = "") -> Any:
        return CliRunner().invoke(commands, ["purge", "--email", EMAIL, *more], input=answer)

    dry = run("--dry-run", "--json")
    assert json.loads(dry.stdout)["events"] == [waits.event_id]
    assert run(answer="n\n").exit_code == 1
    assert traces(house)
    erased = run("--by", "ana", answer="y\n")
    assert erased.exit_code == 0, erased.output
    assert f"event {waits.event_id}" in erased.stdout
    assert traces(house) == []
    assert house.story(waits.event_id).history[-1].by == "ana"
    assert dt.timedelta(0) <= house.clock() - house.story(waits.event_id).event.received_at


def test_failed_sign_ins_and_acts_are_forgotten_in_time(house: House) -> None:
    def kept() -> tuple[int, int]:
        with house.pipeline.store.transaction() as tx:
            failures = tx.connection.execute("SELECT FROM failed_sign_ins").rowcount
            return failures, len(Users(tx.connection).audit_log(limit=1000))

    with house.pipeline.store.transaction() as tx:
        people = Users(tx.connection)
        people.note_failure(
            [f"somebody {number}" for number in range(BATCH + 1)], now=house.clock()
        )
        people.record("looked", by="ana", at=house.clock())
    house.pipeline.recover()
    assert kept() == (BATCH + 1, 1), "what counts is kept"
    house.clock.advance(SIGN_IN_WINDOW.total_seconds() + 1)
    house.pipeline.recover()
    assert kept() == (1, 1), "a batch at a time"
    house.pipeline.recover()
    assert kept() == (0, 1)
    house.clock.advance(house.settings.lead_days * 86400 - SIGN_IN_WINDOW.total_seconds() - 10)
    house.pipeline.recover()
    assert kept() == (0, 1)
    house.clock.advance(20)
    house.pipeline.recover()
    assert kept() == (0, 0)
