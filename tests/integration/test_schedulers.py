"""Test the gallery's schedulers with the whole pipeline."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapter import store
from adapter.models import Booking, BookingState
from tests.harness import Harness, settle
from tests.paths import GALLERY
from tests.sandbox_client import SandboxClient

FIRST, MOVED = ("2026-03-14", "20:30:00"), ("2026-03-15", "17:30:00")


def sample(name: str) -> Any:
    return json.loads((GALLERY / "samples" / name).read_text())


def put(payload: Any, **values: Any) -> Any:
    """Return the payload with new values at paths such as ``payload__object__rescheduled``."""
    for place, value in values.items():
        *around, last = place.split("__")
        inner = payload
        for name in around:
            inner = inner[name]
        inner[last] = value
    return payload


def zoom_moved() -> Any:
    return put(
        sample("zoom-scheduler-created.json"),
        payload__object__scheduled_event__event_id="zoomevent000000000000000002",
        payload__object__scheduled_event__start_date_time="2026-03-15T17:30:00Z",
        payload__object__rescheduled=True,
    )


def zoom_half() -> Any:
    moved_to = {"payload__object__rescheduled_to_event_id": "zoomevent000000000000000002"}
    return put(sample("zoom-scheduler-canceled.json"), **moved_to)


def v1(**values: Any) -> Any:
    return put(sample("calendly-v1-created.json"), **values)


def v1_moved() -> Any:
    return v1(
        payload__invitee__uuid="INVITEEINVITEE02",
        payload__event__start_time="2026-03-15T11:30:00-06:00",
        payload__old_invitee={"uuid": "INVITEEINVITEE01"},
    )


def acuity_moved() -> Any:
    moved = {"action": "rescheduled", "datetime": "2026-03-15T11:30:00-0600"}
    return sample("acuity-fetched.json") | moved


#: For each source, a booking, the same tour rescheduled, and the same tour canceled.
TOLD: dict[str, tuple[Callable[[], Any], Callable[[], Any], Callable[[], Any]]] = {
    "acuity": (
        lambda: sample("acuity-fetched.json"),
        acuity_moved,
        lambda: sample("acuity-fetched.json") | {"action": "canceled"},
    ),
    "cal-com": (
        lambda: sample("cal-com-created.json"),
        lambda: sample("cal-com-rescheduled.json"),
        lambda: sample("cal-com-cancelled.json"),
    ),
    "calendly": (
        lambda: sample("calendly-created.json"),
        lambda: sample("calendly-rebooked.json"),
        lambda: sample("calendly-canceled.json"),
    ),
    "calendly-v1": (v1, v1_moved, lambda: v1(event="invitee.canceled")),
    "zoom-scheduler": (
        lambda: sample("zoom-scheduler-created.json"),
        zoom_moved,
        lambda: sample("zoom-scheduler-canceled.json"),
    ),
}
#: For sources that send two webhooks for a rescheduled tour, the cancellation.
HALVES: dict[str, Callable[[], Any]] = {
    "calendly": lambda: put(sample("calendly-canceled.json"), payload__rescheduled=True),
    "calendly-v1": lambda: v1(
        event="invitee.canceled", payload__new_invitee={"uuid": "INVITEEINVITEE02"}
    ),
    "zoom-scheduler": zoom_half,
}

every_scheduler = pytest.mark.parametrize("name", TOLD)
every_half = pytest.mark.parametrize("name", HALVES)


@pytest.fixture(scope="module")
def mappings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Load only the schedulers, because loading the whole gallery takes a long time."""
    folder = tmp_path_factory.mktemp("mappings")
    shutil.copytree(GALLERY / "samples", folder / "samples")
    for name in (*TOLD, "communities"):
        shutil.copy(GALLERY / f"{name}.yaml", folder)
    return folder


@pytest.fixture
def harness(opened: store.Database, upstream: SandboxClient, mappings: Path) -> Harness:
    return Harness(opened, upstream, mappings=mappings)


def told(harness: Harness, name: str, payload: Any, **headers: str) -> list[Booking]:
    """Return a webhook's bookings, even if the webhook changes an earlier one with the same key."""
    receipt = harness.receive(name, payload, **headers)
    event_id = receipt.changed_id or receipt.event_id
    harness.map_event(event_id)
    return list(harness.story(event_id).bookings)


def starts(upstream: SandboxClient) -> list[tuple[str, str]]:
    """Return the start times of the tours requested from Propexo, in order."""
    return [(post["appointment_date"], post["appointment_time"]) for post in upstream.posts()]


@every_scheduler
def test_a_reschedule_of_a_pending_tour_is_one_booking(
    name: str, harness: Harness, upstream: SandboxClient
) -> None:
    booked, moved, _ = TOLD[name]
    (first,) = told(harness, name, booked())
    harness.clock.advance(60)
    (second,) = told(harness, name, moved())
    settle(harness)

    assert harness.state(first.id) is BookingState.SUPERSEDED
    assert harness.state(second.id) is BookingState.BOOKED
    assert starts(upstream) == [MOVED]


@every_scheduler
def test_a_reschedule_of_a_booked_tour_is_booked_once(
    name: str, harness: Harness, upstream: SandboxClient
) -> None:
    booked, moved, _ = TOLD[name]
    told(harness, name, booked())
    settle(harness)
    harness.clock.advance(60)
    (second,) = told(harness, name, moved())
    settle(harness)

    assert harness.state(second.id) is BookingState.BOOKED
    assert starts(upstream) == [FIRST, MOVED]
    upcoming = [one for one in upstream.appointments() if one["status"] != "cancelled"]
    assert len(upcoming) == 1, "Knock keeps one"


@every_half
@pytest.mark.parametrize("half_first", [True, False])
def test_the_cancellation_of_a_reschedule_cancels_nothing(
    name: str, half_first: bool, harness: Harness, upstream: SandboxClient
) -> None:
    booked, moved, _ = TOLD[name]
    told(harness, name, booked())
    harness.clock.advance(60)
    both = [HALVES[name], moved] if half_first else [moved, HALVES[name]]
    found = [told(harness, name, one()) for one in both]
    settle(harness)

    assert found[0 if half_first else 1] == []
    assert starts(upstream) == [MOVED]


@every_scheduler
def test_a_cancellation_stops_a_pending_tour(
    name: str, harness: Harness, upstream: SandboxClient
) -> None:
    booked, _, off = TOLD[name]
    (first,) = told(harness, name, booked())
    harness.clock.advance(60)
    told(harness, name, off())
    settle(harness)

    assert harness.state(first.id) is BookingState.DISCARDED
    assert starts(upstream) == []


@every_scheduler
def test_a_cancellation_of_a_booked_tour_needs_review(name: str, harness: Harness) -> None:
    booked, _, off = TOLD[name]
    (first,) = told(harness, name, booked())
    settle(harness)
    (second,) = told(harness, name, off())

    assert (second.state, second.reason) == (BookingState.HELD, "cancellation")
    assert (
        f"booking {first.id} was sent to Knock: cancel its tour there, or, if it is a guest card, "
        "note there that the renter canceled" in second.reasons[-1].reason
    )


@every_scheduler
def test_a_repeated_notification_is_booked_once(
    name: str, harness: Harness, upstream: SandboxClient
) -> None:
    booked, _, _ = TOLD[name]
    told(harness, name, booked())
    assert harness.receive(name, booked()).is_duplicate
    settle(harness)
    assert harness.receive(name, booked()).is_duplicate

    assert starts(upstream) == [FIRST]


def test_a_notification_with_only_ids_is_held_and_can_be_canceled(harness: Harness) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    scheduled, canceled = (
        (GALLERY / "samples" / f"acuity-{action}.form").read_bytes()
        for action in ("scheduled", "canceled")
    )
    (thin,) = told(harness, "acuity", scheduled, **form)
    assert thin.state is BookingState.HELD
    assert any("needs_enrichment" in reason.reason for reason in thin.reasons)

    (off,) = told(harness, "acuity", canceled, **form)
    assert off.state is BookingState.DISCARDED
    assert harness.state(thin.id) is BookingState.DISCARDED


def test_a_cancellation_of_an_unknown_id_needs_review(
    harness: Harness,
) -> None:
    thin = put(sample("calendly-thin.json"), event="invitee.canceled")
    (off,) = told(harness, "calendly", thin)
    said = [reason.reason for reason in off.reasons]

    assert (off.state, off.reason) == (BookingState.HELD, "cancellation")
    assert any(one.startswith("needs_enrichment") for one in said)
    assert "the booking that it cancels is not known here: look for the tour in Knock" in said


def test_a_relayed_appointment_replaces_its_notification(
    harness: Harness, upstream: SandboxClient
) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    scheduled = (GALLERY / "samples" / "acuity-scheduled.form").read_bytes()
    (thin,) = told(harness, "acuity", scheduled, **form)
    told(harness, "acuity", sample("acuity-fetched.json"))
    settle(harness)

    assert harness.state(thin.id) is BookingState.SUPERSEDED
    assert starts(upstream) == [FIRST]
