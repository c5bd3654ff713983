"""Test loading mapping files, and that errors are reported with their positions."""

import datetime as dt
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from adapter.exceptions import ConfigurationError
from adapter.mapping import registry
from adapter.mapping.engine import Outcome
from adapter.mapping.loader.check_samples import SAMPLE_HINT
from adapter.mapping.loader.yaml_document import MAX_FILE_BYTES, REFERENCES, document_from_file
from adapter.models import WebhookRequest
from adapter.settings import Policy
from tests.paths import MAPPINGS

POLICY = Policy()

Change = Callable[[str], str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the bundled mappings to a folder with a short path."""
    shutil.copytree(MAPPINGS, tmp_path / "m")
    monkeypatch.chdir(tmp_path)
    return Path("m")


def problems_after(
    folder: Path, *changes: tuple[str, str], file: str = "rentfeed.yaml"
) -> list[str]:
    """Return the problems of a bundled mapping after changing parts of it."""
    text = (folder / file).read_text()
    for old, new in changes:
        assert old in text, f"{old!r} is not in {file} any more"
        text = text.replace(old, new, 1)
    (folder / file).write_text(text)
    return [str(problem) for problem in registry.check([folder], POLICY)]


def test_the_bundled_mappings_are_valid(folder: Path) -> None:
    assert registry.check([folder], POLICY) == []
    loaded = registry.load(folder, POLICY)
    assert sorted(loaded) == ["leasebot", "rentfeed", "website"]
    assert loaded["rentfeed"].secrets == ("RENTFEED_SECRET",)
    assert loaded["rentfeed"].signature["scheme"] == "hmac"


def test_the_hash_covers_the_mapping_and_the_communities(folder: Path) -> None:
    before = registry.load(folder, POLICY)["rentfeed"].hash
    mapping = (folder / "rentfeed.yaml").read_bytes()
    communities = (folder / "communities.yaml").read_bytes()
    assert before == hashlib.sha256(mapping + b"\0" + communities).hexdigest()
    (folder / "communities.yaml").write_bytes(communities + b"\n")
    assert registry.load(folder, POLICY)["rentfeed"].hash != before


#: Changes to rentfeed.yaml, each with the line that check prints for it.
MISTAKES = {
    "a missing section": (
        [("dedupe: leadId ", "# ")],
        "m/rentfeed.yaml:4:1: file: the section 'dedupe' is missing",
    ),
    "an unknown section": (
        [("accept:", "acept:")],
        "m/rentfeed.yaml:11:1: acept: unknown section 'acept'; did you mean 'accept'?",
    ),
    "an unknown field": (
        [("  phone_1:", "  phone_number:")],
        (
            "m/rentfeed.yaml:21:3: appointment.phone_number: "
            "unknown field 'phone_number'; did you mean 'phone_1'?"
        ),
    ),
    "an unknown option": (
        [("    format: MM/DD/YYYY h:mm A", "    fromat: MM/DD/YYYY h:mm A")],
        (
            "m/rentfeed.yaml:25:5: appointment.starts_at.fromat: "
            "unknown option 'fromat'; did you mean 'format'?"
        ),
    ),
    "an option of a transform": (
        [("as: dollars }", "as: dollars, tak: low }")],
        (
            "m/rentfeed.yaml:33:68: appointment.rent_minimum_in_cents.tak: "
            "unknown option 'tak'; did you mean 'take'?"
        ),
    ),
    "a table's result": (
        [("SELF_GUIDED: self_guided", "SELF_GUIDED: self-guided")],
        (
            "m/rentfeed.yaml:28:36: appointment.tour_type.table.SELF_GUIDED: "
            '"self-guided": Must be one of: in_person, self_guided, video.'
        ),
    ),
    "a constant": (
        [("{ always: internet }", "{ always: 7 }")],
        "m/rentfeed.yaml:29:25: appointment.first_contact_type.always: 7: Not a valid string.",
    ),
    "a default": (
        [("preferences.leaseTerm", "{ from: preferences.leaseTerm, default: 24 }")],
        (
            "m/rentfeed.yaml:32:56: appointment.lease_term_in_months.default: "
            "24: Must be greater than or equal to 1 and less than or equal to 18."
        ),
    ),
    "a format": (
        [("moveIn, format: MM/DD/YYYY", "moveIn, format: mm-dd-yy")],
        (
            "m/rentfeed.yaml:30:3: appointment.move_in_date: 'dd' in 'mm-dd-yy' is not one of "
            "YYYY YY MMMM MMM MM M DD D dddd ddd HH H hh h mm ss A Z z; "
            "write words in brackets, such as [the]"
        ),
    ),
    "a path": (
        [("preferences.bedrooms", "preferences..bedrooms")],
        (
            "m/rentfeed.yaml:35:3: appointment.desired_num_bedrooms.from: "
            "'preferences..bedrooms' is not a path"
        ),
    ),
    "a path that no sample has": (
        [("contact.email", "contact.emial")],
        (
            "m/rentfeed.yaml:20:3: appointment.email_1.from: "
            "'contact.emial' is not in any sample payload; did you mean 'contact.email'?"
            f"{SAMPLE_HINT}"
        ),
    ),
    "a path in the notes that no sample has": (
        [("{listing.unit}", "{listing.unti}")],
        (
            "m/rentfeed.yaml:41:7: appointment.notes: "
            "'listing.unti' is not in any sample payload; did you mean 'listing.unit'?"
            f"{SAMPLE_HINT}"
        ),
    ),
    "a template that calls": (
        [("{comments}", "{comments!r}")],
        (
            "m/rentfeed.yaml:40:7: appointment.notes: 'comments!r' is not in any sample payload"
            f"; did you mean 'comments'?{SAMPLE_HINT}"
        ),
    ),
    "no last name": (
        [("  name: contact.name", "  #")],
        (
            "m/rentfeed.yaml:18:1: appointment: nothing fills last_name, which is required: "
            "add 'name: <path>', with 'default: Unknown' if the sender does not always have it, "
            "or 'last_name: { always: Unknown }' if it never does"
        ),
    ),
    "no start": (
        [
            ("  starts_at:", "  # starts_at:"),
            ("    date: tour.date\n    time: tour.time\n", ""),
            ("    format: MM/DD/YYYY h:mm A\n", ""),
        ],
        (
            "m/rentfeed.yaml:18:1: appointment: nothing fills starts_at, which is required: "
            "add it, or add 'without_time: hold' (or prospect) if the sender has no tour times"
        ),
    ),
    "rent without a unit": (
        [("{ from: preferences.minRent, as: dollars }", "preferences.minRent")],
        (
            "m/rentfeed.yaml:33:3: appointment.rent_minimum_in_cents: "
            "specify dollars or cents: add 'as: dollars' or 'as: cents'"
        ),
    ),
    "a bare word": (
        [("{ always: internet }", "internet")],
        (
            "m/rentfeed.yaml:29:3: appointment.first_contact_type: internet is read as a path in "
            "the payload; for a constant, write { always: internet }"
        ),
    ),
    "a field that the community fills": (
        [("  name: contact.name", "  community_id: x\n  name: contact.name")],
        (
            "m/rentfeed.yaml:19:3: appointment.community_id: "
            "is filled by the community: remove this line"
        ),
    ),
    "a date twice": (
        [("    date: tour.date", "    date: { from: tour.date, format: MM/DD/YYYY }")],
        (
            "m/rentfeed.yaml:22:3: appointment.starts_at: "
            "'format' and 'date: format' both have a date: remove one"
        ),
    ),
    "half a format": (
        [
            (
                "    date: tour.date\n    time: tour.time\n    format: MM/DD/YYYY h:mm A",
                "    from: tour.date\n    format: h:mm A",
            )
        ],
        (
            "m/rentfeed.yaml:22:3: appointment.starts_at: "
            "'h:mm A' must contain a date and an hour, such as MM/DD/YYYY h:mm A"
        ),
    ),
    "half a key": (
        [("dedupe: leadId", "dedupe: [leadId, [contact.email, {}]]")],
        (
            "m/rentfeed.yaml:15:1: dedupe: must be a path in the payload or a list of paths; "
            "a nested list holds alternatives"
        ),
    ),
    "half a start": (
        [("    time: tour.time\n", "")],
        (
            "m/rentfeed.yaml:22:3: appointment.starts_at: "
            "needs either 'from', or both 'date' and 'time'"
        ),
    ),
    "an unknown zone": (
        [("    date: tour.date", "    timezone: America/Denvr\n    date: tour.date")],
        (
            "m/rentfeed.yaml:23:5: appointment.starts_at.timezone: "
            "'America/Denvr': not the name of a time zone, such as America/Denver"
        ),
    ),
    "a condition's option": (
        [("{ not: true }", "{ nto: true }")],
        "m/rentfeed.yaml:13:3: accept.isTest: unknown option 'nto'; did you mean 'not'?",
    ),
    "a sample that is not there": (
        [("payload: samples/rentfeed-tour.json", "payload: samples/none.json")],
        (
            "m/rentfeed.yaml:45:5: tests.0.payload: "
            "'samples/none.json' cannot be read as a file: check its name"
        ),
    ),
    "an expectation": (
        [("      last_name: Okafor", "      last_name: Okafer")],
        (
            "m/rentfeed.yaml:46:5: tests.0.expect: a weekday tour in Denver: "
            'last_name: expected "Okafer", got "Okafor"'
        ),
    ),
    "a field that is not expected": (
        [("      last_name: Okafor\n", "")],
        (
            "m/rentfeed.yaml:46:5: tests.0.expect: a weekday tour in Denver: "
            'last_name: expected nothing, got "Okafor"'
        ),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_reported_with_its_position(folder: Path, mistake: str) -> None:
    changes, line = MISTAKES[mistake]
    found = problems_after(folder, *changes)
    assert line in found, "\n".join(found)


#: Changes to communities.yaml, each with the line that check prints for it.
COMMUNITY_MISTAKES = {
    "a zone": (
        [("America/Denver", "Denver")],
        (
            "m/communities.yaml:5:3: maple-court.timezone: "
            "'Denver': not the name of a time zone, such as America/Denver"
        ),
    ),
    "no zone": (
        [("  timezone: America/Denver\n", "")],
        "m/communities.yaml:2:1: maple-court: the option 'timezone' is missing",
    ),
    "a name of two communities": (
        [("[20555, Harbor Flats]", "[20555, maple COURT]")],
        (
            "m/communities.yaml:18:23: harbor-flats.known_as.rentfeed.1: "
            "'maple COURT' is already a name for maple-court: remove one"
        ),
    ),
    "no attribution": (
        [("rentfeed: att_rentfeed_m, ", "")],
        (
            "m/communities.yaml:6:3: maple-court.attributions: has no attribution for rentfeed, "
            "which sends leads for this community: add 'rentfeed: <attribution id>'"
        ),
    ),
    "an unknown word": (
        [("  known_as:", "  konwn_as:")],
        (
            "m/communities.yaml:7:3: maple-court.konwn_as: "
            "unknown option 'konwn_as'; did you mean 'known_as'?"
        ),
    ),
}


@pytest.mark.parametrize("mistake", COMMUNITY_MISTAKES)
def test_a_mistake_in_the_communities_is_reported(folder: Path, mistake: str) -> None:
    changes, line = COMMUNITY_MISTAKES[mistake]
    found = problems_after(folder, *changes, file="communities.yaml")
    assert line in found, "\n".join(found)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "a: [b\n  c: d\n",
            "2:4: file: expected ',' or ']', but got ':' (here or on the previous line)",
        ),
        ("a: b: c\n", "1:5: file: mapping values are not allowed here"),
        ("signature: {}\nsignature: {}\n", "2:1: signature: appears twice"),
        ("a: &x 1\nb: 2\n", "1:4: file: anchors (&), aliases (*) and tags (!) are not allowed"),
        ("a: !!python/name:os.system x\n", "1:4: file: anchors (&), aliases"),
        ("%TAG ! tag:x,2026:\n---\na: !b c\n", "3:4: file: anchors (&), aliases"),
        ("a: &b {c: 1}\nd:\n  <<: *b\n", "1:4: file: anchors (&), aliases"),
        ("? [a, b]\n: 1\n", "1:3: file: a key must be text"),
        ("", "1:1: file: is empty"),
        ("- a\n", "1:1: file: must be sections"),
        ("a: " + "[" * 40 + "]" * 40, "1:33: file: is nested more than 30 levels deep"),
        ("a: \x07\n", "1:1: file: special characters are not allowed"),
        ("a: 1\n---\nb: 2\n", "2:1: file: but found another document"),
        ("x" * (MAX_FILE_BYTES + 1), "1:1: file: is larger than 256 kB"),
    ],
)
def test_unsupported_yaml_is_rejected(folder: Path, text: str, line: str) -> None:
    (folder / "bad.yaml").write_text(text)
    found = [str(problem) for problem in registry.check([folder / "bad.yaml"], POLICY)]
    assert f"m/bad.yaml:{line}" in found[0], found


def test_an_alias_bomb_is_rejected_before_it_is_built(folder: Path) -> None:
    rows = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    rows += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    (folder / "bomb.yaml").write_text("\n".join(rows))
    found = registry.check([folder / "bomb.yaml"], POLICY)
    assert [problem.message for problem in found] == [REFERENCES]


def test_text_is_kept_as_written(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        "[NO, 10:30, 0123, 2026-03-14, +13035550142, 0000000000, 1e5, .5, ~, yes, "
        "7, -7.5, true, false, null, '7']"
    )
    document, _ = document_from_file(file)
    texts = ["NO", "10:30", "0123", "2026-03-14", "+13035550142", "0000000000", "1e5", ".5"]
    assert document.data == [*texts, "~", "yes", 7, -7.5, True, False, None, "7"]


def test_all_problems_are_raised_together(folder: Path) -> None:
    text = (folder / "rentfeed.yaml").read_text()
    (folder / "rentfeed.yaml").write_text(text.replace("contact.email", "contact.emial"))
    (folder / "other.yaml").write_text("a: 1\na: 2\n")
    with pytest.raises(ConfigurationError) as caught:
        registry.load(folder, POLICY)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("m/other.yaml:2:1: a: appears twice")
    assert lines[1].startswith("m/rentfeed.yaml:20:3: appointment.email_1.from: ")


def test_a_mistake_elsewhere_does_not_stop_one_source(folder: Path) -> None:
    (folder / "other.yaml").write_text("a: 1\na: 2\n")
    assert registry.load_one(folder, "rentfeed", POLICY).name == "rentfeed"
    with pytest.raises(ConfigurationError, match="has no mapping absent"):
        registry.load_one(folder, "absent", POLICY)


def test_a_folder_without_mappings_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not a folder"):
        registry.load(tmp_path / "none", POLICY)
    with pytest.raises(ConfigurationError, match="has no mappings"):
        registry.load(tmp_path, POLICY)


def test_an_unsigned_header_as_a_key_is_warned_of(folder: Path) -> None:
    found = problems_after(folder, ("dedupe: leadId", "dedupe: headers.X-WebhookRequest"))
    assert any(
        "warning: headers.X-WebhookRequest is not covered by the signature" in line
        for line in found
    )


def test_delivery_id_stands_in_for_dedupe(folder: Path) -> None:
    text = (folder / "rentfeed.yaml").read_text()
    text = text.replace("dedupe: leadId", "delivery_id: json:$.leadId")
    (folder / "rentfeed.yaml").write_text(text)
    source = registry.load_one(folder, "rentfeed", POLICY)
    body = (MAPPINGS / "samples/rentfeed-tour.json").read_bytes()
    assert source.dedupe_key(WebhookRequest.from_body(body)) == "RF-88213047"


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("scheme: hmca", "did you mean 'hmac'?"),
        ("scheme: hmac\n  secrets: []\n  header: X", "secrets"),
        ("header: X-Sig", "scheme"),
    ],
)
def test_an_invalid_signature_block_is_reported(folder: Path, block: str, words: str) -> None:
    text = (folder / "leasebot.yaml").read_text()
    start, end = text.index("signature:"), text.index("accept:")
    (folder / "leasebot.yaml").write_text(f"{text[:start]}signature:\n  {block}\n\n{text[end:]}")
    found = [str(problem) for problem in registry.check([folder], POLICY)]
    assert len(found) == 1
    assert ": signature" in found[0]
    assert words in found[0]


def test_a_deployments_own_hours_do_not_fail_the_tests_of_a_mapping(folder: Path) -> None:
    policy = Policy(earliest_tour=dt.time(9), latest_tour=dt.time(12))
    source = registry.load(folder, policy)["rentfeed"]
    body = (MAPPINGS / "samples/rentfeed-tour.json").read_bytes()
    mapped = source.map(WebhookRequest.from_body(body), now=dt.datetime(2026, 3, 1, tzinfo=dt.UTC))
    assert mapped.outcome is Outcome.HELD
    assert "tours start between 09:00 and 12:00" in mapped.items[0].reasons[0].reason


def test_received_fixes_the_clock_of_a_test(folder: Path) -> None:
    found = problems_after(
        folder, ("    expect:\n", "    received: 2026-04-01T00:00:00Z\n    expect:\n")
    )
    assert len(found) == 1
    assert "expected 1 booked, got held (starts_at: " in found[0]
    assert "is in the past" in found[0]


def test_each_missing_section_is_reported_once(folder: Path) -> None:
    (folder / "bare.yaml").write_text("docs: https://example.com\n")
    found = [str(problem) for problem in registry.check([folder / "bare.yaml"], POLICY)]
    names = ("appointment", "community", "dedupe", "signature", "tests")
    assert found == [f"m/bare.yaml:1:1: file: the section {name!r} is missing" for name in names]


def test_the_communities_may_be_checked_alone(folder: Path) -> None:
    assert registry.check([folder / "communities.yaml"], POLICY) == []
    (folder / "communities.yaml").write_text("a: {}\n")
    found = [str(problem) for problem in registry.check([folder / "communities.yaml"], POLICY)]
    assert found[0] == "m/communities.yaml:1:1: a: the option 'community_id' is missing"


def test_a_missing_file_is_reported(folder: Path) -> None:
    found = [str(problem) for problem in registry.check([folder / "none.yaml"], POLICY)]
    assert found == ["m/none.yaml:1:1: file: cannot be read: No such file or directory"]
