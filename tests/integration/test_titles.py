"""Test the window titles of the console's pages."""

import html
import re

import pytest

from adapter.models import BookingState
from tests.harness import Harness
from tests.integration.test_admin_pages import rejected
from tests.integration.test_community_pages import Visit, visit  # noqa: F401 - a fixture
from tests.integration.test_put_in_place import at_unknown
from tests.leads import lead

pytestmark = pytest.mark.usefixtures("harness")


def title_of(page: str) -> str:
    found = re.search(r"<title>(.*?)</title>", page)
    assert found is not None
    return html.unescape(found[1])


def test_each_page_has_its_own_title_that_names_the_product(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    night = [harness.mapped("rentfeed", lead(n, time="9:30 PM"))[0] for n in (1, 2)]
    for number in (3, 4):
        harness.mapped("rentfeed", at_unknown(number))
    unread = harness.receive("rentfeed", b"{").event_id
    harness.map_event(unread)
    refused = rejected(harness)
    assert night[0].state is BookingState.HELD
    ana = visit()
    (fold,) = set(re.findall(r"/console/queue/more/([0-9a-f]{12})", ana.page("/queue")))
    with harness.pipeline.store.transaction() as tx:
        groups = {one.leads: one.issue.key for one in tx.review_queue.groups(harness.clock())}
    titles = {
        "/": "Health",
        "/queue": "Needs you (5)",
        "/queue?todo=call": "Call the renter (2)",
        f"/queue/more/{fold}": "2 leads: property not recognized",
        f"/queue/{groups[1]}": "1 lead from rentfeed",
        f"/queue/{groups[2]}": "2 leads from rentfeed",
        "/leads?q=person1@example.com": "Leads",
        f"/leads/{night[0].id}": "Dana Roeab",
        f"/leads/{unread}": "Message from rentfeed",
        f"/leads/several?leads={night[0].id},{night[1].id}": "2 leads",
        "/decisions": "Handled automatically",
        "/decisions/newer_request?source=rentfeed": "Handled automatically: rentfeed",
        "/sources": "Sources",
        "/sources/rentfeed": "rentfeed",
        "/invoice": "Check an invoice",
        "/communities": "Communities",
        "/try?source=rentfeed": "rentfeed mapping",
        "/try?source=draft": "New mapping",
        "/read-again?source=rentfeed": "Read leads from rentfeed again",
        "/rejections": "Rejected messages",
        f"/rejections/{refused}": "Rejected message from rentfeed",
        "/audit": "Activity",
        "/people": "People",
    }
    found = {path: title_of(ana.page(path)) for path in titles}
    assert found == {path: f"{title} · Leads" for path, title in titles.items()}
    assert len(set(found.values())) == len(found)
