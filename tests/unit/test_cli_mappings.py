"""Test the output and exit codes of the mapping commands."""

import datetime as dt
import json
import re
import shutil
from pathlib import Path
from typing import Any

import click.testing
import pytest
import yaml

from adapter.cli import commands, new_source
from adapter.cli.map import mapped_as_text
from adapter.exceptions import ConfigurationError, PayloadError
from adapter.mapping import registry
from adapter.mapping.engine import Item, Mapped, Outcome
from adapter.models import Reason
from adapter.settings import Policy
from tests.cpu_time import calls
from tests.paths import ROOT

SAMPLE = "mappings/samples/rentfeed-tour.json"
NOW = ("--now", "2026-03-01T00:00:00Z")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the mappings, and make the copy the current folder."""
    shutil.copytree(ROOT / "mappings", tmp_path / "mappings")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str, stdin: bytes | None = None) -> click.testing.Result:
    result = click.testing.CliRunner().invoke(commands, arguments, input=stdin)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_check_accepts_the_bundled_mappings() -> None:
    result = run("check")
    assert (result.exit_code, result.output) == (0, "mappings: no errors\n")


def test_check_reports_mistakes_and_fails(project: Path) -> None:
    file = project / "mappings/rentfeed.yaml"
    file.write_text(file.read_text().replace("contact.email", "contact.emial"))
    line = (
        "mappings/rentfeed.yaml:20:3: appointment.email_1.from: "
        "'contact.emial' is not in any sample payload; did you mean 'contact.email'?"
        "; if it is right, add a sample that has it, or a test with 'change: {…}'"
    )
    assert (run("check").exit_code, run("check").output) == (1, line + "\n")
    assert run("check", "mappings/rentfeed.yaml").output == line + "\n"
    assert run("check", "mappings/website.yaml").exit_code == 0
    told = json.loads(run("check", "--json").output)["problems"]
    assert [(one["line"], one["column"], one["field"]) for one in told] == [
        (20, 3, "appointment.email_1.from")
    ]


def test_warnings_do_not_fail_the_check_unless_it_is_strict(project: Path) -> None:
    file = project / "mappings/rentfeed.yaml"
    file.write_text(file.read_text().replace('"{comments}"', "comments"))
    text = file.read_text().partition("tests:")
    file.write_text(text[0] + text[1] + text[2].replace("Is there covered parking?", "comments"))
    result = run("check", "rentfeed")
    assert result.exit_code == 0
    warning, summary = result.output.splitlines()
    assert "appointment.notes.0: warning: 'comments' is text for the notes" in warning
    assert summary == "mappings/rentfeed.yaml: no errors, 1 warning"
    assert run("check", "rentfeed", "--strict").exit_code == 1
    assert run("check", "website", "--strict").exit_code == 0


def map_json(*arguments: str, stdin: bytes | None = None) -> tuple[int, dict[str, Any]]:
    result = run("map", *arguments, "--json", stdin=stdin)
    return result.exit_code, json.loads(result.output)


def test_map_shows_a_booking_as_data() -> None:
    code, mapped = map_json("rentfeed", SAMPLE, "--now", "2026-03-01T00:00:00Z")
    assert code == 0
    assert list(mapped) == ["outcome", "items", "dedupe_key", "missing", "unread", "doubts"]
    assert (mapped["outcome"], mapped["dedupe_key"]) == ("book", "RF-88213047")
    (item,) = mapped["items"]
    assert list(item) == ["outcome", "appointment", "reasons"]
    assert item["appointment"]["appointment_time"] == "20:30:00"
    assert item["reasons"] == []


def test_map_reads_stdin_and_says_why_not() -> None:
    body = (ROOT / SAMPLE).read_bytes().replace(b"2:30 PM", b"2:30 AM")
    code, mapped = map_json("rentfeed", "-", "--now", "2026-03-01T00:00:00Z", stdin=body)
    assert (code, mapped["outcome"]) == (1, "held")
    assert mapped["items"][0]["reasons"] == [
        {
            "field": "starts_at",
            "reason": "is at 02:30 in America/Denver, but tours start between 07:00 and 21:00",
            "at": "mappings/rentfeed.yaml:22",
            "path": "tour.date, tour.time",
            "value": '"03/14/2026 2:30 AM"',
        }
    ]


def without_a_time(project: Path) -> None:
    """Make the bundled mapping create prospects, and remove its sample's time."""
    file = project / "mappings/rentfeed.yaml"
    file.write_text(file.read_text().replace("\ntests:\n", "\nwithout_time: prospect\n\ntests:\n"))
    lead = json.loads((ROOT / SAMPLE).read_text())
    lead["tour"] |= {"date": "", "time": ""}
    (project / "mappings/samples/lead.json").write_text(json.dumps(lead))


def test_map_shows_a_prospect_and_writes_its_test(project: Path) -> None:
    without_a_time(project)
    shown = run("map", "rentfeed", "mappings/samples/lead.json")
    assert shown.exit_code == 0, shown.output
    assert shown.output.startswith("rentfeed RF-88213047: prospect\n")
    assert "  also noticed:\n    starts_at (mappings/rentfeed.yaml:" in shown.output

    entry = run("map", "rentfeed", "mappings/samples/lead.json", "--as-test").stdout
    assert "    prospect:\n" in "".join(f"  {line}\n" for line in entry.splitlines())
    file = project / "mappings/rentfeed.yaml"
    text = file.read_text() + "".join(f"  {line}\n" for line in entry.splitlines())
    file.write_text(text)
    assert run("check").output == "mappings: no errors\n", entry

    for wrong, said in (
        (("    prospect:", "    expect:"), "expected 1 booked, got prospect"),
        (("prospect:\n      integration_id: int_7Qm2", "prospect_some:\n      integration_id: x"),
         'integration_id: expected "x", got "int_7Qm2"'),
        (("without_time: prospect", "without_time: hold"), "expected 1 made a prospect, got held"),
        (("without_time: prospect", "without_time: guess"), "hold, ignore, prospect"),
    ):  # fmt: skip
        file.write_text(text.replace(*wrong))
        assert said in run("check").output


def test_explain_shows_what_happens_to_a_lead_without_a_time(project: Path) -> None:
    for change, said in (("", "held until an agent"), ("prospect", "a guest card (prospect)")):
        if change:
            without_a_time(project)
        assert said in " ".join(run("explain", "rentfeed").output.split())


@pytest.mark.parametrize(
    ("body", "outcome", "field"),
    [
        (b"{", "unreadable", "event"),
        (b"{}", "held", "accept"),
    ],
)
def test_map_shows_reasons_that_concern_the_whole_delivery(
    body: bytes, outcome: str, field: str
) -> None:
    code, mapped = map_json("rentfeed", "-", stdin=body)
    assert (code, mapped["outcome"], mapped["dedupe_key"]) == (1, outcome, None)
    assert mapped["items"][0]["reasons"][0]["field"] == field


def test_map_shows_people_what_happens() -> None:
    body = (ROOT / SAMPLE).read_bytes().replace(b"05/01/2026", b"ASAP")
    result = run("map", "rentfeed", "-", "--now", "2026-03-01T00:00:00Z", stdin=body)
    assert result.exit_code == 0
    assert "rentfeed RF-88213047: book" in result.output
    assert "  starts at: 2026-03-14 14:30 America/Denver\n" in result.output
    assert "  added to the notes: Move in date: ASAP\n" in result.output
    assert '    move_in_date (mappings/rentfeed.yaml:30) "ASAP" from preferences.moveIn: ' in (
        result.output
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("map", "rentfeed", "absent.json"),
        ("map", "rentfeed", SAMPLE, "--now", "soon"),
        ("map", "rentfeed"),
        ("new", "No Name", "--sample", SAMPLE),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_sample_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "good.json").write_text("{}")
    (tmp_path / "bad.txt").write_text("name=Rosa&unit=7")
    files = [str(tmp_path / name) for name in ("good.json", "bad.txt")]
    with pytest.raises(PayloadError, match=r"bad\.txt: not JSON.*--content-type application/x-"):
        run("new", "acme", *files, "--mappings", str(tmp_path))
    kind = "application/x-www-form-urlencoded"
    made = run("new", "acme", files[1], "--mappings", str(tmp_path), "--content-type", kind)
    assert made.exit_code == 0
    assert "Replaced in the samples: name\n" in made.output


def test_explain_shows_what_is_read_from_an_email() -> None:
    folder = str(ROOT / "mappings/gallery")
    rows = json.loads(run("explain", "renter-mail-postmark", "--mappings", folder, "--json").output)
    how = {row["what"]: row["how"] for row in rows}

    assert {row["where"] for row in rows if row["what"] == "read above"} == {
        "TextBody, else HtmlBody"
    }
    assert how["read above"] == "the text before 'Original craigslist post:'"
    assert how["read message"] == "the email without quoted emails"
    assert how["read number"] == "the text after 'my number is' or 'call me at' or 'text me at'"
    assert how["read asked"] == "the first sentence that mentions a time"


def test_explain_shows_where_and_how_values_are_read() -> None:
    output = run("explain", "leasebot").output
    for words in ("conversation.id and tour.id", "take: high", "timezone: from"):
        assert words in output
    rows = json.loads(run("explain", "rentfeed", "--json").output)
    assert {"what": "accept", "where": "isTest", "how": "is not true"} in rows
    asked = {"what": "sent_at", "where": "createdAt"}
    assert asked | {"how": "a person's latest request counts"} in rows


def test_explain_keeps_to_the_width_of_a_screen() -> None:
    for name in ("leasebot", "rentfeed", "website"):
        lines = run("explain", name).output.splitlines()
        assert max(map(len, lines[1:])) <= 100


@pytest.mark.parametrize(
    "command", [("map", "acme", SAMPLE), ("explain", "acme"), ("check", "acme")]
)
def test_an_unknown_source_lists_those_there_are(command: tuple[str, ...]) -> None:
    with pytest.raises(
        ConfigurationError, match=r"acme\.yaml; use one of leasebot, rentfeed, website"
    ):
        run(*command)


def test_check_and_map_understand_names_and_files() -> None:
    assert run("check", "rentfeed").output == "mappings/rentfeed.yaml: no errors\n"
    now = ("--now", "2026-03-01T00:00:00Z")
    assert run("map", "mappings/rentfeed.yaml", SAMPLE, *now).exit_code == 0
    assert "contact.email" in run("explain", "mappings/rentfeed.yaml").output


def test_check_says_what_is_no_mapping() -> None:
    said = "mappings/communities.yaml (communities, not a mapping): no errors\n"
    assert run("check", "mappings/communities.yaml").output == said
    result = run("check", SAMPLE)
    assert result.exit_code == 1
    assert result.output.endswith(
        "file: is not a mapping; to map a sample, use: adapter map SOURCE FILE\n"
    )


def change(project: Path, old: str, new: str) -> None:
    file = project / "mappings/rentfeed.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("last_name: Okafor", "last_name: Okafer"),
        ("last_name: Okafor", "last_name: TODO"),
        ("scheme: hmac ", "scheme: TODO "),
        ("contact.mobile", "contact.cell"),
        ("tests:", 'description: "none yet"\n#'),
    ],
)
def test_map_works_while_the_tests_of_the_mapping_fail(project: Path, old: str, new: str) -> None:
    if new.endswith("#"):
        text = (project / "mappings/rentfeed.yaml").read_text()
        (project / "mappings/rentfeed.yaml").write_text(text.partition("tests:")[0])
    else:
        change(project, old, new)
    result = run("map", "rentfeed", SAMPLE, "--now", "2026-03-01T00:00:00Z")
    assert result.exit_code == 0
    title, problem = result.stderr.splitlines()
    assert title == "adapter check reports:"
    assert problem.startswith("mappings/rentfeed.yaml:")


def test_blocking_reasons_are_separate_from_other_reasons() -> None:
    body = (ROOT / SAMPLE).read_bytes().replace(b"2:30 PM", b"2:30 AM")
    body = body.replace(b"05/01/2026", b"ASAP")
    lines = run("map", "rentfeed", "-", "--now", "2026-03-01T00:00:00Z", stdin=body).output
    held, noticed = lines.partition("  held because:\n")[2].split("  also noticed:\n")
    assert held.startswith("    starts_at (mappings/rentfeed.yaml:22)")
    assert noticed.startswith("    move_in_date (mappings/rentfeed.yaml:30)")


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("", 'accept (mappings/rentfeed.yaml:12) "spam" from eventType: is not one of'),
        (
            "ignore: { eventType: spam }\n\n",
            "ignore (mappings/rentfeed.yaml:11) \"spam\" from eventType: this matches 'ignore'",
        ),
    ],
)
def test_an_ignored_lead_names_the_mapping_line(project: Path, section: str, line: str) -> None:
    change(project, "accept: ", f"{section}accept: ")
    body = (ROOT / SAMPLE).read_bytes().replace(b"tour_request", b"spam")
    output = run("map", "rentfeed", "-", stdin=body).output
    assert f"  ignored because:\n    {line}" in output


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("03/14/2026 2:30 PM", "add format: MM/DD/YYYY h:mm A"),
        ("14/03/2026 14:30", "add format: DD/MM/YYYY H:mm"),
        ("Mar 14, 2026", "add format: MMM D, YYYY"),
        ("1773520200", "add format: epoch"),
        ("March 14th, 2026 at 2:30 p.m.", "add format: MMMM D, YYYY at h:mm A"),
        ("next week", None),
    ],
)
def test_a_missing_format_is_named(project: Path, given: str, said: str | None) -> None:
    change(
        project,
        "    date: tour.date\n    time: tour.time\n    format: MM/DD/YYYY h:mm A\n",
        "    from: tour.date\n",
    )
    body = (ROOT / SAMPLE).read_bytes().replace(b"03/14/2026", given.encode())
    output = run("map", "rentfeed", "-", stdin=body).stdout
    assert "in ISO 8601" in output
    assert (said in output) if said else ("add format" not in output)


def test_a_doubtful_utc_names_the_option_that_settles_it(project: Path) -> None:
    body = (ROOT / SAMPLE).read_bytes()
    dated = body.replace(b"03/14/2026", b"2026-03-14").replace(b"2:30 PM", b"14:30:00Z")
    change(project, "    format: MM/DD/YYYY h:mm A\n", "")
    output = run("map", "rentfeed", "-", stdin=dated).output
    assert "add ignore_offset: true if it is local, or offset: trust if it is UTC" in output

    change(project, "    date: tour.date\n    time: tour.time\n", "    from: tour.date\n")
    midnight = body.replace(b"03/14/2026", b"2026-03-14T00:00:00Z")
    output = run("map", "rentfeed", "-", stdin=midnight).output
    assert (
        "leave it to a person if it is a date without a time. Add offset: trust only if" in output
    )


@pytest.mark.parametrize(
    ("name", "change_of"),
    [
        ("rentfeed", None),
        ("leasebot", None),
        ("rentfeed", (b"2:30 PM", b"2:30 AM")),
        ("rentfeed", (b"tour_request", b"other")),
    ],
)
@pytest.mark.parametrize("source", ["file", "stdin"])
def test_a_printed_test_passes_as_it_is(
    project: Path, name: str, change_of: tuple[bytes, bytes] | None, source: str
) -> None:
    sample = next((project / "mappings/samples").glob(f"{name}-*"))
    body = sample.read_bytes().replace(*(change_of or (b"", b"")))
    sample.write_bytes(body)
    file = project / f"mappings/{name}.yaml"
    entry = run(
        "map", name, str(sample) if source == "file" else "-", "--as-test", stdin=body
    ).stdout
    assert ("payload: samples/" in entry) == (source == "file")

    head = file.read_text().partition("tests:\n")[0]
    indented = "".join(f"  {line}\n" for line in entry.splitlines())
    file.write_text(f"{head}without_time: hold\n\ntests:\n{indented}")
    checked = run("check", name)
    assert checked.exit_code == 0, entry
    # A mapping whose only test is an ignored lead may have no test for any lead by mistake.
    assert ("all tests are ignored or cancellations" in checked.output) == (
        "ignored: true" in entry
    )


def test_new_writes_a_draft_mapping(project: Path) -> None:
    lead = {
        "lead_id": "L1",
        "event": "tour_booked",
        "property_id": 20417,
        "agent": {"name": "Staff", "email": "staff@example.com"},
        "guest": {"full_name": "Dana Okafor", "email": "dana.okafor@example.com"},
        "tour": {"date": "03/14/2026", "time": "2:30 PM", "type": "onsite"},
        "min_rent": 1500,
        "move_in": "2026-05-01",
        "comments": "Parking?",
    }
    (project / "lead.json").write_text(json.dumps(lead))
    assert run("new", "acme", "--sample", "lead.json").exit_code == 0
    file = project / "mappings/acme.yaml"
    text = file.read_text()
    assert run("check").exit_code == 1, "what nobody has confirmed does not pass"
    assert "staff" not in text.lower()

    text = text.replace("scheme: TODO", "scheme: hmac, header: X-S").replace(
        "last_name: TODO", "last_name: Okafor"
    )
    assert "acme" not in registry.load(project / "mappings", Policy()), "it is still a draft"
    file.write_text(re.sub(r"(?m)^draft: true .*\n", "", text))
    known = project / "mappings/communities.yaml"
    known.write_text(
        known.read_text()
        .replace("rentfeed: att_rentfeed_m,", "rentfeed: att_rentfeed_m, acme: att_acme,")
        .replace("    rentfeed: [20417", "    acme: 20417\n    rentfeed: [20417")
    )
    assert run("check").output == "mappings: no errors\n", text
    code, mapped = map_json("acme", "lead.json", "--now", "2026-03-01T00:00:00Z")
    assert code == 0
    appointment = mapped["items"][0]["appointment"]
    assert appointment["last_name"] == "Okafor"
    assert appointment["appointment_time"] == "20:30:00"
    assert appointment["rent_minimum_in_cents"] == 150000
    assert appointment["move_in_date"] == "2026-05-01"


def test_a_mapping_that_cannot_be_read_is_an_error(project: Path) -> None:
    """Use a symbolic link to a file that a deployment has not written yet."""
    folder = project / "mappings"
    sources = registry.load(folder, Policy())
    (folder / "acme.yaml").symlink_to(project / "missing")
    with pytest.raises(ConfigurationError, match=r"acme.yaml.*: cannot be read"):
        registry.load(folder, Policy())
    assert registry.changed_since_load(folder, sources) == ["acme"]


def test_a_draft_does_not_affect_other_mappings(project: Path) -> None:
    folder = project / "mappings"
    loaded = registry.load(folder, Policy())
    (folder / "acme.yaml").write_text("# drafted\n\ndraft: true   # later\n\nsignature: TODO\n")
    assert registry.load(folder, Policy()).keys() == loaded.keys()
    assert registry.changed_since_load(folder, loaded) == []
    change(project, "dedupe: leadId", "dedupe: leadId # edited")
    assert registry.changed_since_load(folder, loaded) == ["rentfeed"]
    assert run("check").exit_code == 1
    (folder / "acme.yaml").write_text((folder / "rentfeed.yaml").read_text() + "\ndraft: true\n")
    assert "draft: the adapter does not use this mapping: remove" in run("check", "acme").output
    (folder / "acme.yaml").write_text("draft: false\nsignature: TODO\n")
    with pytest.raises(ConfigurationError):
        registry.load(folder, Policy())


def test_new_reads_several_files_and_names_their_communities(project: Path) -> None:
    for number, place in enumerate(
        ("Maple Court", "Mapel Court", "Nowhere", "20417", "20418", "Maple Court 2")
    ):
        lead = {"lead_id": f"L{number}", "property": place, "email": f"rosa{number}@example.net"}
        (project / f"{number}.json").write_text(json.dumps(lead | {"tour_type": "onsite"}))
    result = run("new", "acme", "0.json", "1.json", "2.json", "3.json", "4.json", "5.json")
    assert result.exit_code == 0, result.output
    listed = re.findall(r"  (.*): known_as: { acme: \[(.*)\] }, attributions", result.output)
    assert {name: key for key, name in listed} == {
        "Maple Court": "maple-court",
        "Mapel Court": "maple-court?",
        "Nowhere": "which community?",
        '"20417"': "maple-court?",
        '"20418"': "which community?",
        "Maple Court 2": "which community?",
    }
    samples = sorted((project / "mappings/samples").glob("acme*"))
    assert [one.name for one in samples] == ["acme.json"], "the others add nothing"
    assert "rosa" not in samples[0].read_text()
    left = "1.json, 2.json, 3.json, 4.json, 5.json"
    assert f"Not copied, because they add nothing new: {left}\n" in result.output
    assert "drafted from 6 webhooks" in (project / "mappings/acme.yaml").read_text()


@pytest.mark.parametrize(
    ("name", "known", "key"),
    [
        ("+13035550143", "+13035550142", "which community?"),
        ("+13035550142", "+13035550142", "maple"),
        ("(303) 555-0142", "303-555-0142", "maple?"),
        ("Maple Court", "maple court 2", "which community?"),
        ("Mapel Court 2", "maple court 2", "maple?"),
    ],
)
def test_a_community_is_only_suggested_for_a_name_with_the_same_digits(
    name: str, known: str, key: str
) -> None:
    assert new_source._key_of(name, {known: "maple"}) == key


def test_new_refuses_a_sample_that_is_nested_too_deeply(project: Path) -> None:
    deep = '{"a":' * 900 + "1" + "}" * 900
    (project / "0.json").write_text(f'{{"id": "1", "email": "ana@kos.example", "x": {deep}}}')
    with pytest.raises(PayloadError, match=r"acme\.json: the JSON is nested too deeply"):
        run("new", "acme", "0.json")
    assert not (project / "mappings/acme.yaml").exists()


def test_new_lists_what_may_be_a_name_under_an_unknown_key(project: Path) -> None:
    lead = {"nf-field-1": "Rosa Vale", "property": "Maple Court", "name": "Sam Stone", "a": "x y"}
    (project / "lead.json").write_text(json.dumps(lead))
    output = run("new", "acme", "lead.json").output
    found = re.search(
        r"^Not replaced in (\S+); replace each that is personal: (.*)$", output, re.MULTILINE
    )
    assert found is not None, output
    assert found[2] == "nf-field-1"
    assert "Rosa Vale" in Path(found[1]).read_text()


def test_new_needs_files_or_stored_webhooks() -> None:
    assert "or use --stored" in run("new", "acme").output
    assert run("new", "acme", "--stored", SAMPLE).exit_code == 2


def test_new_overwrites_nothing(project: Path) -> None:
    with pytest.raises(ConfigurationError, match="already exists"):
        run("new", "rentfeed", "--sample", SAMPLE)


def test_schema_prints_the_committed_schema() -> None:
    assert run("schema").output == (ROOT / "docs/mapping.schema.json").read_text()


ACUITY_URL = "https://acuityscheduling.com/api/v1/appointments/700000001"


def acuity(*options: str) -> click.testing.Result:
    folder = ROOT / "mappings/gallery"
    body = folder / "samples/acuity-scheduled.form"
    now = ("--now", "2026-03-01T12:00:00Z")
    return run("map", str(folder / "acuity.yaml"), str(body), *now, *options)


def test_map_names_the_url_that_the_worker_would_fetch() -> None:
    result = acuity()
    assert result.exit_code == 1
    assert f"would fetch {ACUITY_URL}" in result.stderr


def test_map_reads_a_fetched_document() -> None:
    document = ROOT / "mappings/gallery/samples/acuity-appointment.json"
    result = acuity("--fetched", f"{ACUITY_URL}={document}")
    assert "would fetch" not in result.stderr
    assert "needs_enrichment" not in result.stdout
    assert "appointment_time" in result.stdout
    other = acuity("--fetched", f"https://example.com/?id=7={document}")
    assert "given with --fetched: https://example.com/?id=7" in other.stderr
    as_test = acuity("--fetched", f"{ACUITY_URL}={document}", "--as-test").stdout
    assert ACUITY_URL in yaml.safe_load(as_test)[0]["fetched"]


@pytest.mark.parametrize("given", ["document.json", "https://example.com/7=missing.json"])
def test_map_refuses_a_document_that_it_cannot_read(given: str) -> None:
    assert acuity("--fetched", given).exit_code == 2


def test_map_prints_no_missing_key_for_an_ignored_lead(project: Path) -> None:
    mapping = project / "mappings/rentfeed.yaml"
    mapping.write_text(mapping.read_text() + "\nignore: { event.nothing: { empty: true } }\n")
    result = run("map", "rentfeed", SAMPLE)
    assert "rentfeed: ignored" in result.stdout
    assert "no dedupe key" not in result.stdout


def test_map_says_once_that_a_line_is_still_to_do() -> None:
    reason = Reason(field="last_name", reason="TODO is not in the payload", at="a:1", path="TODO")
    item = Item(outcome=Outcome.HELD, reasons=(reason,) * 2, blocking_reasons=(reason,) * 2)
    lines = list(mapped_as_text("a", Mapped(outcome=Outcome.HELD, items=(item,))))
    assert [line for line in lines if "TODO" in line] == [
        "    last_name (a:1) this line of the mapping is still TODO"
    ]


def test_a_printed_test_names_the_items_that_it_does_not_check(project: Path) -> None:
    lead = {"id": "1", "p": "Maple Court", "n": "Dana Okafor", "e": "dana@example.com"}
    mapping = {
        "signature": {"scheme": "none"},
        "for_each": {"lead": "leads"},
        "dedupe": "lead.id",
        "community": {"always": "maple-court"},
        "without_time": "hold",
        "cancellation": {"lead.kind": "canceled"},
        "ignore": {"lead.kind": "test"},
        "appointment": {"name": "lead.n", "email_1": "lead.e"},
        "tests": [{"name": "a", "payload": {"leads": [lead]}, "held": {}}],
    }
    (project / "mappings/batch.yaml").write_text(json.dumps(mapping))
    given = (project / "mappings/communities.yaml").read_text()
    known = given.replace("attributions: {", "attributions: { batch: att_batch,")
    (project / "mappings/communities.yaml").write_text(known)
    leads = [lead | {"id": str(number), "kind": "canceled"} for number in range(3)]
    body = json.dumps({"leads": [*leads, lead | {"kind": "test"}]}).encode()
    result = run("map", "batch", "-", "--as-test", stdin=body)
    assert "does not check the other items of the webhook: 1 ignored" in result.stderr


def test_an_object_with_numbers_as_keys_is_not_a_list_of_which_items_are_missing(
    project: Path,
) -> None:
    rows = {"1": {"84": {"value": "Dana Okafor"}, "85": {"value": "dana@example.com"}}}
    mapping = {
        "signature": {"scheme": "none"},
        "dedupe": "body",
        "community": {"always": "maple-court"},
        "without_time": "hold",
        "appointment": {
            "name": "rows.*.84.value",
            "email_1": "rows.*.85.value",
            "notes": "{rows.*.84.value}",
        },
        "tests": [{"name": "a", "payload": {"rows": rows}, "held": {}}],
    }
    (project / "mappings/batch.yaml").write_text(json.dumps(mapping))
    communities = project / "mappings/communities.yaml"
    text = communities.read_text()
    communities.write_text(text.replace("attributions: {", "attributions: { batch: att_batch,"))
    assert run("check", "batch").output == "mappings/batch.yaml: no errors\n"
    assert (
        "not read" not in run("map", "batch", "-", stdin=json.dumps({"rows": rows}).encode()).output
    )
    renters = [[{"value": "Dana"}, {"value": "Pat"}]]
    mapping["appointment"] = {"name": "rows.*.0.value", "email_1": "mail"}
    mapping["tests"] = [{"name": "a", "payload": {"rows": renters, "mail": "a@b.co"}, "held": {}}]
    (project / "mappings/batch.yaml").write_text(json.dumps(mapping))
    assert "rows.* has 1 more item in a sample" in run("check", "batch").output


def test_map_shows_when_the_sender_says_that_the_request_was_made() -> None:
    sent = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
    item = Item(outcome=Outcome.BOOK, sent_at=sent)
    lines = list(mapped_as_text("acme", Mapped(outcome=Outcome.BOOK, items=(item,))))
    assert lines[1] == "  sent at: 2026-03-01 12:00:00 UTC (the latest request wins)"


def test_map_names_what_is_missing_what_is_unread_and_what_contradicts_the_booking() -> None:
    body = json.loads(Path(SAMPLE).read_text())
    body["contact"]["e_mail"] = body["contact"].pop("email")
    body["preferences"]["pets"] = []
    body |= {"status": "Canceled", "units": [{"n": 1}, {"n": 2}], "empty": None}
    result = run("map", "rentfeed", "-", *NOW, stdin=json.dumps(body).encode())
    doubt, *lines = result.stderr.splitlines()
    assert doubt.startswith("warning: status ('Canceled') seems to say that this tour was canceled")
    assert lines == [
        "the mapping reads these paths, but this body has none of them:",
        "  email_1: contact.email (there is 'e_mail')",
        "this body has these values, but the mapping reads none of them:",
        "  contact.e_mail, status, units.*.n",
    ]
    assert result.exit_code == 0, "these are hints"
    body["eventType"] = "ping"
    ignored = run("map", "rentfeed", "-", *NOW, stdin=json.dumps(body).encode())
    assert "seems to say" not in ignored.stderr, "an ignored webhook is not booked"


def test_map_names_unread_values_in_json_texts_and_lists_of_answers(project: Path) -> None:
    payload = {
        "raw": json.dumps({"who": "Dana Okafor", "city": "Denver", "home": {"zip": 80202}}),
        "rows": [{"q": "Email", "a": "d@example.com"}, {"q": "Company", "a": "Acme"}],
    }
    mapping: dict[str, Any] = {
        "signature": {"scheme": "none"},
        "read": {
            "given": {"json": "raw"},
            "answers": {"list": "rows", "by": "q", "value": "a"},
        },
        "dedupe": "body",
        "community": {"always": "maple-court"},
        "appointment": {"name": "given.who", "email_1": "answers.Email"},
        "without_time": "prospect",
        "tests": [{"payload": payload, "prospect_some": {"last_name": "Okafor"}}],
    }
    communities = project / "mappings/communities.yaml"
    text = communities.read_text()
    communities.write_text(text.replace("attributions: {", "attributions: { batch: att_batch,"))
    (project / "mappings/batch.yaml").write_text(json.dumps(mapping))
    result = run("map", "batch", "-", *NOW, stdin=json.dumps(payload).encode())
    assert result.stderr.splitlines() == [
        "this body has these values, but the mapping reads none of them:",
        "  given.city, given.home.zip, answers.Company",
    ]
    mapping["appointment"] |= {"notes": "{given}", "first_contact_type": {"always": "chat"}}
    (project / "mappings/batch.yaml").write_text(json.dumps(mapping))
    result = run("map", "batch", "-", *NOW, stdin=json.dumps(payload).encode())
    assert result.stderr.splitlines()[1:2] == ["  answers.Company"]


def test_map_says_nothing_about_a_message_that_the_mapping_reads_completely() -> None:
    assert run("map", "rentfeed", SAMPLE, *NOW).stderr == ""


def test_only_booked_items_of_a_batch_are_doubtful(project: Path) -> None:
    lead = {"id": "1", "n": "Dana Okafor", "e": "d@example.com", "at": "2026-03-14T14:30"}
    mapping = {
        "signature": {"scheme": "none"},
        "for_each": {"lead": "leads"},
        "cancellation": {"lead.status": "canceled"},
        "dedupe": "lead.id",
        "community": {"always": "maple-court"},
        "appointment": {"name": "lead.n", "email_1": "lead.e", "starts_at": "lead.at"},
        "tests": [{"payload": {"leads": [lead]}, "expect_some": {"last_name": "Okafor"}}],
    }
    communities = project / "mappings/communities.yaml"
    text = communities.read_text()
    communities.write_text(text.replace("attributions: {", "attributions: { batch: att_batch,"))
    (project / "mappings/batch.yaml").write_text(json.dumps(mapping))
    states = ("canceled", "Cancelled", "booked")
    leads = [lead | {"id": str(n), "status": one} for n, one in enumerate(states)]
    body = json.dumps({"leads": leads}).encode()
    result = run("map", "batch", "-", *NOW, stdin=body)
    doubts = [line for line in result.stderr.splitlines() if "seems to say" in line]
    assert [one.split(" seems")[0] for one in doubts] == ["warning: lead.status ('Cancelled')"]


def test_a_sample_that_would_take_minutes_is_refused(project: Path) -> None:
    (project / "big.json").write_text(json.dumps({"text": "x" * new_source.MOST_BYTES}))
    result = click.testing.CliRunner().invoke(commands, ["new", "acme", "big.json"])
    assert str(result.exception) == "big.json is 257 kB; shorten it to at most 256 kB"
    assert not (project / "mappings/acme.yaml").exists()
    files = ["lead.json"] * (new_source.MOST_FILES + 1)
    assert "pass at most 200 files" in run("new", "acme", *files).output


def test_a_batch_is_drafted_and_made_up_in_linear_time(project: Path) -> None:
    def draft(count: int) -> None:
        lead = {"name": "Rosa Vale", "phone": "720-555-0188", "comments": "Call me " * 20}
        leads = [lead | {"email": f"r{n}@example.net"} for n in range(count)]
        (project / "batch.json").write_text(json.dumps({"leads": leads}))
        result = run("new", f"acme{count}", "batch.json")
        assert result.exit_code == 0, result.output
        assert result.stderr.startswith("reading ") is (count == 450)
        sample = project / f"mappings/samples/acme{count}.json"
        assert "example.net" not in sample.read_text()

    draft(10)  # loads what each draft needs
    few, many = calls(lambda: draft(100)), calls(lambda: draft(450))
    assert many < 7 * few, "the square would be 20 times as many"


def test_a_lead_without_a_time_and_a_cancellation_become_samples_too(project: Path) -> None:
    text = "Name: Rosa Vale\nEmail: rosa@example.net\nPhone: 720-555-0188\n"
    mails = [text + "Tour: 12/12/2026 2:30 PM\n", text, text + "Please cancel my tour.\n"]
    for number, mail in enumerate([*mails, mails[0]]):
        (project / f"{number}.json").write_text(json.dumps({"plain": mail}))
    result = run("new", "acme", "0.json", "1.json", "2.json", "3.json")
    assert len([*(project / "mappings/samples").glob("acme*")]) == 3
    assert "Not copied, because they add nothing new: 3.json" in result.output
