"""Test that each body becomes plain data, or a PayloadError that does not quote the body."""

import gzip
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.exceptions import PayloadError
from adapter.parsing.body import KINDS, MAX_UNPACKED_BYTES, parse
from adapter.parsing.forms import pairs_from_form, parse_query
from adapter.parsing.strip_values import without_values
from tests.cpu_time import at_most
from tests.paths import SHARED
from tests.short_ids import shown

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=b"
CORPUS = SHARED / "corpus/payloads"


def multipart(*parts: tuple[str, bytes]) -> bytes:
    """Build a multipart body from each part's headers after ``form-data`` and its content."""
    head = "--b\r\nContent-Disposition: form-data; "
    return (
        b"".join(f"{head}{rest}\r\n\r\n".encode() + content + b"\r\n" for rest, content in parts)
        + b"--b--\r\n"
    )


# JSON


@pytest.mark.parametrize(
    ("body", "data"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b' [1, "x", null, true, 1.5] ', [1, "x", None, True, 1.5]),
        (b'"text"', "text"),
        (b'{"a": 1, "a": 2}', {"a": [1, 2]}),
        (b'{"a": 1, "a": 1, "b": {"c": 2, "c": ""}}', {"a": 1, "b": {"c": 2}}),
        (b'{"a": 1, "a": true}', {"a": [1, True]}),
        (b'{"a": [1], "a": [2], "b": null, "b": ""}', {"a": [[1], [2]], "b": ""}),
        (b'{"id": 36893488147419103232}', {"id": 2**65}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ('{"a": "é"}'.encode(), {"a": "é"}),
        ('{"a": "é"}'.encode("utf-16"), {"a": "é"}),
        ('{"a": "é"}'.encode("utf-16-le"), {"a": "é"}),
        ('{"a": "é"}'.encode("utf-32"), {"a": "é"}),
        (b'{"a": "\\ud800"}', {"a": "\ud800"}),
        (b'{"a": "\\u0000"}', {"a": "\x00"}),
        (b"[1e400]", [float("inf")]),  # rejected by the transforms, like text that is not a number
    ],
    ids=shown,
)
def test_json_is_read(body: bytes, data: object) -> None:
    assert parse(body, "application/json") == data


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the body is empty"),
        (b" \r\n", "the body is empty"),
        (
            b'{"name": "Dana",}',
            "not JSON: line 1, column 17 (there is a comma after the last item)",
        ),
        (b"[1,\n 2,\n]", "not JSON: line 3, column 1 (there is a comma after the last item)"),
        (b"name=Dana", "not JSON: line 1, column 1"),
        (b"1" * 5000, "JSON: an integer is too long"),
        (b'{"a": "x\n", "b": ' + b"1" * 5000 + b"}", "JSON: an integer is too long"),
        (b'{"a": "She said "hi" to me"}', "not JSON: line 1, column 18"),
        (b'{"a": Dana}', "not JSON: line 1, column 7"),
        (b'{"a": ["x\n", ' + b"[" * 200_000, "JSON: nested too deeply"),
        (b"[" + b"undefined, " * 50 + b"1]", "JSON: too many mistakes"),
        (b"[" * 1_000_000, "JSON: nested too deeply"),
        (b"[" * 2000 + b"]" * 2000, "JSON: nested too deeply"),
        (b'{"a":' * 1_000_000, "JSON: nested too deeply"),
    ],
    ids=shown,
)
def test_invalid_json_is_reported_without_quoting(body: bytes, reason: str) -> None:
    with pytest.raises(PayloadError) as caught:
        parse(body, "application/json")
    assert str(caught.value).startswith(reason)
    assert "Dana" not in str(caught.value)


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/cloudevents+json",
        "text/plain",
        "application/octet-stream",
        "nonsense",
        ";;;=",
        "application/json; charset",
    ],
)
def test_a_missing_or_odd_content_type_is_tried_as_json(content_type: str) -> None:
    assert parse(b'{"a": 1}', content_type) == {"a": 1}


def test_json_in_another_charset_may_say_so_in_the_header() -> None:
    repairs: list[str] = []
    body = '{"a": "é"}'.encode("latin-1")
    said = "application/json; charset=iso-8859-1"
    assert parse(body, said, repairs=repairs) == {"a": "é"}
    shift_jis = '{"a": "あ"}'.encode("shift_jis")
    assert parse(shift_jis, "application/json; charset=shift_jis", repairs=repairs) == {"a": "あ"}
    assert repairs == []


@pytest.mark.parametrize(
    ("body", "content_type", "data", "said"),
    [
        # Characters that templates write between quotes without escaping
        (b'{"a": "Two cats.\nOk?"}', "", {"a": "Two cats.\nOk?"}, "line 1, column 17"),
        (b'{"a": "one\ttwo"}', "", {"a": "one\ttwo"}, "line 1, column 11"),
        (b'{"a": "one\x0btwo"}', "", {"a": "one\x0btwo"}, "invalid JSON was corrected"),
        (rb'{"a": "O\'Brien"}', "", {"a": "O'Brien"}, "invalid JSON was corrected"),
        (rb'{"a": "C:\Users\me"}', "", {"a": r"C:\Users\me"}, "invalid JSON was corrected"),
        (rb'{"a": "\u00e9 \u12"}', "", {"a": r"é \u12"}, "invalid JSON was corrected"),
        # Words for null
        (b'{"a": NaN, "b": 1}', "", {"a": None, "b": 1}, "NaN and Infinity are not JSON"),
        (b"[-Infinity, Infinity]", "", [None, None], "NaN and Infinity are not JSON"),
        (b'{"a": undefined, "b": "x"}', "", {"a": None, "b": "x"}, "line 1, column 7"),
        (b'{"a": None, "b": [nan]}', "", {"a": None, "b": [None]}, "line 1, column 7"),
        (b'{"a": "undefined\n, None"}', "", {"a": "undefined\n, None"}, "was corrected"),
        # Escaped documents, and bytes before and after a document
        (rb"{\"a\": \"O\'Brien\"}", "", {"a": "O'Brien"}, "line 1, column 2"),
        (b"[ {&quot;a&quot;: &quot;R&amp;D&quot;}]", "", [{"a": "R&D"}], "line 1, column 4"),
        (b'{"a": 1}\x00', "", {"a": 1}, "line 1, column 9"),
        (b"\xef\xbb\xbf{}", "application/json; charset=latin1", {}, "invalid JSON was corrected"),
        (b"\xef\xbb\xbf{}", FORM, {}, "read as json"),
        (rb'"{\"a\": \"b\"}"', "", {"a": "b"}, "JSON in a JSON string"),
        (json.dumps(json.dumps("[1]")).encode(), "", [1], "JSON in a JSON string"),
        (b' {"a": 1}', FORM, {"a": 1}, "read as json, although its content type says otherwise"),
        (b"<a>1</a>", "text/plain", {"a": "1"}, "read as xml"),
        # Bytes
        (b'{"a": "caf\xe9s"}', "", {"a": "cafés"}, "not utf-8: read as windows-1252"),
        (b'{"a": "\x93hi\x94"}', "", {"a": "“hi”"}, "not utf-8: read as windows-1252"),
        (
            '{"a": "é\ufffd"}'.encode()[:-3] + b'"}',
            "",
            {"a": "é\ufffd"},
            "some bytes are not utf-8",
        ),
        (
            '{"a": "José"}'.encode(),
            "application/json; charset=ISO-8859-1",
            {"a": "José"},
            "the bytes are utf-8, not iso-8859-1 as declared",
        ),
        ('{"a": "é"}'.encode(), "application/json; charset=gbk2", {"a": "é"}, "not supported"),
        (
            '{"a": "é"}'.encode(),
            "application/json; charset=iso-2022-jp",
            {"a": "é"},
            "the bytes are utf-8, not iso-2022-jp as declared",
        ),
    ],
    ids=shown,
)
def test_one_wrong_character_does_not_cost_the_body(
    body: bytes, content_type: str, data: object, said: str
) -> None:
    repairs: list[str] = []
    assert parse(body, content_type, repairs=repairs) == data
    assert any(said in sentence for sentence in repairs), repairs


# Forms and query strings


@pytest.mark.parametrize(
    ("body", "data"),
    [
        (b"name=Dana+Okafor&email=", {"name": "Dana Okafor", "email": ""}),
        (b"name=Dana%20Okafor", {"name": "Dana Okafor"}),
        (b"pet=cat&pet=dog&pet=", {"pet": ["cat", "dog", ""]}),
        (b"data.json=%7B%7D&First+Name=D", {"data.json": "{}", "First Name": "D"}),
        (b"phone=%2B13035550142", {"phone": "+13035550142"}),
        (b"a=%C3%A9", {"a": "é"}),
        ("a=é".encode(), {"a": "é"}),
        (b"a=1%0D%0A2\r\n", {"a": "1\r\n2"}),
        (b"a=1=2", {"a": "1=2"}),
        (b"flag", {"flag": ""}),
        (b"", {}),
    ],
    ids=shown,
)
def test_a_form_is_read(body: bytes, data: object) -> None:
    assert parse(body, FORM) == data


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        (b"a=%E9", "iso-8859-1"),
        (b"a=\xe9", "ISO-8859-1"),
        (b"a=%82", "cp850"),
        (b"a=%e9", '"windows-1252"'),
        ("a=é".encode("gbk"), "gbk"),
    ],
)
def test_a_form_may_name_its_charset(body: bytes, charset: str) -> None:
    assert parse(body, f"{FORM}; charset={charset}") == {"a": "é"}


@pytest.mark.parametrize(
    ("body", "charset", "data", "said"),
    [
        (b"a=caf%E9&b=%C3%A9", None, {"a": "café", "b": "é"}, "read as windows-1252"),
        (b"a=caf\xe9", None, {"a": "café"}, "read as windows-1252"),
        (b"a=%C3%A9%C3", None, {"a": "é\ufffd"}, "some bytes are not utf-8"),
        (b"a=%C3%A9", "iso-8859-1", {"a": "é"}, "the bytes are utf-8, not iso-8859-1"),
        (b"a=%C3%A9", "klingon", {"a": "é"}, "the declared charset is not supported"),
        (b"a=%C3%A9", "base64", {"a": "é"}, "the declared charset is not supported"),
        (b"a=%C3%A9", "punycode", {"a": "é"}, "the declared charset is not supported"),
    ],
    ids=shown,
)
def test_a_form_with_other_bytes_than_it_declares_is_read(
    body: bytes, charset: str | None, data: object, said: str
) -> None:
    repairs: list[str] = []
    content_type = f"{FORM}; charset={charset}" if charset else FORM
    assert parse(body, content_type, repairs=repairs) == data
    assert said in repairs[0]


def test_a_form_may_start_with_a_byte_order_mark() -> None:
    assert parse(b"\xef\xbb\xbfid=1&a=2", FORM) == {"id": "1", "a": "2"}


def test_a_form_of_too_many_fields_is_refused() -> None:
    with pytest.raises(PayloadError, match="more than 10000 fields"):
        parse(b"&" * 1_000_000, FORM)


@settings(deadline=None)
@given(st.lists(st.sampled_from([*"%%%&=+2fFzé\x00; ", "%C3%A9", "%ff"])).map("".join))
def test_a_form_is_split_and_decoded_as_urllib_does(text: str) -> None:
    raw = text.encode("latin-1")
    pairs = parse_qsl(text, keep_blank_values=True, encoding="latin-1")
    expected = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    assert pairs_from_form(raw, None) == expected


def test_the_query_string_replaces_the_body_if_configured() -> None:
    data = parse(b"ignored", "application/json", kind="query", query="a=1&a=2&b=%C3%A9&c")
    assert data == {"a": ["1", "2"], "b": "é", "c": ""}


def test_a_query_string_in_latin1_is_read() -> None:
    repairs: list[str] = []
    data = parse(b"", "", kind="query", query="a=Jos%E9&b=%C3%A9&é=1", repairs=repairs)
    assert data == {"a": "José", "b": "é", "é": "1"}
    assert repairs == ["the bytes are not utf-8: read as windows-1252"]


@settings(deadline=None)  # a busy machine is not a failure
@given(st.text())
def test_any_query_string_is_read(query: str) -> None:
    assert all(isinstance(value, str | list) for value in parse_query(query).values())


# Multipart


def test_multipart_is_read() -> None:
    body = multipart(
        ('name="first.name"', b"Dana"),
        ('name="pet"', b"cat"),
        ('name="pet"', b"dog"),
        ('name="empty"', b""),
        ('name="lines"', b"one\r\ntwo"),
        ('name="photo"; filename="cat.jpg"\r\nContent-Type: image/jpeg', b"\xff\xd8\xff"),
    )
    assert parse(body, MULTIPART) == {
        "first.name": "Dana",
        "pet": ["cat", "dog"],
        "empty": "",
        "lines": "one\r\ntwo",
        "photo": "cat.jpg",
    }


@pytest.mark.parametrize(
    "parts",
    [
        [('name="a"\r\nContent-Type: text/plain; charset=cp850', b"\x82")],
        [('name="a"\r\nContent-Type: text/plain; charset="utf-8"', "é".encode())],
        [('name="_charset_"', b"iso-8859-1"), ('name="a"', b"\xe9")],
        [('name="a"', b"\x82"), ('name="charsets"', b'{"a": "cp850", "b": 7}')],
        [('name="charsets"', b"[" * 5000), ('name="a"', "é".encode())],
    ],
    ids=shown,
)
def test_a_part_may_have_a_charset_of_its_own(parts: list[tuple[str, bytes]]) -> None:
    data = parse(multipart(*parts), MULTIPART)
    assert isinstance(data, dict)
    assert data["a"] == "é"


@pytest.mark.parametrize(
    ("head", "content", "value"),
    [
        ('filename="blob"\r\nContent-Type: application/json', b'{"id": 1}', '{"id": 1}'),
        ('filename="blob"\r\nContent-Type: application/octet-stream', b'{"id": 1}', '{"id": 1}'),
        ('filename="lead.json"\r\nContent-Type: application/ld+json', b"[1]", "[1]"),
        ('filename="payload"', "Zoé".encode(), "Zoé"),
        ('filename="blob"\r\nContent-Type: image/png', b"\x89PNG\xff\x00", "blob"),
        ('filename="payload"', b"PK\x03\x04\x00", "payload"),
        ('filename="cat.txt"\r\nContent-Type: text/plain', b"Dana", "cat.txt"),
        ('filename=""\r\nContent-Type: application/octet-stream', b"", ""),
    ],
)
def test_a_part_that_is_text_may_be_sent_as_a_file(head: str, content: bytes, value: str) -> None:
    body = multipart((f'name="payload"; {head}', content))
    assert parse(body, MULTIPART) == {"payload": value}


@pytest.mark.parametrize(
    ("head", "content", "value", "said"),
    [
        ("", b"caf\xe9", "café", "read as windows-1252"),
        ("\r\nContent-Type: text/plain; charset=latin1", "é".encode(), "é", "not latin1 as"),
        ("\r\nContent-Type: text/plain; charset=zip", b"1", "1", "charset is not supported"),
    ],
)
def test_a_part_with_other_bytes_than_it_declares_is_read(
    head: str, content: bytes, value: str, said: str
) -> None:
    repairs: list[str] = []
    body = multipart((f'name="a"{head}', content))
    assert parse(body, MULTIPART, repairs=repairs) == {"a": value}
    assert said in repairs[0]


def test_a_multipart_body_tells_its_boundary_when_the_header_does_not() -> None:
    body = multipart(('name="a"', b"1"))
    assert parse(body, "multipart/form-data") == {"a": "1"}
    assert parse(body, "text/plain", kind="multipart") == {"a": "1"}


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"", MULTIPART, "malformed, or the boundary"),
        (b"", "multipart/form-data", "malformed, or the boundary"),
        (b"no boundary here", MULTIPART, "malformed, or the boundary"),
        (multipart(('name="a"', b"1"))[:-10], MULTIPART, "malformed, or the boundary"),
        (multipart(("", b"1")), MULTIPART, "malformed, or the boundary"),
        (b"--b\r\nX: y\r\n\r\n1\r\n--b--\r\n", MULTIPART, "malformed, or the boundary"),
        (b"--b\r\n\xff: y\r\n\r\n1\r\n--b--\r\n", MULTIPART, "malformed, or the boundary"),
        (
            multipart(('name="a"', b"1")),
            "multipart/form-data; boundary*=utf-8''%C3%A9",
            "malformed, or the boundary",
        ),
        (multipart(*[('name="a"', b"")] * 1001), MULTIPART, "more than 1000 parts"),
    ],
    ids=shown,
)
def test_broken_multipart_is_refused(body: bytes, content_type: str, reason: str) -> None:
    with pytest.raises(PayloadError, match=reason):
        parse(body, content_type)


# XML


@pytest.mark.parametrize(
    ("body", "data"),
    [
        (b"<a>text</a>", {"a": "text"}),
        (b"<a/>", {"a": ""}),
        (b"<a> \n </a>", {"a": ""}),
        (b'<a x="1"/>', {"a": {"@x": "1"}}),
        (b'<a x="1"> text </a>', {"a": {"@x": "1", "#text": "text"}}),
        (b"<a><b>1</b></a>", {"a": {"b": "1"}}),
        (b"<a><b>1</b><b/><b>3</b></a>", {"a": {"b": ["1", "", "3"]}}),
        (b'<a><b x="1"/><b>2</b></a>', {"a": {"b": [{"@x": "1"}, "2"]}}),
        (b"<a>one <b>2</b> three</a>", {"a": {"b": "2", "#text": "one  three"}}),
        (
            b'<s:Envelope xmlns:s="urn:s" xmlns="urn:d" s:id="7"><Body>x</Body></s:Envelope>',
            {"Envelope": {"@id": "7", "Body": "x"}},
        ),
        (b'\r\n <?xml version="1.0"?><?adf version="1.0"?><!-- c --><a>1</a>', {"a": "1"}),
        (b"<a>&lt;b&gt; &amp; &#233;</a>", {"a": "<b> & é"}),
        (b"<a><![CDATA[<b>]]></a>", {"a": "<b>"}),
        (b'<?xml version="1.0" encoding="windows-1252"?><a>\xe9</a>', {"a": "é"}),
        ('<?xml version="1.0" encoding="utf-16"?><a>é</a>'.encode("utf-16"), {"a": "é"}),
        (b"\xef\xbb\xbf<a>1</a>", {"a": "1"}),
    ],
    ids=shown,
)
def test_xml_is_read(body: bytes, data: object) -> None:
    assert parse(body, "text/xml") == data


@pytest.mark.parametrize(
    "content_type", ["text/xml", "application/xml; q=1", "application/soap+xml", "TEXT/XML"]
)
def test_xml_has_several_content_types(content_type: str) -> None:
    assert parse(b"<a>1</a>", content_type) == {"a": "1"}


@pytest.mark.parametrize("charset", ["utf-16", "utf-16le", "utf-32"])
def test_xml_in_utf16_may_say_so_in_the_header(charset: str) -> None:
    repairs: list[str] = []
    said = f"text/xml; charset={charset}"
    assert parse("<a>x</a>".encode(charset), said, repairs=repairs) == {"a": "x"}
    assert repairs == []
    assert parse(b"<a>x</a>", said) == {"a": "x"}


def test_a_charset_in_the_header_beats_the_documents_own() -> None:
    body = '<?xml version="1.0" encoding="UTF-8"?><a>あ</a>'.encode("shift_jis")
    assert parse(body, "text/xml; charset=shift_jis") == {"a": "あ"}


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        (b"<a>Cats & dogs, R&D</a>", "", "Cats & dogs, R&D"),
        (
            b"<a>Maple&nbsp;Court &amp; Caf&eacute; &copy 2026</a>",
            "",
            "Maple\xa0Court & Café &copy 2026",
        ),
        (b"<a>&unknown; &LT;b&GT;</a>", "", "&unknown; <b>"),
        (b"<a>rent < 2000 <3</a>", "", "rent < 2000 <3"),
        (b"<a>one\x0btwo&#11;&#x1F;&#0;\x00</a>", "", "onetwo"),
        (b"<a>caf\xe9</a>", "", "café"),
        (b'<?xml version="1.0" encoding="utf-8"?><a>caf\xe9</a>', "", "café"),
        (b'<?xml version="1.0" encoding="windows-1252"?><a>\xe9&nbsp;</a>', "", "é"),
        (b'<?xml version="1.0" encoding="klingon"?><a>1</a>', "", "1"),
        ('<?xml version="1.0" encoding="utf-16"?><a>José</a>'.encode(), "", "José"),
        (b'\xef\xbb\xbf\r\n<?xml version="1.0"?><a>1</a>', "", "1"),
        ('<?xml version="1.0" encoding="shift_jis"?><a>あ</a>'.encode("shift_jis"), "", "あ"),
        ("<a>é</a>".encode(), "; charset=iso-8859-1", "é"),
        (b"<a><![CDATA[R&D < &nbsp;]]> & <![CDATA[<b>]]></a>", "", "R&D < &nbsp; & <b>"),
    ],
    ids=shown,
)
def test_one_wrong_character_does_not_cost_the_document(
    body: bytes, content_type: str, text: str
) -> None:
    repairs: list[str] = []
    assert parse(body, f"text/xml{content_type}", repairs=repairs) == {"a": text}
    assert repairs, "what was corrected is reported"


ENTITY_BOMB = b"""<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;">]><l>&d;</l>"""


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (ENTITY_BOMB, "DTDs and entities are not accepted"),
        (b'<!DOCTYPE l SYSTEM "file:///etc/passwd"><l/>', "DTDs and entities are not accepted"),
        (b"<!DOCTYPE l><l/>", "DTDs and entities are not accepted"),
        (b"\x00<!DOCTYPE l><l>&nbsp;</l>", "DTDs and entities are not accepted"),
        (b"<a>&secret;<b></a>", "not XML: line 1, column 4"),
        (b"<a>" * 300_000, "nested too deeply"),
        (b"<a>" * 101 + b"</a>" * 101, "nested too deeply"),
        (b"<a><b></a>", "not XML: line 1"),
        (b"", "not XML: line 1"),
        (b"Dana", "not XML: line 1, column 1"),
        (b"<a>Cats & <br>dogs</a>", "not XML: line 1"),
        (b'<a x="1" x="2">&nbsp;</a>', "not XML: line 1"),
    ],
    ids=shown,
)
def test_hostile_or_broken_xml_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(PayloadError, match=reason):
        parse(body, "text/xml")


def test_thirty_thousand_elements_are_read_and_no_more() -> None:
    body = b"<r>" + b"<a/>" * 29_999 + b"</r>"
    data: Any = parse(body, "text/xml")
    assert len(data["r"]["a"]) == 29_999
    with pytest.raises(PayloadError, match="XML: more than 30,000 elements"):
        parse(body.replace(b"</r>", b"<a/></r>"), "text/xml")


def test_a_hundred_levels_of_xml_are_read() -> None:
    assert parse(b"<a>" * 100 + b"</a>" * 100, "text/xml")


# All kinds


def test_the_mapping_may_override_the_content_type() -> None:
    assert parse(b"a=1", "application/json", kind="form") == {"a": "1"}
    assert parse(b"<a>1</a>", "text/plain", kind="xml") == {"a": "1"}
    assert parse(b"[1]", FORM, kind="json") == [1]
    assert KINDS == ("json", "form", "multipart", "xml", "query")


CONTENT_TYPES = st.sampled_from(
    ["", "application/json", FORM, MULTIPART, "multipart/form-data", "text/xml", "text/plain"]
    + [f"{kind}; charset=utf-16" for kind in ("application/json", FORM, "text/xml")]
    + ["text/xml; charset=cp850", 'multipart/form-data; boundary="b b"', "application/json; a*0=b"]
)
NEARLY = st.lists(
    st.sampled_from(
        [
            b"--b",
            b"\r\n",
            b"--",
            b"--b--\r\n",
            b'Content-Disposition: form-data; name="a"',
            b"=",
            b"\r\n\r\n",
            b"; filename=",
            b"<a>",
            b"</a>",
            b"<!DOCTYPE a>",
            b"<?xml",
            b"&a;",
            b"%",
            b"{",
            b"}",
            b'"',
            b":",
            b"[",
            b"]",
            b"1e400",
            b"NaN",
            b"\\u",
            b"\xff",
            b"\x00",
            b"&",
            b"+",
        ]
    ),
    max_size=30,
).map(b"".join)


@settings(deadline=None)  # a busy machine is not a failure
@given(st.binary(max_size=200) | NEARLY, CONTENT_TYPES | st.text(max_size=40), st.text(max_size=20))
def test_any_bytes_are_data_or_a_payload_error(body: bytes, content_type: str, query: str) -> None:
    for kind in (None, *KINDS):
        try:
            data = parse(body, content_type, kind=kind, query=query)
        except PayloadError:
            continue
        assert isinstance(data, dict | list | str | int | float | None), type(data)


def corpus() -> list[Any]:
    files = sorted(CORPUS.glob("*.meta.json"))
    return [pytest.param(path, id=path.name.removesuffix(".meta.json")) for path in files]


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus is not here")
@pytest.mark.parametrize("path", corpus())
def test_real_payloads_are_read(path: Path) -> None:
    about = json.loads(path.read_text())
    kind = {".form": "form", ".xml": "xml", ".multipart": "multipart"}.get(
        Path(about["raw_file"]).suffix
    )
    body = (CORPUS / about["raw_file"]).read_bytes()
    if about["disposition"] == "reject":
        with pytest.raises(PayloadError, match=r"line \d+, column \d+"):
            parse(body, about["content_type"], kind=kind)
    else:
        assert parse(body, about["content_type"], kind=kind)


# Several kinds of bodies from one sender, and compressed bodies

PARTS = b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--B--\r\n'


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"a=1", FORM),
        (b"a=1", "text/xml"),
        (b"a=1", ""),
        (PARTS, "multipart/form-data; boundary=B"),
    ],
)
def test_one_sender_may_have_several_kinds_of_bodies(body: bytes, content_type: str) -> None:
    assert parse(body, content_type, kind=("multipart", "form")) == {"a": "1"}


def test_a_body_of_none_of_its_kinds_is_refused() -> None:
    with pytest.raises(PayloadError, match="not XML"):
        parse(b"a=1", "text/xml", kind=("json", "xml"))


def test_a_compressed_body_is_unpacked_without_a_header() -> None:
    repairs: list[str] = []
    assert parse(gzip.compress(b'{"a": 1}'), "application/json", repairs=repairs) == {"a": 1}
    assert repairs == ["the body was compressed with gzip"]
    assert parse(gzip.compress(b"a=1"), "", kind=("form", "json")) == {"a": "1"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (gzip.compress(b'{"a": 1}')[:-12], "gzip: cut off"),
        (b"\x1f\x8bnonsense", "gzip: malformed"),
        (gzip.compress(b" " * MAX_UNPACKED_BYTES + b"1"), "gzip: larger than 1024 kB"),
        (gzip.compress(bytes(200_000_000), 1), "gzip: larger than 1024 kB"),
    ],
    ids=["cut off", "malformed", "one byte too large", "a bomb"],
)
def test_a_compressed_body_is_unpacked_within_limits(body: bytes, reason: str) -> None:
    with pytest.raises(PayloadError, match=reason):
        parse(body, "application/json")


# Fields that are removed before a request is stored

SECRET = "s3cr3t-Value_9"
NAMES = ("apiToken", "pass word")
WORDS = "my apiToken ='12 and O'Brien's"


@pytest.mark.parametrize(
    "body",
    [
        f'{{"apiToken": "{SECRET}", "a": 1}}',
        f'{{"x":[{{"apiToken":"\\"{SECRET}\\"","pass word" : "{SECRET}"}}]}}',
        f'{{"a": {{"apiToken": {SECRET}, "a": 1}}}}',
        f'{{"apiToken": "{SECRET}',
        json.dumps({"lead": json.dumps({"apiToken": SECRET, "a": 1})}),
        json.dumps({"url": f"https://example.com/?apiToken={SECRET}&b=2"}),
        f"a=1&apiToken={SECRET}&pass+word={SECRET}&b=2",
        f"<a><ns:apiToken>{SECRET}</ns:apiToken><b apiToken='{SECRET}'>2</b></a>",
        f"<a><apiToken x='1'><![CDATA[<{SECRET}]]></apiToken></a>",
        f'--B\r\nContent-Disposition: form-data; name="apiToken"\r\n\r\n{SECRET}\r\n--B--\r\n',
        f"--B\r\nContent-Disposition: form-data; name=apiToken\r\nX:y\r\n\r\n{SECRET}\r\n2\r\n--B",
        f'--B\r\nContent-Disposition: form-data; name="a[apiToken]"\r\n\r\n{SECRET}\r\n--B--\r\n',
        f"a=1&%61piToken={SECRET}&pass%20word={SECRET}&b=2",
        f"lead[apiToken]={SECRET}&lead%5Ba%5d%5bpass+word%5D={SECRET}",
        f'{{"api\\u0054oken": "{SECRET}", "pass\\u0020word": "{SECRET}"}}',
        json.dumps({"lead": f'{{"\\u0061piToken": "{SECRET}"}}'}),
    ],
)
def test_named_values_are_removed_wherever_they_are(body: str) -> None:
    left = without_values(body.encode(), NAMES)
    assert SECRET.encode() not in left
    assert left.count(b"[removed]") == body.count(SECRET)


@pytest.mark.parametrize(
    "body",
    [
        '{"apiTokens": "x", "myapiToken": "y"}',
        "apiTokens=x&xapiToken=y",
        "<apiTokens>x</apiTokens>",
    ],
)
def test_similar_names_are_kept(body: str) -> None:
    assert without_values(body.encode(), NAMES) == body.encode()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_named_values_are_removed_in_any_unicode_encoding(encoding: str) -> None:
    left = without_values(f'{{"apiToken": "{SECRET}", "a": "é"}}'.encode(encoding), NAMES)
    assert json.loads(left) == {"apiToken": "[removed]", "a": "é"}
    damaged = '{"a": 1}'.encode(encoding)[:-1]
    assert without_values(damaged, NAMES) == damaged


def test_the_rest_of_a_body_still_parses() -> None:
    body = json.dumps({"apiToken": SECRET, "a": [{"pass word": 5}, 'x "apiToken": "y'], "b": 1})
    left = json.loads(without_values(body.encode(), NAMES))
    assert left["b"] == 1
    assert left["a"][0] == {"pass word": "[removed]"}


@pytest.mark.parametrize(
    "words",
    [
        "<apiToken> hello",
        "<ns:apiToken x='1'><![CDATA[ hello",
        WORDS,
        "my apiToken = ",
        "my apiToken = '",
        'my apiToken = "x',
    ],
)
def test_words_that_look_like_a_field_do_not_damage_the_lead(words: str) -> None:
    lead = {"words": words, "name": "Pat O'Brien", "email": "pat@example.com", "say": "it's <b>"}
    for body in (json.dumps(lead), json.dumps([lead], indent=1)):
        left = json.loads(without_values(body.encode(), NAMES))
        left = left if isinstance(left, dict) else left[0]
        assert {**left, "words": words} == lead


@pytest.mark.parametrize(
    "words", ["<apiToken> hi", "<apiToken><![CDATA[ hi", '"apiToken": "hi', WORDS]
)
def test_words_in_one_field_do_not_damage_the_others(words: str) -> None:
    lead = {"words": words, "name": "Dana Okafor", "apiToken": SECRET, "email": "d@example.com"}
    inner = {"lead": json.dumps(lead), "name": "Dana Okafor"}
    for fields in (lead, inner):
        head = '--B\r\nContent-Disposition: form-data; name="'
        parts = "".join(f'{head}{name}"\r\n\r\n{text}\r\n' for name, text in fields.items())
        form = "&".join(f"{name}={text}" for name, text in fields.items())
        for body, kind in (
            (parts + "--B--\r\n", "multipart/form-data; boundary=B"),
            (form, "application/x-www-form-urlencoded"),
        ):
            stripped = without_values(body.encode(), NAMES)
            assert SECRET.encode() not in stripped
            left: Any = parse(stripped, kind)
            assert left["name"] == "Dana Okafor"
            found = left if fields is lead else json.loads(left["lead"])
            assert found["email"] == "d@example.com"


def test_values_of_xml_in_json_are_removed() -> None:
    xml = f"""<a><apiToken b="1">"{SECRET}"</apiToken><b apiToken="{SECRET}" apiToken='{SECRET}'/>
        <apiToken><![CDATA[{SECRET}]]></apiToken></a>"""
    left = without_values(json.dumps({"xml": xml, "a": 1}).encode(), NAMES)
    assert SECRET.encode() not in left
    assert json.loads(left)["a"] == 1


@pytest.mark.parametrize(
    "piece",
    [
        b'"apiToken":"',
        b'"apiToken":"\\',
        b'\\"apiToken\\":\\"',
        b"<apiToken ",
        b"<apiToken><![CDATA[]",
        b" apiToken='",
        b'\nContent-Disposition: form-data; name="apiToken"\n',
        b' name="apiToken"\n\n',
        b"&apiToken=",
        b"?a[",
        b"&a=",
        b"--B\n",
        b"&a%5B" * 30,
        b" name=a[",
        b'"\\\\\\\\u0061',
    ],
)
def test_removing_takes_linear_time(piece: bytes) -> None:
    body = piece * (1_000_000 // len(piece))
    for start in (b"", b"{", b"--B\n", b"a=1"):
        started = time.process_time()
        without_values(start + body, NAMES)
        assert time.process_time() - started < at_most(0.5)
