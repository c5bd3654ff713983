"""Test drafts and mappings for lists inside lists, such as the rows of a spreadsheet."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import click.testing
import pytest

from adapter.cli import commands
from adapter.mapping import registry
from adapter.mapping.authoring.scaffold import draft_from_samples
from adapter.mapping.engine import Mapped
from adapter.mapping.provenance import provenance_of, read_locations
from adapter.mapping.source import Source
from adapter.models import WebhookRequest
from adapter.settings import Policy

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
COMMUNITIES = """\
maple-court:
  integration_id: int_1
  community_id: com_1
  timezone: America/Denver
  attributions: { acme: att_1 }
"""


def cells(name: str, email: str, time: str = "03/14/2026 2:30 PM") -> list[dict[str, str]]:
    values = {"Name": name, "Email": email, "Tour time": time}
    return [{"label": label, "value": value} for label, value in values.items()]


ROWS = [cells("Dana Okafor", "dana@example.com"), cells("Omar Haddad", "omar@example.com")]
TOURS = [{"id": str(n), "name": "Dana Okafor", "email": f"d{n}@example.com"} for n in range(3)]


def draft(*samples: Any) -> str:
    return draft_from_samples("acme", samples).text("samples/acme.json")


def source_of(folder: Path, text: str) -> Source:
    """Load a draft, after filling in what it leaves to the user."""
    (folder / "communities.yaml").write_text(COMMUNITIES)
    lines = text.replace("community: TODO", "community: { always: maple-court }").splitlines()
    filled = ["dedupe: body" if line.startswith("dedupe: TODO") else line for line in lines]
    return registry.load_text(folder, "acme", "\n".join(filled), Policy())


def map_json(source: Source, payload: Any) -> Mapped:
    return source.map(WebhookRequest.from_body(json.dumps(payload).encode()), now=NOW)


@pytest.mark.parametrize(
    "rows", [ROWS, [{"cells": one} for one in ROWS], {"table": {"data": [{"cells": ROWS}]}}]
)
def test_each_row_of_a_table_is_drafted_as_a_lead(tmp_path: Path, rows: Any) -> None:
    payload = rows if isinstance(rows, dict) else {"rows": rows}
    mapped = map_json(source_of(tmp_path, draft(payload)), payload)
    assert [one.appointment.get("last_name") for one in mapped.items] == ["Okafor", "Haddad"]
    assert [one.appointment.get("email_1") for one in mapped.items] == [
        "dana@example.com",
        "omar@example.com",
    ]
    assert {one.appointment.get("appointment_time") for one in mapped.items} == {"20:30:00"}


def test_a_table_with_a_single_row_is_drafted_for_several(tmp_path: Path) -> None:
    source = source_of(tmp_path, draft({"rows": ROWS[:1]}))
    names = [one.appointment.get("last_name") for one in map_json(source, {"rows": ROWS}).items]
    assert names == ["Okafor", "Haddad"]


def test_each_list_above_the_leads_gets_a_name(tmp_path: Path) -> None:
    first, second, third = TOURS
    accounts = [
        {"property": "Maple Court", "tours": [first, second]},
        {"property": "Elm", "tours": [third]},
    ]
    for payload in ({"accounts": accounts}, {"accounts": accounts[:1]}):
        text = draft(payload)
        assert "for_each:   # one lead per item; confirm\n  account: accounts\n" in text
        assert "  lead: account.tours\n" in text
        assert "community: account.property " in text
        assert "dedupe: lead.id " in text


def test_the_answers_in_all_sections_of_a_form_are_drafted() -> None:
    answers = cells("Dana Okafor", "dana@example.com")
    form = {"sections": [{"fields": answers[:2]}, {"fields": answers[1:][::-1][:1]}]}
    form["sections"][1]["fields"].append({"label": "Comments", "value": "Is it quiet?"})
    text = draft(form)
    assert 'answers: { list: "sections.*.fields", by: label, value: [value] }' in text
    assert "starts_at: { from: answers.Tour time," in text
    assert "for_each" not in text


def test_the_items_of_a_list_of_lists_are_located(tmp_path: Path) -> None:
    source = source_of(tmp_path, draft({"rows": ROWS}))
    request = WebhookRequest.from_body(json.dumps({"rows": ROWS}).encode())
    second = {one.line: one.places for one in provenance_of(source, request)[1]}
    assert second["email_1"] == (("answers.Email", (("rows", 1, 1),)),)
    assert ("rows", 0, 2) in read_locations(source, request)


TABLE: dict[str, list[Any]] = {
    "rows": [{"c": [{"v": "Dana Okafor"}, {"v": "dana@example.com"}]}],
    "grid": [[1, 2], [3]],
}
ROOMS = {"units": [{"rooms": [{"size": "12", "note": "Sunny"}, {"size": "9", "note": "Dark"}]}]}


@pytest.mark.parametrize(
    ("payload", "lost"),
    [
        (TABLE, ["rows.c.*.v", "grid.*.*"]),
        (TABLE | {"rows": TABLE["rows"] * 2}, ["rows.*.c.*.v", "grid.*.*"]),
        (ROOMS, ["units.rooms.*.size"]),
        ({"units": ROOMS["units"] * 2}, ["units.*.rooms.*.size"]),
        ({"rows": ROWS}, []),
        ({"lead": {"tags": ["a", "b"], "pets": [{"kind": "cat"}, {"kind": "dog"}]}}, []),
        ({"entry": [{"changes": [{"value": {"id": "1"}}]}]}, []),
        ({"a": [[], [""], [None], [True]]}, []),
    ],
)
def test_values_in_lists_inside_lists_that_nothing_reads_are_named(
    payload: Any, lost: list[str]
) -> None:
    assert draft_from_samples("acme", [payload]).lost() == lost
    text = draft(payload)
    assert all(f"\n#   {path}\n" in text for path in lost)
    assert ("lists inside lists" in text) is bool(lost)


def test_the_command_names_the_values_that_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "table.json").write_text(json.dumps(TABLE))
    arguments = ["new", "acme", str(tmp_path / "table.json"), "--mappings", str(tmp_path)]
    output = click.testing.CliRunner().invoke(commands, arguments).output
    assert "NOT read by the draft, because they are in lists inside lists: rows.c.*.v" in output


def test_notes_read_all_items_of_lists_inside_lists() -> None:
    text = draft({"units": ROOMS["units"] * 2})
    assert '"{units.*.rooms.*.note}"' in text


PRIMARY = """\
signature: { scheme: none }
read:
  name: { list: people, by: primary, value: name }
  email: { list: people, by: primary, value: email }
dedupe: id
community: { always: maple-court }
appointment:
  name: name.true
  email_1: email.true
  starts_at: at
  first_contact_type: { always: internet }
"""


def test_the_person_with_a_flag_is_read_and_several_are_held(tmp_path: Path) -> None:
    source = source_of(tmp_path, PRIMARY)

    def mapped(*primary: bool) -> Mapped:
        people = [
            {"name": f"Dana Roe{chr(97 + n)}", "email": f"d{n}@example.com", "primary": one}
            for n, one in enumerate(primary)
        ]
        body = {"id": "A1", "at": "2026-03-14T14:30", "people": people}
        return source.map(
            WebhookRequest.from_body(json.dumps(body).encode(), content_type="application/json"),
            now=NOW,
        )

    (item,) = mapped(False, True, False).items
    assert (item.outcome, item.appointment["email_1"]) == ("book", "d1@example.com")
    assert item.appointment["last_name"] == "Roeb"
    assert mapped(True, False, True).outcome == "held"
    assert mapped(False, False).outcome == "held"
