"""Check that reading any text of 100 kB takes bounded, linear time."""

import contextlib
import datetime as dt
import functools
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.exceptions import PayloadError, Unreadable
from adapter.mapping.engine.tables import key_from_value, text_from_value
from adapter.mapping.loader.loader import load_files
from adapter.mapping.source import Source
from adapter.mapping.transforms import TRANSFORMS
from adapter.models import WebhookRequest
from adapter.parsing.body import KINDS, parse
from adapter.parsing.html_text import plain_text
from adapter.parsing.local_time import read_absolute_instant
from adapter.parsing.paths import path_from_text
from adapter.parsing.text import clean_text
from adapter.settings import Policy
from adapter.signatures.request import FORM_TYPE, fields_from_form
from tests.cpu_time import at_most
from tests.harness import load_cached
from tests.paths import GALLERY, MAPPINGS

pytestmark = pytest.mark.timed

MULTIPART = "multipart/form-data; boundary=b"
NOW = dt.datetime(2027, 3, 1, tzinfo=dt.UTC)
SIZE = 100_000
LIMIT = 0.5
PIECES = [
    *("<", "<a ", "<a x='", '<a x="', "<p", "<p>", "</", "<!", "<!--", "<![CDATA[", "<?", "<?xml "),
    *("<script>", "<script></script", "<a@b>", "&", "&amp;", "&#", "&#38;", "&a", "&nbsp", "a=&"),
    *(
        "\\",
        "\\'",
        "\\u",
        '\\"',
        "[",
        "[[",
        "{",
        "{{",
        "{%",
        "%",
        "*|",
        "$a",
        "#A",
        "(",
        '"',
        "'",
        '""',
    ),
    *(
        " ",
        "\n",
        "\t",
        "\0",
        "\u00a0",
        ">",
        "> ",
        "* ",
        "_",
        "|",
        "-",
        ":",
        "Name",
        "Name:",
        "Name*",
    ),
    *("Name: *", ">Name:\n", "\u0301", "Ã", "Ã©", "\ufffd", "\ud800", "王", "a@", "@", "a@b.c "),
    *("1", "1 ", "1-", "+1", "303-555-01", "x1", ",", ".", "a", "a ", "NaN,", "undefined,"),
    *('"a":', '{"a":', '"\n",', "--b\r\n"),
]


def texts() -> list[Any]:
    long = [pytest.param((piece * SIZE)[:SIZE], id=ascii(piece)) for piece in PIECES]
    return [*long, pytest.param("&#" + "1" * SIZE, id="a number of 100,000 digits")]


def seconds(do: Any) -> float:
    start = time.thread_time()
    with contextlib.suppress(PayloadError, Unreadable):
        do()
    return time.thread_time() - start


def read_list(read: Any, text: str) -> object:
    return read([text] * 50)


BOUND = {name: entry.bind({}, Policy()) for name, entry in TRANSFORMS.items()}
READERS: dict[str, Any] = {
    "clean_text": lambda text: clean_text(text, SIZE),
    "plain_text": plain_text,
    "plain_text of html": lambda text: plain_text(f"<p>{text}"),
    "text_from_value": lambda text: text_from_value(text, 2000),
    "key_from_value": key_from_value,
    "read_absolute_instant": read_absolute_instant,
    "a key": lambda text: path_from_text("name").read({text: 1, f" {text}": 2}),
    **{f"the transform {name}": read for name, read in BOUND.items()},
    **{f"{name} of a list": functools.partial(read_list, read) for name, read in BOUND.items()},
}
#: Kinds of bodies, each with the prefix before the text.
BODIES = [
    *((kind, "") for kind in KINDS),
    ("json", '{"a": "\n'),
    ("json", "[undefined, "),
    ("xml", "<a>& "),
    ("multipart", '--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n'),
]


@pytest.mark.parametrize("text", texts())
def test_no_text_makes_a_reader_slow(text: str) -> None:
    slow = {name: seconds(lambda read=read: read(text)) for name, read in READERS.items()}
    assert {name: took for name, took in slow.items() if took > at_most(LIMIT)} == {}


@pytest.mark.parametrize("text", texts())
def test_no_body_makes_a_parser_slow(text: str) -> None:
    slow = {}
    for kind, start in BODIES:
        body = (start + text).encode("utf-8", "surrogatepass")
        do = functools.partial(parse, body, MULTIPART, kind=kind, query=text)
        slow[kind, start] = seconds(do)
    assert {name: took for name, took in slow.items() if took > at_most(LIMIT)} == {}


@pytest.mark.parametrize("piece", [b"%", b"+", b"=", b"%zz", b"%41x", b"%41", b"%ff", b"\xff"])
def test_a_megabyte_of_a_form_takes_little_time(piece: bytes) -> None:
    body = piece * (1_000_000 // len(piece))
    assert seconds(lambda: parse(body, FORM_TYPE)) < at_most(0.3)
    assert seconds(lambda: fields_from_form(body)) < at_most(0.3)


@pytest.mark.parametrize("piece", [b"&", b"\x01", b"<1"])
def test_a_megabyte_of_mistakes_in_xml_takes_little_time(piece: bytes) -> None:
    body = b"<a>" + piece * (1_000_000 // len(piece))
    assert seconds(lambda: parse(body, "text/xml")) < at_most(0.3)
    few = b"<a>" + piece * 1_000 + b"</a>"
    assert isinstance(parse(few, "text/xml"), dict), "some mistakes are corrected"


def test_a_long_list_in_place_of_one_object_takes_little_time() -> None:
    payload = json.loads((MAPPINGS / "samples/rentfeed-tour.json").read_bytes())
    body = json.dumps({**payload, "preferences": ["2B"] * 160_000}).encode()
    source = load_cached(MAPPINGS)["rentfeed"]
    delivery = WebhookRequest.from_body(body, content_type="application/json")
    assert seconds(lambda: source.map(delivery, now=NOW)) < at_most(0.3)


@settings(deadline=None)  # a busy machine is not a failure
@given(st.lists(st.sampled_from([*PIECES, "7", ";", "x", "/", "=", "\r"]) | st.text(), max_size=30))
def test_no_text_makes_a_reader_fail(pieces: list[str]) -> None:
    for text in ("".join(pieces), "<p>" + "".join(pieces)):
        for read in READERS.values():
            seconds(functools.partial(read, text))


@pytest.fixture(scope="module")
def mail() -> Source:
    name = "lead-mail-postmark"
    return load_files(GALLERY, [GALLERY / f"{name}.yaml"], Policy(), strict=False).sources[name]


@pytest.mark.parametrize("start", ["", "<p>"])
@pytest.mark.parametrize("text", texts())
def test_no_mail_makes_a_webhook_slow(mail: Source, text: str, start: str) -> None:
    sample = json.loads((GALLERY / "samples" / "lead-mail-postmark.json").read_text())
    body = json.dumps(sample | {"TextBody": start + text}).encode()
    request = WebhookRequest.from_body(body, content_type="application/json")
    took = seconds(lambda: mail.dedupe_key(request))
    assert took < at_most(LIMIT), "the web process reads the key before it answers"
    assert seconds(lambda: mail.map(request, now=dt.datetime.now(dt.UTC))) < at_most(LIMIT)
    assert mail.dedupe_key(request) == sample["MessageID"]
