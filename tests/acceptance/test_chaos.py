"""Test the harness's audits with made-up records, and a short run with real processes."""

import dataclasses
import datetime as dt
import json
import random
import subprocess
import sys
from typing import Any

import pytest

from adapter.models import Booking, BookingState, Event, EventState, MessageState, Reason
from tests.paths import ROOT
from tools.chaos.audit import AUDITS, CALLS_PER_MINUTE, findings_from, most_calls
from tools.chaos.leads import Lead, journeys
from tools.chaos.record import Call, Card, Post, Record, Tour
from tools.chaos.senders import Told

NOW = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
BOOKED, FAILED = BookingState.BOOKED, BookingState.FAILED
SUPERSEDED, DUPLICATE = BookingState.SUPERSEDED, BookingState.DUPLICATE


def lead(number: int) -> Lead:
    return Lead(
        id=f"a-{number}",
        source="portal",
        person="a@example.com",
        phone="",
        community="elm-row",
        starts_at=NOW + dt.timedelta(days=number + 1),
        number=number,
    )


OLDER, NEWER = lead(0), lead(1)


def event(event_id: int) -> Event:
    known: dict[str, Any] = dict.fromkeys(field.name for field in dataclasses.fields(Event))
    return Event(**known | {"id": event_id, "state": EventState.MAPPED})


def booking(state: BookingState) -> Booking:
    known: dict[str, Any] = dict.fromkeys(field.name for field in dataclasses.fields(Booking))
    return Booking(**known | {"state": state})


def told(one: Lead, event_id: int, status: int | None = 200) -> Told:
    return Told(lead=one, status=status, event_id=event_id, waited_seconds=0.1)


def post(one: Lead, *, may_have_booked: bool = True) -> Post:
    return Post(lead_id=one.id, may_have_booked=may_have_booked)


def tour(one: Lead, *, stands: bool, starts_at: dt.datetime | None = None, **changes: Any) -> Tour:
    starts_at = starts_at or one.starts_at
    assert starts_at is not None
    return Tour(
        lead_id=one.id,
        starts_at=starts_at,
        community_id="com_elm",
        stands=stands,
        **changes,
    )


#: A person requested two tours. Both were booked, and the newer one exists in Knock.
SOUND = Record(
    leads={OLDER.id: OLDER, NEWER.id: NEWER},
    told=(told(OLDER, 1), told(NEWER, 2), told(OLDER, 1, 200)),
    events={OLDER.id: [event(1)], NEWER.id: [event(2)]},
    bookings={OLDER.id: [booking(BOOKED)], NEWER.id: [booking(BOOKED)]},
    posts=(post(OLDER), post(NEWER)),
    tours=(tour(OLDER, stands=False), tour(NEWER, stands=True)),
    cards=(),
    calls=(),
    moving=(),
    worst_seconds=1.0,
    worst_row="",
)


def found(**changes: Any) -> set[str]:
    """Return the audits that fail after changing the valid record."""
    findings = findings_from(dataclasses.replace(SOUND, **changes), without=("people",))
    return {kind for kind, number in findings.faults_by_kind().items() if number}


def states(older: BookingState, newer: BookingState) -> dict[str, list[Booking]]:
    return {OLDER.id: [booking(older)], NEWER.id: [booking(newer)]}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        # A clear rejection may be followed by another POST.
        {"posts": (post(OLDER, may_have_booked=False), post(OLDER), post(NEWER))},
        # The older one was replaced before it was sent.
        {
            "bookings": states(SUPERSEDED, BOOKED),
            "posts": (post(NEWER),),
            "tours": (tour(NEWER, stands=True),),
        },
        # The newer one failed and needs review. Until then, the older one is still booked.
        {"bookings": states(BOOKED, FAILED), "tours": (tour(OLDER, stands=True),)},
        {"calls": tuple(Call(at=NOW, status=429, is_injected=True) for _ in range(3))},
    ],
)
def test_a_correct_record_has_no_faults(changes: dict[str, Any]) -> None:
    assert found(**changes) == set()


UNSOUND: dict[str, dict[str, Any]] = {
    "absent": {"told": (told(OLDER, 1), told(NEWER, 7))},
    "lost": {
        "bookings": states(SUPERSEDED, DUPLICATE),
        "posts": (),
        "tours": (),
    },
    "stored twice": {"events": {OLDER.id: [event(1), event(3)], NEWER.id: [event(2)]}},
    "posted twice": {"posts": (post(OLDER), post(OLDER), post(NEWER))},
    "older after newer": {"posts": (post(NEWER), post(OLDER))},
    "older stands": {"tours": (tour(NEWER, stands=False), tour(OLDER, stands=True))},
    "wrong hour": {
        "tours": (tour(NEWER, stands=True, starts_at=NOW + dt.timedelta(days=2, hours=1)),)
    },
    "denied": {"bookings": states(BOOKED, FAILED)},
    "noted twice": {"notes": (OLDER.id, NEWER.id, OLDER.id)},
    "not noted": {"messages": {OLDER.id: [MessageState.SENT], NEWER.id: [MessageState.UNCLEAR]}},
    "stuck": {"moving": ("booking 7 (sending)",)},
    "refused": {"told": (told(OLDER, 1), told(NEWER, 2), told(OLDER, 1, 401))},
    "slow": {"worst_seconds": 61.0},
    "over rate": {
        "calls": tuple(
            Call(at=NOW, status=200, is_injected=False) for _ in range(CALLS_PER_MINUTE + 1)
        )
    },
    "429": {"calls": (Call(at=NOW, status=429, is_injected=False),)},
}


#: The same person sent two requests without a time.
ASKED = dataclasses.replace(OLDER, id="a-q", starts_at=None)
AGAIN = dataclasses.replace(NEWER, id="a-q2", starts_at=None)
CARD = Card(lead_id=ASKED.id, community_id="com_elm")


def without_times(**changes: Any) -> set[str]:
    """Return the audits that fail for a record with only these two requests and one card."""
    record = {
        "leads": {ASKED.id: ASKED, AGAIN.id: AGAIN},
        "told": (told(ASKED, 1), told(AGAIN, 2)),
        "events": {ASKED.id: [event(1)], AGAIN.id: [event(2)]},
        "bookings": {ASKED.id: [booking(BOOKED)], AGAIN.id: [booking(DUPLICATE)]},
        "posts": (post(ASKED),),
        "tours": (),
        "cards": (CARD,),
    }
    return found(**record | changes)


def test_guest_cards_are_audited() -> None:
    assert without_times() == set()
    assert without_times(cards=(), posts=()) == {"lost"}
    assert without_times(posts=(post(ASKED), post(AGAIN))) == {"posted twice"}
    denied = {ASKED.id: [booking(SUPERSEDED)], AGAIN.id: [booking(DUPLICATE)]}
    assert without_times(bookings=denied) == {"denied"}
    elsewhere = dataclasses.replace(CARD, community_id="com_oak")
    assert without_times(cards=(elsewhere,)) == {"wrong hour"}
    assert without_times(tours=(tour(ASKED, stands=True, starts_at=NOW),)) == {"wrong hour"}


def test_a_tour_is_a_guest_card_and_a_guest_card_is_no_tour() -> None:
    leads = {ASKED.id: ASKED, NEWER.id: NEWER}
    events = {ASKED.id: [event(1)], NEWER.id: [event(2)]}
    sent = {"leads": leads, "told": (told(ASKED, 1), told(NEWER, 2)), "events": events}
    bookings = {ASKED.id: [booking(SUPERSEDED)], NEWER.id: [booking(BOOKED)]}
    tours = (tour(NEWER, stands=True),)
    assert found(**sent, bookings=bookings, tours=tours, posts=(post(NEWER),)) == set()
    bookings = {ASKED.id: [booking(BOOKED)], NEWER.id: [booking(DUPLICATE)]}
    assert found(**sent, bookings=bookings, tours=(), cards=(CARD,), posts=(post(ASKED),)) == {
        "lost"
    }


@pytest.mark.parametrize("kind", [kind for kind in AUDITS if kind != "people"])
def test_each_audit_finds_its_fault_and_no_other(kind: str) -> None:
    assert found(**UNSOUND[kind]) == {kind}


#: The person returned to the first tour, or canceled it, through the portal.
BACK = dataclasses.replace(OLDER, id="a-back", number=2, wavers=True)
CANCEL = dataclasses.replace(OLDER, id="a-cancel", key=OLDER.id, is_cancellation=True, wavers=True)


def wavering(last: Lead, state: BookingState, *tours: Tour, reason: str = "") -> list[str]:
    """Return the rules that are violated if this is the latest message."""
    leads = {
        one.id: dataclasses.replace(one, wavers=True, source="portal")
        for one in (OLDER, NEWER, last)
    }
    ids = {lead_id: 1001 + number for number, lead_id in enumerate(leads)}
    made = {
        lead_id: [
            dataclasses.replace(
                booking(state if lead_id == last.id else BOOKED),
                id=ids[lead_id],
                reasons=(Reason(field="event", reason=reason),),
                reason="",
            )
        ]
        for lead_id in leads
    }
    record = dataclasses.replace(
        SOUND,
        leads=leads,
        events={lead_id: [event(number)] for number, lead_id in enumerate(leads, 1)},
        bookings=made,
        tours=tours,
        sent_at={
            lead_id: NOW + dt.timedelta(minutes=number) for number, lead_id in enumerate(leads)
        },
    )
    return [fault.kind for fault in findings_from(record).faults]


def test_people_who_change_their_minds_are_audited() -> None:
    older = tour(OLDER, stands=False, id="one", canceled_by="two")
    newer = tour(NEWER, stands=True, id="two")
    gone = dataclasses.replace(newer, stands=False, canceled_by="three")
    back = tour(BACK, stands=True, id="three")
    assert wavering(BACK, BOOKED, older, gone, back) == []
    assert wavering(BACK, DUPLICATE, older, newer, reason="as booking 1001") == ["people"]
    assert wavering(CANCEL, BookingState.HELD, older, newer) == []


def test_a_booked_lead_that_is_not_in_knock_is_lost() -> None:
    assert found(tours=()) == {"lost"}


def test_a_twin_from_another_source_is_the_same_tour() -> None:
    twin = dataclasses.replace(NEWER, id="a-1-twin", source="form")
    leads = {**SOUND.leads, twin.id: twin}
    assert found(leads=leads, posts=(post(OLDER), post(NEWER), post(twin))) == {"posted twice"}


def test_calls_are_counted_over_every_window_of_60_seconds() -> None:
    # 0 s, 59 s, 59.9 s and 60 s: the window that begins at 59 s holds three, as the first one does.
    at = [NOW + dt.timedelta(seconds=seconds) for seconds in (0, 59, 59.9, 60)]
    calls = tuple(Call(at=one, status=200, is_injected=False) for one in at)
    assert most_calls(dataclasses.replace(SOUND, calls=calls)) == 3
    assert most_calls(dataclasses.replace(SOUND, calls=())) == 0


def test_a_seed_gives_the_same_leads_again() -> None:
    first, again = (
        journeys(random.Random(5), name="r", people=6, first_number=0, without=()) for _ in range(2)
    )
    assert first == again
    ids = [one.id for journey in first for step in journey for one in step.leads]
    assert len(set(ids)) > 6


def test_nothing_is_lost_or_booked_twice_while_everything_breaks() -> None:
    """Do a short run, without the faults that take 30 seconds each."""
    slow = "401,late 401,stuck PENDING,freeze a worker"
    options = ("--rounds", "2", "--seed", "12", "--without", f"{slow},search", "--json")
    ended = subprocess.run(
        [sys.executable, "-m", "tools.chaos", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.stdout, ended.stderr
    data = json.loads(ended.stdout)
    faults = [fault for one in data["each"] for fault in one["faults"]]
    assert not faults, ended.stdout
    assert ended.returncode == 0
    assert data["counts"]["acknowledged"] == data["counts"]["sent"] > 8
    assert data["counts"]["booked"] > 0
