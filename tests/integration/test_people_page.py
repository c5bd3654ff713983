"""Run each example in docs/people.md through the real pipeline."""

import dataclasses
import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter.exceptions import NotPossible
from adapter.models import Booking, BookingState
from adapter.operations.advice import advice_for
from adapter.operations.erase_personal_data import Eraser, Found
from adapter.operations.release import Repairs
from adapter.settings import Policy
from adapter.store import Database, Issue
from tests.gunicorn_process import write_mappings
from tests.harness import Harness, settle
from tests.paths import ROOT
from tests.sandbox_client import SandboxClient

PAGE = (ROOT / "docs" / "people.md").read_text()
EXAMPLES = re.findall(r"```leads\n(.*?)```", PAGE, re.DOTALL)
LEAD = re.compile(
    r"(?P<at>\d+:\d\d) (?P<source>\w+)(?: (?P<id>\d+))?(?P<away> at Harbor)?(?P<cancels> cancels)?"
    r"(?:: (?P<name>[^,→]+?))?(?:, (?P<email>\S+@[\w.]+))?(?:, (?P<phone>303-[\d-]+))?"
    r"(?:, Saturday (?P<time>\d+:\d\d) PM)?(?:, asked (?P<asked>\d+:\d\d))? → (?P<result>.+)"
)
AGENT = re.compile(
    r"(?P<at>\d+:\d\d) agent: (?:book )?lead (?P<lead>\d) (?P<act>anyway|is another person)"
)

BOOKED, DUPLICATE, HELD = BookingState.BOOKED, BookingState.DUPLICATE, BookingState.HELD
SUPERSEDED, DISCARDED = BookingState.SUPERSEDED, BookingState.DISCARDED
#: The state and the rule's code for each result on the page.
RESULTS = {
    "booked": (BOOKED, "job_succeeded"),
    "booked, later canceled by Knock": (BOOKED, "job_succeeded"),
    "guest card": (BOOKED, "job_succeeded"),
    "merged: the same tour": (DUPLICATE, "same_person_and_time"),
    "merged: the person has a guest card": (DUPLICATE, "same_person_asked_before"),
    "merged: the person has a tour": (DUPLICATE, "same_person_has_a_tour"),
    "replaced by a newer request": (SUPERSEDED, "newer_request"),
    "too late: a newer request came first": (SUPERSEDED, "newer_request_came_first"),
    "canceled by the sender": (DISCARDED, "cancelled_by_sender"),
    "nothing left to cancel": (DISCARDED, "cancellation_done"),
    "taken back": (DISCARDED, "taken_back"),
    "the booking came later": (DISCARDED, "booking_came_later"),
    "needs review: another person?": (HELD, "another_person"),
    "needs review: no email or phone": (HELD, "held_by_mapping"),
    "needs review: same key, different name?": (HELD, "another_name"),
    "needs review: same key, another person?": (HELD, "shared_key"),
    "needs review: Knock has the old contact": (HELD, "contact_changed"),
    "needs review: repeated, or changed back?": (HELD, "repeat_or_change"),
    "needs review: cancel the tour in Knock": (HELD, "cancellation"),
    "needs review: canceled an unknown request": (HELD, "cancellation_elsewhere"),
    "needs review: Knock might keep both tours": (HELD, "two_cards"),
    "needs review: it was canceled before": (HELD, "canceled_before"),
    "needs review: the original was canceled": (HELD, "original_canceled"),
}
REPEATED = "counted, not stored again"


def sections() -> dict[str, Any]:
    sample = {"kind": "tour", "id": 1, "community": "Maple Court", "sent": ""}
    sample |= {"name": "Dana Okafor", "email": "dana@example.com", "phone": "303-555-0142"}
    return {
        "signature": {"scheme": "hmac", "header": "X-Signature", "secrets": ["RENTFEED_SECRET"]},
        "cancellation": {"kind": "cancellation"},
        "sent_at": "sent",
        "without_time": "prospect",
        "appointment": {
            "name": "name",
            "email_1": "email",
            "phone_1": "phone",
            "starts_at": "start",
        },
        "tests": [
            {
                "name": "a tour",
                "payload": sample | {"start": "2026-03-07T14:30:00-07:00"},
                "expect_some": {"last_name": "Okafor"},
            }
        ],
    }


def clock_time(text: str) -> dt.datetime:
    """Return a time on Tuesday, March 3, in Denver."""
    hour, minute = map(int, text.split(":"))
    return dt.datetime(2026, 3, 3, hour + 7, minute, tzinfo=dt.UTC)


@dataclasses.dataclass
class Player:
    """Runs the lines of one example in docs/people.md."""

    harness: Harness
    #: The booking of each lead, or None if it was not stored again, and the result on the page.
    leads: list[tuple[int | None, str]] = dataclasses.field(default_factory=list)

    def play(self, line: str) -> None:
        """Run one line, after processing everything from earlier minutes."""
        found = LEAD.fullmatch(line) or AGENT.fullmatch(line)
        assert found is not None, line
        if self.harness.clock() < clock_time(found["at"]):
            settle(self.harness)
            self.harness.clock.at = clock_time(found["at"])
        if "lead" in found.groupdict():
            self.act(int(found["lead"]), found["act"])
        else:
            self.leads.append((self.deliver(found), found["result"]))

    def deliver(self, found: re.Match[str]) -> int | None:
        payload = {
            "kind": "cancellation" if found["cancels"] else "tour",
            "id": found["id"],
            "community": "Harbor Flats" if found["away"] else "Maple Court",
            **{name: found[name] or "" for name in ("name", "email", "phone")},
            "start": found["time"] and f"2026-03-07T{tour_hour(found['time'])}:00-07:00",
            "sent": found["asked"] and clock_time(found["asked"]).isoformat(),
        }
        receipt = self.harness.receive(found["source"], payload)
        event_id = receipt.changed_id or receipt.event_id
        self.harness.map_event(event_id)
        (booking,) = self.harness.story(event_id).bookings
        return None if any(booking.id == lead_id for lead_id, _ in self.leads) else booking.id

    def act(self, number: int, act: str) -> None:
        booking_id, _ = self.leads[number - 1]
        assert booking_id is not None
        self.repairs().release(
            booking_id,
            {},
            by="ana",
            is_wanted_anyway=act == "anyway",
            is_another_person=act != "anyway",
        )

    def repairs(self) -> Repairs:
        pipeline = self.harness.pipeline
        return Repairs(self.harness.settings, pipeline.store, pipeline.sources, pipeline.clock)

    def results(self) -> Iterator[tuple[Booking, str]]:
        for booking_id, result in self.leads:
            assert (booking_id is None) == (result == REPEATED)
            if booking_id is not None:
                yield self.harness.booking(booking_id), result


def tour_hour(text: str) -> str:
    hour, _, minute = text.partition(":")
    return f"{int(hour) + 12}:{minute}"


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_each_example_of_the_page_is_what_happens(
    opened: Database, upstream: SandboxClient, tmp_path: Path, example: str
) -> None:
    write_mappings(tmp_path, dict.fromkeys(("portal", "chatbot", "form"), sections()))
    lines = example.splitlines()
    shared = lines.pop(0).partition(": ")[2] if lines[0].startswith("shared: ") else ""
    policy = Policy(shared_contacts=frozenset({shared} - {""}))
    player = Player(Harness(opened, upstream, policy, mappings=tmp_path))
    for line in lines:
        player.play(line)
    settle(player.harness)

    results = list(player.results())
    ended = [(booking.state, booking.reason) for booking, _ in results]
    assert ended == [RESULTS[result] for _, result in results]
    standing = [one for one in upstream.appointments() if not one["canceled_by"]]
    # Knock does not know which contacts are shared, so it keeps the last tour.
    assert len(standing) == (1 if shared else sum(result == "booked" for _, result in results))


def asks(name: str, time: str) -> dict[str, Any]:
    """Return a request from a source that sends neither a timestamp nor a delivery ID."""
    payload = {"kind": "tour", "community": "Maple Court", "name": "Dana Okafor", "id": name}
    payload |= {"email": "dana@example.com", "phone": "", "sent": ""}
    return payload | {"start": f"2026-03-07T{tour_hour(time)}:00-07:00"}


@pytest.fixture
def player(opened: Database, upstream: SandboxClient, tmp_path: Path) -> Player:
    without_time = {name: text for name, text in sections().items() if name != "sent_at"}
    write_mappings(tmp_path, dict.fromkeys(("portal", "chatbot"), without_time))
    return Player(Harness(opened, upstream, Policy(), mappings=tmp_path))


@pytest.mark.parametrize("mapped", [0, 1, 2])
@pytest.mark.parametrize("between", ["portal", "chatbot"])
def test_a_repeat_is_decided_after_what_came_between_is_mapped(
    player: Player, between: str, mapped: int
) -> None:
    harness = player.harness
    first = harness.receive("portal", asks("1", "2:30")).event_id
    harness.clock.advance(60)
    middle = harness.receive(between, asks("2", "4:00")).event_id
    for event_id in ((), (first,), (middle,))[mapped]:
        harness.map_event(event_id)
    harness.clock.advance(60)
    repeat = harness.receive("portal", asks("1", "2:30")).changed_id
    assert repeat is not None
    harness.pipeline.mapper.map_due()

    (again,), (changed,) = (harness.story(one).bookings for one in (repeat, middle))
    assert (again.state, again.reason) == (HELD, "repeat_or_change")
    assert again.because_of == changed.id


def test_a_cancellation_is_taken_back_only_by_a_user_who_says_so(player: Player) -> None:
    harness = player.harness
    event_id = harness.receive("portal", asks("1", "2:30")).event_id
    harness.receive("portal", asks("1", "2:30") | {"kind": "cancellation"})
    harness.pipeline.mapper.map_due()
    (booking,) = harness.story(event_id).bookings
    assert (booking.state, booking.reason) == (DISCARDED, "cancelled_by_sender")
    repairs = player.repairs()
    with pytest.raises(NotPossible, match=r"confirm that \(command: --anyway\)$"):
        repairs.release(booking.id, {}, by="ana")
    with pytest.raises(NotPossible, match="matched to another person: release it"):
        repairs.release(booking.id, {}, by="ana", is_another_person=True)


def test_a_cancellation_that_a_user_takes_back_is_not_said_to_be_the_senders(
    player: Player,
) -> None:
    harness = player.harness
    harness.map_event(harness.receive("portal", asks("1", "2:30")).event_id)
    settle(harness)
    changes = (asks("1", "4:00"), asks("1", "4:00") | {"kind": "cancellation"})
    events = []
    for change in changes:
        harness.clock.advance(1)  # webhooks that arrive at the same moment are mapped in any order
        receipt = harness.receive("portal", change)
        events.append(receipt.changed_id or receipt.event_id)
    harness.pipeline.mapper.map_due()
    (moved,), (cancellation,) = (harness.story(event_id).bookings for event_id in events)
    assert (moved.reason, cancellation.reason) == ("cancelled_by_sender", "cancellation")
    harness.clock.advance(60)
    repairs = player.repairs()
    repairs.release(moved.id, {}, by="ana", is_wanted_anyway=True)
    settle(harness)

    assert harness.state(moved.id) is BOOKED
    closed = harness.booking(cancellation.id)
    assert (closed.state, closed.reason) == (DISCARDED, "taken_back")
    assert (
        closed.reasons[-1].reason
        == f"a later request or a user withdrew the cancellation: booking {moved.id}"
    )


def test_a_lead_that_was_canceled_before_is_not_released_over_a_newer_one(player: Player) -> None:
    harness = player.harness
    harness.receive("portal", asks("1", "2:30") | {"kind": "cancellation"})
    harness.pipeline.mapper.map_due()
    harness.clock.advance(60)
    receipt = harness.receive("portal", asks("1", "2:30"))
    harness.pipeline.mapper.map_due()
    (held,) = harness.story(receipt.changed_id or receipt.event_id).bookings
    assert (held.state, held.reason) == (HELD, "canceled_before")
    harness.clock.advance(60)
    harness.map_event(harness.receive("chatbot", asks("2", "4:00")).event_id)
    harness.clock.advance(60)
    repairs = player.repairs()
    with pytest.raises(NotPossible, match="the same person has a newer request"):
        repairs.release(held.id, {}, by="ana")


def test_a_repeat_after_a_webhook_that_could_not_be_mapped_is_kept(player: Player) -> None:
    harness = player.harness
    harness.map_event(harness.receive("portal", asks("1", "2:30")).event_id)
    harness.map_event(harness.receive("portal", b"{").event_id)
    kept = harness.receive("portal", asks("1", "2:30")).changed_id
    assert kept is not None
    assert harness.receive("portal", asks("1", "2:30")).changed_id == kept
    harness.map_event(kept)
    (again,) = harness.story(kept).bookings
    assert (again.state, again.reason) == (DUPLICATE, "item_seen_before")


def test_a_repeat_is_not_kept_because_another_sender_s_webhook_could_not_be_mapped(
    player: Player,
) -> None:
    harness = player.harness
    harness.mapped("portal", asks("1", "2:30"))
    harness.map_event(harness.receive("chatbot", b"{").event_id)
    assert harness.receive("portal", asks("1", "2:30")).changed_id is None


def test_a_repeat_of_an_erased_lead_stores_nothing_whatever_waits(player: Player) -> None:
    harness = player.harness
    first = harness.receive("portal", asks("1", "2:30")).event_id
    harness.map_event(first)
    eraser = Eraser(harness.settings, harness.pipeline.store, harness.clock)
    eraser.erase(Found(events=(first,), rejections=()), by="ana")
    harness.receive("portal", asks("2", "4:00"))
    assert harness.receive("portal", asks("1", "2:30")).changed_id is None


def test_a_retry_under_the_same_delivery_id_is_only_counted(player: Player) -> None:
    harness = player.harness
    for name in ("1", "2"):
        harness.receive("portal", asks(name, "2:30"), **{"Webhook-Id": name})
    again = harness.receive("portal", asks("1", "2:30"), **{"Webhook-Id": "1"})
    assert again.changed_id is None
    other = harness.receive("portal", asks("1", "2:30"), **{"Webhook-Id": "3"})
    assert other.changed_id is not None


#: If only the body is signed, anyone who captured a request can change this.
UNSIGNED = {"ID": {"Webhook-Id": "3"}, "other ID": {"X-Event-Id": "3"}, "query": {"query": "n=3"}}


@pytest.mark.parametrize("changed", UNSIGNED.values(), ids=UNSIGNED)
@pytest.mark.parametrize("key", ["1", "2"])
def test_a_captured_request_with_an_unsigned_id_undoes_no_newer_one(
    player: Player, key: str, changed: dict[str, str]
) -> None:
    harness = player.harness
    harness.mapped("portal", asks("1", "2:30"), **{"Webhook-Id": "1"})
    newer = harness.receive("portal", asks(key, "4:00"), **{"Webhook-Id": "2"})
    harness.map_event(newer.changed_id or newer.event_id)
    kept = harness.receive("portal", asks("1", "2:30"), **changed).changed_id
    assert kept is not None
    harness.map_event(kept)
    (again,) = harness.story(kept).bookings
    assert (again.state, again.reason) == (HELD, "repeat_or_change")


def test_a_captured_request_with_an_unsigned_id_is_only_counted_without_a_newer_one(
    player: Player,
) -> None:
    harness = player.harness
    harness.mapped("portal", asks("1", "2:30"), **{"Webhook-Id": "1"})
    again = harness.receive("portal", asks("1", "2:30"), **{"Webhook-Id": "3"})
    assert again.changed_id is None


@pytest.mark.parametrize(
    "signature",
    [
        {"signed": "{header:Webhook-Id}{body}"},
        {"signed": "{timestamp}{body}", "timestamp": {"header": "X-Time"}},
        {"scheme": "token", "in": "header", "name": "X-Token", "header": None},
    ],
    ids=["signed ID", "signed time", "token"],
)
def test_a_new_id_that_the_signature_proves_is_another_request(
    opened: Database, upstream: SandboxClient, tmp_path: Path, signature: dict[str, Any]
) -> None:
    mapping = {name: text for name, text in sections().items() if name != "sent_at"}
    block = mapping["signature"] | signature
    mapping["signature"] = {name: text for name, text in block.items() if text is not None}
    write_mappings(tmp_path, {"portal": mapping})
    harness = Harness(opened, upstream, Policy(), mappings=tmp_path)
    harness.mapped("portal", asks("1", "2:30"), **{"Webhook-Id": "1"})
    harness.mapped("portal", asks("2", "4:00"), **{"Webhook-Id": "2"})
    back = harness.receive("portal", asks("1", "2:30"), **{"Webhook-Id": "3"}).changed_id
    assert back is not None
    harness.map_event(back)
    (again,) = harness.story(back).bookings
    assert again.state is BookingState.PENDING


def test_the_page_shows_every_result() -> None:
    said = set(re.findall(r" → (.+)", "\n".join(EXAMPLES)))
    assert said == RESULTS.keys() | {REPEATED}


def test_a_canceled_tour_that_is_requested_again_is_confirmed(
    player: Player, upstream: SandboxClient
) -> None:
    harness = player.harness
    harness.mapped("portal", asks("1", "2:30"))
    settle(harness)
    (canceled,) = harness.mapped("portal", asks("1", "2:30") | {"kind": "cancellation"})
    harness.clock.advance(60)
    repeat = harness.receive("portal", asks("1", "2:30")).changed_id
    assert repeat is not None
    harness.map_event(repeat)
    (again,) = harness.story(repeat).bookings
    assert (again.state, again.because_of) == (HELD, canceled.id), "it names what came between"
    with pytest.raises(NotPossible, match="already requested this tour"):
        player.repairs().release(again.id, {}, by="ana")

    player.repairs().confirm(again.id, by="ana")
    assert harness.state(again.id) is BOOKED
    assert (harness.booking(canceled.id).reason, len(upstream.posts())) == ("taken_back", 1)


def test_a_cancellation_names_each_tour_that_knock_may_have(player: Player) -> None:
    harness = player.harness
    (first,) = harness.mapped("portal", asks("1", "2:30"))
    settle(harness)
    harness.clock.advance(60)
    changed = asks("1", "4:00") | {"email": "okafor@example.com"}
    receipt = harness.receive("portal", changed)
    assert receipt.changed_id is not None
    harness.map_event(receipt.changed_id)
    (second,) = harness.story(receipt.changed_id).bookings
    assert second.reason == "changed_after_first"
    player.repairs().release(second.id, {}, by="ana")
    settle(harness)
    harness.clock.advance(60)

    bare = {"kind": "cancellation", "email": "", "name": "", "start": ""}
    (canceled,) = harness.mapped("portal", asks("1", "4:00") | bare)
    assert (canceled.state, canceled.because_of) == (HELD, second.id)
    said = f"Knock may also still have booking {first.id}: cancel it too"
    assert canceled.reasons[-1].reason.endswith(said)
    player.repairs().discard(canceled.id, "canceled both in Knock", by="ana")
    assert all(harness.booking(one.id).gone_at for one in (first, second))


@pytest.mark.parametrize("is_erased", [False, True])
def test_a_cancellation_of_a_merged_request_does_not_speak_of_another_sender(
    player: Player, is_erased: bool
) -> None:
    harness = player.harness
    (first,) = harness.mapped("portal", asks("1", "2:30"))
    settle(harness)
    (merged,) = harness.mapped("portal", asks("2", "2:30"))
    assert merged.because_of == first.id
    if is_erased:
        found = Found(events=(merged.event_id,), rejections=())
        Eraser(harness.settings, harness.pipeline.store, harness.clock).erase(found, by="ana")
    (canceled,) = harness.mapped("portal", asks("2", "2:30") | {"kind": "cancellation"})
    assert canceled.reason == "cancellation_merged"
    said = f"another request is for the same tour, which may be in Knock: booking {first.id}"
    assert canceled.reasons[-1].reason == said
    assert "sender" not in advice_for(Issue.of(canceled)).wrong
