"""Test that waiting leads are read again, in several parts if there are many."""

import re
from typing import Any

import pytest

from adapter.console.read_again import PART
from tests.harness import SECRETS, Harness
from tests.integration.test_community_pages import Visit, visit  # noqa: F401 - a fixture
from tests.leads import lead

pytestmark = pytest.mark.usefixtures("harness")


def renamed(number: int) -> Any:
    """Return a lead after its sender has renamed the tour's date."""
    payload = lead(number)
    payload["tour"]["tourDate"] = payload["tour"].pop("date")
    return payload


def publish(harness: Harness) -> None:
    """Publish a mapping that reads the new name."""
    source = harness.pipeline.live.files["rentfeed"]
    with harness.pipeline.store.transaction() as tx:
        tx.overrides.add_version(
            "rentfeed",
            source.text.replace("date: tour.date", "date: [tour.date, tour.tourDate]", 1),
            file_hash=source.file_hash,
            reason="a new name",
            by="ana",
            at=harness.clock(),
        )


def test_each_page_tries_only_a_part_of_the_leads_that_wait(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    """Check that all held leads are tried, except those that the current mapping has read."""
    ids = [harness.mapped("rentfeed", renamed(n))[0].event_id for n in range(PART + 3)]
    (night,) = harness.mapped("rentfeed", lead(90, time="9:30 PM"))
    ana = visit(environ=SECRETS)
    assert "No leads from rentfeed are waiting" in ana.page("/read-again?source=rentfeed")
    assert 'id="readable"' not in ana.page("/try?source=rentfeed")

    publish(harness)
    page = ana.page("/try?source=rentfeed&done=1")
    assert f"Read these {PART} leads again" in page
    assert f"Trying the leads that are waiting: {PART} of {PART + 4} so far." in page
    more = re.search(r'id="readable" role="status" hx-get="/console([^"]+)"', page)
    assert more is not None
    assert f"Read these {PART + 3} leads again" in ana.page(more[1])
    assert "so far" not in ana.page(more[1])

    page = ana.page("/read-again?source=rentfeed")
    assert f"With the current settings, {PART} of {PART} leads would be booked" in page
    assert "Trying the other 4" in page
    assert '<span class="soft small">Maple Court</span>' in page
    following = re.search(r'<noscript><a href="/console([^"]+)"', page)
    assert following is not None
    last = ana.page(following[1])
    assert "With the current settings, 3 of 4 leads would be booked" in last
    assert "The others would not change." in last
    wanted = re.findall(r'name="events" value="(\d+)"', page + last)
    assert list(map(int, wanted)) == ids
    assert str(night.event_id) not in wanted

    answer = ana.client.post(
        "/console/read-again",
        data={"csrf": re.findall(r'name="csrf" value="([^"]+)"', page)[0], "events": wanted},
    )
    assert "13 tours are being booked" in ana.page(answer.location.removeprefix("/console"))
    # The lead that no mapping can read is still tried, because this mapping has not read it yet.
    assert "0 of 1 lead would be booked" in ana.page("/read-again?source=rentfeed")
