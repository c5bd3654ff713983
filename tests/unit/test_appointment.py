"""Test Propexo's limits on appointments, and the exact JSON that is posted."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.exceptions import Unreadable
from adapter.propexo.appointment import TARGETS, AppointmentSchema, problems, request_from

RIGHT: dict[str, Any] = {
    "integration_id": "int_1",
    "community_id": "com_1",
    "attribution_id": "att_1",
    "last_name": "Okafor",
    "email_1": "dana.okafor@example.com",
    "appointment_date": "2026-03-14",
    "appointment_time": "20:30:00",
}


def test_the_minimal_appointment_is_valid() -> None:
    assert problems(RIGHT) == {}


@pytest.mark.parametrize("name", sorted(RIGHT))
def test_each_missing_required_field_is_reported(name: str) -> None:
    found = problems({key: value for key, value in RIGHT.items() if key != name})
    assert list(found) == [name], f"without {name} the problem is there and nowhere else"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("appointment_time", "9:30:00", "HH:MM:SS"),
        ("appointment_time", "24:00:00", "HH:MM:SS"),
        ("appointment_time", "10:30:00Z", "HH:MM:SS"),
        ("appointment_time", "10:30:00\n", "HH:MM:SS"),
        ("appointment_date", "2026-3-14", "not a date"),
        ("appointment_date", "20260314", "not a date"),
        ("appointment_date", "2026-02-30", "not a date"),
        ("appointment_date", "1999-12-31", "2000 to 2100"),
        ("phone_1", "(303) 555-0142", "digits"),
        ("phone_1", "13035550142\n", "digits"),
        ("phone_1", "١٢٣", "digits"),
        ("phone_1", "1" * 51, "digits"),
        ("email_1", "dana at example.com", "valid email"),
        ("last_name", "", "Length"),
        ("last_name", "dana@example.com", "not a name"),
        ("last_name", "05/01/2026", "not a name"),
        ("lease_term_in_months", 0, "greater than or equal to 1"),
        ("lease_term_in_months", 19, "less than or equal to 18"),
        ("rent_minimum_in_cents", 0, "greater than or equal to 1"),
        ("number_of_occupants", True, "Not a valid integer"),
        ("desired_num_bedrooms", [4], "less than or equal to 3"),
        ("desired_num_bedrooms", [], "minimum length"),
        ("desired_num_bedrooms", [1, 1], "twice"),
        ("pets", ["parrot"], "Must be one of: cat, small_dog, large_dog"),
        ("tour_type", "IN_PERSON", "Must be one of"),
        ("notes", "x" * 1001, "1 to 1000"),
        ("notes", "🏠" * 501, "1 to 1000"),
        ("first_name", None, "null"),
        ("agent_id", "x", "Unknown field"),
    ],
)
def test_values_that_propexo_would_reject(name: str, value: object, words: str) -> None:
    found = problems(RIGHT | {name: value})
    assert list(found) == [name]
    assert words in " ".join(found[name])


VALUES = st.sampled_from(
    ["", "x", "Dana", "dana@example.com", "+13035550142", "2026-03-14", "20:30:00", "chat"]
) | st.sampled_from([None, True, 0, 2, [], [1], [1, 1], ["cat"], "x" * 1001])


@given(
    st.dictionaries(st.sampled_from([*TARGETS, *RIGHT, "unknown"]), VALUES, max_size=3), st.data()
)
def test_the_fast_check_agrees_with_the_schema(
    changes: dict[str, Any], data: st.DataObject
) -> None:
    appointment = RIGHT | changes
    for name in data.draw(st.lists(st.sampled_from(sorted(appointment)), max_size=2, unique=True)):
        del appointment[name]
    said = AppointmentSchema().validate(appointment)
    assert problems(appointment).keys() == said.keys()
    right = set(appointment) - {*said, "unknown"}
    assert problems(appointment, right).keys() == said.keys(), "what is checked changes nothing"


def test_a_target_explains_why_a_value_is_invalid() -> None:
    with pytest.raises(Unreadable, match="Must be one of: in_person, self_guided, video"):
        TARGETS["tour_type"].check("self-guided")


def test_enum_values_without_a_spelling_go_into_the_notes() -> None:
    appointment = RIGHT | {"tour_type": "self_guided", "pets": ["cat", "small_dog"], "notes": "Hi"}
    request = request_from(appointment, {"pets": {"cat": "CATS"}})
    assert request == RIGHT | {
        "pets": ["CATS"],
        "notes": "Hi\nPets: small dog\nTour type: self guided",
    }


def test_enum_values_with_a_spelling_are_sent() -> None:
    appointment = RIGHT | {"tour_type": "video", "first_contact_type": "chat"}
    spellings = {"tour_type": {"video": "LIVE_VIDEO"}, "first_contact_type": {"chat": "chat"}}
    request = request_from(appointment, spellings)
    assert request == RIGHT | {"tour_type": "LIVE_VIDEO", "first_contact_type": "chat"}


def test_no_nulls_and_nothing_empty_is_sent() -> None:
    appointment = RIGHT | {"first_name": None, "notes": "", "pets": []}
    assert request_from(appointment, {}) == RIGHT


def test_full_notes_are_shortened_for_values_that_cannot_be_sent() -> None:
    request = request_from(RIGHT | {"tour_type": "video", "notes": "word " * 200}, {})
    assert len(request["notes"]) <= 1000
    assert request["notes"].endswith("…\nTour type: video")
    assert problems(request) == {}
