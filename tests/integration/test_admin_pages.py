"""Test the console's pages about sources, rejected messages, activity and users."""

import dataclasses
import html
import json
import re
import shlex
import threading
from typing import Any

import pytest

from adapter import signatures
from adapter.console import activity
from adapter.exceptions import NotPossible
from adapter.models import WebhookRequest
from adapter.operations.erase_personal_data import Eraser, Found
from adapter.operations.sign_in import MAX_FAILURES_OF_BOTH, MIN_PASSWORD_LENGTH, SignIn
from adapter.settings import Settings
from adapter.store import NewRejection
from tests.harness import SECRETS, Harness, tour
from tests.integration.test_community_pages import Visit, Visitor, link_to, visit  # noqa: F401 - a fixture
from tests.integration.test_put_in_place import alias, aliases_of, at_unknown
from tests.leads import lead
from tests.paths import ROOT
from tests.users import PASSWORD, user

pytestmark = pytest.mark.usefixtures("harness")


def rejected(
    harness: Harness,
    reason: str = "signature_mismatch",
    *,
    can_retry: bool = True,
    **changes: Any,
) -> int:
    """Store a rejected request that would pass with the current secrets. Return its ID."""
    source = harness.pipeline.sources["rentfeed"]
    body = json.dumps(tour(**changes)).encode()
    url = "https://adapter.example.com/hooks/rentfeed"
    request = WebhookRequest("POST", url, {"content-type": "application/json"}, body)
    at = harness.clock()
    secret = SECRETS["RENTFEED_SECRET"]
    signed = signatures.sign(source.signature, secret, request, at.timestamp())
    new = NewRejection(
        source="rentfeed",
        received_at=at,
        reason=reason,
        method="POST",
        url=signed.url,
        headers=signed.lowercase_headers,
        body=signed.body,
        sender=None,
        can_retry=can_retry,
    )
    with harness.pipeline.store.transaction() as tx:
        tx.rejections.add(new, max_rows=10, max_bytes=10**6)
        return tx.rejections.newest(limit=1)[0].id


def actions(harness: Harness) -> list[str]:
    with harness.pipeline.store.transaction() as tx:
        return [one.action for one in tx.audit.entries()]


def test_a_rejected_message_is_found_read_and_accepted(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    number, other = rejected(harness), rejected(harness, leadId="RF-2", contact={"name": "Mia Lee"})
    ana = visit()
    page = ana.page("/rejections")
    assert "The message's signature doesn't match our secret for this source." in page
    assert "After the cause has been fixed, recheck the messages." in page
    assert "Okafor" not in page
    assert f"/rejections/{number}" not in ana.page("/rejections?q=mia+lee")
    assert f"/rejections/{other}" in ana.page("/rejections?q=mia+lee")
    assert "searched_rejected" in actions(harness)

    page = ana.page(f"/rejections/{number}")
    assert '<span class="k"><bdi>name</bdi>:</span> <bdi>Dana Okafor</bdi>' in page
    assert "Original format" in page
    assert "This message passes the check now." in page
    assert "curl -sS -X POST http://localhost/hooks/rentfeed -H" in page
    command = next(one for one in re.findall("<bdi>(curl .*?)</bdi>", page, re.DOTALL))
    assert json.loads(shlex.split(command)[-1])["contact"]["name"] == "Dana Okafor"
    assert actions(harness)[0] == "looked_at_rejected"

    assert ana.post(f"/rejections/{number}/retry").status_code == 302
    assert "Accepted 1 message." in ana.page("/rejections")
    ana.page(f"/rejections/{number}", 404)
    ana.page(f"/rejections/{other}")


def test_messages_that_cannot_be_verified_again_offer_no_recheck(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    rejected(harness, can_retry=False)
    ana = visit()
    assert "didn't keep enough of this message" in html.unescape(ana.page("/rejections"))
    assert "Recheck all" not in ana.page("/rejections")
    rejected(harness, leadId="RF-2")
    assert "Recheck all" in ana.page("/rejections")


def test_all_rejected_messages_are_rechecked_with_a_preview(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    numbers = [rejected(harness, leadId=f"RF-{number}") for number in range(3)]
    ana = visit()
    assert "Accept 3" in ana.post("/rejections/rentfeed/retry").get_data(as_text=True)
    ana.page(f"/rejections/{numbers[0]}")
    ana.post("/rejections/rentfeed/retry", now="1")
    assert "There are no rejected messages" in ana.page("/rejections")
    other = visit("rob")
    assert other.post("/rejections/rentfeed/retry", now="1").status_code == 403


def test_messages_that_still_fail_are_not_green(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    rejected(harness)
    ana = visit(environ=SECRETS | {"RENTFEED_SECRET": "another"})
    page = ana.post("/rejections/rentfeed/retry").get_data(as_text=True)
    assert "1 message</b> still fails" in page
    assert "Accept 1" not in page
    ana.post("/rejections/rentfeed/retry", now="1")
    page = ana.page("/rejections")
    assert "We still can't verify the message. Nothing was accepted." in page
    assert "toast warn" in page


def sign_in_as(visit: Visit, harness: Harness, name: str) -> Visitor:  # noqa: F811
    """Add a user to the database and sign in, with no users in ADAPTER_USERS."""
    with harness.pipeline.store.transaction() as tx:
        tx.users.add(user(name), now=harness.clock())
    return visit(name, users={})


def test_people_are_added_changed_and_removed(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    ana = sign_in_as(visit, harness, "ana")
    assert "is the last person who can edit" in ana.post("/people/ana/remove").text
    assert "is the last person who can edit" in ana.post("/people/ana/role", role="read").text
    answer = ana.post("/people/add", name="maria", role="read", password=PASSWORD)
    assert answer.status_code == 302
    page = ana.page("/people")
    assert "maria" in page
    assert "never" in page

    maria = visit("maria", users={})
    assert maria.post("/people/add", name="x", role="read", password=PASSWORD).status_code == 403
    assert ana.post("/people/maria/role", role="operate").status_code == 302
    assert maria.post("/people/add", name="x", role="read", password=PASSWORD).status_code == 302

    assert ana.post("/people/maria/password", password="another long one").status_code == 302
    assert maria.client.get("/console/people").status_code == 302, "signed out"
    assert ana.post("/people/maria/remove").status_code == 302
    assert {"user_added", "role_changed", "user_removed"} <= set(actions(harness))
    assert ana.post("/people/nobody/role", role="read").status_code == 404
    again = ana.post("/people/add", name="ana", role="read", password=PASSWORD)
    assert "already a user" in again.text
    short = ana.post("/people/add", name="bob", role="read", password="x" * 9)
    assert f"{MIN_PASSWORD_LENGTH} to" in short.text
    spaced = ana.post("/people/add", name="Nina Ortiz", role="operate", password=PASSWORD)
    assert spaced.status_code == 409
    assert "A name may have letters, numbers, periods, hyphens and underscores." in spaced.text
    assert 'value="Nina Ortiz"' in spaced.text
    assert '<option value="operate" selected>' in spaced.text.partition('id="new-role"')[2]
    assert PASSWORD not in spaced.text


def test_users_change_their_own_password(harness: Harness, visit: Visit) -> None:  # noqa: F811
    with harness.pipeline.store.transaction() as tx:
        tx.users.add(user("rob", "read"), now=harness.clock())
    rob = visit("rob", users={})
    new = "a quite different one"
    wrong = rob.post("/password", old="nope", new=new, again=new)
    assert "current password is wrong" in wrong.get_data(as_text=True)
    differ = rob.post("/password", old=PASSWORD, new=new, again="x")
    assert "are different" in differ.get_data(as_text=True)
    assert rob.post("/password", old=PASSWORD, new=new, again=new).status_code == 302
    assert "Your password was changed" in rob.page("/people"), "still signed in"
    assert rob.post("/sign-in", name="rob", password=new).status_code == 302


def test_guesses_of_the_current_password_are_limited_and_recorded(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    with harness.pipeline.store.transaction() as tx:
        tx.users.add(user("rob", "read"), now=harness.clock())
    rob = visit("rob", users={})
    new = "a quite different one"
    for _ in range(MAX_FAILURES_OF_BOTH):
        assert (
            "current password is wrong" in rob.post("/password", old="x", new=new, again=new).text
        )
    late = rob.post("/password", old=PASSWORD, new=new, again=new)
    assert late.status_code == 409
    assert "Too many attempts. Try again in 15 minutes." in late.text
    assert actions(harness).count("password_refused") == MAX_FAILURES_OF_BOTH
    harness.clock.advance(15 * 60)
    assert rob.post("/password", old=PASSWORD, new=new, again=new).status_code == 302


def test_editors_who_remove_each_other_at_the_same_moment_leave_one(harness: Harness) -> None:
    settings = Settings(database_url=harness.pipeline.store.url)
    sign_in, errors = SignIn(settings, harness.pipeline.store, harness.clock), []
    names = ("ana", "bob")

    def remove(name: str, other: str, together: threading.Barrier) -> None:
        together.wait()
        try:
            sign_in.remove(other, by=name, keeps_editor=True)
        except NotPossible as exc:
            errors.append(str(exc))

    for _ in range(5):
        with harness.pipeline.store.transaction() as tx:
            for name in names:
                tx.users.add(user(name), now=harness.clock())
        together = threading.Barrier(2)
        pairs = (names, names[::-1])
        threads = [threading.Thread(target=remove, args=(*pair, together)) for pair in pairs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(sign_in.users()) == 1
    assert len(errors) == 5
    assert "is the last person who can edit" in errors[0]


def test_users_of_the_setting_are_not_changed_here(visit: Visit) -> None:  # noqa: F811
    ana = visit()
    assert "ADAPTER_USERS" in ana.page("/people")
    assert ana.post("/people/ana/role", role="read").status_code == 409


def test_a_source_shows_its_address_secret_and_messages(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    [booking] = harness.mapped("rentfeed", tour())
    ana = visit(public_url="https://leads.example.com")
    assert "rentfeed" in ana.page("/sources")
    page = ana.page("/sources/rentfeed")
    assert "https://leads.example.com/hooks/rentfeed" in page
    assert "RENTFEED_SECRET" in page
    assert SECRETS["RENTFEED_SECRET"] not in page.split("RENTFEED_SECRET")[1].split("</tr>")[0]
    assert link_to(page, "Dana Okafor") == f"/leads/{booking.event_id}"
    assert "Waiting to send" in page
    ana.page("/sources/nobody", 404)

    scope = {"scope": "source rentfeed", "back": "rentfeed"}
    answer = ana.post("/pause", reason="a holiday", **scope)
    assert answer.location.endswith("/sources/rentfeed")
    assert "ana paused this source's bookings" in ana.page("/sources/rentfeed")
    ana.post("/resume", **scope)
    assert "ana paused" not in ana.page("/sources/rentfeed")


def test_a_source_shows_what_its_mapping_says_about_the_sender(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    ana = visit()
    pipeline = ana.client.application.extensions["pipeline"]
    source = harness.pipeline.sources["rentfeed"]
    about = {"retries": "It sends a lead three times.", "cannot": "", "family": "portal"}
    described = dataclasses.replace(
        source, sections={**source.sections, "about": about}, docs="https://example.com/hooks"
    )
    assert "About this sender" not in ana.page("/sources/rentfeed")
    pipeline.sources = {**pipeline.sources, "rentfeed": described}
    page = ana.page("/sources/rentfeed")
    assert "<h3>If this sender can't reach us</h3><p>It sends a lead three times.</p>" in page
    assert "Limitations of this sender" not in page
    assert 'href="https://example.com/hooks"' in page


def test_activity_is_filtered(harness: Harness, visit: Visit) -> None:  # noqa: F811
    [booking] = harness.mapped("rentfeed", tour())
    ana = visit()
    ana.page(f"/leads/{booking.id}")
    ana.page("/leads/messages?q=Okafor")
    assert "searched" not in ana.page("/audit").split('class="feed"')[1]
    assert "searched" in ana.page("/audit?looks=1").split('class="feed"')[1]
    assert "opened" not in ana.page("/audit").split('class="feed"')[1]
    assert "opened" in ana.page("/audit?looks=1").split('class="feed"')[1]
    assert "signed in" in ana.page("/audit?by=ANA&action=signed_in").split('class="feed"')[1]
    assert "No activity matches" in ana.page("/audit?by=rob")


def test_leads_that_were_reprocessed_together_are_one_line_of_activity(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    with harness.pipeline.store.transaction() as tx:
        for number in range(901, 911):
            tx.audit.record("replayed", by="ana", at=harness.clock(), lead_id=number)
        tx.audit.record("assigned", by="ana", at=harness.clock(), lead_id=901, detail="ana")
    feed = re.sub("<[^>]+>", "", visit().page("/audit").split('class="feed"')[1])
    assert "read 10 leads again: lead #910, lead #909, lead #908 and 7 more." in feed
    assert feed.count(" leads again") == 1
    assert "ana assigned lead #901 to themselves." in feed


def test_an_assigned_property_is_named_in_the_activity_with_its_leads(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    waiting = [harness.mapped("rentfeed", at_unknown(number))[0] for number in range(3)]
    aliases = aliases_of(harness)
    aliases.add(alias(harness))
    harness.pipeline.refresh_sources()
    aliases.book_waiting("rentfeed", waiting[0].reasons[0].value or "")
    harness.clock.advance(60)
    aliases.remove("rentfeed", "20999")
    ana = visit()
    feed = ana.page("/audit").split('class="feed"')[1]
    text = re.sub("<[^>]+>", "", feed)
    name = "The Residences at Cherry Creek (rentfeed ID 20999)"
    assert f"ana assigned {name} to Maple Court and sent 3 leads to Knock." in text
    undone = f"ana removed the assignment of {name} to Maple Court, so 3 leads need review again."
    assert undone in text
    address = re.search(r'href="/console(/leads/several[^"]+)"', feed)
    assert address is not None
    assert ana.page(address[1]).count('data-t="Tour"') == 3


def test_a_test_message_is_called_one(harness: Harness, visit: Visit) -> None:  # noqa: F811
    harness.mapped("rentfeed", lead(1) | {"isTest": True})
    with harness.pipeline.store.transaction() as tx:
        [event] = tx.search.recent_events("rentfeed", limit=1)
    ana = visit()
    assert "This is a test message. You don't need to do anything." in ana.page(
        f"/leads/{event.id}"
    )
    tried = ana.page(f"/try?source=rentfeed&event={event.id}")
    assert "This is a test message</p>" in tried
    assert "not one of the accepted values" not in tried
    for path in (f"/leads/{event.id}", "/sources/rentfeed", "/leads?kind=webhooks&state=ignored"):
        page = ana.page(path).partition('<details class="technical"')[0]
        assert "Test message" in page
        assert "ot a tour request" not in page
        assert "accepted values" not in re.sub(r' title="[^"]*"', "", page)


def test_activity_is_written_as_sentences(harness: Harness, visit: Visit) -> None:  # noqa: F811
    [booking] = harness.mapped("rentfeed", tour())
    with harness.pipeline.store.transaction() as tx:
        for action, detail in (("undone", ""), ("assigned", "maria")):
            tx.audit.record(action, by="ana", at=harness.clock(), lead_id=booking.id, detail=detail)
        for action, detail in (
            ("edited_and_released", "another_person, phone_1, starts_at"),
            ("not_taken_back", f"{booking.id}, 999"),
            ("mapping_put_in_place", "rentfeed 3"),
            ("role_changed", "maria operate"),
            ("user_added", "nina read"),
            ("paused", "community maple-court: a fire drill"),
        ):
            number = booking.event_id if "released" in action else None
            tx.audit.record(action, by="ana", at=harness.clock(), lead_id=number, detail=detail)
    feed = visit().page("/audit").split('class="feed"')[1]
    text = re.sub("<[^>]+>", "", feed)
    assert f'undid <a href="/console/leads/{booking.id}">' in feed
    for sentence in (
        "ana assigned Dana Okafor's lead to maria",
        "ana changed Dana Okafor's phone and tour time and sent the lead to Knock, because",
        "ana couldn't undo the bookings of Dana Okafor and lead #999, which are already",
        "ana published version 3 of the rentfeed mapping",
        "ana changed maria's access, and maria can edit now",
        "ana added nina with view-only access",
        "ana paused bookings at Maple Court. Reason: a fire drill",
    ):
        assert sentence in text
    eraser = Eraser(harness.settings, harness.pipeline.store, harness.clock)
    eraser.erase(Found(events=(booking.event_id,), rejections=()), by="ana")
    assert f"assigned lead #{booking.id} to maria" in re.sub("<[^>]+>", "", visit().page("/audit"))


def test_every_action_has_a_sentence_and_a_name() -> None:
    assert activity.SENTENCES.keys() == activity.NAMES.keys()
    recorded = re.compile(r"""(?:audit\.record|record_action)\(\s*f?"(\w+)\"""")
    code = "".join(file.read_text() for file in (ROOT / "adapter").rglob("*.py"))
    assert {*recorded.findall(code)} <= activity.SENTENCES.keys() | {"alarm_"}
    assert len(recorded.findall(code)) > 20


@pytest.mark.parametrize(
    ("path", "mapping"),
    [("try/check", ""), ("try/sample", ""), ("try/backtest", ""), ("try/result", "no mapping: [")],
)
def test_every_page_that_shows_a_stored_message_records_the_look(
    harness: Harness,
    visit: Visit,  # noqa: F811
    path: str,
    mapping: str,
) -> None:
    (booking,) = harness.mapped("rentfeed", tour())
    text = mapping or harness.pipeline.sources["rentfeed"].text
    visit().post(f"/{path}", source="rentfeed", mapping=text, event=str(booking.event_id))
    assert actions(harness).count("looked") == 1
