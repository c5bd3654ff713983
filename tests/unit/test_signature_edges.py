"""Test edge cases of the verifier that mutation testing found."""

import base64
import dataclasses
import hmac
import time
from typing import Any

import pytest

from adapter.exceptions import ConfigurationError, VerificationError
from adapter.models import WebhookRequest
from adapter.signatures import crypto, sign, verifier
from adapter.signatures.handshakes import Answer, meta_answer, slack_answer
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
    hex_of,
    refusal_reason,
    refusal_reason_with,
    request,
)

BASIC = {"scheme": "basic", "username": "leads"}
FORM_TYPE = "application/x-www-form-urlencoded"
TWILIO = {"preset": "twilio"}


def twilio_signed(text: str) -> str:
    return base64.b64encode(hmac.new(SECRET.encode(), text.encode(), "sha1").digest()).decode()


def test_the_default_tolerance_of_a_time_in_the_format() -> None:
    given = request({"X-Sig": f"t={NOW},v1={GOOD_AT}"})

    assert refusal_reason(LISTED, given, NOW + 300) is None
    assert refusal_reason(LISTED, given, NOW + 301) == "timestamp_outside_tolerance"


def test_an_old_forged_request_is_reported_as_forged() -> None:
    given = request({"X-Sig": "0" * 64, "X-Time": str(NOW)})

    assert refusal_reason(TIMED, given, NOW + 5000) == "signature_mismatch"


@pytest.mark.parametrize("block", [PLAIN, BASIC, BEARER])
def test_of_two_equal_secrets_the_newest_is_named(block: Any) -> None:
    given = sign(block, "same", request(), NOW)

    assert verifier(block, ["same", "same"]).verified_by(given, NOW) == 1


def test_the_last_signature_of_a_list_counts_too() -> None:
    for order in (f"v1={GOOD_AT},v1={'0' * 64}", f"v1={'0' * 64},v1={GOOD_AT}"):
        assert refusal_reason(LISTED, request({"X-Sig": f"t={NOW},{order}"}), NOW) is None


@pytest.mark.parametrize(
    ("written", "key"), [("k-k-b", b"k-b"), ("k-a-k-b", b"a-k-b"), ("kk-b", b"kk-b")]
)
def test_a_secrets_prefix_is_taken_off_once_and_in_front_only(written: str, key: bytes) -> None:
    given = request({"X-Sig": hex_of(BODY, secret=key)})

    assert refusal_reason_with(PLAIN | {"secret_prefix": "k-"}, [written], given) is None


@pytest.mark.parametrize("written", [" padded ", "padded\n"])
def test_whitespace_may_be_part_of_a_secret(written: str) -> None:
    given = request({"X-Sig": hex_of(BODY, secret=written.encode())})

    assert refusal_reason_with(PLAIN, [written], given) is None
    assert refusal_reason_with(PLAIN, [written.strip()], given) == "signature_mismatch"


@pytest.mark.parametrize("written", ["YW!!!!Jj", "YW\n\n\n\nJj"])
def test_junk_in_a_base64_secret_is_not_skipped(written: str) -> None:
    with pytest.raises(ConfigurationError, match="is not base64"):
        verifier(PLAIN | {"secret_encoding": "base64"}, [written])


def test_comparisons_are_itsdangerous_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check that == is not used, because its timing would reveal parts of a signature."""
    seen: list[tuple[bytes, bytes]] = []

    class Spy:
        @staticmethod
        def get_signature(key: bytes, value: bytes) -> bytes:
            return value

        @staticmethod
        def verify_signature(key: bytes, value: bytes, sig: bytes) -> bool:
            seen.append((value, sig))
            return True

    monkeypatch.setattr(crypto, "_COMPARISON", Spy)

    assert crypto.is_equal(b"a", b"b")
    assert seen == [(b"a", b"b")]


@pytest.mark.parametrize("content_type", [FORM_TYPE + "; charset=UTF-8", FORM_TYPE.title()])
def test_a_forms_content_type_in_any_case_and_with_parameters(content_type: str) -> None:
    bare = WebhookRequest("POST", URL, {"Content-Type": FORM_TYPE}, b"a=1")
    signed = sign(TWILIO, SECRET, bare, NOW)
    seen = dataclasses.replace(signed, headers={**signed.headers, "Content-Type": content_type})

    assert refusal_reason(TWILIO, seen) is None


def test_bytes_of_a_form_that_are_no_utf8_are_told_apart() -> None:
    bare = WebhookRequest("POST", URL, {"Content-Type": FORM_TYPE}, b"a=%E9")
    other = dataclasses.replace(sign(TWILIO, SECRET, bare, NOW), body=b"a=%FF")

    assert refusal_reason(TWILIO, other) == "signature_mismatch"


def test_method_and_url_are_signed_as_they_came() -> None:
    block = PLAIN | {"signed": "{method} {url} {body}"}
    url = "https://hooks.example.com/Hooks/a%2Fb?N=%C3%AB"
    given = request({"X-Sig": hex_of(f"POST {url} ".encode() + BODY)}, url=url)

    assert refusal_reason(block, given) is None
    for changed in (
        dataclasses.replace(given, method="post"),
        dataclasses.replace(given, url=url.lower()),
        dataclasses.replace(given, url=url.replace("%2F", "/")),
        dataclasses.replace(given, url=url.replace("%C3", "%c3")),
    ):
        assert refusal_reason(block, changed) == "signature_mismatch", changed


@pytest.mark.parametrize(
    ("signed", "seen"),
    [
        ("https://a.example:443/p", "https://a.example/p"),
        ("https://a.example/p", "https://a.example:443/p"),
        ("https://a.example:8443/p", "https://a.example:8443/p"),
        ("https://[2001:db8::1]:443/p", "https://[2001:db8::1]/p"),
        ("https://u:pw@a.example:443/p", "https://u:pw@a.example/p"),
    ],
)
def test_twilio_names_the_port_or_not(signed: str, seen: str) -> None:
    given = WebhookRequest("POST", seen, {"X-Twilio-Signature": twilio_signed(signed)}, b"")

    assert refusal_reason(TWILIO, given) is None


@pytest.mark.parametrize(
    ("body", "text"), [(b"a=2&a=1", "a1a2"), (b"a=1&a=1", "a1"), (b"b=1&B=2&a=3", "B2a3b1")]
)
def test_twilio_sorts_fields_and_counts_equal_ones_once(body: bytes, text: str) -> None:
    headers = {"Content-Type": FORM_TYPE, "X-Twilio-Signature": twilio_signed(URL + text)}

    assert refusal_reason(TWILIO, WebhookRequest("POST", URL, headers, body)) is None


@pytest.mark.parametrize(
    ("block", "given", "reason"),
    [
        (QUERY, request(url=f"{URL}?token={SECRET}&token={SECRET}"), "token_repeated"),
        (QUERY, request(body=f"token={SECRET}".encode()), "token_missing"),
        (JSON, request(body=b'{"secret_key": 12345}'), "token_missing"),
    ],
    ids=str,
)
def test_tokens_are_taken_as_they_stand(block: Any, given: WebhookRequest, reason: str) -> None:
    assert refusal_reason_with(block, [SECRET, "12345"], given) == reason


@pytest.mark.parametrize(
    ("block", "bare"),
    [
        (QUERY, request(url=f"{URL}?%74oken=s3cr3t&a=1")),
        (QUERY | {"name": "my token"}, request(url=f"{URL}?my+token=s3cr3t&a=1")),
        (FORM, request(body=b"%48andshakeKey=s3cr3t&a=1")),
        (JSON, request(body=b'\xef\xbb\xbf{"secret_key": "s3cr3t"}')),
    ],
    ids=range(4),
)
def test_a_token_under_an_encoded_name_is_taken_out_too(block: Any, bare: WebhookRequest) -> None:
    found = verifier(block, ["s3cr3t"])
    found.verify(bare, NOW)

    assert "s3cr3t" not in repr(found.without_secret(bare))


def test_every_copy_of_our_secret_is_redacted() -> None:
    seen = "s3cr3tß".encode().decode("latin-1")
    given = request({"X-Stray": seen}, url=f"{URL}?x=s3cr3tß", body=b"token=s3cr3t\xc3\x9f")

    assert "s3cr3t" not in repr(
        verifier(BEARER, ["s3cr3tß"]).strip_rejected(given, "header_missing")
    )


def test_an_unreadable_body_is_not_kept() -> None:
    given = request(body=b'{"secret_key": "tomorrows"')

    assert verifier(JSON, [SECRET]).strip_rejected(given, "body_unreadable").body == b""


@pytest.mark.parametrize("reason", ["credentials_mismatch", "header_malformed"])
def test_refused_basic_credentials_are_not_kept(reason: str) -> None:
    given = sign(BASIC, "s3cr3t", request({"X-Id": "1"}), NOW)

    kept = verifier(BASIC, ["other"]).strip_rejected(given, reason)
    assert "authorization" not in {name.lower() for name in kept.headers}


def test_proof_headers_and_query_coverage() -> None:
    assert verifier(TIMED, [SECRET]).proof_headers == {"x-sig", "x-time"}
    assert verifier(BASIC, [SECRET]).proof_headers == set()
    assert verifier(PLAIN, [SECRET]).has_signature
    assert not verifier(PLAIN, [SECRET]).covers_query
    assert verifier(PLAIN | {"signed": "{url}{body}"}, [SECRET]).covers_query
    for block in (BASIC, BEARER, QUERY, FORM, JSON):
        assert not verifier(block, [SECRET]).has_signature
        assert verifier(block, [SECRET]).covers_query


@pytest.mark.parametrize(("length", "status"), [(256, 200), (257, 400)])
def test_slacks_challenge_has_a_length(length: int, status: int) -> None:
    body = b'{"type": "url_verification", "challenge": "%s"}' % (b"a" * length)
    answer = slack_answer(body)

    assert answer is not None
    assert answer.status == status


def test_metas_verify_token_may_hold_any_characters() -> None:
    query = "hub.mode=subscribe&hub.verify_token=z%C3%BC%E2%82%AC&hub.challenge=1"

    assert meta_answer(query, "zü€") == Answer(status=200, text="1")
    assert meta_answer(query.replace("z%C3%BC%E2%82%AC", "z%FC%3F"), "zü€").status == 403


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"timestamp": {"header": "X", "tolerance": -1}}, "'tolerance' must be a number"),
        ({"timestamp": {"header": "X", "tolerance": 86401}}, "'tolerance' must be a number"),
        ({"signed": "{body}\x00"}, "'signed' must be text"),
    ],
    ids=range(3),
)
def test_blocks_at_their_limits(more: Any, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        verifier(TIMED | more, [SECRET])


AT, MS, KEY = 1767229200, 1767229200000, b"0123456789abcdef"
SENT, TO = b'{"beds":2}', "https://hooks.example.com/h?u=2"


def hubspot() -> str:
    signed = f"POST{TO}".encode() + SENT + b"%d" % MS
    return base64.b64encode(hmac.new(KEY, signed, "sha256").digest()).decode()


@pytest.mark.parametrize(
    ("preset", "headers"),
    [
        (
            "slack",
            {
                "X-Slack-Signature": "v0=" + hex_of(b"v0:%d:" % AT + SENT, secret=KEY),
                "X-Slack-Request-Timestamp": str(AT),
            },
        ),
        (
            "stripe",
            {"Stripe-Signature": f"t={AT},v1=" + hex_of(b"%d." % AT + SENT, secret=KEY)},
        ),
        (
            "retell",
            {"X-Retell-Signature": f"v={MS},d=" + hex_of(SENT + b"%d" % MS, secret=KEY)},
        ),
        (
            "squarespace",
            {"Squarespace-Signature": hex_of(SENT, secret=bytes.fromhex(KEY.decode()))},
        ),
        (
            "hubspot-v3",
            {"X-HubSpot-Signature-v3": hubspot(), "X-HubSpot-Request-Timestamp": str(MS)},
        ),
    ],
)
def test_presets_over_bytes_that_were_signed_by_hand(preset: str, headers: dict[str, str]) -> None:
    given = WebhookRequest("POST", TO, headers, SENT)

    assert verifier({"preset": preset}, [KEY.decode()]).verified_by(given, AT) == 0


MEBIBYTE = 2**20
COSTLY = {
    "form": {
        "percent signs": b"%" * MEBIBYTE,
        "ampersands": b"&" * MEBIBYTE,
        "an encoded token": b"token=" + b"%41" * (MEBIBYTE // 3),
        "encoded names": b"&".join([b"%41" * 170] * 1990),
    },
    "json": {
        "objects": b"[" + b",".join([b"{}"] * (MEBIBYTE // 3)) + b"]",
        "objects beside a token": b'{"token": "x", "a": [' + b"{}," * (MEBIBYTE // 3) + b"1]}",
        "an encoded token": b'{"token": "' + b"%41" * (MEBIBYTE // 3) + b'"}',
        "many members": b"{" + b",".join(b'"%d": 1' % n for n in range(90_000)) + b"}",
    },
}


@pytest.mark.parametrize(
    ("place", "kind"), [(place, kind) for place, kinds in COSTLY.items() for kind in kinds]
)
def test_a_forged_token_in_a_large_body_costs_little(place: str, kind: str) -> None:
    """Measure the time from receiving the request to storing the rejection."""
    checking = verifier({"scheme": "token", "in": place, "name": "token"}, [SECRET])
    given = WebhookRequest.from_body(COSTLY[place][kind], content_type=FORM_TYPE)

    start = time.thread_time()
    with pytest.raises(VerificationError) as refused:
        checking.verify(given, NOW)
    checking.credentials(given)
    checking.strip_rejected(given, refused.value.reason)

    assert time.thread_time() - start < 0.2
