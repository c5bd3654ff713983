"""Test that different renters with the same dedupe key never replace each other."""

import itertools
import random
from pathlib import Path
from typing import Any

import pytest

from adapter.bookings import reconcile
from adapter.cli.resolve import _lines
from adapter.exceptions import NotPossible
from adapter.mapping.registry import load
from adapter.models import Booking, BookingState
from adapter.operations.replay import Replays
from adapter.operations.take_back import TakeBacks
from adapter.settings import Policy
from adapter.store import Database
from adapter.webhooks.views import acknowledgement
from tests.gunicorn_process import write_mappings
from tests.harness import Harness, settle
from tests.sandbox_client import SandboxClient

PENDING, HELD, BOOKED = BookingState.PENDING, BookingState.HELD, BookingState.BOOKED
SUPERSEDED, DUPLICATE = BookingState.SUPERSEDED, BookingState.DUPLICATE
TIMES = ("2026-03-14T20:30:00Z", "2026-03-14T22:00:00Z", "2026-03-15T18:00:00Z")
NAMES = ("Abel Aaa", "Bella Bbb", "Cora Ccc")


def sections(dedupe: Any, **appointment: Any) -> dict[str, Any]:
    fields = {"name": "name", "email_1": "email", "phone_1": "phone", "starts_at": "at"}
    example = asks("Dana Okafor", TIMES[0], email="dana@example.com", phone="", ref="1", mail="")
    return {
        "signature": {"scheme": "hmac", "header": "X-Signature", "secrets": ["RENTFEED_SECRET"]},
        "dedupe": dedupe,
        "cancellation": {"kind": "cancellation"},
        "appointment": fields | {"first_contact_type": {"always": "chat"}} | appointment,
        "tests": [
            {"name": "a tour", "payload": example, "expect_some": {"last_name": "Okafor"}},
        ],
    }


def asks(name: str, at: str = TIMES[0], **more: Any) -> dict[str, Any]:
    return {"kind": "tour", "community": "Maple Court", "name": name, "at": at} | more


@pytest.fixture
def player(opened: Database, upstream: SandboxClient, tmp_path: Path) -> Harness:
    """Return a harness with a portal that has no ID, and a form whose IDs may be shared."""
    portal, form = sections(["email", "community"]), sections("ref")
    write_mappings(tmp_path, {"portal": portal, "form": form})
    return Harness(opened, upstream, Policy(), mappings=tmp_path)


def sent(player: Harness, source: str, payload: Any) -> Booking:
    """Return the lead of a webhook that differs from all earlier ones."""
    player.clock.advance(60)
    receipt = player.receive(source, payload)
    event_id = receipt.changed_id or receipt.event_id
    player.map_event(event_id)
    (booking,) = player.story(event_id).bookings
    return booking


def states(player: Harness, bookings: list[Booking]) -> list[BookingState]:
    return [player.state(one.id) for one in bookings]


def test_renters_whose_contact_is_not_found_are_all_held(player: Harness) -> None:
    """Rename the email field, so that only the community is left in the key."""
    leads = [
        sent(player, "portal", asks(name, at, mail=f"{name[:4].lower()}@example.com"))
        for name, at in zip(NAMES, TIMES, strict=True)
    ]
    assert states(player, leads) == [HELD] * 3
    receipts = [player.receive("portal", asks(name, TIMES[0], mail="new")) for name in NAMES]
    assert [one.is_duplicate for one in receipts] == [False] * 3
    assert player.receive("portal", asks(NAMES[0], TIMES[0], mail="new")).is_duplicate


def test_a_lead_without_a_name_and_contact_is_no_ones_newer_request(player: Harness) -> None:
    leads = [sent(player, "portal", asks("", at)) for at in TIMES]
    assert states(player, leads) == [HELD] * 3


def test_renters_with_one_key_and_no_contact_are_all_held(player: Harness) -> None:
    leads = [
        sent(player, "form", asks(name, at, ref="0")) for name, at in zip(NAMES, TIMES, strict=True)
    ]
    assert states(player, leads) == [HELD] * 3
    note = player.booking(leads[1].id).reasons[-1]
    assert note.field == "dedupe"
    assert f"booking {leads[0].id}" in note.reason


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))], ids=str)
def test_a_lead_without_a_name_under_a_key_of_several_people_replaces_none(
    player: Harness, order: tuple[int, ...]
) -> None:
    """Send two leads whose name and contact are not found."""
    known = sent(player, "form", asks("Abel Aaa", email="abel@example.com", ref="0"))
    others = [
        asks("Bella Bbb", TIMES[1], email="bella@example.com", ref="0"),
        asks("", TIMES[1], ref="0"),
        asks("", TIMES[2], ref="0"),
    ]
    leads = [sent(player, "form", others[number]) for number in order]
    settle(player)
    settle(player)
    unread = [leads[order.index(number)] for number in (1, 2)]
    if order == (0, 1, 2):
        assert states(player, unread) == [HELD, HELD]
    assert states(player, [known, leads[order.index(0)]]) == [BOOKED, BOOKED]


def test_the_same_renter_again_is_one_lead(player: Harness) -> None:
    first = sent(player, "form", asks("Abel Aaa", "", ref="7"))
    second = sent(player, "form", asks("Abel Aaa", TIMES[0], ref="7"))
    assert states(player, [first, second]) == [SUPERSEDED, HELD]
    third = sent(player, "form", asks("Abel Aaa", TIMES[0], email="abel@example.com", ref="7"))
    assert states(player, [second, third]) == [SUPERSEDED, PENDING]
    again = asks("Abel Aaa", TIMES[0], email="abel@example.com", ref="7")
    assert player.receive("form", again).is_duplicate


def test_a_corrected_name_is_still_the_same_lead(player: Harness) -> None:
    first = sent(player, "portal", asks("Dana Okafr", email="dana@example.com"))
    second = sent(player, "portal", asks("Dana Okafor", TIMES[1], email="dana@example.com"))
    assert states(player, [first, second]) == [SUPERSEDED, PENDING]
    third = sent(player, "form", asks("Ben Roee", ref="8", phone="303-555-0142"))
    fourth = sent(player, "form", asks("Ben Roe", TIMES[1], ref="8", phone="303-555-0142"))
    assert states(player, [third, fourth]) == [SUPERSEDED, PENDING]


def test_a_family_with_one_email_and_listing_does_not_replace_each_other(player: Harness) -> None:
    """The key consists of the email and the community, so both leads have the same one."""
    first = sent(player, "portal", asks("Gia Hill", email="hill@example.com"))
    second = sent(player, "portal", asks("Hal Hill", TIMES[1], email="hill@example.com"))
    assert states(player, [first, second]) == [PENDING, HELD]
    assert (second.reason, second.because_of) == ("another_person", first.id)
    third = sent(player, "portal", asks("Gia Hull", TIMES[2], email="hill@example.com"))
    assert states(player, [first, second]) == [SUPERSEDED, HELD]
    assert player.state(third.id) is PENDING


def test_only_an_identical_webhook_is_answered_as_a_duplicate(player: Harness) -> None:
    bodies = [asks(name, ref="0") for name in NAMES]
    answers = [acknowledgement(player.receive("form", one))[0] for one in (*bodies, bodies[-1])]
    assert [one["status"] for one in answers] == ["accepted"] * 3 + ["duplicate"]
    assert len({one["event"] for one in answers[:3]}) == 3
    assert answers[3]["event"] == answers[2]["event"], "a retry is answered like the change"


def test_three_renters_with_one_key_get_their_three_tours(
    player: Harness, upstream: SandboxClient
) -> None:
    leads = [
        sent(player, "form", asks(name, at, email=f"{name[:4].lower()}@example.com", ref="0"))
        for name, at in zip(NAMES, TIMES, strict=True)
    ]
    settle(player)
    settle(player)
    assert states(player, leads) == [BOOKED] * 3
    standing = [one for one in upstream.appointments() if not one["canceled_by"]]
    assert sorted(one["starts_at"] for one in standing) == [*TIMES]


def test_a_cancellation_of_a_key_of_several_people_replaces_none(player: Harness) -> None:
    leads = [
        sent(player, "form", asks(name, at, email=f"{name[:4].lower()}@example.com", ref="0"))
        for name, at in zip(NAMES, TIMES, strict=True)
    ]
    held = [sent(player, "form", asks(name, ref="0")) for name in ("Dora Ddd", "Elias Eee")]
    canceled = sent(player, "form", {"kind": "cancellation", "ref": "0"})
    assert (canceled.state, canceled.reason) == (HELD, "cancellation_unclear")
    assert states(player, [*leads, *held]) == [PENDING] * 3 + [HELD] * 2


def test_a_cancellation_stops_the_renters_own_lead(player: Harness) -> None:
    lead = sent(player, "form", asks("Abel Aaa", ref="7", email="abel@example.com"))
    held = sent(player, "form", asks("Bella Bbb", ref="9"))
    canceled = [sent(player, "form", {"kind": "cancellation", "ref": ref}) for ref in "79"]
    assert states(player, [lead, held]) == [BookingState.DISCARDED] * 2
    assert [one.reason for one in canceled] == ["cancellation_done"] * 2


def test_renters_for_whom_an_agent_enters_one_email_and_phone_need_review(player: Harness) -> None:
    agent = {"email": "agent@example.com", "phone": "303-555-0142"}
    leads = [
        sent(player, "form", asks(name, at, ref=name, **agent))
        for name, at in zip(NAMES, TIMES, strict=True)
    ]
    assert states(player, leads) == [PENDING, HELD, HELD]
    assert [one.reason for one in leads[1:]] == ["another_person"] * 2


def test_renters_with_a_shared_address_and_one_key_are_not_one_person(
    opened: Database, upstream: SandboxClient, tmp_path: Path
) -> None:
    write_mappings(tmp_path, {"form": sections("ref")})
    policy = Policy(shared_contacts=frozenset({"office@example.com"}))
    player = Harness(opened, upstream, policy, mappings=tmp_path)
    first = sent(player, "form", asks("Abel Aaa", email="office@example.com", ref="0"))
    second = sent(player, "form", asks("Bella Bbb", TIMES[1], email="office@example.com", ref="0"))
    assert player.state(first.id) is PENDING
    assert (second.state, second.reason, second.because_of) == (HELD, "another_name", first.id)
    player.repairs.release(second.id, {}, by="ana")
    assert states(player, [first, second]) == [PENDING, PENDING]


def replaced_before(player: Harness, tmp_path: Path) -> list[Booking]:
    """Return leads that replaced each other under an earlier version, now with a fixed mapping."""
    leads = [
        sent(player, "form", asks(name, at, ref="0", mail=f"{name[:4].lower()}@example.com"))
        for name, at in zip(NAMES, TIMES, strict=True)
    ]
    with player.pipeline.store.transaction() as tx:
        for lead, newer in itertools.pairwise(leads):
            now, because_of = player.clock(), newer.id
            tx.bookings.move(
                lead.id, SUPERSEDED, why="newer_request", because_of=because_of, now=now
            )
    assert states(player, leads) == [SUPERSEDED, SUPERSEDED, HELD]
    (tmp_path / "portal.yaml").unlink()
    write_mappings(tmp_path, {"form": sections("ref", email_1=["email", "mail"])})
    player.pipeline.sources = load(tmp_path, Policy())
    return leads


def replays(player: Harness) -> Replays:
    return player.replays


def test_leads_that_replaced_each_other_are_replayed(
    player: Harness, upstream: SandboxClient, tmp_path: Path
) -> None:
    leads = replaced_before(player, tmp_path)
    for lead in leads:
        planned = replays(player).replay(lead.event_id, by="ana", dry_run=True)
        done = replays(player).replay(lead.event_id, by="ana", dry_run=False)
        assert planned.refusal is done.refusal is None
        assert planned.outcome == done.outcome == "book"
    settle(player)
    settle(player)
    new = [player.story(lead.event_id).bookings[-1].state for lead in leads]
    assert new == [BOOKED] * 3
    again = replays(player).replay(leads[0].event_id, by="ana", dry_run=True)
    assert again.refusal is not None
    assert len([one for one in upstream.appointments() if not one["canceled_by"]]) == 3


def test_a_lead_that_its_own_renter_replaced_is_not_replayed(
    player: Harness, tmp_path: Path
) -> None:
    first = sent(player, "form", asks("Abel Aaa", "", ref="7", email="abel@example.com"))
    second = sent(player, "form", asks("Abel Aaa", ref="7", email="abel@example.com"))
    assert states(player, [first, second]) == [SUPERSEDED, PENDING]
    planned = replays(player).replay(first.event_id, by="ana", dry_run=True)
    assert planned.refusal == f"its booking {first.id} is superseded"
    with pytest.raises(NotPossible):
        TakeBacks(player.pipeline.store, player.clock).bring_back(first.id, by="ana")


def test_a_user_brings_back_a_lead_that_another_renter_replaced(
    player: Harness, tmp_path: Path
) -> None:
    first, second, third = replaced_before(player, tmp_path)
    take_backs = TakeBacks(player.pipeline.store, player.clock)
    take_backs.bring_back(first.id, by="ana")
    assert states(player, [first, second, third]) == [HELD] * 3, "the second is left behind too"
    assert player.booking(first.id).reason == "held_by_mapping"
    assert player.booking(first.id).because_of is None
    other = player.booking(second.id)
    assert (other.reason, other.because_of) == ("shared_key", third.id)


def test_a_user_brings_back_a_lead_that_others_replaced_one_after_the_other(
    player: Harness, tmp_path: Path
) -> None:
    """The lead's direct successor may be the same renter's, but the last one is not."""
    first = sent(player, "form", asks("", email="abel@example.com", ref="0"))
    second = sent(player, "form", asks("Cora Ccc", TIMES[1], ref="0"))
    third = sent(player, "form", asks("Cora Ccc", TIMES[2], ref="0", email="cora@example.com"))
    with player.pipeline.store.transaction() as tx:
        move, now = tx.bookings.move, player.clock()
        move(first.id, SUPERSEDED, why="newer_request", because_of=second.id, now=now)
    TakeBacks(player.pipeline.store, player.clock).bring_back(first.id, by="ana")
    assert states(player, [first, second, third]) == [HELD, SUPERSEDED, PENDING]


def test_a_renter_whom_a_chain_replaced_is_held(player: Harness) -> None:
    """The second lead says nothing against the first, but the third does."""
    first = sent(player, "form", asks("", email="abel@example.com", ref="0"))
    second = sent(player, "form", asks("Cora Ccc", TIMES[1], ref="0"))
    assert states(player, [first, second]) == [SUPERSEDED, HELD]
    third = sent(player, "form", asks("Cora Ccc", TIMES[2], ref="0", email="cora@example.com"))
    assert states(player, [first, second, third]) == [HELD, SUPERSEDED, PENDING]
    left = player.booking(first.id)
    assert (left.reason, left.because_of) == ("shared_key", third.id)
    assert f"booking {third.id} has the same key" in left.reasons[-1].reason
    settle(player)
    changes = {"first_name": "Abel", "last_name": "Aaa"}
    player.repairs.release(first.id, changes, by="ana")
    settle(player)
    assert states(player, [first, third]) == [BOOKED, BOOKED]


def test_leads_merged_by_a_key_alone_are_held_once_it_is_of_several_people(
    player: Harness,
) -> None:
    first = sent(player, "form", asks("Bella Bbb", ref="0"))
    second = sent(player, "form", asks("", TIMES[1], email="abel@example.com", ref="0"))
    assert states(player, [first, second]) == [SUPERSEDED, HELD]
    third = sent(player, "form", asks("", TIMES[2], email="cora@example.com", ref="0"))
    assert states(player, [first, second, third]) == [HELD] * 3
    assert player.booking(first.id).because_of == second.id


def test_a_lead_is_held_if_a_user_gives_its_successor_another_name(player: Harness) -> None:
    first = sent(player, "form", asks("Bella Bbb", ref="0"))
    second = sent(player, "form", asks("", TIMES[1], email="abel@example.com", ref="0"))
    player.repairs.release(second.id, {"first_name": "Abel", "last_name": "Aaa"}, by="ana")
    assert states(player, [first, second]) == [HELD, PENDING]


def test_a_lead_that_may_be_anothers_is_not_moved_again_and_again(player: Harness) -> None:
    """Without the others, the lead would be replaced, so each change of theirs may move it."""
    payloads = [
        asks("Gia Hill", email="hill@example.com", ref="0"),
        asks("", TIMES[1], email="hill@example.com", ref="0"),
        asks("Gia Hill", TIMES[2], ref="0"),
    ]
    leads = [sent(player, "form", one) for one in payloads]
    others = [asks("Abel Aaa", at, email="abel@example.com", ref="0") for at in TIMES[1:]]
    leads += [sent(player, "form", one) for one in others]
    settle(player)
    before = [player.story(one.event_id).history for one in leads]
    for lead in leads:
        with player.pipeline.store.transaction() as tx:
            reconcile.reconcile(tx, player.booking(lead.id), player.clock())
    assert [player.story(one.event_id).history for one in leads] == before
    assert max(sum(change.why == "shared_key" for change in one) for one in before) == 1


def test_a_lead_without_a_name_does_not_merge_a_family(player: Harness) -> None:
    """Let a user find out whose lead it is. It replaced the lead of the other one."""
    email = "hill@example.com"
    first = sent(player, "portal", asks("Gia Hill", email=email))
    second = sent(player, "portal", asks("Hal Hill", TIMES[1], email=email))
    third = sent(player, "portal", asks("", TIMES[2], email=email))
    assert states(player, [second, third]) == [SUPERSEDED, HELD]
    player.repairs.release(third.id, {"first_name": "Gia", "last_name": "Hill"}, by="ana")
    assert states(player, [first, second, third]) == [SUPERSEDED, HELD, PENDING]
    assert player.booking(second.id).reason == "shared_key"


def test_contacts_that_lead_from_one_to_the_other_are_one_renters(player: Harness) -> None:
    """The first and the last lead share nothing, but each shares a contact with the second."""
    both = {"email": "abel@example.com", "phone": "303-555-0142"}
    leads = [
        sent(player, "form", asks("Abel", email=both["email"], ref="7")),
        sent(player, "form", asks("Abel Aaa", TIMES[1], ref="7", **both)),
        sent(player, "form", asks("A. Aaa", TIMES[2], phone=both["phone"], ref="7")),
    ]
    assert states(player, leads) == [SUPERSEDED, SUPERSEDED, PENDING]


@pytest.mark.parametrize("seed", [4])
def test_no_renter_is_lost_in_random_orders_of_leads_with_one_key(
    player: Harness, upstream: SandboxClient, seed: int
) -> None:
    rng = random.Random(seed)
    for number in range(12):
        leads = random_leads(player, rng, number)
        settle(player)
        settle(player)
        lost = [name for name, ids in leads.items() if not any(is_seen(player, id_) for id_ in ids)]
        assert not lost, (number, leads)
    standing = [one["prospect_id"] for one in upstream.appointments() if not one["canceled_by"]]
    assert len(standing) == len({*standing}) > 10


def random_leads(player: Harness, rng: random.Random, number: int) -> dict[str, list[int]]:
    """Send leads of three renters, some of them incomplete. Return their IDs, by renter."""
    found: dict[str, list[int]] = {}
    for step in range(rng.randint(3, 6)):
        name = rng.choice(NAMES)
        shows = rng.choice(["all", "no name", "no email", "first name"])
        shown = {"no name": "", "first name": name.split()[0]}.get(shows, name)
        email = "" if shows == "no email" else f"{name[:4].lower()}{number}@example.com"
        at = f"2026-03-{14 + number % 7}T{16 + step}:00:00Z"
        payload = asks(shown, at, email=email, ref=f"R{number}", n=step)
        lead = sent(player, rng.choice(["form", "form", "portal"]), payload)
        found.setdefault(name, []).append(lead.id)
        if rng.random() < 0.3:
            settle(player)
    return found


def is_seen(player: Harness, lead_id: int) -> bool:
    """Return True if a lead is open or booked, or if what replaced it may be the same renter's.

    That is the case only if one of them has no name and the other one has no contact.
    """
    first = one = player.booking(lead_id)
    while one.state in (SUPERSEDED, DUPLICATE):
        one = player.booking(one.because_of or 0)
    names, emails = (
        {lead.appointment.get(field) for lead in (first, one)} - {None}
        for field in ("first_name", "email_1")
    )
    is_known = one.state in (PENDING, HELD, BOOKED, BookingState.SUBMITTED)
    return is_known and (one is first or (one.state is HELD and len(names) <= 1 >= len(emails)))


def test_a_dry_run_says_that_another_person_stays_held(player: Harness) -> None:
    sent(player, "form", asks("Abel Aaa", ref="7", phone="303-555-0142"))
    held = sent(player, "form", asks("Bella Bbb", TIMES[1], ref="8", phone="303-555-0142"))
    assert (held.state, held.reason) == (HELD, "another_person")
    planned = replays(player).replay(held.event_id, by="ana", dry_run=True)
    assert (planned.outcome, planned.fields) == ("held", {})
    assert planned.not_booked == [held.reasons[-1].reason]
    line, total = _lines([planned], dry_run=True)
    assert "(form): still held: someone with a different name uses the same" in line
    assert total == "1 of 1 events would be replayed, 1 of them still held"
    note = [*_lines([planned] * 2, dry_run=True)][-1]
    assert note.startswith("Each event was judged by itself.")
    assert player.booking(held.id) == held, "nothing has changed"
    done = replays(player).replay(held.event_id, by="ana", dry_run=False)
    assert (done.outcome, done.not_booked) == (planned.outcome, planned.not_booked)


def test_a_dry_run_says_that_a_repeat_is_a_duplicate(player: Harness) -> None:
    sent(player, "form", asks("Abel Aaa", ref="7", phone="303-555-0142"))
    event_id = player.receive("portal", asks("Abel Aaa", phone="303-555-0142")).event_id
    sources, player.pipeline.sources = player.pipeline.sources, {}
    player.clock.advance(3600)
    player.map_event(event_id)
    player.pipeline.sources = sources
    planned = replays(player).replay(event_id, by="ana", dry_run=True)
    assert (planned.outcome, planned.fields["0.outcome"]) == ("duplicate", (None, "duplicate"))
    assert "already requested this tour" in planned.not_booked[0]
    assert player.story(event_id).bookings == ()
    assert replays(player).replay(event_id, by="ana", dry_run=False).outcome == "duplicate"
