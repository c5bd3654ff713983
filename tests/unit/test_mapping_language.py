"""Test what a newcomer wanted to say in a mapping, one shape of a sender after another."""

from pathlib import Path
from typing import Any

import pytest

from adapter.mapping.engine import Outcome
from adapter.mapping.provenance import provenance_of
from adapter.models import WebhookRequest
from tests.unit.test_mapping_engine import LEAD, map_json, only_item, reasons, source_of

# --- names in parts or whole


@pytest.mark.parametrize(
    ("given", "first_name", "last_name"),
    [
        ({"first": "Mary Ann", "last": "de la Cruz", "name": "M. Cruz"}, "Mary Ann", "de la Cruz"),
        ({"first": "", "last": None, "name": "Dana Okafor"}, "Dana", "Okafor"),
        ({"first": "Dana", "last": "", "name": "Dana Okafor"}, "Dana", "Okafor"),
        ({"first": "Dana", "last": "undefined", "name": "Dana Okafor"}, "Dana", "Okafor"),
        ({"first": "Dana", "last": "Okafor", "name": ""}, "Dana", "Okafor"),
    ],
)
def test_a_name_in_parts_goes_before_the_whole_name(
    tmp_path: Path, given: dict[str, Any], first_name: str, last_name: str
) -> None:
    lead = LEAD | given
    source = source_of(tmp_path, lead, {"first_name": "first", "last_name": "last"})
    item = only_item(map_json(source, lead))
    assert item.outcome is Outcome.BOOK
    assert (item.appointment["first_name"], item.appointment["last_name"]) == (
        first_name,
        last_name,
    )


def test_no_name_at_all_is_held(tmp_path: Path) -> None:
    lead = LEAD | {"first": "Dana", "last": "", "name": ""}
    source = source_of(tmp_path, lead, {"first_name": "first", "last_name": "last"})
    assert "name is empty" in reasons(map_json(source, lead))["name"]


def test_a_whole_name_is_the_fallback_of_each_item(tmp_path: Path) -> None:
    leads = [{"id": "1", "last": "Okafor"}, {"id": "2", "last": ""}]
    source = source_of(
        tmp_path,
        LEAD | {"leads": leads, "name": "Lee Park"},
        {"last_name": "lead.last"},
        for_each={"lead": "leads"},
        dedupe="lead.id",
    )
    items = map_json(source, LEAD | {"leads": leads, "name": "Lee Park"}).items
    assert [item.appointment["last_name"] for item in items] == ["Okafor", "Park"]


# --- a template where a path may stand


def test_a_template_joins_several_values(tmp_path: Path) -> None:
    lead = LEAD | {
        "first": "Dana",
        "last": "Okafor",
        "site": "D",
        "unit": "2",
        "day": "2026-03-14",
        "hour": "14:30",
    }
    source = source_of(
        tmp_path,
        lead,
        {"name": ["{first} {last}", "name"], "starts_at": "{day} {hour}"},
        dedupe="{site}-{unit}",
    )
    item = only_item(map_json(source, lead))
    assert item.appointment["appointment_time"] == "20:30:00"
    assert item.dedupe_key == "D-2"
    delivery = WebhookRequest.from_body(b'{"first": "Dana", "last": "Okafor"}')
    lines = {line.line: line.places for line in provenance_of(source, delivery)[0]}
    assert [path for path, _ in lines["name"]] == ["first", "last"]


def test_a_template_with_an_empty_value_is_empty(tmp_path: Path) -> None:
    lead = LEAD | {"first": "Dana", "last": "", "name": "Lee Park"}
    source = source_of(tmp_path, lead, {"name": ["{first} {last}", "name"]})
    assert only_item(map_json(source, lead)).appointment["last_name"] == "Park"
