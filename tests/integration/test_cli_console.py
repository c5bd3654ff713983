"""Test the commands that correspond to the console's pages and forms."""

import csv
import datetime as dt
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from adapter.exceptions import NotPossible
from adapter.models import BookingState, KnockFacts, KnockStatus
from tests.harness import Harness, settle
from tests.leads import lead, same_person
from tests.paths import MAPPINGS
from tests.sandbox_client import SandboxClient
from tests.shell import Shell

PASSWORD = "correct horse battery"
#: A password, entered twice at a prompt.
TYPED = f"{PASSWORD}\n{PASSWORD}\n"


def held(harness: Harness, number: int = 1) -> int:
    (booking,) = harness.mapped("rentfeed", lead(number, time="11:30 PM"))
    assert booking.state is BookingState.HELD
    return booking.id


def test_the_queue_shows_the_problem_and_the_solution(harness: Harness, shell: Shell) -> None:
    assert shell("queue").endswith("\n\nNothing needs review.\n")
    numbers = [held(harness, number) for number in (1, 2)]
    text = shell("queue")
    assert "2 leads from rentfeed: held (held_by_mapping)" in text
    assert "agree on a time" in text
    assert "rentfeed.yaml:" in text
    (group,) = shell.json("queue")["groups"]
    assert (group["leads"], group["field"]) == (2, "starts_at")
    waiting = shell.json("queue", group["group"])["waiting"]
    assert [one["id"] for one in waiting] == numbers
    assert "there is no group 123" in shell("queue", "123", exit_code=1)


def test_a_held_webhook_is_in_the_queue_too(harness: Harness, shell: Shell) -> None:
    harness.map_event(harness.receive("rentfeed", b"{").event_id)
    (group,) = shell.json("queue")["groups"]
    assert (group["kind"], group["leads"]) == ("event", 1)
    assert [one["state"] for one in shell.json("queue", group["group"])["waiting"]] == ["held"]


def test_a_tour_is_confirmed_by_a_user_who_saw_it(
    harness: Harness, shell: Shell, upstream: SandboxClient
) -> None:
    number = held(harness)
    shell("confirm", str(number), "--by", "ana")
    assert harness.state(number) is BookingState.BOOKED
    (twin,) = harness.mapped("website", _website())
    assert twin.state is not BookingState.BOOKED
    assert upstream.posts() == []
    acts = shell.json("audit", "--by", "ana")["acts"]
    assert [(act["action"], act["lead_id"]) for act in acts] == [("confirmed", number)]


def test_pending_requests_are_not_sent_after_a_confirmed_tour(
    harness: Harness, upstream: SandboxClient
) -> None:
    """Confirm a held tour while an older request from the same person is pending."""
    (older,) = harness.mapped("rentfeed", same_person(1, time="2:30 PM"))
    harness.clock.advance(60)
    (held_one,) = harness.mapped("rentfeed", same_person(2, time="11:30 PM"))
    assert (older.state, held_one.state) == (BookingState.PENDING, BookingState.HELD)
    harness.repairs.confirm(held_one.id, by="ana")
    settle(harness)
    assert harness.state(older.id) is BookingState.SUPERSEDED
    assert upstream.posts() == []


def test_a_tour_is_not_confirmed_while_a_newer_request_is_pending(
    harness: Harness, shell: Shell
) -> None:
    (held_one,) = harness.mapped("rentfeed", same_person(1, time="11:30 PM"))
    harness.clock.advance(60)
    (newer,) = harness.mapped("rentfeed", same_person(2, time="2:30 PM"))
    assert newer.state is BookingState.PENDING
    with pytest.raises(NotPossible, match=f"a newer pending request, booking {newer.id}"):
        shell("confirm", str(held_one.id))
    assert harness.state(held_one.id) is BookingState.HELD


def _website() -> Any:
    return json.loads((MAPPINGS / "samples" / "website-response.json").read_text())


def test_an_unknown_booking_that_exists_in_knock_is_confirmed(
    harness: Harness, shell: Shell, upstream: SandboxClient
) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1))
    upstream.fault({"drop": "after"})
    harness.send()
    assert harness.state(booking.id) is BookingState.UNKNOWN
    shell("confirm", str(booking.id))
    assert harness.state(booking.id) is BookingState.BOOKED
    assert len(upstream.posts()) == 1


def test_stats_show_the_current_state(harness: Harness, shell: Shell) -> None:
    held(harness)
    found = shell.json("stats")
    assert found["waiting"] == 1
    assert found["sending"]["limit"] == 120
    assert [one["source"] for one in found["sources"]] == ["leasebot", "rentfeed", "website"]
    text = shell("stats")
    assert "1 needs review" in text
    assert "sending: on" in text


def test_a_tour_that_was_canceled_in_knock_is_listed_as_such(
    harness: Harness, shell: Shell
) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1))
    settle(harness)
    with harness.pipeline.store.transaction() as tx:
        now, canceled = harness.clock(), KnockStatus.CANCELED
        known = harness.booking(booking.id)
        facts = KnockFacts(confirmed_at=now, status=canceled, status_at=now)
        tx.bookings.record_in_knock(known, facts, by="web", now=now)
    assert "booked, canceled in Knock" in shell("bookings")
    shown = shell("show", str(booking.id))
    assert f"booking {booking.id}: booked, canceled in Knock (job_succeeded)" in shown
    assert "confirmed in Knock at 2026-03-02T18:00:10Z" in shown
    found = shell("find", "person1@example.com")
    assert "was booked and then canceled in Knock" in found


def test_a_tour_that_knock_moved_is_shown_with_its_new_time(harness: Harness, shell: Shell) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1))
    settle(harness)
    to, now = dt.datetime(2026, 12, 1, 21, tzinfo=dt.UTC), harness.clock()
    with harness.pipeline.store.transaction() as tx:
        facts = KnockFacts(moved_to=to, moved_at=now, why="moved_in_knock")
        tx.bookings.record_in_knock(booking, facts, by="web", now=now)
    shown = shell("show", str(booking.id))
    assert "Dana Roeab at maple-court, Tue 2026-12-01 14:00 MST = 2026-12-01T21:00:00Z" in shown
    assert "moved in Knock from Sat 2026-03-14 14:30 MDT" in shown
    assert "Tue 2026-12-01 14:00 MST" in shell("bookings")
    found = shell("find", "person1@example.com")
    assert "is booked in Knock; Knock has moved it to Tue, Dec 1, 2026, 2:00 PM MST" in found
    row = dict(zip(*csv.reader(shell("export").splitlines()), strict=True))
    assert (row["moved_to"], row["moved_to_local"]) == (
        "2026-12-01T21:00:00Z",
        "Tue 2026-12-01 14:00 MST",
    )


def test_the_export_is_csv_and_its_sums_add_up(harness: Harness, shell: Shell) -> None:
    held(harness, 1)
    harness.mapped("rentfeed", lead(2))
    settle(harness)
    rows = shell("export", "--since", "2026-03-01", "--until", "2026-04-01").splitlines()
    assert len(rows) == 3
    assert len(shell("export", "--state", "booked").splitlines()) == 2
    acts = [(act["action"], act["detail"]) for act in shell.json("audit")["acts"]]
    assert ("exported", "state=booked") in acts
    (line,) = shell.json("export", "--sums")["sums"]
    assert (line["received"], line["booked"], line["held"]) == (2, 1, 1)
    assert len(shell("export", "--sums", "--until", "2026-03-01").splitlines()) == 1


def test_an_edited_mapping_is_tried_over_stored_webhooks(
    harness: Harness, shell: Shell, tmp_path: Path
) -> None:
    held(harness)
    text = (MAPPINGS / "rentfeed.yaml").read_text()
    same, edited, wrong = (tmp_path / name for name in ("same.yaml", "edited.yaml", "wrong.yaml"))
    same.write_text(text)
    edited.write_text(text.replace("email_1: contact.email", "email_1: contact.mail"))
    wrong.write_text(text.replace("dedupe: leadId", "dedup: leadId"))
    assert "0 of 1 webhooks would change" in shell("backtest", "rentfeed", str(same))
    told = shell("backtest", "rentfeed", str(edited), exit_code=1)
    assert re.search(r'0\.email_1: "[^"]+@example\.com" → null', told)
    (one,) = shell.json("backtest", "rentfeed", str(edited), exit_code=1)["events"]
    acts = [(act["action"], act["detail"]) for act in shell.json("audit")["acts"]]
    assert acts == [("backtested", "rentfeed")] * 3
    assert one["fields"]["0.email_1"][1] is None
    with pytest.raises(Exception, match="dedup"):
        shell("backtest", "rentfeed", str(wrong))
    assert len(harness.story(one["event_id"]).bookings) == 1


def test_stored_webhooks_give_a_draft_without_their_people(
    harness: Harness, shell: Shell, tmp_path: Path
) -> None:
    held(harness)
    harness.mapped("rentfeed", lead(2))
    mappings = tmp_path / "mappings"
    shutil.copytree(MAPPINGS, mappings)
    said = shell("new", "rentfeed", "--stored", "--mappings", str(mappings))
    draft = mappings / "rentfeed.yaml.draft"
    assert f"adapter backtest rentfeed {draft}" in said
    assert "Communities in the samples" not in said, "communities.yaml has them"
    text = draft.read_text()
    assert "drafted from 2 webhooks" in text
    assert "  email_1: contact.email   " in text
    assert "dedupe: leadId   " in text
    body = lead(2)["contact"]
    (sample,) = (mappings / "samples").glob("rentfeed.json")
    assert body["email"] not in sample.read_text()
    assert body["name"] not in sample.read_text()
    acts = [(act["action"], act["detail"]) for act in shell.json("audit")["acts"]]
    assert acts == [("drafted", "rentfeed")]
    again = shell("new", "rentfeed", "--stored", "--mappings", str(mappings))
    assert f"adapter backtest rentfeed {mappings / 'rentfeed-2.yaml.draft'}" in again
    assert draft.read_text() == text


def test_people_are_added_listed_and_removed(shell: Shell) -> None:
    assert shell.json("users")["users"] == []
    shell("users", "add", "ana", stdin=TYPED)
    shell("users", "add", "rob", "--role", "read", stdin=TYPED)
    assert shell.json("users")["users"] == [
        {"name": "ana", "role": "operate"},
        {"name": "rob", "role": "read"},
    ]
    shell("users", "remove", "ana")
    assert "there is no user ana" in shell("users", "remove", "ana", exit_code=1)
    told = shell("users", "add", "lou", "--password", PASSWORD, exit_code=2)
    assert "No such option" in told, "other accounts can read the arguments of a process"
    acts = [(act["action"], act["detail"]) for act in reversed(shell.json("audit")["acts"])]
    assert acts == [
        ("user_added", "ana operate"),
        ("user_added", "rob read"),
        ("user_removed", "ana operate"),
    ]
    assert "Cleared all failed sign-ins" in shell("users", "unlock")
    assert shell.json("audit")["acts"][0]["action"] == "unlocked"
    with pytest.raises(Exception, match="a password must have 10 to 200"):
        shell("users", "add", "lou", stdin="short\nshort\n")
    with pytest.raises(Exception, match="a name may have letters"):
        shell("users", "add", "lou,rob", stdin=TYPED)


def test_users_can_be_set_in_the_environment(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    *_, entry = shell("users", "add", "lou", "--print", stdin=TYPED).split()
    monkeypatch.setenv("ADAPTER_USERS", entry)
    assert shell.json("users")["users"] == [{"name": "lou", "role": "operate"}]
    monkeypatch.setenv("ADAPTER_USERS", "lou:boss:scrypt:x")
    with pytest.raises(Exception, match="ADAPTER_USERS must be entries"):
        shell("users")


def test_a_view_is_audited(harness: Harness, shell: Shell) -> None:
    number = held(harness)
    shell("show", str(number))
    (act,) = shell.json("audit")["acts"]
    assert (act["action"], act["lead_id"]) == ("looked", harness.booking(number).event_id)


def test_decisions_are_reported_by_rule_and_source_with_examples(
    harness: Harness, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.mapped("rentfeed", same_person(1))
    (second,) = harness.mapped("rentfeed", same_person(2))
    harness.mapped("rentfeed", lead(3) | {"eventType": "saved_search"})
    monkeypatch.setattr("adapter.cli.reports.utc_now", harness.clock)
    text = shell("decisions")
    assert text.startswith(
        "1 lead and 1 message were handled automatically since 2026-03-01T18:00:00Z"
    )
    assert "This renter had already asked for the same tour." in text
    assert f"  1 from rentfeed: {second.id} Dana Roe\n" in text
    assert re.search(r"  1 from rentfeed \(\S*rentfeed.yaml:\d+\): \d+$", text, re.MULTILINE)

    shown = shell.json("decisions", "--source", "rentfeed")
    assert [(one["rule"], one["leads"]) for one in shown["decisions"]] == [
        ("same_person_and_time", 1),
        ("ignored", 1),
    ]
    assert shown["decisions"][0]["examples"] == [{"id": second.id, "person": "Dana Roe"}]
    assert shell.json("decisions", "--source", "website")["decisions"] == []
    harness.clock.advance(7200)
    assert shell.json("decisions", "--since", "1h")["leads"] == 0
    assert "such as 12h or 7d" in shell("decisions", "--since", "week", exit_code=2)


def test_each_rule_is_reported_once(
    harness: Harness, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    dana: Any = {"email": "dana.okafor@example.com", "name": "Dana Okafor"}
    for number in range(4):
        harness.mapped("rentfeed", lead(number, **dana))
    for number, time in enumerate(("1:00 PM", "2:00 PM", "3:00 PM")):
        harness.clock.advance(60)
        harness.mapped(
            "rentfeed", lead(10 + number, time=time, name="Ben Roe", email="ben@example.com")
        )
    harness.mapped("website", _website())
    monkeypatch.setattr("adapter.cli.reports.utc_now", harness.clock)
    counts = [(one["rule"], one["leads"]) for one in shell.json("decisions")["decisions"]]
    tour, moved = "same_person_and_time", "newer_request"
    assert counts == [(tour, 3), (tour, 1), (moved, 2)]
    assert shell("decisions").count("This renter had already asked for the same tour.") == 1


def test_show_names_the_tour_for_which_knock_canceled_a_booked_one(
    harness: Harness, shell: Shell
) -> None:
    (first,) = harness.mapped("rentfeed", same_person(1))
    settle(harness)
    harness.clock.advance(60)
    (second,) = harness.mapped("rentfeed", same_person(2, time="4:00 PM"))
    settle(harness)
    line = f"Knock canceled this tour when it booked booking {second.id}"
    assert line in shell("show", str(first.id))
    (later,) = shell.json("show", str(first.id))["replaced_in_knock"].items()
    assert (later[0], later[1]["id"]) == (str(first.id), second.id)
    assert "Knock canceled" not in shell("show", str(second.id))
    assert shell.json("show", str(second.id))["replaced_in_knock"] == {}


def test_show_names_what_a_user_confirmed(harness: Harness, shell: Shell) -> None:
    (first,) = harness.mapped("rentfeed", lead(1, phone="303-555-0142"))
    (other,) = harness.mapped("rentfeed", lead(2, name="Ben Roe", phone="303-555-0142"))
    assert other.because_of == first.id
    harness.repairs.release(other.id, {}, by="ana", is_another_person=True)
    line = f"  {other.id}: edited_and_released (another_person, notes, phone_1), by ana"
    assert line in shell("show", str(other.id))
    (act,) = shell.json("show", str(other.id))["acts"]
    assert act["detail"] == "another_person, notes, phone_1"


def test_contacts_of_several_people_are_proposed_for_the_setting(
    harness: Harness, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.cli.reports.utc_now", harness.clock)
    office = "office@example.com"
    for number, name in enumerate(("Dana Okafor", "D. Okafor", "Dana Okafor Jr.", "Ben Roe")):
        harness.mapped("rentfeed", lead(number, name=name, email=office))
    assert shell.json("decisions")["shared"] == [], "three spellings are one person"
    harness.mapped("rentfeed", lead(9, name="Sam Poe", email=office))
    (shared,) = shell.json("decisions")["shared"]
    assert (shared["contact"], shared["leads"], len(shared["names"])) == (office, 5, 3)

    monkeypatch.setenv("ADAPTER_SHARED_CONTACTS", "desk@example.com")
    line = "ADAPTER_SHARED_CONTACTS=desk@example.com,office@example.com"
    assert line in shell("decisions")
    monkeypatch.setenv(*line.split("="))
    assert shell.json("decisions")["shared"] == []
    monkeypatch.delenv("ADAPTER_SHARED_CONTACTS")
    harness.clock.advance(31 * 86400)
    assert shell.json("decisions")["shared"] == []


def test_show_links_a_merged_lead_and_its_original_both_ways(
    harness: Harness, shell: Shell
) -> None:
    (first,) = harness.mapped("rentfeed", same_person(1))
    harness.clock.advance(60)
    (second,) = harness.mapped("rentfeed", same_person(2))
    assert second.state is BookingState.DUPLICATE

    text = shell("show", str(second.id))
    assert f"because of booking {first.id}: Dana Roe, pending" in text
    assert f"duplicate (same_person_and_time because of booking {first.id}, by worker)" in text
    line = f"booking {second.id} because of this one: Dana Roe, duplicate (same_person_and_time)"
    assert line in shell("show", str(first.id))

    shown = shell.json("show", str(second.id))
    (other,) = shown["because_of"]
    assert (other["id"], other["person"], other["state"]) == (first.id, "Dana Roe", "pending")
    assert shown["bookings"][0]["because_of"] == shown["history"][-2]["because_of"] == first.id
    assert shown["related"] == []
    (related,) = shell.json("show", str(first.id))["related"]
    assert (related["id"], related["because_of"]) == (second.id, first.id)
    assert "appointment" not in related


def test_bookings_are_found_by_name_contact_or_id(harness: Harness, shell: Shell) -> None:
    payload = lead(1)
    payload["contact"] |= {"email": "findme@example.com"}
    (booking,) = harness.mapped("rentfeed", payload)
    harness.mapped("rentfeed", lead(2))
    found = shell.json("bookings", "--search", "findme@", "--community", "maple-court")["bookings"]
    assert [one["id"] for one in found] == [booking.id]


# --- pauses


def test_the_commands_pause_and_resume(harness: Harness, shell: Shell) -> None:
    harness.mapped("rentfeed", lead(1))
    text = shell("pause", "--source", "rentfeed", "--reason", "sends wrong times", "--by", "ana")
    assert text.startswith("Paused source rentfeed.\npaused: source rentfeed, since 20")
    shell("pause", "--reason", "Knock moves", "--by", "bo")
    assert "paused by bo; `adapter resume` ends it; 1 in the send queue" in shell("stats")
    assert "by ana: sends wrong times" in shell("queue")
    assert [one["reason"] for one in shell.json("queue")["pauses"]] == [
        "sends wrong times",
        "Knock moves",
    ]
    sending = shell.json("stats")["sending"]
    assert (sending["is_paused"], len(sending["pauses"])) == (True, 2)

    left = shell.json("resume", "--by", "ana")["pauses"]
    assert [(one["source"], one["by"]) for one in left] == [("rentfeed", "ana")]
    assert shell("resume", "--source", "rentfeed") == "Resumed source rentfeed.\n"
    acts = [(act["action"], act["detail"]) for act in shell.json("audit")["acts"]]
    assert acts == [
        ("resumed", "source rentfeed"),
        ("resumed", "all sources"),
        ("paused", "all sources: Knock moves"),
        ("paused", "source rentfeed: sends wrong times"),
    ]


def test_a_pause_names_something_that_exists(harness: Harness, shell: Shell) -> None:
    why = ("--reason", "x")
    for kind, name in (("source", "rentfed"), ("community", "elm")):
        with pytest.raises(NotPossible, match=f"there is no {kind} {name}"):
            shell("pause", f"--{kind}", name, *why)
    with pytest.raises(NotPossible, match="website is not paused"):
        shell("resume", "--source", "website")
    assert "use only one" in shell("pause", "--source", "a", "--community", "b", *why, exit_code=2)
    shell("pause", "--source", "website", *why)
    shell("pause", "--community", "maple-court", *why)


def test_stats_say_why_sending_is_stopped(
    harness: Harness, upstream: SandboxClient, shell: Shell
) -> None:
    for number in range(4):
        harness.mapped("rentfeed", lead(number))
    upstream.fault(*[{"status": 500}] * 3)
    harness.send()
    why = "Propexo failed with 500"
    assert (
        f"sending: stopped since 2026-03-02T18:00:00Z: Propexo does not respond clearly ({why}); "
        "1 in the send queue"
    ) in shell("stats")
    sending = shell.json("stats")["sending"]
    assert (sending["stopped_for"], sending["stopped_why"]) == ("no_clear_answer", why)
