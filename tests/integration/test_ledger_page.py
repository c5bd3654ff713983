"""Test the console page that compares a portal's invoice with the leads."""

import html
import io
import re
from typing import Any

import pytest

from tests.harness import Harness, settle
from tests.integration.test_admin_pages import actions
from tests.integration.test_community_pages import Visit, Visitor, visit  # noqa: F401 - a fixture
from tests.integration.test_erasure import everything
from tests.integration.test_ledger import HEAD, line
from tests.leads import lead

pytestmark = pytest.mark.usefixtures("harness")


def upload(visitor: Visitor, *lines: str, status: int = 200, **form: str) -> str:
    """Upload an invoice from RentFeed as a browser does, and return the page."""
    file: Any = (io.BytesIO("\n".join([HEAD, *lines]).encode()), "march.csv")
    answer = visitor.post("/invoice", **{"source": "rentfeed", "file": file} | form)
    assert answer.status_code == status, answer.text
    return html.unescape(answer.text)


def test_an_invoice_is_compared_and_its_claims_are_downloaded(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    harness.mapped("rentfeed", lead(1))
    settle(harness)
    (held,) = harness.mapped("rentfeed", lead(2, time="2:30 AM"))
    rob = visit("rob")  # a user with view-only access
    assert 'href="/console/invoice"' in rob.page("/sources")
    assert '<option value="rentfeed" selected>' in rob.page("/invoice?source=rentfeed")

    page = upload(rob, line(1), line(1), line(2), line(7, name='"=Zed & ""Quist"""'))
    assert "$70.00 to claim" in page
    assert "Many portals accept credit requests for only a short time, often 14 days" in page
    assert "All of it is within" not in page, "we do not know this portal's rule"
    assert "Line 2 of Mar 2, 2026 charges the same renter and community." in page
    assert f'href="/console/leads/{held.id}">Open the lead' in page
    assert "Maple Court" in page
    assert actions(harness)[0] == "reconciled"
    assert "quist" not in everything(harness.pipeline.store)

    raw = rob.client.post("/console/invoice/claims.csv", data={"claims": "line"})
    assert raw.status_code == 403  # without the session's token
    answer = rob.post("/invoice/claims.csv", claims="line,lead_id\r\n3,x\r\n")
    assert answer.get_data() == "\ufeffline,lead_id\r\n3,x\r\n".encode()
    assert answer.headers["Content-Disposition"] == 'attachment; filename="claims.csv"'


def test_the_hidden_claims_are_the_ones_on_the_page(harness: Harness, visit: Visit) -> None:  # noqa: F811
    harness.mapped("rentfeed", lead(1))
    file: Any = (io.BytesIO("\n".join([HEAD, line(7, name='"=Zed ""Quist"""')]).encode()), "a.csv")
    answer = visit().post("/invoice", source="rentfeed", file=file)
    hidden = re.search(r'name="claims" value="([^"]*)"', answer.text)
    assert hidden is not None
    head, claim = html.unescape(hidden[1]).splitlines()
    assert head.startswith("line,lead_id,date")
    assert claim.startswith('2,,2026-03-02,"\'=Zed ""Quist""",person7@example.com,')


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"source": ""}, "Choose the portal that sent the invoice."),
        ({"source": "website"}, "No message from the source website has ever arrived"),
        ({"since": "March"}, "Enter dates as year-month-day"),
        ({"file": (io.BytesIO(b""), "")}, "Choose the invoice file."),
        ({"file": (io.BytesIO(b"%PDF-1.7"), "a.pdf")}, "The file is a PDF document: save it as"),
        ({"file": (io.BytesIO(b"Wer,Wann\n"), "a.csv")}, "the columns found are: Wer, Wann"),
        ({"file": (io.BytesIO(b"Email\nx@example.com"), "a.csv")}, "period below."),
    ],
)
def test_a_file_that_cannot_be_compared_is_explained(
    harness: Harness,
    visit: Visit,  # noqa: F811
    form: Any,
    sentence: str,
) -> None:
    harness.mapped("rentfeed", lead(1))
    page = upload(visit(), line(1), status=409, **form)
    assert sentence in page
    assert "--" not in re.sub(r"<[^>]+>", "", page)


def test_strangers_and_large_files_are_rejected(visit: Visit) -> None:  # noqa: F811
    ana = visit(max_body_bytes=20_000)
    file: Any = (io.BytesIO(b"x" * 30_000), "a.csv")
    assert ana.post("/invoice", source="rentfeed", file=file).status_code == 413
    ana.post("/sign-out")
    assert ana.client.get("/console/invoice").status_code == 302
