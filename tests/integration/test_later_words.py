"""Test that a renter's later messages reach their guest card once and in order."""

import datetime as dt
import functools
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from adapter.console.story import story_of
from adapter.exceptions import NotPossible
from adapter.models import BookingState, Clock, Message, MessageState
from adapter.operations.contact_matcher import Contact
from adapter.operations.erase_personal_data import Eraser
from adapter.operations.restore import Restore
from adapter.operations.rotate_keys import rotate
from adapter.propexo.client import NOTE_PATH
from adapter.store import Database, Task, Undecryptable
from adapter.store.request_cipher import key_id
from tests.harness import START, Harness, settle
from tests.leads import lead, same_person, surname
from tests.propexo_webhooks import PropexoWebhooks
from tests.sandbox_client import SandboxClient, running_sandbox
from tests.wait import is_waiting_for_keys, wait_until

PREFERENCES = {
    "bedrooms": "1-2",
    "minRent": "$1,500",
    "maxRent": "$2,150.00",
    "moveIn": "05/01/2026",
    "occupants": "2",
    "leaseTerm": "12 months",
    "pets": ["Small Dog"],
}


def writes(number: int, comments: str, **preferences: Any) -> Any:
    """Return the same renter's request for the same tour, with a new comment."""
    lead = same_person(number)
    return lead | {"comments": comments, "preferences": PREFERENCES | preferences}


def renters_write(harness: Harness, count: int, words: str) -> None:
    """Send the same words from several renters, each with a key of its own."""
    for number in range(1, count + 1):
        request = lead(number) | {"comments": words, "leadId": f"{words} {number}"}
        harness.mapped("rentfeed", request)


def texts(upstream: SandboxClient) -> list[str]:
    return [note["notes"] for note in upstream.notes()]


def states(harness: Harness) -> list[tuple[str, str | None]]:
    return [(one.state, one.text) for one in harness.messages()]


@pytest.fixture
def booked(harness: Harness) -> Harness:
    """Return a harness with a booked tour."""
    (booking,) = harness.mapped("rentfeed", writes(1, "Is there covered parking?"))
    settle(harness)
    assert harness.state(booking.id) is BookingState.BOOKED
    harness.clock.advance(60)
    return harness


def test_later_words_become_a_note_on_the_guest_card(
    booked: Harness, upstream: SandboxClient
) -> None:
    words = "Is there covered parking?\nMay I bring my cat?"
    (later,) = booked.mapped("rentfeed", writes(2, words, moveIn="06/01/2026"))
    assert (later.state, later.reason) == (BookingState.DUPLICATE, "same_person_and_time")
    booked.send_messages()

    (card,) = upstream.prospects()
    (note,) = upstream.notes()
    assert note == {
        "integration_id": "int_7Qm2",
        "prospect_id": card["id"],
        "community_id": "com_maple",
        "event_name": "ACTIVITY",
        "notes": "May I bring my cat?\nMove-in date: June 1, 2026",
        "event_datetime": "2026-03-02T18:01:10Z",
    }
    assert [one.state for one in booked.messages()] == [MessageState.SENT]
    lines = [line.text for line in story_of(booked.story(later.id))]
    assert lines[-1] == f"Sent to Knock as a note: “{note['notes']}”"


def test_the_same_words_are_not_sent_again(booked: Harness, upstream: SandboxClient) -> None:
    booked.mapped("rentfeed", writes(2, "is there  covered PARKING?"))
    booked.mapped("rentfeed", writes(3, "May I bring my cat?"))
    booked.mapped("rentfeed", writes(4, "May I bring my cat?"))
    booked.send_messages()
    assert texts(upstream) == ["May I bring my cat?"]
    assert len(booked.messages()) == 1


def test_words_wait_until_the_tour_is_booked(harness: Harness, upstream: SandboxClient) -> None:
    harness.mapped("rentfeed", writes(1, "Is there covered parking?"))
    harness.mapped("rentfeed", writes(2, "May I bring my cat?"))
    harness.pipeline.messenger.send_due()
    assert states(harness) == [("waiting", None)]
    settle(harness)
    harness.send_messages()
    assert texts(upstream) == ["May I bring my cat?"]


def test_words_of_a_request_that_was_replaced_reach_the_new_one(
    harness: Harness, upstream: SandboxClient
) -> None:
    first = writes(1, "Is there covered parking?", moveIn="06/01/2026")
    (replaced,) = harness.mapped("rentfeed", first)
    harness.clock.advance(1)
    new = same_person(2, time="4:00 PM") | {"comments": "", "preferences": PREFERENCES}
    harness.mapped("rentfeed", new)
    settle(harness)
    harness.send_messages()
    assert harness.state(replaced.id) is BookingState.SUPERSEDED
    assert texts(upstream) == ["Is there covered parking?"], "the move-in date has changed since"


def test_a_persons_words_are_sent_in_order(booked: Harness, upstream: SandboxClient) -> None:
    upstream.fault({"on": "event", "status": 429, "headers": {"Retry-After": "5"}})
    for number, words in enumerate(("first words", "second words", "third words"), 2):
        booked.mapped("rentfeed", writes(number, words))
        booked.clock.advance(1)
        booked.pipeline.messenger.send_due()
    assert texts(upstream) == []
    booked.clock.advance(120)
    for _ in range(4):
        booked.send_messages()
    assert texts(upstream) == ["first words", "second words", "third words"]


def test_words_without_a_clear_answer_are_never_sent_again(
    booked: Harness, upstream: SandboxClient
) -> None:
    upstream.fault({"on": "event", "drop": "after"})
    (later,) = booked.mapped("rentfeed", writes(2, "May I bring my cat?"))
    booked.send_messages()
    booked.mapped("rentfeed", writes(3, "May I bring my cat?"))
    booked.clock.advance(86400)
    booked.send_messages()
    assert texts(upstream) == ["May I bring my cat?"]
    assert states(booked) == [("unclear", "May I bring my cat?")]
    held = booked.booking(later.id)
    assert (held.state, held.reason) == (BookingState.HELD, "note_not_sent")
    line = story_of(booked.story(later.id))[-1].text
    assert line.startswith("Sent to Knock as a note, but ")
    assert line.endswith("“May I bring my cat?”")


@pytest.mark.parametrize("is_whole", [True, False])
def test_words_wait_together_until_propexo_responds_again(
    harness: Harness, upstream: SandboxClient, is_whole: bool
) -> None:
    """Check that only the first message is lost, although many renters write during the outage."""

    write = functools.partial(renters_write, harness, 4)
    write("Hello!")
    settle(harness)
    harness.send()
    harness.clock.advance(60)
    harness.check()
    write("May I bring my cat?")
    harness.send_messages()
    assert len(texts(upstream)) == 4, "their guest cards are known"

    fault = {"on": "any" if is_whole else "event", "status": 502}
    upstream.fault(*[fault] * 40)
    write("And my dog?")
    write("And my bird?")
    before = len(upstream.calls())
    if is_whole:
        for _ in range(8):
            harness.send_messages()
    for _ in range(3):
        harness.pipeline.messenger.send_due()
    found = states(harness)
    assert [state for state, _ in found if state != "sent"] == ["unclear"] + ["waiting"] * 7
    calls = [one["path"] for one in upstream.calls()[before:]]
    assert calls.count(NOTE_PATH) == 1
    assert len(calls) <= 6, "Propexo is checked with delays that double"

    upstream.clear_faults()
    harness.clock.advance(300)
    for _ in range(4):
        harness.send_messages()
    cards = {note["prospect_id"]: list[str]() for note in upstream.notes()}
    for note in upstream.notes():
        cards[note["prospect_id"]].append(note["notes"])
    lost, *others = sorted(cards.values(), key=len)
    assert lost == ["May I bring my cat?", "And my bird?"]
    assert others == [["May I bring my cat?", "And my dog?", "And my bird?"]] * 3


def test_two_workers_do_not_each_try_a_note_after_an_outage(
    harness: Harness, upstream: SandboxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have claimed a note before either has checked whether Propexo works again."""

    write = functools.partial(renters_write, harness, 3)
    write("Hello!")
    settle(harness)
    write("May I bring my cat?")
    harness.send_messages()
    upstream.fault(*[{"on": "event", "status": 502}] * 9)
    write("And my dog?")
    messenger = harness.pipeline.messenger
    messenger.send_due()
    harness.clock.advance(600)
    before = len(upstream.calls())
    others = [message for _ in range(2) if (message := messenger._claim()) is not None]
    assert len(others) == 2, "two workers"
    first, real = others.pop(), messenger.propexo.check_token

    def check_token() -> None:
        real()
        for message in [others.pop()] if others else []:
            messenger._process(message)

    with monkeypatch.context() as patched:
        patched.setattr(messenger.propexo, "check_token", check_token)
        messenger._process(first)
    assert not others
    calls = [one["path"] for one in upstream.calls()[before:]]
    assert calls.count(NOTE_PATH) == 1
    assert [state for state, _ in states(harness) if state == "unclear"] == ["unclear"] * 2


def test_a_pause_that_propexo_requests_before_a_note_is_kept(
    booked: Harness, upstream: SandboxClient
) -> None:
    upstream.fault({"on": "event", "status": 502})
    booked.mapped("rentfeed", writes(2, "May I bring my cat?"))
    booked.send_messages()
    booked.mapped("rentfeed", writes(3, "And my dog?"))
    booked.clock.advance(11)
    upstream.fault({"on": "any", "status": 429, "headers": {"Retry-After": "120"}})
    booked.pipeline.messenger.send_due()
    with booked.pipeline.store.transaction() as tx:
        paused_until = tx.rate_limit.lock(booked.clock()).paused_until
    assert paused_until > booked.clock() + dt.timedelta(seconds=100)


def test_the_outcome_of_a_note_does_not_hold_up_the_bookings_of_others(
    booked: Harness, upstream: SandboxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check that it locks the person before the rate limit, as all other code does."""
    upstream.fault({"on": "event", "status": 502})
    (later,) = booked.mapped("rentfeed", writes(2, "May I bring my cat?"))
    messenger, store, outcomes = booked.pipeline.messenger, booked.pipeline.store, list[Any]()
    with monkeypatch.context() as patched:
        patched.setattr(messenger, "_record", outcomes.append)
        messenger.send_due()
    with ThreadPoolExecutor(1) as pool:
        with store.transaction() as tx:
            tx.bookings.lock_related([later], booked.clock())
            recording = pool.submit(messenger._record, outcomes[0])
            wait_until(lambda: is_waiting_for_keys(store), "the outcome waits for the person")
            tx.connection.execute("SET LOCAL lock_timeout = '500ms'")
            tx.rate_limit.lock(booked.clock())
        recording.result(timeout=30)
    assert states(booked) == [("unclear", "May I bring my cat?")]


def test_a_process_that_dies_while_sending_leaves_the_words_unclear(
    booked: Harness, upstream: SandboxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    booked.mapped("rentfeed", writes(2, "May I bring my cat?"))
    messenger = booked.pipeline.messenger
    with monkeypatch.context() as patched:
        patched.setattr(messenger, "_record", lambda _: None)  # it dies before the second commit
        messenger.send_due()
        messenger.send_due()
    assert [one.state for one in booked.messages()] == [MessageState.SENDING]
    booked.clock.advance(messenger.lease.total_seconds() + 1)
    booked.send_messages()
    assert [one.state for one in booked.messages()] == [MessageState.UNCLEAR]
    assert texts(upstream) == ["May I bring my cat?"]


EMPTY = {"status": 200, "body": {"meta": {"orderBy": []}, "results": []}, "on": "list"}


def test_words_wait_for_a_guest_card_that_is_listed_late(
    booked: Harness, upstream: SandboxClient
) -> None:
    upstream.fault(*[EMPTY] * 3)
    booked.mapped("rentfeed", writes(2, "May I bring my cat?"))
    reads = []
    for _ in range(60):
        booked.pipeline.messenger.send_due()
        reads.append(sum(call["path"] == "/crm/v1/prospects/" for call in upstream.calls()))
        booked.clock.advance(20)
    assert texts(upstream) == ["May I bring my cat?"]
    found = [number for number, (one, two) in enumerate(itertools.pairwise(reads)) if one < two]
    assert reads[-1] == 4
    assert found[2] - found[1] > found[1] - found[0], "the pauses grow"


def test_words_without_a_guest_card_go_to_a_person(
    booked: Harness, upstream: SandboxClient
) -> None:
    upstream.fault(*[EMPTY] * 40)
    (later,) = booked.mapped("rentfeed", writes(2, "May I bring my cat?"))
    for _ in range(60):
        booked.pipeline.messenger.send_due()
        booked.clock.advance(1800)
    (message,) = booked.messages()
    assert (message.state, message.reason) == (MessageState.FAILED, "note_without_card")
    assert story_of(booked.story(later.id))[-1].text.endswith("“May I bring my cat?”")
    assert texts(upstream) == []
    assert booked.state(later.id) is BookingState.HELD


def test_words_are_not_sent_to_the_card_of_a_roommate_who_shares_a_contact(
    booked: Harness, upstream: SandboxClient
) -> None:
    """Let Propexo send the roommate's record first."""
    (request,) = upstream.posts()
    record = {"integration_id": request["integration_id"], "email": request["email_1"]}
    PropexoWebhooks(booked).data("crm_prospects", record | {"id": "roommate"})
    for number, words in enumerate(("first words", "second words"), 2):
        booked.mapped("rentfeed", writes(number, words))
        booked.send_messages()
    (card,) = upstream.prospects()
    assert [one["prospect_id"] for one in upstream.notes()] == [card["id"]] * 2
    assert sum(call["path"] == "/crm/v1/prospects/" for call in upstream.calls()) == 1


def test_words_for_a_dismissed_lead_are_not_reported_as_lost(
    harness: Harness, upstream: SandboxClient
) -> None:
    (first,) = harness.mapped("rentfeed", writes(1, "Is there covered parking?"))
    (later,) = harness.mapped("rentfeed", writes(2, "May I bring my cat?"))
    with harness.pipeline.store.transaction() as tx:
        tx.connection.execute(
            "UPDATE bookings SET state = 'discarded', due_at = NULL WHERE id = %s", [first.id]
        )
    harness.clock.advance(86400)
    harness.send_messages()
    assert states(harness) == [("waiting", None)], "a user may undo that"
    harness.clock.advance(30 * 86400)
    harness.send_messages()
    assert harness.messages() == []
    assert harness.state(later.id) is BookingState.DUPLICATE


@pytest.mark.parametrize("status", [400, 403, 404])
def test_words_go_to_a_person_at_once_if_guest_cards_cannot_be_listed(
    booked: Harness, upstream: SandboxClient, status: int
) -> None:
    upstream.fault({"on": "list", "status": status})
    (later,) = booked.mapped("rentfeed", writes(2, "May I bring my cat?"))
    booked.send_messages()
    assert [one.reason for one in booked.messages()] == ["note_without_card"]
    assert booked.booking(later.id).reason == "note_not_sent"
    booked.mapped("rentfeed", lead(7))
    booked.send()
    assert len(upstream.posts()) == 2, "bookings are sent all the same"


def test_an_unexpected_error_does_not_hold_up_other_messages(
    booked: Harness, upstream: SandboxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    booked.mapped("rentfeed", writes(2, "May I bring my cat?"))
    (failing,) = booked.messages()
    messenger = booked.pipeline.messenger
    real = messenger._process

    def process(message: Message) -> bool:
        if message.id == failing.id:
            raise ValueError("made up")
        return real(message)

    with monkeypatch.context() as patched:
        patched.setattr(messenger, "_process", process)
        messenger.send_due()
    (message,) = booked.messages()
    assert message.due_at == booked.clock() + dt.timedelta(minutes=5)
    booked.clock.advance(300)
    booked.send_messages()
    assert texts(upstream) == ["May I bring my cat?"]


@pytest.mark.parametrize("status", [401, 404, 500])
def test_errors_of_notes_do_not_stop_bookings(
    booked: Harness, upstream: SandboxClient, status: int
) -> None:
    upstream.fault(*[{"on": "event", "status": status}] * 5)
    for number in range(2, 7):
        booked.mapped("rentfeed", writes(number, f"words {number}"))
        booked.send_messages()
    booked.mapped("rentfeed", lead(7))
    booked.send()
    assert len(upstream.posts()) == 2


def test_a_lead_whose_note_was_refused_is_not_booked_a_second_time(
    booked: Harness, upstream: SandboxClient
) -> None:
    upstream.fault({"on": "event", "status": 400})
    (later,) = booked.mapped("rentfeed", writes(2, "May I bring my cat?"))
    booked.send_messages()
    with pytest.raises(NotPossible, match="would email the renter again"):
        booked.repairs.release(later.id, {}, by="ana")
    booked.repairs.discard(later.id, "added in Knock", by="ana")
    assert len(upstream.posts()) == 1


def test_the_known_guest_card_is_not_searched_for(booked: Harness, upstream: SandboxClient) -> None:
    booked.mapped("rentfeed", writes(2, "first words"))
    booked.send_messages()
    booked.mapped("rentfeed", writes(3, "second words"))
    booked.send_messages()
    assert texts(upstream) == ["first words", "second words"]
    assert sum(call["path"] == "/crm/v1/prospects/" for call in upstream.calls()) == 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [({"status": 400}, "note_refused"), ({"job": "FAILURE"}, "note_failed")],
)
def test_a_rejected_note_is_shown_with_its_words(
    booked: Harness, upstream: SandboxClient, fault: dict[str, Any], reason: str
) -> None:
    upstream.fault({"on": "event"} | fault)
    (later,) = booked.mapped("rentfeed", writes(2, "May I bring my cat?"))
    booked.mapped("rentfeed", writes(3, "second words"))
    for _ in range(3):
        booked.send_messages()
    assert [(one.state, one.reason) for one in booked.messages()] == [
        (MessageState.FAILED, reason),
        (MessageState.SENT, "note_sent"),
    ]
    assert story_of(booked.story(later.id))[-1].text.endswith("“May I bring my cat?”")


def test_words_give_way_to_bookings(booked: Harness, upstream: SandboxClient) -> None:
    booked.mapped("rentfeed", writes(2, "May I bring my cat?"))
    assert booked.pipeline.due()[Task.MESSAGE] == 1
    booked.mapped("rentfeed", lead(7))
    assert booked.pipeline.due()[Task.MESSAGE] == 0
    booked.pipeline.messenger.send_due()
    booked.pipeline.messenger.send_due()
    assert texts(upstream) == []
    settle(booked)
    booked.send_messages()
    assert texts(upstream) == ["May I bring my cat?"]


def test_a_lead_that_changed_since_its_note_was_drafted_sends_none(
    booked: Harness, upstream: SandboxClient
) -> None:
    (later,) = booked.mapped("rentfeed", writes(2, "May I bring my cat?"))
    messenger, now = booked.pipeline.messenger, booked.clock()
    messenger.send_due()  # the guest card is known now
    with booked.pipeline.store.transaction() as tx:
        tx.connection.execute("UPDATE messages SET state = 'waiting', due_at = %s", [now])
    (message,) = booked.messages()
    count = len(upstream.notes())
    draft = messenger._drafted(message)
    assert draft is not None
    with booked.pipeline.store.transaction() as tx:
        tx.bookings.move(later.id, BookingState.HELD, why="note_not_sent", now=now)
    assert not messenger._send(draft)
    assert len(upstream.notes()) == count
    assert booked.messages() == []


def test_words_do_not_wait_for_the_next_booking_after_one_without_a_clear_response(
    booked: Harness, upstream: SandboxClient
) -> None:
    booked.mapped("rentfeed", writes(2, "May I bring my cat?"))
    with booked.pipeline.store.transaction() as tx:
        tx.rate_limit.count_failure("no_answer", "made up", booked.clock())
    booked.pipeline.messenger.send_due()
    assert texts(upstream) == [], "Propexo may be down"
    booked.clock.advance(31)
    booked.send_messages()
    assert texts(upstream) == ["May I bring my cat?"]


def test_words_that_do_not_fit_into_one_note_are_sent_in_two(
    booked: Harness, upstream: SandboxClient
) -> None:
    words = " ".join(f"word{number}" for number in range(130))
    booked.mapped("rentfeed", writes(2, words, moveIn="06/01/2026"))
    for _ in range(3):
        booked.send_messages()
    sent = texts(upstream)
    assert len(sent) >= 1
    assert "\n".join(sent).split() == [*words.split(), *["Move-in", "date:", "June", "1,", "2026"]]
    booked.mapped("rentfeed", writes(3, words, moveIn="06/01/2026"))
    booked.send_messages()
    assert texts(upstream) == sent


def test_a_lead_that_is_booked_itself_sends_no_note(
    booked: Harness, upstream: SandboxClient
) -> None:
    (later,) = booked.mapped("rentfeed", writes(2, "May I bring my cat?"))
    assert len(booked.messages()) == 1
    with booked.pipeline.store.transaction() as tx:
        now = booked.clock()
        tx.bookings.move(later.id, BookingState.PENDING, why="released", now=now, due_at=now)
    booked.send_messages()
    settle(booked)
    booked.send_messages()
    assert booked.messages() == []
    assert texts(upstream) == []


def test_erased_words_are_not_sent_and_sent_ones_are_erased(
    booked: Harness, upstream: SandboxClient
) -> None:
    (sent,) = booked.mapped("rentfeed", writes(2, "first words"))
    booked.send_messages()
    (waiting,) = booked.mapped("rentfeed", writes(3, "second words"))
    eraser = Eraser(booked.settings, booked.pipeline.store, booked.clock)
    found = eraser.find(Contact.from_email("dana@example.com"), lambda *_: None)
    assert {sent.event_id, waiting.event_id} <= {*found.events}
    assert eraser.erase(found, by="ana") == []
    booked.send_messages()
    assert texts(upstream) == ["first words"]
    assert [(one.state, one.text, one.prospect_id) for one in booked.messages()] == [
        (MessageState.SENT, None, None)
    ]


def test_a_note_whose_webhook_was_lost_in_a_restore_is_erased(booked: Harness) -> None:
    store, clock = booked.pipeline.store, booked.clock
    (one,) = booked.mapped("rentfeed", writes(2, "first words"))
    with store.transaction() as tx:
        tx.bookings.record_prospect(one.id, "a-card")
        tx.messages.add_lost("job-1", "a-card", "on the card", clock(), clock())
        tx.messages.add_lost("job-2", "another-card", "on another card", clock(), clock())
    eraser = Eraser(booked.settings, store, clock)
    eraser.erase(eraser.find(Contact.from_email("dana@example.com"), lambda *_: None), by="ana")
    known = {one.job_id: (one.text, one.prospect_id) for one in booked.messages()}
    assert known == {"job-1": (None, None), "job-2": ("on another card", "another-card")}
    clock.advance((booked.settings.payload_days + 1) * 86400)
    eraser.forget_old()
    assert {one.text for one in booked.messages()} == {None}


def test_words_on_their_way_are_erased_later(booked: Harness, upstream: SandboxClient) -> None:
    upstream.fault({"on": "event", "job": "PENDING", "job_seconds": 600})
    (later,) = booked.mapped("rentfeed", writes(2, "first words"))
    booked.send_messages()
    eraser = Eraser(booked.settings, booked.pipeline.store, booked.clock)
    found = eraser.find(Contact.from_email("dana@example.com"), lambda *_: None)
    assert eraser.erase(found, by="ana") == [later.event_id]


def test_words_are_not_sent_while_their_source_is_paused(
    booked: Harness, upstream: SandboxClient
) -> None:
    scope = {"source": "rentfeed", "community": ""}
    with booked.pipeline.store.transaction() as tx:
        tx.send_queue.pause(**scope, reason="test", by="ana", now=booked.clock())
    booked.mapped("rentfeed", writes(2, "May I bring my cat?"))
    booked.send_messages()
    assert texts(upstream) == []
    with booked.pipeline.store.transaction() as tx:
        tx.send_queue.end_pause(**scope)
    booked.clock.advance(60)
    booked.send_messages()
    assert texts(upstream) == ["May I bring my cat?"]


def test_words_are_encrypted_and_encrypted_again(database: str, upstream: SandboxClient) -> None:
    keys = [Fernet.generate_key().decode() for _ in range(2)]
    with Database(database, size=4, keys=keys[:1]) as opened:
        harness = Harness(opened, upstream)
        harness.mapped("rentfeed", writes(1, "Is there covered parking?"))
        settle(harness)
        harness.mapped("rentfeed", writes(2, "May I bring my cat?"))
        harness.send_messages()
        with opened.transaction() as tx:
            rows = tx.connection.execute("SELECT body, encryption_key FROM messages").fetchall()
        assert [row["encryption_key"] for row in rows] == [key_id(keys[0])]
        assert b"cat" not in rows[0]["body"]
    with Database(database, keys=keys[::-1]) as opened:
        assert rotate(opened, [], lambda _: None)[1] == Undecryptable()
    with Database(database, keys=keys[1:]) as opened, opened.transaction() as tx:
        assert tx.encryption.remaining() == 0
        (row,) = tx.connection.execute("SELECT id FROM messages").fetchall()
        message = tx.messages.lock(row["id"])
        assert message is not None
        assert message.text == "May I bring my cat?"
    assert texts(upstream) == ["May I bring my cat?"]


def test_a_restored_database_does_not_send_words_again(
    booked: Harness, upstream: SandboxClient
) -> None:
    store, pipeline = booked.pipeline.store, booked.pipeline
    (lost,) = booked.mapped("rentfeed", writes(2, "first words"))
    booked.send_messages()
    (waiting,) = booked.mapped("rentfeed", writes(3, "second words"))
    booked.send_messages()
    with store.transaction() as tx:  # as it was at the time of the backup
        tx.connection.execute("DELETE FROM messages")
        tx.messages.add(waiting, booked.clock())
    parts = (booked.settings, store, pipeline.sources, pipeline.propexo, booked.clock)
    restore = Restore(*parts, booked.clock.advance)
    restore.stop()
    restore.apply(restore.survey(START - dt.timedelta(minutes=1)), by="ana")
    with store.transaction() as tx:  # the sender sends the lost webhook again
        tx.messages.add(lost, booked.clock())
    booked.clock.advance(120)
    booked.send_messages()
    assert texts(upstream) == ["first words", "second words"]
    reasons = [(one.booking_id, one.reason) for one in booked.messages()]
    assert reasons == [
        (waiting.id, "note_restored"),
        (None, "note_sent"),
        (None, "note_sent"),
    ]


@pytest.fixture
def clocks() -> list[Clock]:
    return [lambda: START]


@pytest.fixture
def boundless(clocks: list[Clock]) -> Iterator[SandboxClient]:
    """Yield a sandbox with the harness's clock and a rate limit that allows many examples."""
    with running_sandbox(clock=lambda: clocks[-1](), limit_per_minute=1_000_000) as upstream:
        yield upstream


@pytest.fixture
def roaming(opened: Database, boundless: SandboxClient, clocks: list[Clock]) -> Harness:
    """Return a harness whose clock continues from one example to the next."""
    harness = Harness(opened, boundless)
    clocks.append(harness.clock)
    return harness


#: The possible next actions: the renter writes, or the workers do some of their work.
STEPS = st.one_of(
    st.tuples(
        st.just("write"),
        st.sampled_from(["2:30 PM", "2:30 PM", "2:30 PM", "4:00 PM"]),
        st.sampled_from([None, "05/01/2026", "06/01/2026", "07/01/2026"]),
        st.booleans(),
    ),
    st.sampled_from([("message",), ("message",), ("settle",), ("busy",), ("wait",)]),
)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(
    steps=[
        ("busy",),
        ("write", "4:00 PM", None, False),
        ("write", "2:30 PM", None, True),
        ("message",),
        ("write", "4:00 PM", None, False),
    ]
)
@given(steps=st.lists(STEPS, max_size=12))
def test_each_word_arrives_once_and_in_order(
    roaming: Harness, boundless: SandboxClient, steps: list[tuple[Any, ...]]
) -> None:
    harness, upstream = roaming, boundless
    person, words, moves = len(upstream.prospects()) + 1, ["word0"], ["05/01/2026"]

    def write(text: str, time: str, move_in: str) -> None:
        contact: Any = {"email": f"renter{person}@example.com", "name": f"Dana {surname(person)}"}
        request = lead(len(words), time=time, **contact) | {"comments": text}
        request |= {"leadId": f"{person}-{harness.clock()}"}
        request |= {"createdAt": harness.clock().isoformat(), "preferences": {"moveIn": move_in}}
        harness.mapped("rentfeed", request)
        harness.clock.advance(1)

    write("word0", "2:30 PM", moves[-1])
    settle(harness)
    for kind, *more in [*steps, ("message",)]:
        if kind == "write":
            time, move_in, is_repeat = more
            if not is_repeat:
                words.append(f"word{len(words)}")
            moves += [move_in] if move_in else []
            write(words[-1], time, moves[-1])
        elif kind == "busy":
            upstream.fault({"on": "event", "status": 429, "headers": {"Retry-After": "2"}})
        elif kind == "message":
            harness.pipeline.messenger.send_due()
        elif kind == "settle":
            settle(harness)
        else:
            harness.clock.advance(30)
    for _ in range(6):
        settle(harness)
        harness.clock.advance(30)
        harness.send_messages()

    email = f"renter{person}@example.com"
    (card,) = [one for one in upstream.prospects() if one["card"]["email_1"] == email]
    notes = [one["notes"] for one in upstream.notes() if one["prospect_id"] == card["id"]]
    posts = [one["notes"] for one in upstream.posts() if one["email_1"] == email]
    assert all(text.strip() == text != "" for text in notes)
    lines = [line for text in notes for line in text.splitlines() if line.startswith("word")]
    posted = [line for text in posts for line in text.splitlines() if line.startswith("word")]
    assert {*lines, *posted} == {*words}, "each word arrives"
    assert len(lines) == len({*lines}), "no word arrives twice as a note"
    assert lines == sorted(lines, key=words.index), "notes are in order"
    dates = [line for text in notes for line in text.splitlines() if line.startswith("Move-in")]
    assert all(one != two for one, two in itertools.pairwise(dates)), "only changes are sent"
    states = {(one.state, one.reason) for one in harness.messages()}
    assert states <= {(MessageState.SENT, "note_sent")}
    upstream.clear_faults()
