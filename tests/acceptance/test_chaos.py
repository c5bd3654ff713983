"""Test the chaos test's audits with made-up records, and run it briefly with real processes."""

import dataclasses
import datetime as dt
import json
import random
import subprocess
import sys
from typing import Any

import pytest

from adapter.models import (
    Booking,
    BookingState,
    Event,
    EventState,
    KnockStatus,
    Message,
    MessageState,
    Reason,
)
from tests.paths import ROOT
from tools.chaos.audit import AUDITS, CALLS_PER_MINUTE, findings_from, most_calls
from tools.chaos.leads import Lead, journeys
from tools.chaos.record import Call, Card, Note, Post, Record, Tour
from tools.chaos.renters import Chosen
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
    arrival = {"received_at": NOW + dt.timedelta(hours=1)}
    return Event(**known | {"id": event_id, "state": EventState.MAPPED} | arrival)


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
        **{"lines": one.words} | changes,
    )


def note(*leads: Lead) -> Note:
    lines = [line for one in leads for line in one.words]
    return Note(prospect_id="pro_a", job_id="job", added_at=NOW, lines=tuple(lines))


def message(state: MessageState, **changes: Any) -> Message:
    known: dict[str, Any] = dict.fromkeys(field.name for field in dataclasses.fields(Message))
    return Message(**known | {"state": state, "created_at": NOW} | changes)


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
            "notes": (note(OLDER),),
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
        "notes": (note(OLDER), note(NEWER)),
    },
    "stored twice": {"events": {OLDER.id: [event(1), event(3)], NEWER.id: [event(2)]}},
    "posted twice": {"posts": (post(OLDER), post(OLDER), post(NEWER))},
    "older after newer": {"posts": (post(NEWER), post(OLDER))},
    "older stands": {"tours": (tour(NEWER, stands=False), tour(OLDER, stands=True))},
    "wrong hour": {
        "tours": (tour(NEWER, stands=True, starts_at=NOW + dt.timedelta(days=2, hours=1)),),
        "notes": (note(OLDER),),
    },
    "denied": {"bookings": states(BOOKED, FAILED)},
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
CARD = Card(lead_id=ASKED.id, community_id="com_elm", lines=ASKED.words)


def without_times(**changes: Any) -> set[str]:
    """Return the audits that fail for a record with only two such requests and one guest card."""
    record = {
        "leads": {ASKED.id: ASKED, AGAIN.id: AGAIN},
        "told": (told(ASKED, 1), told(AGAIN, 2)),
        "events": {ASKED.id: [event(1)], AGAIN.id: [event(2)]},
        "bookings": {ASKED.id: [booking(BOOKED)], AGAIN.id: [booking(DUPLICATE)]},
        "posts": (post(ASKED),),
        "tours": (),
        "cards": (CARD,),
        "notes": (note(AGAIN),),
    }
    return found(**record | changes)


def test_guest_cards_are_audited() -> None:
    assert without_times() == set()
    assert without_times(cards=(), posts=(), notes=(note(ASKED, AGAIN),)) == {"lost"}
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
    later = (note(ASKED),)
    bookings = {ASKED.id: [booking(SUPERSEDED)], NEWER.id: [booking(BOOKED)]}
    tours = (tour(NEWER, stands=True),)
    posts = (post(NEWER),)
    assert found(**sent, bookings=bookings, tours=tours, posts=posts, notes=later) == set()
    bookings = {ASKED.id: [booking(BOOKED)], NEWER.id: [booking(DUPLICATE)]}
    posts, later = (post(ASKED),), (note(NEWER),)
    known = sent | {"bookings": bookings, "posts": posts, "notes": later}
    assert found(**known, tours=(), cards=(CARD,)) == {"lost"}


#: The audits that have their own tests.
OTHERS = {"people", "words twice", "words lost", "words out of order"}
OTHERS |= {"choice lost", "choice doubled", "knock status"}


@pytest.mark.parametrize("kind", [kind for kind in AUDITS if kind not in OTHERS])
def test_each_audit_finds_its_fault_and_no_other(kind: str) -> None:
    assert found(**UNSOUND[kind]) == {kind}


#: The person returned to the first tour, or canceled it, through the portal.
BACK = dataclasses.replace(OLDER, id="a-back", number=2, wavers=True)
CANCEL = dataclasses.replace(OLDER, id="a-cancel", key=OLDER.id, is_cancellation=True, wavers=True)


def wavering(last: Lead, state: BookingState, *tours: Tour, reason: str = "") -> list[str]:
    """Return the rules that are violated if the given message is the person's latest."""
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
    assert found(tours=(), notes=(note(OLDER, NEWER),)) == {"lost"}


def test_a_twin_from_another_source_is_the_same_tour() -> None:
    twin = dataclasses.replace(NEWER, id="a-1-twin", source="form")
    leads = {**SOUND.leads, twin.id: twin}
    assert found(leads=leads, posts=(post(OLDER), post(NEWER), post(twin))) == {"posted twice"}


#: The person wrote twice after the newer tour was booked.
WORD = dataclasses.replace(NEWER, id="a-w1", word="word a-w1")
LAST = dataclasses.replace(NEWER, id="a-w2", word="word a-w2")


def said(**changes: Any) -> set[str]:
    """Return the audits that fail for a record with two later messages."""
    words = (WORD, LAST)
    record = {
        "leads": {**SOUND.leads, WORD.id: WORD, LAST.id: LAST},
        "told": (*SOUND.told, told(WORD, 3), told(LAST, 4)),
        "events": {**SOUND.events, WORD.id: [event(3)], LAST.id: [event(4)]},
        "bookings": {**SOUND.bookings, **{one.id: [booking(DUPLICATE)] for one in words}},
        "notes": (note(WORD), note(LAST)),
        "sent_at": {
            one.id: NOW + dt.timedelta(minutes=number)
            for number, one in enumerate((OLDER, NEWER, *words))
        },
        "messages": {one.id: [message(MessageState.SENT)] for one in words},
    }
    return found(**record | changes)


def test_later_words_are_audited() -> None:
    assert said() == set()
    assert said(notes=(note(WORD), note(WORD, LAST))) == {"words twice"}
    assert said(notes=(note(WORD), note(LAST), note(NEWER))) == {"words twice"}
    assert said(notes=(note(WORD),)) == {"words lost"}
    later = NOW + dt.timedelta(seconds=30)
    crossed = tuple(
        dataclasses.replace(note(one), added_at=later + dt.timedelta(seconds=number))
        for number, one in enumerate((LAST, WORD))
    )
    assert said(notes=crossed) == {"words out of order"}
    # A message that arrived after the note was sent cannot be in order.
    late = [message(MessageState.SENT, created_at=later)]
    assert said(notes=crossed, messages={WORD.id: late}) == set()


def test_words_may_wait_for_a_person() -> None:
    waiting = {LAST.id: [message(MessageState.WAITING)]}
    bookings = {OLDER.id: [booking(BOOKED)], WORD.id: [booking(DUPLICATE)]}
    bookings |= {NEWER.id: [booking(BookingState.UNKNOWN)], LAST.id: [booking(DUPLICATE)]}
    assert said(bookings=bookings, notes=(note(WORD),), messages=waiting) == set()
    assert said(bookings=bookings, notes=(note(WORD),), messages={}) == {"words lost"}
    held = bookings | {LAST.id: [booking(BookingState.HELD)]}
    assert said(bookings=held, notes=(note(WORD),), messages={}) == set()


#: The person got a link, and chose a time and then another one.
INVITED = dataclasses.replace(OLDER, id="a-i", source="chat", starts_at=None)
FIRST, SECOND = (
    Chosen(lead_id=INVITED.id, at=NOW + dt.timedelta(days=days), is_confirmed=True)
    for days in (1, 2)
)


def chose(*tours: Tour, **changes: Any) -> set[str]:
    """Return the audits that fail for a record with a person who chose two times."""
    record = {
        "leads": {INVITED.id: INVITED},
        "told": (told(INVITED, 1),),
        "events": {INVITED.id: [event(1)]},
        "bookings": {INVITED.id: [booking(BOOKED), booking(BOOKED)]},
        "posts": (),
        "cards": (dataclasses.replace(CARD, lead_id=INVITED.id, lines=INVITED.words),),
        "chosen": (FIRST, SECOND),
    }
    return found(**record | {"tours": tours} | changes)


def test_chosen_times_are_audited() -> None:
    gone = tour(INVITED, stands=False, starts_at=FIRST.at, status="cancelled")
    last = tour(INVITED, stands=True, starts_at=SECOND.at)
    assert chose(gone, last) == set()
    assert chose(last) == set()
    assert chose(gone) == {"choice lost"}
    assert chose(tour(INVITED, stands=True, starts_at=FIRST.at), last) == {"choice lost"}
    assert chose(gone, dataclasses.replace(last, stands=False), last) == {"choice doubled"}
    other = tour(INVITED, stands=False, starts_at=NOW + dt.timedelta(days=3))
    assert chose(gone, other, last) == {"wrong hour"}


def test_a_choice_may_wait_for_a_person_or_be_unconfirmed() -> None:
    first = tour(INVITED, stands=True, starts_at=FIRST.at)
    unsure = dataclasses.replace(SECOND, is_confirmed=False)
    assert chose(first, chosen=(FIRST, unsure)) == set()
    assert chose(tour(INVITED, stands=True, starts_at=SECOND.at), chosen=(FIRST, unsure)) == set()
    held = dataclasses.replace(booking(BookingState.HELD), starts_at=SECOND.at)
    assert chose(first, bookings={INVITED.id: [booking(BOOKED), held]}) == set()
    assert chose(first) == {"choice lost"}


def test_the_status_in_knock_is_audited() -> None:
    def seen(status: KnockStatus | None, tour_id: str | None = "two") -> set[str]:
        made = dataclasses.replace(
            booking(BOOKED), tour_id=tour_id, knock_status=status, starts_at=NEWER.starts_at
        )
        missed = tour(NEWER, stands=True, id="two", status="no_show")
        bookings = {**SOUND.bookings, NEWER.id: [made]}
        return found(bookings=bookings, tours=(SOUND.tours[0], missed))

    assert seen(KnockStatus.NO_SHOW) == set()
    assert seen(KnockStatus.BOOKED) == {"knock status"}
    assert seen(None, tour_id=None) == {"knock status"}


def test_what_an_agent_cancels_is_not_lost() -> None:
    gone = tour(NEWER, stands=False, canceled_by="person", status="cancelled")
    assert found(tours=(SOUND.tours[0], gone)) == set()


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
    """Do a short run, without the faults that take 30 seconds each to inject."""
    slow = "401,late 401,stuck PENDING,freeze a worker"
    options = ("--rounds", "2", "--seed", "12", "--without", f"{slow},search", "--json")
    ended = subprocess.run(
        [sys.executable, "-m", "tools.chaos", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.stdout, ended.stderr
    data = json.loads(ended.stdout)
    faults = [fault for one in data["each"] for fault in one["faults"]]
    assert not faults, ended.stdout
    assert ended.returncode == 0
    assert data["counts"]["acknowledged"] == data["counts"]["sent"] > 8
    assert data["counts"]["booked"] > 0
    assert data["counts"]["notes"] > 0
    assert data["counts"]["tours with a status"] > 0
