"""Test the hint about guest cards that Knock does not export to Yardi. It never holds a lead."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from adapter.app import create_app
from adapter.mapping import registry
from adapter.models import Booking, BookingState
from adapter.operations.find_lead import LeadFinder
from adapter.settings import Policy, Settings
from adapter.store import Database
from tests.harness import SECRETS, Harness, settle
from tests.integration.test_community_pages import Visitor
from tests.leads import lead
from tests.paths import MAPPINGS
from tests.sandbox_client import SandboxClient
from tests.users import user

NO_DATE = "Knock does not pass this guest card to Yardi without a move-in date."


def with_yardi(folder: Path, **changes: str) -> Path:
    """Copy the bundled mappings, with Yardi at Maple Court and a changed RentFeed mapping."""
    shutil.copytree(MAPPINGS, folder, ignore=shutil.ignore_patterns("gallery"))
    file = folder / "communities.yaml"
    file.write_text(file.read_text().replace("maple-court:", "maple-court:\n  pms: yardi", 1))
    mapping = folder / "rentfeed.yaml"
    for old, new in changes.items():
        mapping.write_text(mapping.read_text().replace(old, new))
    return folder


@pytest.fixture
def yardi(opened: Database, upstream: SandboxClient, tmp_path: Path) -> Harness:
    return Harness(opened, upstream, mappings=with_yardi(tmp_path / "mappings"))


def hints(harness: Harness, word: str) -> list[str | None]:
    finder = LeadFinder(harness.settings, harness.pipeline.store, harness.clock)
    return [one.hint for one in finder.find(word, limit=5, by="ana").hits]


def booked(harness: Harness, number: int, **contact: Any) -> Booking:
    payload = lead(number, **contact)
    payload["preferences"] = {}
    (booking,) = harness.mapped("rentfeed", payload)
    settle(harness)
    return booking


@pytest.mark.parametrize(
    ("contact", "hint"),
    [
        ({}, NO_DATE),
        ({"name": "Okafor"}, NO_DATE.replace("a move", "a first name and a move")),
    ],
)
def test_the_hint_says_what_the_guest_card_lacks_and_holds_nothing(
    yardi: Harness, contact: Any, hint: str
) -> None:
    booking = booked(yardi, 1, **contact)
    assert yardi.state(booking.id) is BookingState.BOOKED
    assert hints(yardi, "person1@example.com") == [hint]
    ana = user("ana")
    settings = Settings(
        database_url=yardi.pipeline.store.url,
        users={"ana": (ana.role, ana.password)},
        mappings_dir=yardi.settings.mappings_dir,
        environ=SECRETS,
    )
    app = create_app(settings, yardi.clock, yardi.pipeline.sources)
    with app.extensions["pipeline"].store:
        assert hint in Visitor(app.test_client(), "ana").page(f"/leads/{booking.id}")


def test_a_complete_guest_card_and_other_communities_have_no_hint(
    yardi: Harness, harness: Harness
) -> None:
    yardi.mapped("rentfeed", lead(2))  # with a move-in date
    assert hints(yardi, "person2@example.com") == [None]
    booked(yardi, 3)
    assert hints(harness, "person3@example.com") == [None]  # without pms: yardi


def test_a_mapping_without_a_move_in_date_is_warned_of(tmp_path: Path) -> None:
    line = "  move_in_date: { from: preferences.moveIn, format: MM/DD/YYYY }\n"
    text = (
        "never sets move_in_date, and Knock does not pass guest cards to Yardi without it "
        "(pms: yardi for maple-court in communities.yaml)"
    )

    def warnings(folder: Path) -> list[str]:
        problems = registry.check([folder / "rentfeed.yaml"], Policy())
        return [one.message for one in problems if one.warning and "Yardi" in one.message]

    assert warnings(with_yardi(tmp_path / "with")) == []
    assert warnings(with_yardi(tmp_path / "without", **{line: ""})) == [text]
