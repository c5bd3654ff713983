"""Test how leads that need review are sorted, grouped and described."""

import dataclasses
import datetime as dt
from typing import Any

import pytest

from adapter.console.wording import (
    cents_from_dollars,
    dollars,
    fault_text,
    phone_text,
    plain,
    shown_value,
    value_text,
)
from adapter.mapping.engine.scope import preview_from_value
from adapter.models import BookingState, Reason
from adapter.operations.advice import advice_for, lead_in_short, open_reasons
from adapter.operations.todo import (
    Selection,
    Todo,
    counts,
    entries,
    missing_path,
    new_name,
    renamed_path,
    todo_of,
)
from adapter.propexo.appointment import NO_CONTACT
from adapter.store import Group, Issue
from tests.rows import booking

NOW = 1_000_000.0
RENAMED = "tour.date is not in the payload (there is 'tourDate')"
AT = dt.datetime(2026, 3, 14, tzinfo=dt.UTC)


def issue(code: str = "held_by_mapping", state: str = "held", **changes: object) -> Issue:
    values = {"kind": "booking", "source": "rentfeed", "is_looked_for": False}
    values |= {"field": "", "message": "", "value": ""} | changes
    return Issue(code=code, state=state, **values)  # type: ignore[arg-type]


def group(of: Issue, *tours: float | None, first: int = 1) -> Group:
    ids = range(first, first + len(tours))
    return Group(
        issue=of,
        leads=len(tours),
        names=(),
        last_id=ids[-1],
        soonest_at=None,
        oldest_at=AT,
        at=None,
        ids=list(ids),
        tours=tours,
        snoozed=[False] * len(tours),
        assigned=[None] * len(tours),
    )


@pytest.mark.parametrize(
    ("of", "leads", "todo"),
    [
        (issue(field="starts_at", message="is at … in America/Denver"), 1, Todo.CALL),
        (issue(field="email_1", message="neither"), 40, Todo.DETAILS),
        (issue("contact_of_many"), 1, Todo.DETAILS),
        (issue(field="community", message="unknown"), 1, Todo.COMMUNITY),
        (issue(field="attribution_id", message="unknown"), 1, Todo.ADMIN),
        (issue("not_found", "unknown"), 1, Todo.KNOCK),
        (issue("cancellation"), 1, Todo.KNOCK),
        (issue("refused", "failed"), 1, Todo.CALL),
        (issue("not_authorized"), 1, Todo.ADMIN),
        (issue("", kind="event", field="event", message="not JSON"), 1, Todo.ADMIN),
        # One date may be missing; if several are, the sender has renamed the field.
        (issue(field="starts_at", message="tour.date is not in the payload"), 1, Todo.CALL),
        (issue(field="starts_at", message="tour.date is not in the payload"), 12, Todo.ADMIN),
        (issue(field="starts_at", message=RENAMED), 1, Todo.CALL),
        (issue(field="starts_at", message=RENAMED), 2, Todo.ADMIN),
        (issue(field="community", message="p.id is not in the payload"), 2, Todo.COMMUNITY),
        (issue(field="community", message="p.id is not in the payload"), 3, Todo.ADMIN),
        (issue(field="starts_at", message="not written as MM/DD/YYYY"), 40, Todo.CALL),
        (issue(field="accept", message="kind is not in the payload"), 1, Todo.DETAILS),
    ],
)
def test_leads_are_sorted_by_what_to_do(of: Issue, leads: int, todo: Todo) -> None:
    assert todo_of(of, leads) is todo


def test_a_change_that_the_format_watch_detected_needs_one_lead() -> None:
    missing = issue(field="starts_at", message="tour.date… is not in the payload")
    unreadable = issue(field="starts_at", message="not written as MM/DD/YYYY")
    changed = {("rentfeed", "tour.date2"), ("leasebot", "starts_at")}
    assert todo_of(missing, 1, changed) is Todo.ADMIN
    assert todo_of(unreadable, 1, changed) is Todo.CALL
    assert todo_of(unreadable, 1, {("rentfeed", "starts_at")}) is Todo.ADMIN


def test_leads_of_a_renamed_field_are_one_row() -> None:
    renamed = group(issue(field="starts_at", message=RENAMED), None, None)
    missing = issue(field="starts_at", message="tour.date is not in the payload")
    found = entries([renamed, group(missing, None, None, None, first=10)], Selection(), NOW)
    assert [(row.todo, row.ids, row.short) for row in found] == [
        (Todo.ADMIN, [1, 2, 10, 11, 12], "The sender changed its format")
    ]
    assert (missing_path(found[0].issue), new_name(found[0].issue)) == ("tour.date", "tourDate")


def test_a_renamed_key_keeps_its_place_in_the_path() -> None:
    assert renamed_path("tour.date", "tourDate") == "tour.tourDate"
    assert renamed_path("name", "nname") == "nname"


def test_the_soonest_tour_is_first_and_the_same_trouble_is_one_row() -> None:
    night = group(issue(field="starts_at", message="is at …"), NOW + 500, NOW - 5, None)
    places = [
        group(issue(field="community", message="no", value=f'"{n}"'), NOW + 900 - n, first=100 + n)
        for n in range(150)
    ]
    found = entries([night, *places], Selection(), NOW)
    assert [(row.ids[0], len(row.ids)) for row in found] == [(1, 1), (249, 150), (3, 1), (2, 1)]
    assert found[1].tour == NOW + 900 - 149
    numbers = counts([night, *places], Selection(todo=Todo.CALL))
    assert numbers == dict.fromkeys(Todo, 0) | {Todo.CALL: 3, Todo.COMMUNITY: 150}


@pytest.mark.parametrize(
    ("text", "cents"),
    [("1500", 150_000), ("$1,500", 150_000), ("1500.5", 150_050), ("0.05", 5), ("cheap", "cheap")],
)
def test_amounts_are_typed_in_dollars(text: str, cents: int | str) -> None:
    assert cents_from_dollars(text) == cents
    if isinstance(cents, int):
        assert cents_from_dollars(dollars(cents)) == cents


def test_values_are_shown_as_people_read_them() -> None:
    assert phone_text("+13035550142") == "(303) 555-0142"
    assert shown_value("rent_minimum_in_cents", 150_000) == "$1,500"
    assert shown_value("pets", ["small_dog", "cat"]) == "Small dog, Cat"
    assert shown_value("desired_num_bedrooms", [0, 2]) == "Studio or 2 bedrooms"
    assert shown_value("desired_num_bedrooms", [1, 2, 3]) == "1, 2 or 3 bedrooms"
    assert shown_value("desired_num_bedrooms", [0, 1]) == "Studio or 1 bedroom"
    assert shown_value("move_in_date", "2027-02-01") == "Feb 1, 2027"


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+13035550142", "(303) 555-0142"),
        ("3035550142", "(303) 555-0142"),
        ("+4520123456", "+4520123456"),
        ("+6581234567", "+6581234567"),
    ],
)
def test_only_american_phone_numbers_are_formatted(number: str, shown: str) -> None:
    assert phone_text(number) == shown


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("sábado por la mañana " * 9, "sábado por la mañana sábado por la ma..."),
        ("👩" * 20, "👩👩👩👩..."),
        ("x" * 10_000, "x" * 56 + "..."),
        ("back\\slash", "back\\slash"),
        ([True, 5, None], "true, 5"),
        ({"from": "2 PM", "to": "3 PM"}, ""),
        ({"a": "x" * 100}, ""),
        ([["2 PM"]], ""),
    ],
)
def test_values_in_reasons_have_no_code(sent: object, shown: str) -> None:
    reason = Reason(field="starts_at", reason="", value=preview_from_value(sent))
    assert value_text(reason) == shown


def test_errors_name_no_command() -> None:
    told = (
        "is at 23:45 in America/Denver, but tours start between 07:00 and 21:00. If it is right, "
    )
    assert fault_text(f"{told}confirm it (command: --any-hour)") == (
        "Tours can only be booked between 7:00 AM and 9:00 PM. "
        "If that's right, check the box below."
    )
    assert (
        fault_text("is missing: set it, for example 2026-03-14T14:30") == "Choose a date and time."
    )
    assert plain("booking 5 is unknown. Confirm that (command: --not-in-knock)") == (
        "It is unknown. Confirm that."
    )


@pytest.mark.parametrize(
    ("reason", "changes", "is_open"),
    [
        (Reason(field="community", reason="unknown"), {"community": None}, True),
        (Reason(field="community", reason="unknown"), {"community": "maple-court"}, False),
        (Reason(field="starts_at", reason="not written as MM/DD/YYYY"), {"starts_at": None}, True),
        (Reason(field="starts_at", reason="not written as MM/DD/YYYY"), {}, False),
        (Reason(field="starts_at", reason="is in the past"), {}, False),
        (Reason(field="starts_at", reason="is in the past"), {"starts_at": AT}, True),
        (Reason(field="starts_at", reason="is more than 30 days ahead"), {}, False),
        (Reason(field="starts_at", reason="is more than 0 days ahead"), {}, True),
        (Reason(field="starts_at", reason="is at 13:00 in America/Denver, but"), {}, True),
        (Reason(field="starts_at", reason="is at 23:00 in America/Denver, but"), {}, False),
        (Reason(field="starts_at", reason="the offset does not match America/Denver"), {}, True),
        (Reason(field="email_1", reason=NO_CONTACT), {"appointment": {}}, True),
        (Reason(field="email_1", reason=NO_CONTACT), {"appointment": {"phone_1": "1"}}, False),
        (Reason(field="last_name", reason="not a name"), {"appointment": {}}, True),
        # Propexo rejected the value that the booking has.
        (
            Reason(field="phone_1", reason="Propexo says: not valid"),
            {"appointment": {"phone_1": "1"}},
            True,
        ),
    ],
)
def test_a_reason_is_open_until_the_values_settle_it(
    reason: Reason, changes: dict[str, Any], is_open: bool
) -> None:
    tomorrow = AT + dt.timedelta(days=1, hours=19)  # 1 PM in Denver
    known = {"starts_at": tomorrow, "timezone": "America/Denver", "reasons": (reason,)}
    lead = booking(BookingState.HELD, **known | changes)
    assert bool(open_reasons(lead, AT)) is is_open


MISSING = "Missing data for required field."


@pytest.mark.parametrize(
    ("field", "names", "short"),
    [
        ("last_name", {"first_name": "Una"}, "No last name"),
        ("first_name", {"last_name": "Roe"}, "No first name"),
        ("last_name", {}, "No name"),
        ("name", {}, "No name"),
        ("community", {}, "No property given"),
    ],
)
def test_the_missing_part_is_named(field: str, names: dict[str, str], short: str) -> None:
    reasons = (Reason(field=field, reason=MISSING),)
    lead = booking(state=BookingState.HELD, reason="held_by_mapping", reasons=reasons)
    assert lead_in_short(dataclasses.replace(lead, appointment=names)) == short


def test_the_advice_for_a_missing_value_does_not_call_it_a_value() -> None:
    message = "full_name is not in the payload (there is 'caller')"
    name = issue(field="name", message=message)
    start = "The message has no value for “Name”: full_name is not in the payload"
    assert advice_for(name).wrong.startswith(start)
    place = dataclasses.replace(name, field="community")
    assert advice_for(place).wrong == "rentfeed didn't say which property the renter wants."
