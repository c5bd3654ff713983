"""Test the named transforms: examples, edge cases and random values."""

import datetime as dt
import itertools
import json
import random
import re
from collections.abc import Iterator
from string import ascii_lowercase
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nameparser import Lexicon

from adapter.exceptions import Unreadable
from adapter.mapping.transforms import (
    EMPTY,
    TRANSFORMS,
    Example,
    Noted,
    Transform,
    contacts,
    is_no_name,
    reference,
)
from adapter.settings import Policy
from tests.short_ids import shown

EXAMPLES = [
    pytest.param(entry, example, id=f"{entry.name}-{number}")
    for entry in TRANSFORMS.values()
    for number, example in enumerate(entry.examples)
]


def reading(name: str, value: object, **options: object) -> Any:
    return TRANSFORMS[name].bind(options, Policy())(value)


def assert_unreadable(name: str, value: object, **options: object) -> None:
    with pytest.raises(Unreadable) as caught:
        reading(name, value, **options)
    assert not (isinstance(value, str) and len(value) > 3 and value in str(caught.value)), (
        "a reason never quotes the value"
    )


# The registry


def test_these_are_all_transforms() -> None:
    assert sorted(TRANSFORMS) == sorted(
        [
            "text",
            "name",
            "email",
            "phone",
            "integer",
            "months",
            "dollars",
            "cents",
            "date",
            "bedrooms",
        ]
    )


@pytest.mark.parametrize(("entry", "example"), EXAMPLES)
def test_the_examples_are_correct(entry: Transform, example: Example) -> None:
    read = entry.bind(example.options, Policy())
    if example.unreadable:
        with pytest.raises(Unreadable):
            read(example.given)
    else:
        wanted = Noted(example.gives, example.note) if example.note else example.gives
        assert read(example.given) == wanted


@pytest.mark.parametrize("entry", TRANSFORMS.values(), ids=lambda entry: entry.name)
def test_each_transform_is_described(entry: Transform) -> None:
    assert entry.description.endswith(".")
    assert any(example.unreadable for example in entry.examples), "say what is not read"
    assert all(option.meaning and (option.takes or option.allowed) for option in entry.options)


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("date", {"fromat": "YYYY"}, "unknown option 'fromat'; did you mean 'format'?"),
        ("phone", {"zone": "US"}, "unknown option 'zone'; its options: region"),
        ("text", {"cap": 5}, "unknown option 'cap'; this transform has no options"),
        ("phone", {"region": "USA"}, "'USA' is not a region; use two capital letters"),
        ("phone", {"region": ["US"]}, "is not a region"),
        ("dollars", {"take": "middle"}, "must be one of low, high"),
        ("cents", {"take": None}, "must be one of low, high"),
        ("date", {"format": "mm-dd-yy"}, "'dd' in 'mm-dd-yy' is not one of"),
        ("date", {"format": "h:mm a"}, "write A for AM and PM"),
        ("date", {"format": ["YYYY-MM-DD", "h:mm A"]}, "must have a year, month and day"),
        ("date", {"format": []}, "must be a format such as MM/DD/YYYY"),
        ("date", {"format": 5}, "must be a format such as MM/DD/YYYY"),
    ],
    ids=shown,
)
def test_wrong_options_are_refused_when_the_mapping_loads(
    name: str, options: dict[str, object], reason: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        TRANSFORMS[name].bind(options, Policy())


def test_the_reference_shows_every_transform_and_option() -> None:
    text = reference()
    for entry in TRANSFORMS.values():
        assert f"### `{entry.name}`" in text
        assert entry.description in text
        assert all(f"| `{option.name}` |" in text for option in entry.options)
    assert '| `"3+"` |  | `[3]` |' in text
    assert '| `"303-555-0142 x12"` |  | `"+13035550142"`, and the note' in text
    assert '| `"free"` |  | unreadable |' in text


@pytest.mark.parametrize("name", sorted(TRANSFORMS))
@pytest.mark.parametrize("value", [None, "", " \n", "\x00\u200b", [], [""], [None]], ids=shown)
def test_blank_values_are_empty(name: str, value: object) -> None:
    assert reading(name, value) is EMPTY


@pytest.mark.parametrize("name", sorted(set(TRANSFORMS) - {"bedrooms"}))
@pytest.mark.parametrize(
    "value",
    [True, False, {}, {"a": 1}, ["a", "b"], [["a"]], float("nan"), float("inf"), "x" * 1_000_000],
    ids=shown,
)
def test_other_types_are_unreadable_as_text(name: str, value: object) -> None:
    assert_unreadable(name, value)


@pytest.mark.parametrize(
    ("name", "value", "gives"),
    [
        ("email", ["dana@example.com"], "dana@example.com"),
        ("integer", ["2"], 2),
        ("name", ["Dana Okafor"], {"first_name": "Dana", "last_name": "Okafor"}),
    ],
    ids=shown,
)
def test_a_list_of_one_is_read_through(name: str, value: object, gives: object) -> None:
    assert reading(name, value) == gives


# Names


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("Sample Data", "Sample", "Data"),
        ("Morgan Renter ", "Morgan", "Renter"),
        ("Okafor Lindqvist, Dana Ann", "Dana Ann", "Okafor Lindqvist"),
        ("Dana de la Cruz", "Dana", "de la Cruz"),
        ("Dana Okafor, Jr.", "Dana", "Okafor Jr."),
        ('Dana "Dee" Okafor', "Dana", "Okafor"),
        ("Mrs. Dana Okafor", "Dana", "Okafor"),
        ("mary o'brien-smith", "mary", "o'brien-smith"),
        ("Prince Okafor", "Prince", "Okafor"),
        ("John & Mary Smith", "John & Mary", "Smith"),
        ("王 小明", "小明", "王"),
        ("Dana Okafor 3", "Dana Okafor", "3"),
        ("\u202eDana Okafor", "Dana", "Okafor"),
        ("Dana\x00 Okafor", "Dana", "Okafor"),
        ("Dana\ud800 Okafor", "Dana", "Okafor"),
    ],
    ids=shown,
)
def test_a_full_name_is_split(text: str, first: str, last: str) -> None:
    assert reading("name", text) == {"first_name": first, "last_name": last}


def two_words() -> Iterator[str]:
    """Yield names combined with the parser's special words and with made-up ones."""
    known, chance = Lexicon.default(), random.Random(1)
    words = set(known.titles | known.given_name_titles | known.after_given_titles)
    words |= known.particles | known.conjunctions | known.bound_given_names | known.maiden_markers
    words |= known.suffix_acronyms | known.suffix_words | known.suffix_acronyms_ambiguous
    words |= {"".join(letters) for letters in itertools.product(ascii_lowercase, repeat=2)}
    words |= {"".join(letters) for letters in itertools.product("ivx", repeat=3)}
    words |= {"".join(chance.choices(ascii_lowercase, k=3 + n % 8)) for n in range(1000)}
    for word, turn in itertools.product(sorted(words), (str.lower, str.upper, str.title)):
        yield from (f"{turn(word)} Okafor", f"Dana {turn(word)}")


def test_two_plain_words_are_read_as_the_parser_reads_them() -> None:
    plain = 0
    for text in two_words():
        quick = contacts._plain_name(text)
        plain += quick is not None
        assert quick in (None, contacts._parsed_name(text)), text
    assert plain > 8000, "most names are plain"


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("Rachel", "Rachel"),
        ("Dr. Smith", "Smith"),
        ("(Dana Okafor)", "(Dana Okafor)"),
        ("Mr.", "Mr."),
        ("Smith Jr.", "Smith Jr."),
    ],
)
def test_one_word_is_a_last_name_and_nothing_is_lost(text: str, last: str) -> None:
    name = reading("name", text)
    assert " ".join(name.values()) == last


@pytest.mark.parametrize(
    "text",
    [
        "dana@example.com",
        "Dana dana@example.com",
        "+13035550142",
        "(303) 555-0142",
        "303.555.0142",
        "2026-05-01",
        "5/1/2026",
        "2026-05-01 10:30",
        "12345",
        "-",
        ".",
        "???",
    ],
)
def test_an_email_a_phone_or_a_date_is_no_name(text: str) -> None:
    assert is_no_name(text)
    assert_unreadable("name", text)


@pytest.mark.parametrize(
    "text",
    [
        # Programs
        *("undefined", "undefined undefined", "Dana undefined", "null null", "Dana null", "NULL"),
        *("None None", "NaN", "nan nan", "(null)", "[object Object]", "N/A", "n/a n/a", "#N/A"),
        *("#REF!", "#NAME? #NAME?"),
        # Merge tags
        *("{{contact.first_name}} {{contact.last_name}}", "{{ name }}", "{first_name}", "${name}"),
        *("[your-name]", "[first-name] [last-name]", "[[name]]", "%FIRST%", "%%First Name%%"),
        *("*|FNAME|* *|LNAME|*", "<<First Name>>", "<test lead: dummy data for full_name>"),
        *("$first_name", "~Contact.FirstName~", "#{name}", "{% name %}", "Dana {{last_name}}"),
        *("&lt;test lead: dummy data for full_name&gt;", "&#123;&#123;name&#125;&#125;"),
        # Labels of forms
        *("First Last", "FirstName LastName", "Full Name", "Your name", "(not provided)"),
        *("Guest", "Website Visitor 8391", "no name"),
        # Caller IDs
        *("ANONYMOUS", "Unknown Caller", "WIRELESS CALLER", "UNAVAILABLE", "RESTRICTED"),
        *(
            "Private Number",
            "Out of Area",
            "Name Unavailable",
            "SPAM RISK",
            "Cell Phone",
            "Hidden Caller ID",
        ),
    ],
)
def test_a_filler_is_no_name(text: str) -> None:
    assert_unreadable("name", text)


@pytest.mark.parametrize(
    "text", ["undefined", "{{contact.last_name}}", "null", "None", "N/A", "[name]"]
)
def test_a_filler_is_no_part_of_a_name(text: str) -> None:
    assert_unreadable("text", text)


@pytest.mark.parametrize("text", ["Dana+Okafor", "Dana%20Okafor", "Dana+%4Fkafor"])
def test_a_name_may_be_encoded_for_a_url(text: str) -> None:
    assert reading("name", text) == {"first_name": "Dana", "last_name": "Okafor"}
    assert reading("text", text) == "Dana Okafor"
    assert reading("text", "Jos%C3%A9") == "José"
    assert_unreadable("name", "Dana%FF")


@pytest.mark.parametrize("text", ["Guest", "Null", "Nan", "Last", "Private", "Na", "No"])
def test_a_surname_may_look_like_a_filler(text: str) -> None:
    assert reading("text", text) == text
    assert reading("name", f"Jennifer {text}")["last_name"] == text


@pytest.mark.parametrize(
    "text",
    [
        "Dana",
        "王小明",
        "X Æ A-12",
        "Dana 2nd",
        "O'Brien",
        "3rd Base",
        "Ke$ha",
        "Dana [Danny] Okafor",
    ],
)
def test_a_name_may_be_strange(text: str) -> None:
    assert not is_no_name(text)


# E-mail


@pytest.mark.parametrize(
    "text",
    [
        "dana",
        "dana@",
        "@example.com",
        "dana@example",
        "dana@@example.com",
        "dana @example.com",
        "dana@example.com; ann@example.com",
        "dana@example.com / ann@example.com",
        "dana@example.com/ann@example.com",
        "dana@example.com,ann",
        "dana;ann@example.com",
        "dana, ann;bo@example.com",
        "dana@example.com, ann@",
        "dana@example.com@example.com",
        "Dana <dana@example.com> <ann@example.com>",
        "a" * 243 + "@example.com",
    ],
    ids=shown,
)
def test_values_that_are_not_emails(text: str) -> None:
    assert_unreadable("email", text)


@pytest.mark.parametrize(
    "text",
    [
        "dana@example.com <mailto:dana@example.com>",
        "<mailto:Dana@example.com>",
        "[dana@example.com](mailto:dana@example.com)",
        "dana@example.com (mailto:dana@example.com)",
        '"Okafor, Dana" <dana@example.com>',
        "dana@example.com.",
        "dana&#64;example.com",
        "Email: dana@example.com",
        "dana@example.com;dana@example.com",
        "Okafor, Dana, dana@example.com",
        "dana@example.com, best before noon",
        "@dana on Instagram, dana@example.com",
    ],
)
def test_the_only_address_in_a_text_is_the_email(text: str) -> None:
    assert reading("email", text) == "dana@example.com"


def test_the_deployments_placeholders_are_empty() -> None:
    read = TRANSFORMS["email"].bind({}, Policy(placeholder_emails=frozenset({"x@example.com"})))
    assert read("MAILTO:X@example.com") is EMPTY
    assert read("none@none.com") == "none@none.com", "only the deployment's own list counts"


@pytest.mark.parametrize(
    ("value", "first", "last"),
    [
        ({"firstName": "Dana", "lastName": "de la Cruz"}, "Dana", "de la Cruz"),
        ({"first": "Dana", "middle": "", "last": "Okafor"}, "Dana", "Okafor"),
        ({"last_name": "Okafor", "first_name": "Dana"}, "Dana", "Okafor"),
        ({"first": "Cher", "last": None}, None, "Cher"),
    ],
)
def test_a_name_in_parts(value: object, first: str | None, last: str) -> None:
    read = reading("name", value)
    assert (read.get("first_name"), read["last_name"]) == (first, last)


@pytest.mark.parametrize(
    "value", [{"first": "Dana", "nick": "D"}, {"first": {}}, {"first": [1, 2]}]
)
def test_other_objects_are_no_name(value: object) -> None:
    assert_unreadable("name", value)


def test_a_name_whose_parts_are_empty_is_empty() -> None:
    assert reading("name", {"first": "", "last": None}) is EMPTY


# Phone


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("(206) 555-0155", "+12065550155"),
        ("1-305-555-0123", "+13055550123"),
        ("+14155551234", "+14155551234"),
        ("16315558151", "+16315558151"),
        (3035550142, "+13035550142"),
        ("call me at 303.555.0142 please", "+13035550142"),
        ("720 209 1146 (cell)", "+17202091146"),
        ("+44 20 7946 0958", "+442079460958"),
        ("303-555-0142, 303-555-0142", "+13035550142"),
    ],
    ids=shown,
)
def test_a_phone_number_is_found(value: object, number: str) -> None:
    assert reading("phone", value) == number


@pytest.mark.parametrize(
    "value",
    [
        "0000000000",
        "1111111111",
        "00000 000000",
        "555-0142",
        "555-555-8378",
        "1-800-FLOWERS",
        "NA",
        "+1 83798773",
        "303555014",
        "30355501421",
        8231234789,
        "2026-05-01",
    ],
    ids=shown,
)
def test_values_that_are_not_valid_phone_numbers(value: object) -> None:
    assert_unreadable("phone", value)


def test_an_extension_and_further_numbers_are_noted() -> None:
    read = reading("phone", "303-555-0142 ext. 77 / 720-555-0188")
    assert read == Noted("+13035550142", "Phone extension: 77; Other phone: +17205550188")


@pytest.mark.parametrize(
    ("text", "first", "note"),
    [
        ("303 555 0142 7205550188", "+13035550142", "Other phone: +17205550188"),
        ("303 555 0142 720 555 0188", "+13035550142", "Other phone: +17205550188"),
        ("1 303 555 0142 1 720 555 0188", "+13035550142", "Other phone: +17205550188"),
        ("303 - 555 - 0142 720 - 555 - 0188", "+13035550142", "Other phone: +17205550188"),
        ("210 303 555 0142", "+13035550142", None),
        ("303-555-0142 12/14/2026", "+13035550142", None),
        ("12/14/2026 303-555-0142", "+13035550142", None),
        ("303 555 0142 80202", "+13035550142", None),
        ("9am - 5pm 303 555 0142", "+13035550142", None),
        # Seven digits are not a phone number, and do not become one together with the next digits.
        ("720 2091 303 555 0188", "+13035550188", None),
        ("210 303-555-0142 x12", "+13035550142", "Phone extension: 12"),
        ("+44 20 7946 0958 303 555 0142", "+442079460958", "Other phone: +13035550142"),
    ],
)
def test_numbers_separated_by_spaces_are_recognized(
    text: str, first: str, note: str | None
) -> None:
    assert reading("phone", text) == (Noted(first, note) if note else first)


def test_numbers_of_another_country_separated_by_spaces_are_recognized() -> None:
    read = reading("phone", "020 7946 0958 020 7946 0999", region="GB")
    assert read == Noted("+442079460958", "Other phone: +442079460999")


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("13035550142", "+13035550142"),
        (4793456789, "+4793456789"),
        ("447911123456", "+447911123456"),
        ("whatsapp:4793456789", "+4793456789"),
        ("whatsapp:+4793456789", "+4793456789"),
        ("0047 934 56 789", "+4793456789"),
        ("tel:+1 (303) 555-0142", "+13035550142"),
        ("5511912345678", "+5511912345678"),
        ("5215512345678", "+525512345678"),
    ],
    ids=shown,
)
def test_a_country_code_without_a_plus(value: object, number: str) -> None:
    assert reading("phone", value, region="international") == number


def test_a_number_without_a_country_code_is_not_international() -> None:
    assert_unreadable("phone", "3035550142", region="international")


@pytest.mark.parametrize(
    "value",
    [
        *["+266696687", "+86282452253", "+7378742833", "+17378742833", "7378742833", "+2562533"],
        *["+8656696", "+7748283", "Anonymous", "RESTRICTED", "No Caller ID", "unknown", "Private"],
    ],
)
def test_a_withheld_caller_id_is_no_number(value: str) -> None:
    assert reading("phone", value) is EMPTY
    assert reading("phone", value, region="international") is EMPTY


def test_the_region_is_the_deployments_unless_the_mapping_says() -> None:
    policy = Policy(phone_region="GB")
    assert TRANSFORMS["phone"].bind({}, policy)("020 7946 0958") == "+442079460958"
    assert TRANSFORMS["phone"].bind({"region": "US"}, policy)("303-555-0142") == "+13035550142"


# Numbers and money


@pytest.mark.parametrize(
    "value", ["1,200", "1e3", "\u0663", "\u00b2", "+2", "2 people", "0x10", 1e400, 1.5], ids=shown
)
def test_values_that_are_not_integers(value: object) -> None:
    assert_unreadable("integer", value)


@pytest.mark.parametrize(
    "value", ["1 year lease", "12.0", "12 MONTHS", "12mos.", "12 - month"], ids=shown
)
def test_months_in_other_words(value: str) -> None:
    if value == "12 - month":
        assert_unreadable("months", value)
    else:
        assert reading("months", value) == 12


@pytest.mark.parametrize(
    ("value", "cents"),
    [
        ("1500", 150000),
        ("$1,500", 150000),
        ("$ 1,500", 150000),
        ("1500.00", 150000),
        ("100.99", 10099),
        ("USD 1,500", 150000),
        ("1,500 USD", 150000),
        ("US$1500", 150000),
        ("$1,500/month", 150000),
        ("$1,500 / mo.", 150000),
        ("1500 per month", 150000),
        ("1500 a month", 150000),
        ("1500 monthly", 150000),
        ("$1,196,000", 119600000),
        (1500, 150000),
        (1500.0, 150000),
        (1234.56, 123456),
        (0.29, 29),  # 0.29 * 100 is 28.999… as a float
        (1.1, 110),
        ("0", 0),
    ],
    ids=shown,
)
def test_dollars_become_cents_exactly(value: object, cents: int) -> None:
    assert reading("dollars", value) == cents


@pytest.mark.parametrize(
    "value",
    [
        "1.850",
        "1,85",
        "1.8k",
        "1.8",
        "2k",
        "$15k-25k",
        "$175K to $199K",
        "under 2k",
        "free",
        "$1,850.999",
        "-1850",
        "($1,850)",
        "1,8500",
        "12,34,567",
        ",500",
        "1.850,00",
        "€1850",
        "1850 or 1900",
        "$1,000 USD/mes",
        "1850 per week",
        "$",
        "1e3",
        10000000000.0,
        1234.567,
        "\uff11\uff18\uff15\uff10",
    ],
    ids=shown,
)
def test_money_is_never_guessed(value: object) -> None:
    assert_unreadable("dollars", value)
    assert_unreadable("dollars", value, take="high")


@pytest.mark.parametrize(
    "text",
    [
        "$1,400 - $1,900",
        "1400-1900",
        "$1,400 to $1,900 per month",
        "1400/mo \u2013 1900/mo",
        "1400\u20141900",
    ],
)
def test_a_range_has_two_ends(text: str) -> None:
    assert reading("dollars", text, take="low") == 140000
    assert reading("dollars", text, take="high") == 190000
    assert_unreadable("dollars", text)


def test_a_range_that_runs_backwards_is_unreadable() -> None:
    assert_unreadable("dollars", "1900-1400", take="low")
    assert_unreadable("dollars", "1500-2", take="high")


# Bedrooms


@pytest.mark.parametrize(
    ("value", "sizes"),
    [
        ("studio", [0]),
        ("STUDIO", [0]),
        (0, [0]),
        ("1 bed", [1]),
        ("2 Bedroom", [2]),
        ("2BR", [2]),
        ("2-bedroom", [2]),
        ("1 - 2", [1, 2]),
        ("1 to 3 bedrooms", [1, 2, 3]),
        ("1-11", [1, 2, 3]),
        ("2+", [2, 3]),
        ("3 or more", [3]),
        ("2 bedrooms or more", [2, 3]),
        ("studio - 1", [0, 1]),
        ("Studio, 1 and 2", [0, 1, 2]),
        ("2_BEDROOMS", [2]),
        ([1, 2, 2], [1, 2]),
        (["1-2", "Studio"], [0, 1, 2]),
        ([2.0, ""], [2]),
    ],
    ids=shown,
)
def test_bedrooms_are_a_sorted_set(value: object, sizes: list[int]) -> None:
    assert reading("bedrooms", value) == sizes


@pytest.mark.parametrize(
    "value",
    [
        "any",
        "1.5",
        "-1",
        "2 Baths",
        "2.5 bedrooms",
        "we do not want 2 bedrooms",
        "unit 12 brass rail",
        "5/1/2026",
        "1850",
        "13",
        "3-1",
        ["any"],
        [True],
        {},
        True,
        [{}],
        "1,,2",
        "two",
        "Exact=1",
    ],
    ids=shown,
)
def test_values_that_are_not_bedroom_counts(value: object) -> None:
    assert_unreadable("bedrooms", value)


def test_unreadable_list_items_are_noted() -> None:
    assert reading("bedrooms", ["1", "loft", {"a": 1}]) == Noted([1], "Bedrooms: loft")


# Dates


@pytest.mark.parametrize(
    "value",
    [
        "ASAP",
        "this Saturday",
        "within 2 months",
        "10",
        "May",
        "05/01/2026",
        "2026-05",
        "2026-02-30",
        "0001-01-01",
        "9999-12-31",
        "2026-05-01T10:00:00Z",
    ],
)
def test_values_that_are_not_dates(value: str) -> None:
    assert_unreadable("date", value)


# Any value at all

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-5, 5).map(lambda number: number * 10**5000)
    | st.floats()
    | st.text(max_size=60)
    | st.text(alphabet="0123456789$,.-+/ kKmobrTZ:@()xe\u2013\u202e\ud800\x00", max_size=40)
    | st.dates().map(str)
    | st.datetimes().map(dt.datetime.isoformat)
    | st.emails(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
OPTIONS: dict[str, list[dict[str, object]]] = {
    "phone": [{}, {"region": "DE"}, {"region": "international"}],
    "dollars": [{}, {"take": "low"}, {"take": "high"}],
    "cents": [{}, {"take": "low"}, {"take": "high"}],
    "date": [{}, {"format": ["MM/DD/YYYY", "epoch", "MMM D YYYY"]}, {"format": "epoch_ms"}],
}


@settings(deadline=None)  # a busy machine is not a failure
@given(JSON)
def test_any_value_is_read_empty_or_unreadable(value: object) -> None:
    for name in TRANSFORMS:
        for options in OPTIONS.get(name, [{}]):
            try:
                read = reading(name, value, **options)
            except Unreadable:
                continue
            if isinstance(read, Noted):
                assert isinstance(read.note, str)
                read = read.value
            assert isinstance(read, str | int | list | dict | None)
            json.dumps(read, ensure_ascii=False).encode()
