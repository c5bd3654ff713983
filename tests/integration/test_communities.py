"""Test the comparison of communities.yaml with the sandbox's lists, and the routing report."""

import datetime as dt
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from adapter.cli import commands
from adapter.exceptions import ConfigurationError, NotPossible, NotSent, UpstreamError
from adapter.mapping.communities_yaml import communities_from_folder
from adapter.mapping.registry import check
from adapter.propexo.client import Propexo
from adapter.propexo.directory import Directory, RateLimitedReads
from adapter.propexo.responses import Page
from adapter.sandbox.catalog import BUNDLED, catalog_from
from adapter.settings import Policy, Settings
from adapter.store import Database
from tests.adapter_process import SECRETS
from tests.harness import START, Harness, ManualClock
from tests.leads import lead
from tests.paths import MAPPINGS
from tests.sandbox_client import SandboxClient, running_sandbox

Run = Callable[..., Result]


@pytest.fixture
def listed() -> Iterator[SandboxClient]:
    """Yield a sandbox with the default lists of `adapter sandbox`."""
    with running_sandbox(catalog=catalog_from(json.loads(BUNDLED.read_text()))) as upstream:
        yield upstream


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the bundled mappings that a test may change."""
    return Path(shutil.copytree(MAPPINGS, tmp_path / "mappings"))


@pytest.fixture
def run(
    listed: SandboxClient, database: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("ADAPTER_MAPPINGS_DIR", str(folder))
    monkeypatch.setenv("PROPEXO_TOKEN", "sandbox")
    monkeypatch.setenv("PROPEXO_BASE_URL", listed.url)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(commands, ["communities", *arguments], catch_exceptions=False)

    return run


def spoil(folder: Path, old: str, new: str) -> None:
    file = folder / "communities.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))


# --- what is configured


def test_the_configured_communities_are_listed(run: Run) -> None:
    rows = run().output.splitlines()
    assert rows[0].split() == ["community", "community_id", "time", "zone", "source", "attribution"]
    assert [row.split() for row in rows if "website" in row] == [
        ["maple-court", "com_maple", "America/Denver", "website", "att_website_m"]
    ]
    (maple, _) = json.loads(run("--json").output)["communities"]
    assert maple["known_as"]["rentfeed"] == ["20417", "Maple Court"]


def test_an_invalid_file_is_reported_as_usual(run: Run, folder: Path) -> None:
    spoil(folder, "timezone: America/Denver", "timezone: Denver")
    with pytest.raises(ConfigurationError, match=r"communities\.yaml:5:3: maple-court\.timezone"):
        run()


# --- check


def test_the_bundled_communities_fit_the_sandbox(run: Run, folder: Path) -> None:
    ended = run("check")
    assert (ended.exit_code, ended.output) == (
        0,
        f"{folder}/communities.yaml: Propexo lists all IDs\n",
    )


def test_a_model_that_is_off_is_named(run: Run, listed: SandboxClient, folder: Path) -> None:
    listed.sync(off=["crm_events"])
    ended = run("check")
    said = "int_7Qm2: Propexo does not let us read tours (crm_events is not enabled), "
    said += "so unknown bookings must be checked in Knock"
    assert (ended.exit_code, ended.output.splitlines()[1]) == (0, said)
    models = json.loads(run("check", "--json").output)["models"]
    assert [one["state"] for one in models] == ["empty", "off"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "integration_id: int_7Qm2",
            "integration_id: int_7Qm3",
            (
                "3:3: maple-court.integration_id: the API token has no integration 'int_7Qm3'; "
                "did you mean 'int_7Qm2' (Made-up Living)?"
            ),
        ),
        (
            "community_id: com_harbor",
            "community_id: com_harbour",
            (
                "14:3: harbor-flats.community_id: the integration 'int_7Qm2' has no community "
                "'com_harbour'; did you mean 'com_harbor' (Harbor Flats)?"
            ),
        ),
        (
            "rentfeed: att_rentfeed_m",
            "rentfeed: XY",
            (
                "6:19: maple-court.attributions.rentfeed: there is no attribution 'XY'; "
                "the choices are: att_rentfeed_m (RentFeed), att_website_m (Property Website), "
                "att_chat_m (Chat), att_drive_by_m (Drive by)"
            ),
        ),
        (
            "leasebot: att_chat_m",
            "leasebot: att_chat_h",
            (
                "6:69: maple-court.attributions.leasebot: 'att_chat_h' belongs to Harbor Flats "
                "(com_harbor); did you mean 'att_chat_m' (Chat)?"
            ),
        ),
        (
            "rentfeed: att_rentfeed_m",
            'rentfeed: { Zillow: att_website_m, "*": att_rentfeed_e }',
            (
                "6:54: maple-court.attributions.rentfeed.*: 'att_rentfeed_e' belongs to Elm Row "
                "(com_elm); did you mean 'att_rentfeed_m' (RentFeed)?"
            ),
        ),
    ],
)
def test_each_mistake_is_reported_with_its_position(
    run: Run, folder: Path, old: str, new: str, said: str
) -> None:
    spoil(folder, old, new)
    ended = run("check")
    assert (ended.exit_code, ended.output) == (1, f"{folder}/communities.yaml:{said}\n")
    (problem,) = json.loads(run("check", "--json").output)["problems"]
    assert said.endswith(problem["message"])
    assert f"{problem['line']}:{problem['column']}: {problem['field']}: " in said


def test_a_community_of_another_integration_is_reported(
    run: Run, listed: SandboxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = {"name": "Maple Court", "attributions": {}}
    catalog = {
        "int_7Qm2": {"name": "", "communities": {"com_harbor": place}},
        "int_8": {"name": "", "communities": {"com_maple": place}},
    }
    with running_sandbox(catalog=catalog_from(catalog)) as other:
        monkeypatch.setenv("PROPEXO_BASE_URL", other.url)
        output = run("check").output
    assert "maple-court.community_id: 'com_maple' belongs to the integration 'int_8'\n" in output
    assert "there is no attribution 'att_rentfeed_h'; the choices are: none\n" in output


def test_lists_that_cannot_be_read_say_why(
    run: Run, listed: SandboxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed.fault({"on": "list", "status": 401})
    with pytest.raises(ConfigurationError, match=r"Propexo rejects the token \(401\)"):
        run("check")
    monkeypatch.setenv("PROPEXO_BASE_URL", "http://127.0.0.1:1")
    with pytest.raises(ConfigurationError, match="Propexo could not be reached"):
        run("pull")
    monkeypatch.delenv("PROPEXO_TOKEN")
    monkeypatch.setenv("ADAPTER_SANDBOX_PORT", "1")
    with pytest.raises(ConfigurationError, match="start it with `adapter run`"):
        run("pull")


def test_it_works_without_a_database(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setenv("ADAPTER_DATA_DIR", str(tmp_path / "nothing"))
    monkeypatch.setenv("ADAPTER_RATE_PER_MINUTE", "100000")
    assert run("check").exit_code == 0


def test_an_unmigrated_database_counts_as_none(
    run: Run, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database)
    monkeypatch.setenv("ADAPTER_RATE_PER_MINUTE", "100000")
    assert run("check").exit_code == 0


# --- pull


def test_what_is_pulled_can_be_pasted(run: Run, folder: Path) -> None:
    ended = run("pull")
    assert ended.exit_code == 0
    assert "# maple-court (com_maple) is listed; its attributions:\n# SOURCE: att_rentf" in (
        ended.output
    )
    stub = ended.output[ended.output.index("elm-row:") :]
    assert stub == (
        "elm-row:   # Elm Row\n"
        "  integration_id: int_7Qm2\n"
        "  community_id: com_elm\n"
        "  timezone: TODO   # such as America/Denver; Propexo does not list it\n"
        "  attributions:   # one per source\n"
        "    # SOURCE: att_rentfeed_e   # RentFeed\n"
        "    # SOURCE: att_chat_e   # Chat\n"
        "  known_as:   # this community's names, per source\n"
        "    # SOURCE: [Elm Row]\n"
    )
    file = folder / "communities.yaml"
    file.write_text(file.read_text() + "\n" + stub)
    assert any("elm-row" in str(one) for one in check([folder], Policy())), "it is to be filled in"

    filled = stub.replace("TODO", "America/Denver").replace("# SOURCE: ", "rentfeed: ", 1)
    filled = filled.replace("# SOURCE: [", "rentfeed: [")
    file.write_text(file.read_text().replace(stub, filled))
    assert check([folder], Policy()) == []
    assert run("check").exit_code == 0


def test_pull_as_data(run: Run, folder: Path) -> None:
    found = json.loads(run("pull", "--json").output)["communities"]
    assert [(one["community_id"], one["community"]) for one in found] == [
        ("com_maple", "maple-court"),
        ("com_harbor", "harbor-flats"),
        ("com_elm", None),
    ]
    assert {"id": "att_chat_m", "name": "Chat"} in found[0]["attributions"]


def test_pull_needs_no_communities_yet(run: Run, folder: Path) -> None:
    (folder / "communities.yaml").unlink()
    output = run("pull").output
    for key in ("maple-court:", "harbor-flats:", "elm-row:"):
        assert f"\n{key}" in f"\n{output}"


HOSTILE = ['a: "b"', "{x}", "- y", "1", "null", "#", "Elm\nRow\u2028", "*&!", ""]


def test_names_of_any_kind_give_keys_and_texts_that_yaml_reads_back(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {
        f"com {number}": {"name": name, "attributions": {f"att: {number}": name}}
        for number, name in enumerate(HOSTILE)
    }
    catalog = catalog_from({"int: 1": {"name": "x", "communities": places}})
    with running_sandbox(catalog=catalog) as other:
        monkeypatch.setenv("PROPEXO_BASE_URL", other.url)
        text = run("pull").output.replace("TODO", "UTC").replace("# SOURCE", "rentfeed")
        (folder / "communities.yaml").write_text(text)
        found = communities_from_folder(folder)
        assert sorted(one.community_id for one in found.by_key.values()) == sorted(places)
        assert {one.integration_id for one in found.by_key.values()} == {"int: 1"}
        assert run("check").exit_code == 0


def test_an_empty_list_is_an_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_sandbox() as other:
        monkeypatch.setenv("PROPEXO_BASE_URL", other.url)
        ended = run("pull")
    assert ended.exit_code == 1
    assert "Propexo lists no communities for this token" in ended.output


# --- pages and the rate


def many(count: int) -> Any:
    place = {"name": "", "attributions": {"att": "x"}}
    places = {f"com_{number:04}": place for number in range(count)}
    return catalog_from({"int_1": {"name": "", "communities": places}})


@pytest.mark.parametrize(("count", "pages"), [(249, 1), (250, 1), (251, 2), (501, 3)])
def test_all_pages_are_read(count: int, pages: int) -> None:
    with running_sandbox(catalog=many(count)) as upstream:
        directory = Directory(Propexo(upstream.url, "sandbox").page)
        assert len(directory.communities("int_1")) == count
        assert len(directory.communities("int_1")) == count, "once"
        calls = [call for call in upstream.calls() if call["path"] == "/crm/v1/communities/"]
    assert len(calls) == pages


@pytest.mark.parametrize("has_store", [True, False])
def test_reads_obey_the_rate_limit(opened: Database, has_store: bool) -> None:
    """Allow five reads per minute: a burst of three if shared, then one every 12 seconds."""
    clock = ManualClock(START)
    with running_sandbox(catalog=many(12), clock=clock) as upstream:
        propexo = Propexo(upstream.url, "sandbox")
        settings = Settings(rate_per_minute=5)
        reads = RateLimitedReads(
            propexo, settings, opened if has_store else None, clock, clock.advance
        )
        list(Directory(reads.page).all_communities())
        times = [call["received_at"] for call in upstream.calls()]

    assert len(times) == 14
    assert (clock() - START).total_seconds() >= (14 - 5) * 12
    for number in range(len(times) - 6):
        assert times[number + 6] > times[number], "never seven at once"
    with opened.transaction() as tx:
        gate = tx.rate_limit.lock(clock())
    assert (gate.reads > 0) is has_store


def test_reads_do_not_wait_forever_for_the_rate_limit(opened: Database) -> None:
    clock = ManualClock(START)
    with opened.transaction() as tx:
        tx.rate_limit.pause(START.replace(hour=23))
    reads = RateLimitedReads(Propexo("http://x", "y"), Settings(), opened, clock, clock.advance)
    with pytest.raises(NotSent, match="the rate limit does not allow another call"):
        reads.page("/v1/admin/integrations/", {})


def listing(**answers: Page) -> Directory:
    def read(path: str, _query: Mapping[str, str]) -> Page:
        return answers.get(path.rstrip("/").rpartition("/")[2], Page(records=[], has_more=False))

    return Directory(read)


def test_records_with_other_shapes_are_read_as_far_as_possible() -> None:
    integrations: list[Mapping[str, Any]] = [
        {"id": "int_1"},
        {"id": "int_2", "vendor": "FUNNEL", "name": "x"},
        {"id": None},
        {"id": 7},
        {"id": "int_3", "vendor": "KNOCK", "name": ["no text"]},
    ]
    places: list[Mapping[str, Any]] = [
        {"id": "com_1", "integration_id": "int_1", "name": None},
        {"id": "com_2", "integration_id": "int_9", "name": "of somebody else"},
        {"name": "nameless"},
    ]
    directory = listing(
        integrations=Page(records=integrations, has_more=False),
        communities=Page(records=places, has_more=False),
    )
    assert directory.integrations == {"int_1": "", "int_3": ""}
    assert directory.communities("int_1") == {"com_1": ""}


def test_an_endless_list_is_an_error() -> None:
    directory = listing(communities=Page(records=[], has_more=True))
    with pytest.raises(UpstreamError, match="more than 400 pages"):
        directory.communities("int_1")


def test_the_sandbox_accepts_a_custom_catalog(tmp_path: Path) -> None:
    for text, said in (("[]", "a catalog must be"), ("{", "Expecting")):
        (tmp_path / "catalog.json").write_text(text)
        arguments = ["sandbox", "--catalog", str(tmp_path / "catalog.json")]
        ended = CliRunner().invoke(commands, arguments)
        assert ended.exit_code == 2
        assert said in ended.output


# --- the routing report


def unknown(harness: Harness) -> list[tuple[str, str | None, int]]:
    with harness.pipeline.store.transaction() as tx:
        found = tx.stats.unknown_communities()
    return [(one.source, one.value, one.waiting) for one in found]


def strange(number: int, property_id: object, name: object = "Elm Row") -> Any:
    return lead(number) | {"listing": {"propertyId": property_id, "propertyName": name}}


def test_unknown_community_names_are_counted(harness: Harness) -> None:
    harness.mapped("rentfeed", lead(1))
    harness.mapped("rentfeed", lead(2, time="2:30 AM"))
    assert unknown(harness) == [], "held for another reason"
    held = [harness.mapped("rentfeed", strange(number, 99))[0].id for number in (3, 4)]
    harness.clock.advance(60)
    harness.mapped("rentfeed", strange(5, "", "Oak Park"))
    named = strange(6, "", "")
    named["contact"]["mobile"] = "call me"
    harness.mapped("rentfeed", named)  # an additional reason is not part of the report
    assert unknown(harness) == [
        ("rentfeed", "99", 2),
        ("rentfeed", '"Oak Park"', 1),
        ("rentfeed", None, 1),
    ]

    repairs = harness.repairs
    repairs.release(
        held[0], {"community": "maple-court", "starts_at": "2026-03-14T14:30"}, by="ana"
    )
    repairs.discard(held[1], "a test", by="ana")
    assert unknown(harness)[0] == ("rentfeed", '"Oak Park"', 1), "it tells what still waits"


def test_sources_shows_unknown_communities(
    harness: Harness, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.mapped("rentfeed", strange(1, "", "Elm Row"))
    harness.clock.advance(1)
    for number in (2, 3):
        harness.mapped("rentfeed", strange(number, "", "x" * 90))
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("ADAPTER_MAPPINGS_DIR", str(MAPPINGS))
    shown = CliRunner().invoke(commands, ["sources", "--json"], catch_exceptions=False)
    found = {row["source"]: row for row in json.loads(shown.output)["sources"]}
    assert found["website"]["unknown_communities"] == []
    where = {"path": "listing.propertyName"}
    assert found["rentfeed"]["unknown_communities"] == [
        {"value": '"' + "x" * 56 + "...", "waiting": 2, "last_at": "2026-03-02T18:00:01Z"} | where,
        {"value": "Elm Row", "waiting": 1, "last_at": "2026-03-02T18:00:00Z"} | where,
    ]
    text = CliRunner().invoke(commands, ["sources"], catch_exceptions=False).output
    assert (
        '  unknown community "Elm Row" (listing.propertyName): 1 held, '
        "last one 2026-03-02T18:00:00Z\n" in text
    )
    assert "then: adapter replay --source rentfeed --state held\n" in text


# --- aliases


def test_names_are_assigned_listed_and_removed(run: Run, harness: Harness) -> None:
    listing = {"propertyId": 20999, "propertyName": "Cherry Creek"}
    day = dt.datetime.now(dt.UTC) + dt.timedelta(days=30)
    when = {"date": day.strftime("%m/%d/%Y"), "time": "2:30 PM", "type": "IN_PERSON"}
    [held] = harness.mapped("rentfeed", lead(1) | {"listing": listing, "tour": when})
    added = json.loads(
        run("aliases", "add", "rentfeed", "20999", "maple-court", "--book", "--json").output
    )
    assert added["leads"] == 1
    assert harness.story(held.event_id).bookings[-1].community == "maple-court"
    table = run("aliases").output
    assert "20999" in table
    assert "in use" in table
    assert run("aliases", "--yaml").output == (
        "maple-court:\n  known_as:\n    rentfeed:\n      - '20999'\n"
    )
    assert "leads held again: 1" in run("aliases", "remove", "rentfeed", "20999").output
    assert json.loads(run("aliases", "--json").output) == {"aliases": []}
    with pytest.raises(NotPossible, match="already been undone"):
        run("aliases", "remove", "rentfeed", "20999")
