"""Test the mapping language with the formats of many different senders."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from adapter import signatures
from adapter.mapping import registry
from adapter.mapping.engine import Outcome
from adapter.mapping.provenance import provenance_of
from adapter.models import WebhookRequest
from adapter.parsing.date_parts import NOT_A_TOUR
from adapter.settings import Policy
from adapter.webhooks.receive import verified_from
from adapter.webhooks.rejections import rejection_from
from tests.unit.test_mapping_engine import (
    LEAD,
    NOW,
    map_json,
    only_item,
    reasons,
    source_of,
)

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


# --- lists in lists, and lookups between lists

ACCOUNTS: dict[str, Any] = {
    "accounts": [
        {
            "property": "D",
            "people": [{"id": "p1", "name": "Dana Okafor"}, {"id": "p2", "name": "Lee Park"}],
            "tours": [
                {"id": "t1", "who": "p2", "at": "2026-03-14T14:30"},
                {"id": "t2", "who": "p1", "at": "2026-03-14T15:30"},
            ],
        },
        {
            "property": "7",
            "people": [{"id": "p1", "name": "Ana Diaz"}],
            "tours": [{"id": "t3", "who": "p1", "at": "2026-03-15T14:30"}],
        },
    ],
    "emails": [
        {"person": "Dana Okafor", "email": "dana@example.com"},
        {"person": "Lee Park", "email": "lee@example.com"},
        {"person": "Ana Diaz", "email": "ana@example.com"},
    ],
}


def accounts_source(folder: Path, **more: Any) -> Any:
    return source_of(
        folder,
        ACCOUNTS,
        {"name": "who.name", "email_1": "email", "starts_at": "tour.at"},
        read={
            "who": {"list": "account.people", "by": "id", "equals": "tour.who"},
            "email": {"list": "emails", "by": "person", "equals": "who.name", "value": "email"},
        },
        for_each={"account": "accounts", "tour": "account.tours"},
        dedupe="tour.id",
        community="account.property",
        **more,
    )


def test_lists_in_lists_keep_the_level_above(tmp_path: Path) -> None:
    mapped = map_json(accounts_source(tmp_path), ACCOUNTS)
    assert [item.outcome for item in mapped.items] == ["book"] * 3
    facts = [
        (item.appointment["last_name"], item.appointment["email_1"], item.dedupe_key)
        for item in mapped.items
    ]
    assert facts == [
        ("Park", "lee@example.com", "t1"),
        ("Okafor", "dana@example.com", "t2"),
        ("Diaz", "ana@example.com", "t3"),
    ]


def test_a_lookup_that_finds_two_or_none_is_held(tmp_path: Path) -> None:
    source = accounts_source(tmp_path)
    twice = ACCOUNTS | {
        "emails": [*ACCOUNTS["emails"], {"person": "Lee Park", "email": "other@example.com"}]
    }
    first, *others = map_json(source, twice).items
    assert first.outcome is Outcome.HELD
    assert [item.outcome for item in others] == ["book", "book"]
    without = ACCOUNTS | {"emails": ACCOUNTS["emails"][1:]}
    _, second, _ = map_json(source, without).items
    assert second.outcome is Outcome.HELD
    assert any("no item in the list has this value" in one.reason for one in second.reasons)


def test_an_outer_item_without_inner_items_is_reported(tmp_path: Path) -> None:
    first, second = ACCOUNTS["accounts"]
    items = map_json(
        accounts_source(tmp_path), ACCOUNTS | {"accounts": [first | {"tours": []}, second]}
    ).items
    assert [reason.reason for reason in items[0].reasons] == ["1 of 2 have no items here"]
    none = map_json(accounts_source(tmp_path), ACCOUNTS | {"accounts": [first | {"tours": []}]})
    assert none.outcome is Outcome.HELD
    assert reasons(none)["for_each"] == "there are no items"


def test_the_items_of_all_levels_are_limited_together(tmp_path: Path) -> None:
    tours = [{"id": str(number), "who": "p1"} for number in range(20)]
    account = ACCOUNTS["accounts"][0] | {"tours": tours}
    mapped = map_json(accounts_source(tmp_path), ACCOUNTS | {"accounts": [account] * 3})
    assert reasons(mapped)["for_each"] == "there are 60 items, more than 50"


def test_values_of_each_level_are_located(tmp_path: Path) -> None:
    body = json.dumps(ACCOUNTS).encode()
    items = provenance_of(accounts_source(tmp_path), WebhookRequest.from_body(body))
    last = {line.line: line.places for line in items[2]}
    assert last["starts_at"] == (("tour.at", (("accounts", 1, "tours", 0, "at"),)),)
    assert last["community"] == (("account.property", (("accounts", 1, "property"),)),)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"for_each": {"account": "accounts", "tour": "tours"}}, "for_each.tour: must be a list"),
        ({"dedupe": "account.property"}, "at least one path must be inside the item: tour.…"),
        (
            {"read": {"who": {"list": "account.people", "by": "id", "of": "tour.who"}}},
            "unknown option 'of'",
        ),
        ({"read": {"who": {"list": "account.people", "by": "id"}}}, "read.who: must be { json"),
        (
            {"read": {"who": {"json": "account", "equals": "tour.who"}}},
            "read.who.equals: cannot be combined with 'json': remove it",
        ),
    ],
)
def test_mistakes_in_nested_lists(tmp_path: Path, sections: dict[str, Any], message: str) -> None:
    accounts_source(tmp_path)
    mapping = json.loads((tmp_path / "feed.yaml").read_text()) | sections
    (tmp_path / "feed.yaml").write_text(json.dumps(mapping))
    problems = list(map(str, registry.check([tmp_path / "feed.yaml"], Policy())))
    assert any(message in one for one in problems), problems


# --- text after or between labels

MAIL = """You have a new request.
Interest: *Maple Court* (unit 2B), tour on
 3/14/2026 at 2:30 PM
with Sam. > Phone : (303) 555-0142
"""


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ({"after": "Interest:"}, "Maple Court* (unit 2B), tour on"),
        ({"after": "interest:", "before": "(unit"}, "Maple Court"),
        ({"after": "tour on", "before": "with Sam"}, "3/14/2026 at 2:30 PM"),
        ({"after": "new request. Interest:", "before": ","}, "Maple Court* (unit 2B)"),
        ({"after": "Phone:"}, "(303) 555-0142"),
        ({"after": "tour"}, "on"),
        ({"after": "equest"}, None),
        ({"after": "Interest:", "before": "nowhere"}, None),
        ({"line": ["Cell:", "Interest:", "You have"]}, "Maple Court* (unit 2B), tour on"),
        ({"after": ["Cell:", "Phone:"]}, "(303) 555-0142"),
        ({"after": "tour on", "before": ["nowhere", "with Sam"]}, "3/14/2026 at 2:30 PM"),
        (
            {"before": "3/14/2026"},
            "You have a new request.\nInterest: *Maple Court* (unit 2B), tour on",
        ),
        ({"before": ["nowhere", "a new request"]}, "You have"),
        ({"before": "nowhere"}, None),
        ({"before": "You have"}, None),
    ],
)
def test_text_after_or_between_labels(
    tmp_path: Path, labels: dict[str, str], text: str | None
) -> None:
    source = source_of(
        tmp_path, LEAD | {"mail": MAIL}, {}, read={"found": {"text": "mail", **labels}}
    )
    delivery = WebhookRequest.from_body(json.dumps(LEAD | {"mail": MAIL}).encode())
    assert source.compiled.scopes(source.scope(delivery))[0].names["found"] == text


REPLY = "Sunday at 2, please.\n\nOn Mar 2, 2026, at 9:00 AM, Sam wrote:\n> Phone: 303-555-0142"
FORWARDED = (
    "FYI\n\nFrom: Portal\nSent: Monday 11:04\nTo: Leasing\nSubject: Lead\n\nPhone: 303-555-0142"
)


def names_read(tmp_path: Path, lead: dict[str, Any], **read: Any) -> Mapping[str, Any]:
    """Return the values of all names under ``read:``."""
    source = source_of(tmp_path, LEAD | lead, {}, read=read)
    delivery = WebhookRequest.from_body(json.dumps(LEAD | lead).encode())
    return source.compiled.scopes(source.scope(delivery))[0].names


@pytest.mark.parametrize(
    ("mail", "subject", "phone"),
    [
        (REPLY, "Re: Your tour", None),
        (FORWARDED, "RE: Lead", None),
        (FORWARDED, "FW: Lead", "303-555-0142"),
        (f"---------- Forwarded message ---------\n{FORWARDED}", "Fwd: Lead", "303-555-0142"),
        (f"<p>{REPLY}</p>".replace("\n", "<br>").replace("> ", "&gt; "), "", None),
        ("> Phone: 303-555-0142", "", "303-555-0142"),
    ],
)
def test_labels_are_not_read_from_quoted_emails(
    tmp_path: Path, mail: str, subject: str, phone: str | None
) -> None:
    read = {
        "message": {"text": ["mail", "html"], "without": "quotes", "subject": "subject"},
        "phone": {"text": "message", "line": "Phone:"},
    }
    for lead in ({"mail": mail, "html": "<p>Phone: x"}, {"mail": " \n", "html": mail}):
        assert names_read(tmp_path, {"subject": subject, **lead}, **read)["phone"] == phone


def test_a_lead_whose_prose_mentions_a_time_is_held_with_the_sentence(tmp_path: Path) -> None:
    source = source_of(
        tmp_path,
        LEAD | {"tour": "2026-03-14T14:30", "mail": REPLY},
        {"starts_at": ["tour", "asked"]},
        read={"asked": {"text": "mail", "find": "time"}},
        without_time="prospect",
    )
    booked = only_item(map_json(source, LEAD | {"tour": "2026-03-14T14:30", "mail": REPLY}))
    assert booked.outcome is Outcome.BOOK
    held = only_item(map_json(source, LEAD | {"tour": "", "mail": REPLY}))
    assert held.outcome is Outcome.HELD
    assert any("Sunday at 2, please." in (one.value or "") for one in held.reasons)
    card = only_item(map_json(source, LEAD | {"tour": "", "mail": "Is it available?"}))
    assert card.outcome is Outcome.PROSPECT


CHAT: list[Any] = [
    {"body": "Hi!"},
    {"body": ""},
    {"body": ["Is it free?", "Sunday at 2?"]},
    {"bot": 1},
]


@pytest.mark.parametrize("text", ["items.body", "items.*.body", ["none", "items.*.body"], "bodies"])
def test_all_messages_of_a_conversation_are_searched(tmp_path: Path, text: Any) -> None:
    lead = LEAD | {"at": "", "items": CHAT, "bodies": ["Hi!", "Sunday at 2?"]}
    read = {"asked": {"text": text, "find": "time"}}
    source = source_of(
        tmp_path, lead, {"starts_at": ["at", "asked"]}, read=read, without_time="prospect"
    )
    held = only_item(map_json(source, lead))
    assert held.outcome is Outcome.HELD
    assert any("Sunday at 2?" in (one.value or "") for one in held.reasons)
    card = only_item(map_json(source, lead | {"items": CHAT[:2], "bodies": ["Hi!", "Bye"]}))
    assert card.outcome is Outcome.PROSPECT


@pytest.mark.parametrize(
    ("texts", "outcome"),
    [
        (["Hi", "Tour: 2026-03-14T14:30"], Outcome.BOOK),
        (["Tour: 2026-03-14T14:30", "Tour: 2026-03-14T14:30"], Outcome.BOOK),
        (["Tour: 2026-03-14T14:30", "Tour: 2026-03-14T15:30"], Outcome.HELD),
    ],
)
def test_messages_with_different_labeled_times_are_held(
    tmp_path: Path, texts: list[str], outcome: Outcome
) -> None:
    lead = LEAD | {"texts": texts}
    read = {
        "own": {"text": "texts", "without": "quotes"},
        "tour": {"text": "own", "line": "Tour:"},
    }
    source = source_of(tmp_path, lead, {"starts_at": "tour"}, read=read, without_time="prospect")
    assert only_item(map_json(source, lead)).outcome is outcome


@pytest.mark.parametrize(
    ("mail", "value"),
    [
        ("<lead><id>7</id></lead>", {"lead": {"id": "7"}}),
        (
            "New lead:\n\n<?xml version='1.0'?><lead><id>7</id></lead>\n-- \nBye",
            {"lead": {"id": "7"}},
        ),
        ('<?ADF VERSION="1.0"?>\n<adf><id>A & B</id></adf>', {"adf": {"id": "A & B"}}),
        ("Is 2 < 3 and 3 > 2?", {}),
        ("<!doctype html><html><body>Hi</body></html>", {}),
        ("<html><p>Hi</html>", {}),
        ("<?xml <lead>", {}),
        ("", {}),
        (7, {}),
    ],
)
def test_xml_inside_a_text(tmp_path: Path, mail: Any, value: Any) -> None:
    assert names_read(tmp_path, {"mail": mail}, found={"xml": "mail"})["found"] == value


def test_broken_xml_in_a_text_does_not_cost_the_lead(tmp_path: Path) -> None:
    lead = LEAD | {"mail": "<?xml version='1.0'?><lead><id>7</lead>"}
    source = source_of(tmp_path, lead, {}, read={"found": {"xml": "mail"}})
    item = only_item(map_json(source, lead))
    assert item.outcome is Outcome.BOOK
    assert any(one.field == "found" and "not XML" in one.reason for one in item.reasons)


# --- bodies


def test_values_under_strip_are_never_stored(tmp_path: Path) -> None:
    source = source_of(tmp_path, strip=["apiToken", "password"])
    body = json.dumps(LEAD | {"apiToken": "s3cr3t", "auth": {"password": "pa55"}}).encode()
    verifier = signatures.verifier({"scheme": "none"}, [])
    for sent in (body, gzip.compress(body)):
        request = WebhookRequest.from_body(sent, query="unit=2&password=pa55")
        stored = verified_from(source, verifier, request, NOW).request
        assert b"s3cr3t" not in stored.body
        assert b"pa55" not in stored.body
        assert stored.url == "?unit=2&password=[removed]"
        assert source.map(stored, now=NOW).outcome is Outcome.BOOK
        rejected = rejection_from(source, verifier, request, "address_not_allowed", NOW)
        assert b"pa55" not in (rejected.body or b"")


def test_a_path_cannot_read_what_is_stripped(tmp_path: Path) -> None:
    source_of(tmp_path, {**LEAD, "auth": {"token": "x"}}, {})
    mapping = json.loads((tmp_path / "feed.yaml").read_text())
    mapping |= {"strip": "token", "dedupe": ["id", "auth.token"]}
    (tmp_path / "feed.yaml").write_text(json.dumps(mapping))
    problems = list(map(str, registry.check([tmp_path / "feed.yaml"], Policy())))
    assert any("'token' is removed before storing" in one for one in problems), problems


@pytest.mark.parametrize(
    ("body", "outcome", "field"),
    [
        ('{"at": "2026-03-14T14:30", "at": "2026-03-15T14:30", ', "held", "starts_at"),
        ('{"at": "2026-03-14T14:30", "at": "2026-03-14T14:30", ', "book", None),
        ('{"at": "", "at": "2026-03-14T14:30", ', "book", None),
        ('{"at": "2026-03-14T14:30", "note": 1, "note": 2, ', "book", None),
    ],
)
def test_a_repeated_key_is_held_if_it_matters(
    tmp_path: Path, body: str, outcome: str, field: str | None
) -> None:
    rest = json.dumps({key: value for key, value in LEAD.items() if key != "at"})[1:]
    mapped = source_of(tmp_path).map(WebhookRequest.from_body((body + rest).encode()), now=NOW)
    assert mapped.outcome == outcome
    assert field is None or "several" in reasons(mapped)[field]


# --- times, dates and notes


@pytest.mark.parametrize(
    ("text", "clock"),
    [
        ("3/14/2026 2:30 PM - 3:00 PM", "20:30:00"),
        ("3/14/2026 2:30 - 3:00 PM", "20:30:00"),
        ("3/14/2026 11:30\u20131:00 PM", "17:30:00"),
        ("3/14/2026 12:00 to 1:00 PM", "18:00:00"),
        ("3/14/2026 2:30pm-3:00pm", "20:30:00"),
        ("3/14/2026 2:30 PM", "20:30:00"),
        ("3/14/2026 2:30 - 3:00", None),
        ("3/14/2026 - 3/15/2026", None),
        ("3/14/2026 3:00 - 4:00 - 5:00 PM", None),
        ("3/14/2026 2:30 PM - 4:30 PM", "20:30:00"),
        ("3/14/2026 11:30 AM - 1:00 PM MST", "17:30:00"),
        ("3/14/2026 2:30 PM - with an agent", "20:30:00"),
        ("3/14/2026 12:00 PM - 5:00 PM", None),
        ("3/14/2026 12:00 PM - 5 PM MST", None),
        ("3/14/2026 9:00 - 12:00 PM", None),
        ("3/14/2026 2:30 PM - 4:31 PM", None),
        ("3/14/2026 02:30 - 03:00 PM", "20:30:00"),
        ("3/14/2026 9:00 AM - 22:00", None),
        ("3/14/2026 2:30 PM until late", None),
        ("3/14/2026 2:30 PM - 3/15/2026 3:00 PM", None),
    ],
)
def test_the_start_of_a_range_of_times(tmp_path: Path, text: str, clock: str | None) -> None:
    start = {"from": "at", "format": "MM/DD/YYYY h:mm A", "take": "start"}
    item = only_item(map_json(source_of(tmp_path, None, {"starts_at": start}), LEAD | {"at": text}))
    assert item.outcome is (Outcome.BOOK if clock else Outcome.HELD)
    assert item.appointment.get("appointment_time") == clock


def test_the_start_of_a_range_in_its_own_field(tmp_path: Path) -> None:
    lead = LEAD | {"day": "2026-03-14", "slot": "2:30 - 3:00 PM"}
    start = {"date": "day", "time": "slot", "format": "h:mm A", "take": "start"}
    item = only_item(map_json(source_of(tmp_path, lead, {"starts_at": start}), lead))
    assert item.appointment["appointment_time"] == "20:30:00"
    text = "2:30 PM - 5:30 PM"
    item = only_item(
        map_json(source_of(tmp_path, lead, {"starts_at": start}), lead | {"slot": text})
    )
    assert [one.reason for one in item.blocking_reasons] == [NOT_A_TOUR]
    interval = LEAD | {"at": "2026-03-14T14:30:00-06:00/2026-03-14T15:00:00-06:00"}
    start = {"from": "at", "take": "start"}
    item = only_item(map_json(source_of(tmp_path, interval, {"starts_at": start}), interval))
    assert item.appointment["appointment_time"] == "20:30:00"


@pytest.mark.parametrize(
    ("end", "is_booked"),
    [
        ("2026-03-14T16:30:00-06:00", True),
        ("2026-03-14T17:00:00-06:00", False),
        ("2026-03-15T15:00:00-06:00", False),
        ("PT90M", True),
        ("PT2H30M", False),
        ("P1D", False),
    ],
)
def test_the_end_of_an_interval(tmp_path: Path, end: str, *, is_booked: bool) -> None:
    start = {"from": "at", "take": "start"}
    lead = LEAD | {"at": f"2026-03-14T14:30:00-06:00/{end}"}
    item = only_item(map_json(source_of(tmp_path, lead, {"starts_at": start}), lead))
    assert (item.outcome is Outcome.BOOK) is is_booked


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("Saturday the 14th of March, 2026 at 2:30 p.m.", "dddd [the] D of MMMM, YYYY at h:mm A"),
        ("March 14th, 2026 @ 2:30PM", "MMMM D, YYYY @ h:mm A"),
        ("14 Mar. 2026, 2:30 P.M.", "D MMM YYYY, h:mm A"),
    ],
)
def test_words_and_ordinals_in_dates(tmp_path: Path, text: str, form: str) -> None:
    source = source_of(tmp_path, None, {"starts_at": {"from": "at", "format": form}})
    item = only_item(map_json(source, LEAD | {"at": text}))
    assert item.appointment["appointment_time"] == "20:30:00"


def test_a_format_that_a_comma_cuts_off_gets_a_hint(tmp_path: Path) -> None:
    source_of(tmp_path)
    text = (
        (tmp_path / "feed.yaml")
        .read_text()
        .replace(': "at"', ": { from: at, format: MMM D, YYYY }")
    )
    (tmp_path / "feed.yaml").write_text(text)
    problems = list(map(str, registry.check([tmp_path / "feed.yaml"], Policy())))
    assert any("'YYYY': put a format with a comma in quotes" in one for one in problems), problems


def test_html_in_notes_is_text_and_emoji_keep_together(tmp_path: Path) -> None:
    page = (
        "<!DOCTYPE html><html><head><style>p { color: red }</style><title>Hi</title></head>"
        "<body><p>Is there&nbsp;parking? 👨\u200d👩\u200d👧</p><script>x()</script></body></html>"
    )
    source = source_of(tmp_path, LEAD | {"html": page}, {"notes": ["{html}", "{list}"]})
    lead = LEAD | {"html": page, "list": ["a", {"b": 1}, "c"]}
    assert only_item(map_json(source, lead)).appointment["notes"] == (
        "Hi Is there parking? 👨\u200d👩\u200d👧\na, c"
    )


def test_email_and_name_are_read_from_a_mail_header(tmp_path: Path) -> None:
    lead = LEAD | {"from": '"Okafor, Dana" <Dana.Okafor@Example.com>'}
    source = source_of(tmp_path, lead, {"name": "from", "email_1": "from"})
    sent = only_item(map_json(source, lead)).appointment
    assert (sent["first_name"], sent["last_name"]) == ("Dana", "Okafor")
    assert sent["email_1"] == "dana.okafor@example.com"


# --- warnings and what the reasons say


def problems_of(folder: Path, lead: Any = None, fields: Any = None, **sections: Any) -> list[str]:
    """Return the problems that `adapter check` reports for a small mapping that books a sample."""
    lead = LEAD if lead is None else lead
    tests = [{"name": "a tour", "payload": lead, "expect_some": {"last_name": "Okafor"}}]
    mapping = {
        "signature": {"scheme": "none"},
        "dedupe": "id",
        "community": "place",
        "appointment": {"name": "name", "email_1": "email", "starts_at": "at"} | (fields or {}),
        "tests": tests,
    } | sections
    source_of(folder)
    (folder / "feed.yaml").write_text(json.dumps(mapping))
    found = registry.check([folder / "feed.yaml"], Policy())
    return [f"{one.field}: {'warning: ' if one.warning else ''}{one.message}" for one in found]


PEOPLE = LEAD | {"people": [{"name": "Dana Okafor"}, {"name": "Lee Park"}, {"name": "Ana Diaz"}]}


def test_items_that_an_index_leaves_out_are_warned_of_and_reported(tmp_path: Path) -> None:
    fields = {"name": "people.0.name"}
    (warning,) = problems_of(tmp_path, PEOPLE, fields)
    said = "use for_each to make one lead from each item, or add them to the notes: "
    more = "warning: people has 2 more items in a sample than the mapping reads"
    assert f'{more}: {said}"{{people.*.…}}"' in warning
    assert problems_of(tmp_path, PEOPLE, fields | {"notes": "{people.*.name}"}) == []
    source = source_of(tmp_path, PEOPLE, fields)
    assert reasons(map_json(source, PEOPLE))["event"] == "items of this list are not read: .1, .2"
    assert "event" not in reasons(map_json(source, PEOPLE | {"people": PEOPLE["people"][:1]}))


def test_a_path_for_a_second_contact_may_have_no_value_yet(tmp_path: Path) -> None:
    """Check that misspelled paths are corrected, but no path with another meaning is suggested."""
    (warning,) = problems_of(tmp_path, None, {"phone_1": "who.phone"})
    assert "warning: 'who.phone' is not in any sample payload" in warning
    lead = LEAD | {"who": {"name": "Dana", "mail": "d@example.com"}}
    (warning,) = problems_of(tmp_path, lead, {"phone_1": "who.phone"})
    assert warning.endswith("'who.phone' is not in any sample payload")
    error, *_ = problems_of(tmp_path, lead, {"name": "who.nmae"})
    assert "'who.nmae' is not in any sample payload; did you mean 'who.name'?; if" in error
    caller = {"from": "caller", "default": "Unknown"}
    warning, *_ = problems_of(tmp_path, None, {"last_name": caller})
    assert "warning: 'caller' is not in any sample payload" in warning


@pytest.mark.parametrize(
    ("value", "is_read"),
    [
        *(("India", False), ("2026-03-01 10:00", False), ("2026-03-01T10:00:00Z", True)),
        *((None, True), ("1772800060.5", True), (1772800060, True)),
    ],
)
def test_a_time_of_the_request_that_cannot_be_read_is_warned_of(
    value: str | int | None, is_read: bool, tmp_path: Path
) -> None:
    problems = problems_of(tmp_path, LEAD | {"asked": value}, sent_at="asked")
    assert is_read is (problems == [])
    if not is_read:
        (warning,) = problems
        assert f"sent_at: warning: finds {value!r} in a sample, which is not a date" in warning


def test_a_canceled_item_of_a_batch_does_not_make_its_other_items_doubtful(tmp_path: Path) -> None:
    batch = {"leads": [LEAD | {"status": "canceled"}, LEAD | {"id": "2", "status": "new"}]}
    names = {"name": "lead.name", "email_1": "lead.email", "starts_at": "lead.at"}
    sections = {"for_each": {"lead": "leads"}, "dedupe": "lead.id", "community": "lead.place"}
    canceled = {"cancellation": {"lead.status": "canceled"}}
    assert problems_of(tmp_path, batch, names, **sections, **canceled) == []
    (problem,) = problems_of(tmp_path, {"leads": batch["leads"][:1]}, names, **sections)
    assert "seems to say that this tour was canceled" in problem


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "people.0.name", "notes": ["All: {people.*.name}"]},
        {"name": ["name", "people.0.name"]},
        {"name": 'people."0".name', "notes": ["{name}"]},
    ],
)
def test_items_that_are_read_otherwise_or_not_at_all_are_no_warning(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    lead = PEOPLE if '0"' not in str(fields) else LEAD | {"people": {"0": PEOPLE["people"][0]}}
    assert problems_of(tmp_path, lead, fields) == []
    assert "event" not in reasons(map_json(source_of(tmp_path, lead, fields), lead))


def test_items_left_out_inside_of_an_item_are_reported_for_it(tmp_path: Path) -> None:
    lead = {"leads": [LEAD | {"tags": ["a"]}, LEAD | {"id": "L2", "tags": ["a", "b"]}]}
    fields = {
        "name": "lead.name",
        "email_1": "lead.email",
        "starts_at": "lead.at",
        "notes": ["{lead.tags.0}"],
    }
    source = source_of(
        tmp_path,
        lead,
        fields,
        for_each={"lead": "leads"},
        dedupe="lead.id",
        community="lead.place",
    )
    first, second = map_json(source, lead).items
    assert [one.reason for one in first.reasons] == []
    assert [one.reason for one in second.reasons] == ["items of this list are not read: .1"]


@pytest.mark.parametrize(
    ("lead", "fields", "sections", "problems"),
    [
        (
            LEAD | {"summary": "Is there parking?"},
            {"notes": ["summary", "Asked by phone", "{summary}"]},
            {},
            ["appointment.notes.0: warning: 'summary' is text for the notes: for the value,"],
        ),
        (
            LEAD | {"auth": {"apiToken": "a81f-7c22-9e3d-41b0"}, "form": {"token": "short"}},
            {},
            {},
            ["tests.0.payload: warning: auth.apiToken looks like a secret: replace its value in"],
        ),
        (
            LEAD,
            {},
            {"without_time": "prospect"},
            ["without_time: warning: no test shows the guest card of a lead without a tour"],
        ),
        (
            LEAD | {"tour": {"status": "Cancelled"}},
            {},
            {},
            ["tests.0.expect_some: warning: tour.status ('Cancelled') seems to say that this tour"],
        ),
        (
            LEAD | {"canceled_at": "2026-03-02T11:04:09Z"},
            {},
            {},
            ["tests.0.expect_some: warning: canceled_at ('2026-03-02T11:04:09Z') seems to say"],
        ),
        (
            LEAD | {"canceled_at": None, "comment": "I canceled my lease", "avoid": "noise"},
            {},
            {},
            [],
        ),
        (
            LEAD | {"event": "tour.booked", "title": "Tour"},
            {},
            {},
            ["tests: warning: event seems to name an event, such as 'tour.booked', and no"],
        ),
        (
            LEAD | {"tour": {"day": "03/14/2026", "hour": "14", "minute": "30"}},
            {"starts_at": {"date": "tour.day", "time": "tour.hour", "format": "MM/DD/YYYY H"}},
            {},
            ["appointment.starts_at: warning: tour.minute is not read, so the tour would start on"],
        ),
        (
            LEAD | {"day": "2026-03-14", "hour": "14", "minute": "30"},
            {"starts_at": {"date": "day", "time": "{hour}:{minute}", "format": "H:mm"}},
            {},
            [],
        ),
        (
            LEAD | {"day": "2026-03-14", "hour": "14", "minute": "00"},
            {"starts_at": {"date": "day", "time": "hour", "format": "H"}},
            {},
            ["appointment.starts_at: warning: minute is not read"],
        ),
        (LEAD | {"event": "tour.booked"}, {}, {"accept": {"event": "tour.booked"}}, []),
        (LEAD | {"status": "uncancel"}, {}, {}, []),
        (LEAD | {"name": "Canceled Okafor"}, {}, {}, []),
        (LEAD | {"cancellation_policy": "Free cancellation", "canceled": "none"}, {}, {}, []),
        (LEAD | {"status": "not canceled", "cancel_url": "https://x.example/cancel"}, {}, {}, []),
        (
            LEAD | {"status": "Rescheduled"},
            {},
            {},
            ["tests.0.expect_some: warning: status ('Rescheduled') seems to say that this"],
        ),
        (
            LEAD | {"is_rescheduled": True},
            {},
            {},
            ["tests.0.expect_some: warning: is_rescheduled (true) seems to say that this tour was"],
        ),
        (LEAD | {"is_rescheduled": False, "rescheduled_from": None}, {}, {}, []),
        (LEAD | {"event": "tour.rescheduled"}, {}, {"accept": {"event": "tour.rescheduled"}}, []),
        (
            LEAD | {"kind": "Canceled"},
            {},
            {"cancellation": {"kind": "cancelled"}},
            ["tests.0.expect_some: warning: kind ('Canceled') seems to say that this tour was"],
        ),
        (LEAD | {"action": "Cancel_undone"}, {}, {"accept": {"action": "cancel_undone"}}, []),
        (
            LEAD | {"status": "VOID"},
            {},
            {
                "cancellation": {"status": "void"},
                "tests": [
                    {"payload": LEAD | {"status": "VOID"}, "cancellation": True},
                    {"payload": LEAD, "expect_some": {"last_name": "Okafor"}},
                ],
            },
            [],
        ),
        (
            LEAD,
            {"move_in_date": "wanted.from"},
            {},
            ["appointment.move_in_date: warning: 'wanted.from' is not in any sample payload"],
        ),
        (
            LEAD | {"moveIn": "2026-05-01"},
            {"move_in_date": "moveInn"},
            {},
            ["appointment.move_in_date: 'moveInn' is not in any sample payload;"],
        ),
        (
            LEAD,
            {"phone_1": ["telephone", "cell"]},
            {},
            [
                "appointment.phone_1: warning: 'cell' is not in any sample payload",
                "appointment.phone_1: warning: 'telephone' is not in any sample payload",
            ],
        ),
        (
            LEAD,
            {"email_1": ["email", "emailAddress"]},
            {},
            ["appointment.email_1: warning: 'emailAddress' is not in any sample payload"],
        ),
        (
            LEAD | {"ref": "RF-1"},
            {},
            {"dedupe": [["ref", "refKey"]]},
            ["dedupe: warning: 'refKey' is not in any sample payload"],
        ),
        (
            LEAD | {"a": {"b": {"c": {"Name": {"LastName": "Roe"}}}}},
            {"phone_1": "a.b.c.PhoneAddress"},
            {},
            ["appointment.phone_1: warning: 'a.b.c.PhoneAddress' is not in any sample payload"],
        ),
        (
            LEAD,
            {"email_1": "address", "phone_1": "cell"},
            {},
            [
                "appointment.email_1: 'address' is not in any sample payload",
                "appointment.phone_1: 'cell' is not in any sample payload",
            ],
        ),
        (
            LEAD | {"cell": ""},
            {"phone_1": ["telephone", "cell"]},
            {},
            ["appointment.phone_1: warning: 'telephone' is not in any sample payload"],
        ),
        (
            LEAD,
            {},
            {"dedupe": "*"},
            ["dedupe: warning: gives no key for any sample, so only an identical body counts as"],
        ),
        (LEAD, {}, {"dedupe": "body"}, []),
        (
            LEAD | {"property_name": "Maple", "day": "2026-03-14"},
            {},
            {"dedupe": ["property_name", "day"]},
            ["dedupe: warning: has no ID, contact or name, so different renters may have the sam"],
        ),
        (LEAD | {"slug": "a", "day": "2026-03-14"}, {}, {"dedupe": ["slug", "day"]}, []),
        (
            LEAD | {"ref": "7"},
            {},
            {
                "dedupe": ["ref", "day"],
                "tests": [
                    {"payload": LEAD | {"ref": "7", "day": "1"}, "expect_some": {}},
                    {"payload": LEAD | {"ref": "", "day": "1"}, "expect_some": {}},
                ],
            },
            ["dedupe: warning: gives no key for a sample that is booked, because it has no ID, co"],
        ),
        (
            LEAD,
            {},
            {"community": "denver"},
            ["community: 'denver' is not in any sample payload; for a fixed community, write"],
        ),
        (
            LEAD,
            {},
            {"community": "larkspur"},
            ["community: 'larkspur' is not in any sample payload; for a fixed community, write"],
        ),
        (
            LEAD,
            {},
            {"tests": [{"payload": LEAD | {"email": ""}, "held": {"email_1": "email"}}]},
            ["tests: warning: no test has 'expect', so this mapping may never book a tour"],
        ),
        (
            LEAD,
            {},
            {"tests": [{"payload": LEAD | {"email": ""}, "ignored": True}]},
            ["tests: no test covers a lead: add one with 'expect', 'prospect' or"],
        ),
        (
            LEAD,
            {"move_in_date": "wanted.from"},
            {
                "tests": [
                    {
                        "payload": LEAD,
                        "change": {"wanted.from": "2026-05-01"},
                        "expect_some": {"move_in_date": "2026-05-01"},
                    }
                ]
            },
            [],
        ),
        (
            LEAD | {"items": [{"body": "Hi"}]},
            {},
            {"read": {"asked": {"text": "{items.*.body}", "find": "time"}}},
            ["read.asked.text: takes a path, not a template: remove the braces from '{items.*.bo"],
        ),
        (
            LEAD | {"items": [{"body": "Hi"}, {"body": "Bye"}]},
            {},
            {"read": {"asked": {"text": "items", "find": "time"}}},
            ["read.asked.text: warning: finds objects instead of text: add the key of the text"],
        ),
        (
            LEAD | {"raw": '{"mail": "dana@example.com"}'},
            {"email_1": ["given.mail", "email"]},
            {
                "read": {"given": {"json": "raw"}},
                "tests": [
                    {
                        "payload": LEAD | {"raw": '{"mail": "dana@example.com"}'},
                        "change": {"given.mail": "ana@example.com"},
                        "expect_some": {"last_name": "Okafor"},
                    }
                ],
            },
            ["tests.0.change.given.mail: 'change' sets values of the payload, and 'given' is a"],
        ),
        (
            LEAD,
            {"notes": ["{answers.pets}"]},
            {
                "fetch": {"form": {"get": "https://api.example.com/{id}"}},
                "read": {"answers": {"list": "form.fields", "by": "name", "value": "values"}},
            },
            [
                "appointment.notes: warning: 'answers.pets' is not in any sample payload",
                "read.answers: reads a document under 'fetch', but no test has one: add 'fetched:",
                "read.answers.list: 'form.fields' is not in any sample payload",
            ],
        ),
        (
            LEAD,
            {},
            {
                "tests": [
                    {
                        "payload": LEAD,
                        "query": {"community": "denver"},
                        "expect_some": {"last_name": "Okafor"},
                    }
                ]
            },
            ["tests.0.query: must be text, such as 'community=maple-court'"],
        ),
        (
            LEAD,
            {"starts_at": {"from": "at", "format": "TODO"}},
            {},
            ["appointment.starts_at.format: fill in this TODO, or remove the line"],
        ),
        (
            LEAD,
            {"first_name": "TODO"},
            {"community": "TODO", "dedupe": "TODO"},
            [
                "dedupe: fill in this TODO: write the path of the booking's ID, several paths, or",
                "community: fill in this TODO: write a path; or query.community, if the sender's",
                "appointment.first_name: fill in this TODO, or remove the line",
            ],
        ),
        (
            LEAD,
            {},
            {"tests": [{"payload": "broken.json", "expect_some": {"last_name": "Okafor"}}]},
            ["tests.0.payload: 'broken.json': not JSON: line 1, column 11 (there is a comma after"],
        ),
    ],
)
def test_errors_and_warnings_of_check(
    tmp_path: Path, lead: Any, fields: Any, sections: Any, problems: list[str]
) -> None:
    (tmp_path / "broken.json").write_text('{"id": 1, }')
    found = problems_of(tmp_path, lead, fields, **sections)
    assert len(found) == len(problems), found
    for one, start in zip(found, problems, strict=True):
        assert one.replace(".from: ", ": ").startswith(start)


def test_a_draft_is_checked_as_its_file_would_be(tmp_path: Path) -> None:
    problems_of(tmp_path, PEOPLE, {"name": "people.0.name", "notes": ["name"]})
    text = (tmp_path / "feed.yaml").read_text()
    draft = registry.load_text(tmp_path, "feed", text, Policy())
    checked = registry.check([tmp_path / "feed.yaml"], Policy())
    assert len(checked) == 2
    assert list(registry.problems_of(draft)) == checked


def test_a_key_without_the_part_of_the_item_is_no_key(tmp_path: Path) -> None:
    lead = {"batch": "B1", "leads": [LEAD, LEAD | {"id": ""}]}
    source = source_of(
        tmp_path,
        lead,
        {"name": "lead.name", "email_1": "lead.email", "starts_at": "lead.at"},
        for_each={"lead": "leads"},
        dedupe=["batch", "lead.id"],
        community="lead.place",
    )
    keys = [item.dedupe_key for item in map_json(source, lead).items]
    assert keys == ['["B1", "L1"]', None], "else all items without an ID would be one booking"


def test_a_budget_that_cannot_be_read_is_noted_once(tmp_path: Path) -> None:
    money = {"from": "budget", "as": "dollars"}
    fields = {
        "rent_minimum_in_cents": money | {"take": "low"},
        "rent_maximum_in_cents": money | {"take": "high"},
    }
    lead = LEAD | {"budget": "reasonable"}
    item = only_item(map_json(source_of(tmp_path, lead, fields), lead))
    assert item.appointment["notes"] == "Rent: reasonable"


@pytest.mark.parametrize("tests", ["", "tests:\n", "tests: []\n"])
def test_a_mapping_can_be_tried_before_it_has_tests(tmp_path: Path, tests: str) -> None:
    source_of(tmp_path)
    (tmp_path / "feed.yaml").write_text(
        "signature: { scheme: none }\ndedupe: id\ncommunity: place\n"
        f"appointment: {{ name: name, email_1: email, starts_at: at }}\n{tests}"
    )
    draft = registry.load_one(tmp_path, "feed", Policy(), strict=False)
    assert map_json(draft, LEAD).outcome is Outcome.BOOK
    assert any("tests" in str(one) for one in registry.problems_of(draft))


def test_an_alternative_to_a_path_of_the_community_gets_no_hint_at_a_fixed_one(
    tmp_path: Path,
) -> None:
    (found,) = problems_of(tmp_path, community=["place", "larkspur"])
    assert found == "community: warning: 'larkspur' is not in any sample payload"
