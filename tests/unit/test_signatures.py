"""Test each signature scheme with expected values computed by the standard library."""

import base64
import dataclasses
import hashlib
import hmac
import json

import pytest

from adapter.exceptions import ConfigurationError, PayloadError
from adapter.models import WebhookRequest
from adapter.signatures import check_block, keyed_hash, proved_headers, sign, verifier
from tests.signed import (
    BEARER,
    BODY,
    FORM,
    GOOD_AT,
    JSON,
    LISTED,
    NOW,
    PLAIN,
    QUERY,
    SECRET,
    TIMED,
    URL,
    base64_of,
    hex_of,
    refusal_reason,
    refusal_reason_with,
    request,
)

GOOD = hex_of(BODY)
#: The same number in digits that Python accepts but senders never use.
ARABIC = "".join(chr(0x660 + int(digit)) for digit in str(NOW))


# hmac: the header -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (GOOD, None),
        (hex_of(BODY + b" "), "signature_mismatch"),
        (GOOD[:-1], "signature_mismatch"),
        (GOOD[:32], "signature_mismatch"),
        (GOOD + "00", "signature_mismatch"),
        ("0" + GOOD[1:] if GOOD[0] != "0" else "1" + GOOD[1:], "signature_mismatch"),
        (GOOD.upper(), "header_malformed"),
        (" " + GOOD, "header_malformed"),
        (GOOD + "\n", "header_malformed"),
        ("sha256=" + GOOD, "header_malformed"),
        (f"{GOOD},{GOOD}", "header_malformed"),
        ("é" + GOOD[1:], "header_malformed"),
        ("", "header_missing"),
        ("0" * 5000, "header_too_long"),
    ],
)
def test_a_header_must_match_completely(value: str, reason: str | None) -> None:
    assert refusal_reason(PLAIN, request({"X-Sig": value})) == reason


def test_a_missing_header_is_named() -> None:
    assert refusal_reason(PLAIN, request({"X-Other": GOOD})) == "header_missing"


@pytest.mark.parametrize("name", ["X-Sig", "x-sig", "X-SIG"])
def test_header_names_match_in_any_case(name: str) -> None:
    assert refusal_reason(PLAIN | {"header": "x-SIG"}, request({name: GOOD})) is None


def test_two_spellings_of_one_header_are_one_header_sent_twice() -> None:
    assert refusal_reason(PLAIN, request({"X-Sig": GOOD, "x-sig": GOOD})) == "header_malformed"


def test_the_first_of_several_headers_that_is_present_counts() -> None:
    block = PLAIN | {"header": ["X-New", "X-Old"]}
    assert refusal_reason(block, request({"X-Old": GOOD})) is None
    assert refusal_reason(block, request({"X-New": GOOD})) is None
    both = request({"X-Old": GOOD, "X-New": "0" * 64})
    assert refusal_reason(block, both) == "signature_mismatch", (
        "an old header must not rescue a new one"
    )


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (f"sha256={GOOD}", None),
        (GOOD, "header_malformed"),
        (f"sha1={GOOD}", "header_malformed"),
        (f"sha256=sha256={GOOD}", "header_malformed"),
        (f"sha256={GOOD} ", "header_malformed"),
        (f"xsha256={GOOD}", "header_malformed"),
        ("sha256=", "header_malformed"),
        (f"SHA256={GOOD}", "header_malformed"),
    ],
)
def test_literal_text_of_format_must_be_there(value: str, reason: str | None) -> None:
    block = PLAIN | {"format": "sha256={signature}"}
    assert refusal_reason(block, request({"X-Sig": value})) == reason


@pytest.mark.parametrize("dot", [".", "x"])
def test_a_dot_in_format_is_a_dot(dot: str) -> None:
    found = refusal_reason(
        PLAIN | {"format": "v1.{signature}"}, request({"X-Sig": f"v1{dot}{GOOD}"})
    )
    assert (found is None) == (dot == "."), "format is text, not a regular expression"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (f"t={NOW},v1={GOOD_AT}", None),
        (f"v1={GOOD_AT},t={NOW}", None),
        (f"t={NOW},v1={'0' * 64},v1={GOOD_AT}", None),
        (f"t={NOW},v0=abc,v1={GOOD_AT},something", None),
        (f"t={NOW}", "header_malformed"),
        (f"v1={GOOD_AT}", "timestamp_missing"),
        (f"t={NOW},t={NOW},v1={GOOD_AT}", "timestamp_repeated"),
        (f"t={NOW}, v1={GOOD_AT}", "header_malformed"),
        (f"t={NOW + 1},v1={GOOD_AT}", "signature_mismatch"),
        (f"t=-{NOW},v1={GOOD_AT}", "timestamp_missing"),
        (f"t={NOW},v1=" + f",v1={GOOD_AT}" * 16, None),
        (f"t={NOW}" + f",v1={GOOD_AT}" * 17, "too_many_signatures"),
        (f"t={NOW};v1={GOOD_AT}", "header_malformed"),
        ("x," * 62 + f"t={NOW},v1={GOOD_AT}", None),
        ("x," * 63 + f"t={NOW},v1={GOOD_AT}", "too_many_signatures"),
        (f"t={ARABIC},v1={hex_of(f'{ARABIC}.'.encode() + BODY)}", "timestamp_missing"),
    ],
)
def test_a_list_is_read_item_by_item(value: str, reason: str | None) -> None:
    assert refusal_reason(LISTED, request({"X-Sig": value})) == reason


# hmac: what is signed -------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
def test_algorithms(algorithm: str) -> None:
    block = PLAIN | {"algorithm": algorithm}
    for other in ("sha1", "sha256", "sha512"):
        given = request({"X-Sig": hex_of(BODY, algorithm=other)})
        expected = None if other == algorithm else "signature_mismatch"
        assert refusal_reason(block, given) == expected, f"{other} for {algorithm}"


# Digests of this body contain padding and both characters that differ between the alphabets.
MIXED = next(b"%d" % n for n in range(999) if {"+", "/"} <= set(base64_of(b"%d" % n)))


@pytest.mark.parametrize(
    ("encoding", "value", "reason"),
    [
        ("base64", base64_of(MIXED), None),
        ("base64", base64_of(MIXED).rstrip("="), "signature_mismatch"),
        ("base64", base64_of(MIXED) + "=", "signature_mismatch"),
        ("base64", base64_of(MIXED).swapcase(), "signature_mismatch"),
        ("base64", base64_of(MIXED).replace("+", "-").replace("/", "_"), "header_malformed"),
        ("base64", base64_of(MIXED)[:10] + "!" + base64_of(MIXED)[10:], "header_malformed"),
        ("base64", hex_of(MIXED), "signature_mismatch"),
        ("base64url", base64_of(MIXED).replace("+", "-").replace("/", "_").rstrip("="), None),
        ("base64url", base64_of(MIXED).rstrip("="), "header_malformed"),
        ("base64url", base64_of(MIXED).replace("+", "-").replace("/", "_"), "header_malformed"),
        ("hex", base64_of(MIXED), "header_malformed"),
    ],
)
def test_encodings_are_compared_as_written(encoding: str, value: str, reason: str | None) -> None:
    given = request({"X-Sig": value}, body=MIXED)
    assert refusal_reason(PLAIN | {"encoding": encoding}, given) == reason


def test_the_unused_bits_of_base64_must_be_the_senders() -> None:
    """Change the two unused bits in the last letter, which four spellings decode alike."""
    good = base64_of(BODY)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    twin = good[:-2] + letters[letters.index(good[-2]) ^ 1] + "="
    assert base64.b64decode(twin) == base64.b64decode(good), "the premise: the same bytes"
    block = PLAIN | {"encoding": "base64"}
    assert refusal_reason(block, request({"X-Sig": twin})) == "signature_mismatch"


SIGNED = "{method} {url}\n{header:X-Id}/{body}"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"method": "PUT"}, "signature_mismatch"),
        ({"url": URL + "?a=1"}, "signature_mismatch"),
        ({"url": URL.replace("https", "http")}, "signature_mismatch"),
        ({"body": BODY + b"\n"}, "signature_mismatch"),
        ({"headers": {"X-Id": "m-2"}}, "signature_mismatch"),
        ({"headers": {}}, "signed_header_missing"),
    ],
)
def test_every_part_that_is_signed_counts(change: dict[str, object], reason: str | None) -> None:
    signature = hex_of(f"POST {URL}\nm-1/".encode() + BODY)
    given = request({"X-Id": "m-1"})
    given = dataclasses.replace(given, **change)  # type: ignore[arg-type]
    given = dataclasses.replace(given, headers={**given.headers, "X-Sig": signature})
    assert refusal_reason(PLAIN | {"signed": SIGNED}, given) == reason


def test_a_header_is_signed_as_the_bytes_that_came() -> None:
    """Use a UTF-8 header, which a server decodes as Latin-1 although the bytes are signed."""
    seen = "Zoë".encode().decode("latin-1")
    signature = hex_of("Zoë".encode() + BODY)
    given = request({"X-Id": seen, "X-Sig": signature})
    assert refusal_reason(PLAIN | {"signed": "{header:x-id}{body}"}, given) is None


def test_reformatted_json_is_a_different_body() -> None:
    anew = json.dumps(json.loads(BODY)).encode()
    assert refusal_reason(PLAIN, request({"X-Sig": GOOD}, body=anew)) == "signature_mismatch"


# hmac: time -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds_off", "reason"),
    [
        (0, None),
        (300, None),
        (-300, None),
        (300.5, "timestamp_outside_tolerance"),
        (-300.5, "timestamp_outside_tolerance"),
        (86400 * 365, "timestamp_outside_tolerance"),
        (float("nan"), "timestamp_outside_tolerance"),
    ],
)
def test_tolerance_is_the_same_on_both_sides(seconds_off: float, reason: str | None) -> None:
    given = request({"X-Sig": GOOD_AT, "X-Time": str(NOW)})
    assert refusal_reason(TIMED, given, NOW + seconds_off) == reason


@pytest.mark.parametrize(
    ("unit", "text", "reason"),
    [
        ("s", str(NOW), None),
        ("s", str(NOW * 1000), "timestamp_malformed"),
        ("s", f"{NOW}.0", "timestamp_malformed"),
        ("s", f" {NOW}", "timestamp_malformed"),
        ("s", f"+{NOW}", "timestamp_malformed"),
        ("s", f"{NOW}abc", "timestamp_malformed"),
        ("s", ARABIC, "timestamp_malformed"),
        ("s", "1e9", "timestamp_malformed"),
        ("s", "", "timestamp_missing"),
        ("ms", str(NOW * 1000), None),
        ("ms", str(NOW * 1000 + 300_000), None),
        ("ms", str(NOW * 1000 + 300_001), "timestamp_outside_tolerance"),
        ("ms", str(NOW), "timestamp_outside_tolerance"),
        ("iso8601", "2026-01-01T01:00:00Z", None),
        ("iso8601", "2026-01-01T01:00:00.123456789Z", None),
        ("iso8601", "2026-01-01T03:00:00+02:00", None),
        ("iso8601", "2026-01-01T01:05:01Z", "timestamp_outside_tolerance"),
        ("iso8601", "2026-01-01T01:00:00", "timestamp_malformed"),
        ("iso8601", "2026-01-01 01:00:00Z", "timestamp_malformed"),
        ("iso8601", "20260101T010000Z", "timestamp_malformed"),
        ("iso8601", "2026-06-31T01:00:00Z", "timestamp_malformed"),
        ("iso8601", "2026-01-01T01:00:00+99:00", "timestamp_malformed"),
        ("iso8601", "0001-01-01T00:00:00+14:00", "timestamp_outside_tolerance"),
        ("iso8601", str(NOW), "timestamp_malformed"),
    ],
)
def test_units_are_never_guessed(unit: str, text: str, reason: str | None) -> None:
    """Use 1767229200 (2026-01-01T01:00:00Z) in each unit, always with a valid signature."""
    block = TIMED | {"timestamp": {"header": "X-Time", "unit": unit}}
    signature = hex_of(text.encode() + b"." + BODY)
    assert refusal_reason(block, request({"X-Sig": signature, "X-Time": text})) == reason


def test_a_refreshed_time_does_not_refresh_the_signature() -> None:
    given = request({"X-Sig": GOOD_AT, "X-Time": str(NOW + 5000)})
    assert refusal_reason(TIMED, given, NOW + 5000) == "signature_mismatch"


def test_a_custom_tolerance() -> None:
    block = TIMED | {"timestamp": {"header": "X-Time", "tolerance": 10}}
    given = request({"X-Sig": GOOD_AT, "X-Time": str(NOW)})
    assert refusal_reason(block, given, NOW + 10) is None
    assert refusal_reason(block, given, NOW + 11) == "timestamp_outside_tolerance"


# secrets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [PLAIN, {"scheme": "token", "in": "header", "name": "X-Sig"}])
def test_any_secret_of_a_rotation_passes_and_is_named(block: dict[str, object]) -> None:
    rotation = ["oldest", "middle", "newest"]
    for index, secret in enumerate(rotation):
        given = sign(block, secret, request(), NOW)
        assert verifier(block, rotation).verified_by(given, NOW) == index
    stranger = sign(block, "stranger", request(), NOW)
    assert refusal_reason_with(block, rotation, stranger) in {
        "signature_mismatch",
        "token_mismatch",
    }


def test_basic_passwords_rotate_too() -> None:
    block = {"scheme": "basic", "username": "leads"}
    given = sign(block, "old", request(), NOW)
    assert verifier(block, ["old", "new"]).verified_by(given, NOW) == 0


@pytest.mark.parametrize("secrets", [[""], [" "], ["\n"], ["good", ""], ["", "good"], []])
@pytest.mark.parametrize(
    "block",
    [
        PLAIN,
        {"scheme": "hash", "header": "X-Sig"},
        {"scheme": "token", "in": "form", "name": "key"},
        {"scheme": "basic", "username": "leads"},
    ],
    ids=lambda block: str(block["scheme"]),
)
def test_a_verifier_needs_a_secret(block: dict[str, object], secrets: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="secret"):
        verifier(block, secrets)


def test_a_text_in_place_of_the_list_of_secrets_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="must be a list"):
        verifier(PLAIN, "abc")


@pytest.mark.parametrize(
    ("secret", "more", "message"),
    [
        ("wrong!", {"secret_encoding": "hex"}, "secret 1 of 1 is not hex"),
        ("abc", {"secret_encoding": "hex"}, "secret 1 of 1 is not hex"),
        ("n*t b64", {"secret_encoding": "base64"}, "secret 1 of 1 is not base64"),
        ("====", {"secret_encoding": "base64"}, "is empty after its prefix"),
        ("whsec_", {"secret_prefix": "whsec_"}, "is empty after its prefix"),
        ("\udcff", {}, "is not utf8"),
    ],
)
def test_a_secret_that_cannot_be_read_is_named_and_not_quoted(
    secret: str, more: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        verifier(PLAIN | more, [secret])
    assert message in str(caught.value)
    assert secret not in str(caught.value), "a secret must never stand in a message"


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        ("hex", "00ff10"),
        ("hex", "00FF10"),
        ("base64", "AP8Q"),
        ("base64", "whsec_AP8Q"),
        ("utf8", "\x00ÿ\x10"),
    ],
)
def test_secrets_are_decoded_as_configured(encoding: str, written: str) -> None:
    key = "\x00ÿ\x10".encode() if encoding == "utf8" else b"\x00\xff\x10"
    block = PLAIN | {"secret_encoding": encoding, "secret_prefix": "whsec_"}
    given = request({"X-Sig": hex_of(BODY, secret=key)})
    assert refusal_reason_with(block, [written], given) is None


@pytest.mark.parametrize("written", ["YWJjZA==", "YWJjZA=", "YWJjZA"])
def test_missing_padding_of_a_secret_is_added(written: str) -> None:
    given = request({"X-Sig": hex_of(BODY, secret=b"abcd")})
    assert refusal_reason_with(PLAIN | {"secret_encoding": "base64"}, [written], given) is None


# hash -----------------------------------------------------------------------------------------


def test_the_legacy_hash_starts_with_the_secret() -> None:
    block = {"scheme": "hash", "header": "X-Sig", "signed": "{secret}{method}{url}{body}"}
    content = SECRET.encode() + b"POST" + URL.encode() + BODY
    given = request({"X-Sig": hashlib.sha256(content).hexdigest()})
    assert refusal_reason(block, given) is None
    assert refusal_reason_with(block, ["other"], given) == "signature_mismatch"
    assert refusal_reason(block, dataclasses.replace(given, method="PUT")) == "signature_mismatch"


# token ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "given", "reason"),
    [
        (BEARER, request({"authorization": f"Bearer {SECRET}"}), None),
        (BEARER, request({"authorization": "Bearer "}), "token_mismatch"),
        (BEARER, request({"authorization": f"Bearer {SECRET[:-1]}"}), "token_mismatch"),
        (BEARER, request({"authorization": f"Bearer {SECRET}x"}), "token_mismatch"),
        (BEARER, request(), "header_missing"),
        (QUERY, request(url=f"{URL}?a=1&token={SECRET}"), None),
        (QUERY, request(url=f"{URL}?token={SECRET}#part"), None),
        (QUERY, request(url=f"{URL}?token=%61{SECRET[1:]}"), None),
        (QUERY, request(url=f"{URL}?token={SECRET}&token=x"), "token_repeated"),
        (QUERY, request(url=f"{URL}?token="), "token_missing"),
        (QUERY, request(url=f"{URL}#token={SECRET}"), "token_missing"),
        (QUERY, request(url=f"{URL}?TOKEN={SECRET}"), "token_missing"),
        (QUERY, request(url=f"{URL}?token={SECRET}%00"), "token_mismatch"),
        (QUERY, request(url=f"http://[?token={SECRET}"), None),
        (FORM, request(body=f"a=%E9&HandshakeKey={SECRET}".encode()), None),
        (FORM, request(body=f"HandshakeKey={SECRET}&HandshakeKey=x".encode()), "token_repeated"),
        (FORM, request(body=f"HandshakeKey=x&HandshakeKey={SECRET}".encode()), "token_repeated"),
        (FORM, request(body=b"HandshakeKey"), "token_missing"),
        (FORM, request(url=f"{URL}?HandshakeKey={SECRET}", body=b""), "token_missing"),
        (FORM, request(body=b"&".join([b"a=b"] * 2001)), "body_unreadable"),
        (JSON, request(body=json.dumps({"secret_key": SECRET}).encode()), None),
        (JSON, request(body=b"\xef\xbb\xbf" + json.dumps({"secret_key": SECRET}).encode()), None),
        (JSON, request(body=f'{{"secret_key":"{SECRET}","a":"one\ntwo"}}'.encode()), None),
        (JSON, request(body=f'{{"secret_key":"{SECRET}","a":"café"}}'.encode("latin-1")), None),
        (JSON, request(body=json.dumps({"secret_key": [SECRET]}).encode()), "token_missing"),
        (
            JSON,
            request(body=json.dumps({"lead": {"secret_key": SECRET}}).encode()),
            "token_missing",
        ),
        (JSON, request(body=json.dumps([["secret_key", SECRET]]).encode()), "token_missing"),
        (
            JSON,
            request(body=f'{{"secret_key":"{SECRET}","secret_key":"x"}}'.encode()),
            "token_repeated",
        ),
        (JSON, request(body=b'{"secret_key":null}'), "token_missing"),
        (JSON, request(body=b'{"secret_key":"\\ud800"}'), "token_mismatch"),
        (JSON, request(body=b"[" * 100_000), "body_unreadable"),
        (JSON, request(body=b"\xff\xfe"), "body_unreadable"),
        (JSON, request(body=b""), "body_unreadable"),
    ],
)
def test_tokens(block: dict[str, object], given: WebhookRequest, reason: str | None) -> None:
    assert refusal_reason(block, given) == reason


def test_a_token_is_removed_from_json_with_mistakes() -> None:
    body = f'{{"secret_key":"{SECRET}","a":"café\nau lait"}}'.encode("latin-1")
    stripped = verifier(JSON, [SECRET]).without_secret(request(body=body))
    assert json.loads(stripped.body) == {"a": "café\nau lait"}


def test_a_token_may_hold_any_characters() -> None:
    for block in (BEARER, QUERY, FORM, JSON):
        given = sign(block, "ä&b=c d%41+ü€", request(body=b""), NOW)
        assert refusal_reason_with(block, ["ä&b=c d%41+ü€"], given) is None, block["in"]


@pytest.mark.parametrize("body", [b"[]", b"{", b"\xff", b"[" * 100_000])
def test_a_token_in_json_needs_an_object(body: bytes) -> None:
    with pytest.raises(PayloadError, match="must be a JSON object"):
        sign(JSON, SECRET, request(body=body), NOW)


@pytest.mark.parametrize(
    ("block", "bare"),
    [
        (BEARER, request({"X-Id": "1"})),
        (QUERY, request(url=f"{URL}?a=%20&b")),
        (QUERY, request()),
        (FORM, request({"Content-Type": "application/x-www-form-urlencoded"}, body=b"a=+%E9&a")),
        (JSON, request(body=b'{"lead": "x"}')),
        ({"scheme": "basic", "username": "leads"}, request({"X-Id": "1"})),
        (PLAIN | {"header": "X-Sig"}, request({"X-Id": "1"})),
    ],
)
def test_what_is_stored_holds_no_secret(block: dict[str, object], bare: WebhookRequest) -> None:
    signed = sign(block, "s3cr3t", bare, NOW)
    assert signed != bare
    stored = verifier(block, ["s3cr3t"]).without_secret(signed)
    assert "s3cr3t" not in repr(stored)
    if block["scheme"] == "hmac":
        assert stored == signed, "a signature is no secret, and is needed to verify again"
    else:
        assert stored == bare, "all else must stay as it came"


# other spellings of credentials and secrets --------------------------------------------

ODD = "ab+cd/50%=="
ODD_LOGIN = base64.b64encode(b"leads:p-ss+word").decode()
BASIC = {"scheme": "basic", "username": "leads"}


@pytest.mark.parametrize(
    "value",
    [
        "bearer {}",
        "BEARER {}",
        "Bearer   {}",
        "Bearer\t{}",
        "Bearer: {}",
        "{}",
        "Bearer Bearer {}",
        'Bearer "{}"',
        "Bearer {} ",
    ],
)
@pytest.mark.parametrize("prefix", ["Bearer ", ""])
def test_a_bearer_token_in_any_spelling(value: str, prefix: str) -> None:
    block = {"scheme": "token", "in": "header", "name": "Authorization"}
    block |= {"prefix": prefix} if prefix else {}

    given = request({"Authorization": value.format(ODD)})
    assert refusal_reason_with(block, ["older", ODD], given) is None
    wrong = request({"Authorization": value.format(ODD.swapcase())})
    assert refusal_reason_with(block, ["older", ODD], wrong) == "token_mismatch"


def test_a_prefix_of_another_name_is_no_prefix() -> None:
    block = BEARER | {"prefix": "key="}
    assert refusal_reason(block, request({"Authorization": f"KEY={SECRET}"})) is None
    assert refusal_reason(block, request({"Authorization": f"lock={SECRET}"})) == "token_mismatch"


@pytest.mark.parametrize(
    "text",
    [
        "ab+cd/50%==",
        "ab%2Bcd%2F50%25%3D%3D",
        "ab%2bcd/50%25==",
        "ab%252Bcd%252F50%2525%253D%253D",
        "ab+cd/50%==%0A",
        "%22ab+cd/50%==%22",
    ],
    ids=["as it is", "encoded", "in part", "twice", "with a line break", "quoted"],
)
@pytest.mark.parametrize("block", [QUERY, FORM], ids=["query", "form"])
def test_a_token_in_a_query_or_form_however_it_is_encoded(
    block: dict[str, object], text: str
) -> None:
    field = f"{block['name']}={text}&unit=2"
    given = request(url=f"{URL}?{field}", body=field.encode())

    assert refusal_reason_with(block, [ODD], given) is None
    assert refusal_reason_with(block, ["ab-cd/50%=="], given) == "token_mismatch"


@pytest.mark.parametrize(
    "value",
    [f"basic {ODD_LOGIN}", f"Basic  {ODD_LOGIN}", ODD_LOGIN, f"Basic {ODD_LOGIN.rstrip('=')}"],
)
def test_a_login_in_any_spelling(value: str) -> None:
    given = request({"Authorization": value})
    assert refusal_reason_with(BASIC, ["p-ss+word"], given) is None
    assert refusal_reason_with(BASIC, ["p-ss word!"], given) == "credentials_mismatch"


@pytest.mark.parametrize("text", ["p%40ss", "p@ss"])
def test_a_login_from_the_user_part_of_a_url(text: str) -> None:
    encoded = base64.b64encode(f"leads:{text}".encode()).decode()
    given = request({"Authorization": f"Basic {encoded}"})
    assert refusal_reason_with(BASIC, ["p@ss"], given) is None


def test_a_password_in_latin_1() -> None:
    encoded = base64.b64encode("leads:pässword".encode("latin-1")).decode()
    given = request({"Authorization": f"Basic {encoded}"})
    assert refusal_reason_with(BASIC, ["pässword"], given) is None


UNTRIMMED = ["{}\n", "{}\r\n", " {} ", "\ufeff{}", '"{}"', "'{}'\n", "{}\u00a0"]


@pytest.mark.parametrize("ours", UNTRIMMED)
@pytest.mark.parametrize("block", [PLAIN, BEARER, QUERY, FORM, JSON, BASIC], ids=str)
def test_what_surrounds_our_secret_by_accident_does_not_count(
    block: dict[str, object], ours: str
) -> None:
    given = sign(block, SECRET, request(), NOW)

    rotation = [ours.format("older"), ours.format(SECRET), ours.format("newer")]
    found = verifier(block, rotation)
    assert found.owners[found.verified_by(given, NOW) or 0] == 1
    assert sign(block, ours.format(SECRET), request(), NOW) == given
    assert refusal_reason_with(block, [ours.format("other")], given) is not None


def test_a_sender_that_has_the_same_line_break_in_its_secret_passes_too() -> None:
    signature = hex_of(BODY, secret=f"{SECRET}\n".encode())
    assert refusal_reason_with(PLAIN, [f"{SECRET}\n"], request({"X-Sig": signature})) is None


def test_an_encoded_secret_with_a_line_break_is_no_fault() -> None:
    for encoding, secret in (("base64", "c2VjcmV0\n"), ("hex", "736563726574\r\n")):
        block = PLAIN | {"secret_encoding": encoding}
        given = request({"X-Sig": hex_of(BODY, secret=b"secret")})
        assert refusal_reason_with(block, [secret], given) is None


# basic ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("Basic bGVhZHM6YS1zZWNyZXQtb2Ytb3Vycw==", None),
        ("bASIC bGVhZHM6YS1zZWNyZXQtb2Ytb3Vycw==", None),
        ("Basic bGVhZHM6YS1zZWNyZXQtb2Ytb3Vycw", None),
        ("Basic bGVhZHM6YS1zZWNyZXQtb2Ytb3VycX==", "credentials_mismatch"),
        ("Basic  bGVhZHM6YS1zZWNyZXQtb2Ytb3Vycw==", None),
        ("Basic b3RoZXI6YS1zZWNyZXQtb2Ytb3Vycw==", "credentials_mismatch"),
        ("Basic", "credentials_mismatch"),
        ("Bearer bGVhZHM6YS1zZWNyZXQtb2Ytb3Vycw==", "credentials_mismatch"),
        ("Basic leads:a-secret-of-ours", "credentials_mismatch"),
        ("Basic é", "credentials_mismatch"),
        ("", "header_missing"),
    ],
)
def test_basic(value: str, reason: str | None) -> None:
    """Send ``leads:a-secret-of-ours``, which is ``bGVhZ…w==`` in base64."""
    assert refusal_reason(BASIC, request({"Authorization": value})) == reason


def test_basic_needs_the_configured_user() -> None:
    given = sign({"scheme": "basic", "username": "leads"}, SECRET, request(), NOW)
    other = {"scheme": "basic", "username": "tours"}
    assert refusal_reason(other, given) == "credentials_mismatch"


# none and addresses ---------------------------------------------------------------------------


def test_none_must_be_spelled_out_and_says_that_it_is_open() -> None:
    opened = verifier({"scheme": "none"}, [])
    assert opened.is_open
    assert opened.verified_by(request(), NOW) is None
    assert not verifier(PLAIN, [SECRET]).is_open
    assert sign({"scheme": "none"}, "", request(), NOW) == request()
    with pytest.raises(ConfigurationError, match="'scheme' is missing"):
        verifier({}, [])
    with pytest.raises(ConfigurationError, match="takes no secrets"):
        verifier({"scheme": "none"}, [SECRET])


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        ("192.0.2.7", None),
        ("::ffff:192.0.2.7", None),
        ("2001:db8::5", None),
        ("192.0.3.7", "address_not_allowed"),
        ("2001:db9::5", "address_not_allowed"),
        (None, "address_unknown"),
        ("", "address_unknown"),
        ("192.0.2.7:443", "address_unknown"),
        ("192.0.2.7, 10.0.0.1", "address_unknown"),
    ],
)
def test_allowed_addresses_are_an_additional_condition(
    client: str | None, reason: str | None
) -> None:
    block = PLAIN | {"allow_ips": ["192.0.2.0/24", "2001:db8::/32"]}
    assert refusal_reason(block, request({"X-Sig": GOOD}, client=client)) == reason
    if reason is None:
        unsigned = request({"X-Sig": "0" * 64}, client=client)
        assert refusal_reason(block, unsigned) == "signature_mismatch", (
            "an address proves nothing alone"
        )


# the block ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (PLAIN | {"heder": "X"}, "unknown key 'heder'; did you mean 'header'?"),
        (PLAIN | {"zzz": 1}, "unknown key 'zzz'; use one of preset"),
        (PLAIN | {"username": "x"}, "key 'username' does not belong to scheme 'hmac'"),
        ({"scheme": "hmca", "header": "X"}, "'scheme' has an unknown value; did you mean 'hmac'?"),
        ({"scheme": None}, "'scheme' has an unknown value"),
        ({"preset": "typform"}, "'preset' has an unknown value; did you mean 'typeform'?"),
        ({"preset": "stripe", "scheme": "token"}, "does not belong to scheme 'token'"),
        ({"scheme": "hmac"}, "key 'header' is missing"),
        (PLAIN | {"header": ""}, "'header' must be a header name"),
        (PLAIN | {"header": "X Sig"}, "'header' must be a header name"),
        (PLAIN | {"header": []}, "'header' must name at least one"),
        (PLAIN | {"header": {"a": 1}}, "'header' must be a header name"),
        (PLAIN | {"format": "sha256="}, "must contain {signature} exactly once"),
        (PLAIN | {"format": "{signature}{signature}"}, "must contain {signature} exactly once"),
        (PLAIN | {"format": "{signature}{body}"}, "'format' may contain"),
        (PLAIN | {"format": "{signature"}, "'format': a single"),
        (PLAIN | {"format": 7}, "'format' must be text"),
        (PLAIN | {"separator": ""}, "'separator' must be text"),
        (PLAIN | {"algorithm": "md5"}, "'algorithm' has an unknown value"),
        (PLAIN | {"algorithm": "SHA256"}, "'algorithm' has an unknown value"),
        (PLAIN | {"encoding": "base46"}, "'encoding' has an unknown value; did you mean 'base64'?"),
        (PLAIN | {"signed": "{timestamp}"}, "'signed' must contain {body}"),
        (PLAIN | {"signed": "{body}{bdy}"}, "unknown placeholder {bdy}"),
        (PLAIN | {"signed": "{secret}{body}"}, "unknown placeholder {secret}"),
        (PLAIN | {"signed": "{header:}{body}"}, "unknown placeholder {header:}"),
        (PLAIN | {"signed": "{header:X Id}{body}"}, "unknown placeholder {header:x id}"),
        (PLAIN | {"signed": "{form}"}, "'signed' must contain {url} if it contains {form}"),
        (PLAIN | {"signed": "{timestamp}{body}"}, "name its header under 'timestamp'"),
        (TIMED | {"signed": "{body}"}, "'signed' must contain {timestamp}"),
        (TIMED | {"timestamp": {"unit": "s"}}, "'timestamp' needs a 'header'"),
        (TIMED | {"timestamp": {"header": "X", "unit": "h"}}, "'unit' has an unknown value"),
        (TIMED | {"timestamp": {"headr": "X"}}, "unknown key 'headr' under 'timestamp'; did you"),
        (TIMED | {"timestamp": "X-Time"}, "'timestamp' must contain"),
        (TIMED | {"timestamp": {"header": "X", "tolerance": 0}}, "'tolerance' must be a number"),
        (TIMED | {"timestamp": {"header": "X", "tolerance": True}}, "'tolerance' must be a number"),
        (TIMED | {"timestamp": {"header": "X", "tolerance": 1e9}}, "'tolerance' must be a number"),
        (TIMED | {"timestamp": {"header": "X", "tolerance": "5m"}}, "'tolerance' must be a number"),
        (LISTED | {"timestamp": {"header": "X-Time"}}, "remove one of them"),
        (PLAIN | {"secret_encoding": "base32"}, "'secret_encoding' has an unknown value"),
        (PLAIN | {"secrets": "NAME"}, "'secrets' must be a list"),
        (PLAIN | {"secrets": []}, "'secrets' must be a list"),
        (PLAIN | {"secrets": [""]}, "'secrets' must contain only names"),
        (PLAIN | {"secrets": [5]}, "'secrets' must contain only names"),
        (PLAIN | {"allow_ips": []}, "'allow_ips' must be a list"),
        (PLAIN | {"allow_ips": ["10.0.0.1/8"]}, "'allow_ips' contains '10.0.0.1/8'"),
        (PLAIN | {"allow_ips": [1]}, "'allow_ips' contains 1"),
        ({"scheme": "hash", "header": "X", "signed": "{body}{secret}"}, "must start with {secret}"),
        ({"scheme": "hash", "header": "X", "algorithm": "sha1"}, "does not belong to"),
        ({"scheme": "token", "name": "x"}, "key 'in' is missing"),
        ({"scheme": "token"}, "such as in: query, name: token"),
        ({"scheme": "token", "in": {"query": "x"}, "name": "x"}, "such as in: query, name: token"),
        ({"scheme": "token", "in": "cookie", "name": "x"}, "'in' has an unknown value"),
        ({"scheme": "token", "in": "form"}, "key 'name' is missing"),
        ({"scheme": "token", "in": "header", "name": "a b"}, "'name' must be a header name"),
        ({"scheme": "basic"}, "key 'username' is missing"),
        ({"scheme": "basic", "username": "a:b"}, "'username' must not contain a colon"),
        ("typeform", "'signature' must contain keys"),
    ],
)
def test_an_invalid_block_says_what_to_fix(block: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_block(block)
    assert message in str(caught.value)
    with pytest.raises(ConfigurationError) as again:
        verifier(block, [SECRET])
    assert str(again.value) == str(caught.value), "check and start must say the same"


def test_a_block_may_name_its_secrets() -> None:
    check_block(PLAIN | {"secrets": ["OLD", "NEW"]})
    assert refusal_reason(PLAIN | {"secrets": ["OLD", "NEW"]}, request({"X-Sig": GOOD})) is None


@pytest.mark.parametrize(
    ("block", "proof"),
    [
        (TIMED | {"signed": "{header:X-Id}{timestamp}{body}"}, {"x-sig", "x-id", "x-time"}),
        ({"preset": "svix"}, {"svix-signature", "svix-id", "svix-timestamp"}),
        (LISTED, {"x-sig"}),
        (PLAIN, {"x-sig"}),
        (BEARER, set()),
        ({"scheme": "none"}, set()),
    ],
)
def test_headers_that_a_digest_needs(block: dict[str, object], proof: set[str]) -> None:
    secrets = [] if block.get("scheme") == "none" else ["c2VjcmV0"]
    assert verifier(block, secrets).proof_headers == proof


def test_a_verifier_tells_whether_the_address_counts_and_hides_its_keys() -> None:
    plain = verifier(PLAIN, [SECRET])
    assert not plain.signs_url
    assert verifier(PLAIN | {"signed": "{url}{body}"}, [SECRET]).signs_url
    assert SECRET not in repr(plain)


def test_a_keyed_hash_is_hmac_sha256() -> None:
    assert keyed_hash(b"key", b"value") == hmac.new(b"key", b"value", "sha256").digest()


# Which headers are the sender's own -------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "proved"),
    [
        (PLAIN, set()),
        (PLAIN | {"signed": "{header:X-Event-Id}{body}"}, {"x-event-id"}),
        (TIMED, {"x-event-id", "x-delivery-id"}),
        ({"preset": "svix"}, {"svix-id"}),
        (BEARER, {"x-event-id", "x-delivery-id"}),
        ({"scheme": "none"}, {"x-event-id", "x-delivery-id"}),
    ],
)
def test_a_header_is_proved_if_a_captured_request_cannot_be_sent_again_with_another(
    block: dict[str, object], proved: set[str]
) -> None:
    names = ["x-event-id", "x-delivery-id", *(["svix-id"] if "preset" in block else [])]
    assert proved_headers(check_block(block)[0], names) == proved
