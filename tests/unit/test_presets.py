"""Test every preset: sign and verify requests, alter one part, and send hostile input."""

import base64
import dataclasses
import hashlib
import hmac
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.exceptions import VerificationError
from adapter.models import WebhookRequest
from adapter.signatures import PRESETS, REASONS, Verifier, check_block, sign, verifier
from adapter.signatures.hmac_scheme import Digest
from adapter.signatures.request import FORM_TYPE
from adapter.signatures.signed_header import SignedHeaderScheme
from docs.code_words import marked
from tests.paths import ROOT
from tests.presets import (
    HOSTILE_TEXTS,
    NOW,
    SECRET,
    URL,
    algorithm_of,
    bit_flips,
    delivery,
    hostile_requests,
    preset_block,
    preset_verifier,
    proof_headers,
)

OTHER = "0123456789abcdee"
#: Public keys in hex: raw bytes, and the base point of the curve P-256 (FIPS 186-4).
OTHER_KEYS = {
    "ed25519": bytes(range(1, 33)).hex(),
    "ecdsa-p256": "036b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
}
DOCS = ROOT / "docs" / "signatures.md"

every_preset = pytest.mark.parametrize("name", PRESETS)


def reason_of(found: Verifier, request: WebhookRequest, now: float = NOW) -> str | None:
    """Return the reason why a request is rejected, or None. Other exceptions fail the test."""
    try:
        found.verify(request, now)
    except VerificationError as exc:
        refusal = exc
    else:
        return None
    assert refusal.reason in REASONS, f"{refusal.reason} has no sentence"
    assert str(refusal) == refusal.reason, "an exception must quote nothing of the request"
    return refusal.reason


@every_preset
def test_signed_then_verified(name: str) -> None:
    assert reason_of(preset_verifier(name), delivery(name)) is None


@every_preset
def test_another_secret_is_refused(name: str) -> None:
    other = OTHER_KEYS.get(algorithm_of(name) or "", OTHER)
    assert reason_of(verifier(preset_block(name), [other]), delivery(name)) is not None


@every_preset
def test_an_unsigned_request_is_refused(name: str) -> None:
    bare = WebhookRequest("POST", URL, {"Content-Type": "application/json"}, b'{"beds": 2}')
    assert reason_of(preset_verifier(name), bare) is not None


@every_preset
def test_every_changed_byte_of_a_signed_body_is_refused(name: str) -> None:
    if not isinstance(preset_verifier(name).scheme, SignedHeaderScheme):
        return  # A token does not cover the body: it proves the sender, not the text.
    signed = delivery(name)
    for place in range(len(signed.body)):
        spoiled = bytearray(signed.body)
        spoiled[place] ^= 1
        changed = dataclasses.replace(signed, body=bytes(spoiled))
        assert reason_of(preset_verifier(name), changed) is not None, f"byte {place} of the body"
    for body in (b"", signed.body + b"\n", signed.body[:-1], b"\xef\xbb\xbf" + signed.body):
        assert reason_of(preset_verifier(name), dataclasses.replace(signed, body=body)) is not None


@every_preset
def test_every_changed_letter_of_its_headers_is_refused(name: str) -> None:
    signed = delivery(name)
    for header in signed.headers.keys() - {"Content-Type", "X-Other"}:
        for text in bit_flips(signed.headers[header]):
            headers = {**signed.headers, header: text}
            changed = dataclasses.replace(signed, headers=headers)
            if name.startswith("dialogflow") and text[:5].lower() == "basic" and text[5] == " ":
                continue  # The scheme's name may be written in any case.
            assert reason_of(preset_verifier(name), changed) is not None, f"{header}: {text}"


@every_preset
def test_every_changed_letter_of_a_signed_address_is_refused(name: str) -> None:
    signed = delivery(name)
    if not preset_verifier(name).signs_url:
        return
    for url in bit_flips(signed.url):
        assert reason_of(preset_verifier(name), dataclasses.replace(signed, url=url)) is not None, (
            url
        )


@every_preset
def test_a_timed_signature_is_refused_when_it_is_old_or_ahead(name: str) -> None:
    scheme = preset_verifier(name).scheme
    if not isinstance(scheme, SignedHeaderScheme) or scheme.clock is None:
        assert reason_of(preset_verifier(name), delivery(name), NOW + 10**6) is None
        return
    for seconds in (scheme.clock.tolerance + 2, -scheme.clock.tolerance - 2, 10**6, -(10**6)):
        reason = reason_of(preset_verifier(name), delivery(name), NOW + seconds)
        assert reason == "timestamp_outside_tolerance", f"{seconds} seconds off"
    for seconds in (scheme.clock.tolerance - 2, 2 - scheme.clock.tolerance):
        assert reason_of(preset_verifier(name), delivery(name), NOW + seconds) is None, (
            f"{seconds} off"
        )


# overriding -----------------------------------------------------------------------------------


def test_any_key_of_a_preset_may_be_overridden() -> None:
    own = {"preset": "vapi-hmac", "header": "X-Mine", "encoding": "base64"}
    scheme = verifier(own, [SECRET]).scheme
    assert isinstance(scheme, SignedHeaderScheme)
    assert isinstance(scheme.primitive, Digest)
    assert (scheme.headers, scheme.primitive.encoding) == (("X-Mine",), "base64")


def test_keys_under_timestamp_are_merged() -> None:
    scheme = verifier({"preset": "zendesk", "timestamp": {"tolerance": 900}}, [SECRET]).scheme
    assert isinstance(scheme, SignedHeaderScheme)
    assert scheme.clock is not None
    assert scheme.clock.tolerance == 900
    assert scheme.clock.header == "X-Zendesk-Webhook-Signature-Timestamp"
    assert scheme.clock.unit == "iso8601"
    check_block(preset_block("zendesk"))
    again = verifier(preset_block("zendesk"), [SECRET]).scheme
    assert isinstance(again, SignedHeaderScheme)
    assert again.clock is not None
    assert again.clock.tolerance == 300, "an override must not leak into the table"


# twilio ---------------------------------------------------------------------------------------

TWILIO_FORM = {"Content-Type": FORM_TYPE}


@pytest.mark.parametrize("signed_url", ["http://a.example/p?x=1", "http://a.example:80/p?x=1"])
@pytest.mark.parametrize("seen_url", ["http://a.example/p?x=1", "http://a.example:80/p?x=1"])
def test_twilio_may_sign_with_or_without_the_port(signed_url: str, seen_url: str) -> None:
    scheme = preset_verifier("twilio").scheme
    assert isinstance(scheme, SignedHeaderScheme)
    signed = sign(
        preset_block("twilio"), SECRET, WebhookRequest("POST", signed_url, TWILIO_FORM, b"a=1"), NOW
    )
    assert reason_of(preset_verifier("twilio"), dataclasses.replace(signed, url=seen_url)) is None


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"b=2&a=1&a=1", None),
        (b"a=1&b=2", None),
        (b"a=%31&b=2", None),
        (b"a=1&b=3", "signature_mismatch"),
        (b"a=1", "signature_mismatch"),
        (b"a=1&b=2&c=", "signature_mismatch"),
        (b"", "signature_mismatch"),
    ],
)
def test_twilio_signs_the_sorted_form(body: bytes, reason: str | None) -> None:
    signed = sign(
        preset_block("twilio"), SECRET, WebhookRequest("POST", URL, TWILIO_FORM, b"a=1&b=2"), NOW
    )
    assert reason_of(preset_verifier("twilio"), dataclasses.replace(signed, body=body)) == reason


def test_twilio_leaves_no_body_uncovered() -> None:
    empty = sign(preset_block("twilio"), SECRET, WebhookRequest("POST", URL, {}, b""), NOW)
    assert reason_of(preset_verifier("twilio"), empty) is None
    sneaked = dataclasses.replace(empty, body=b'{"beds": 9}')
    assert reason_of(preset_verifier("twilio"), sneaked) == "body_not_signed"
    hashed = sign(preset_block("twilio"), SECRET, WebhookRequest("POST", URL, {}, b"{}"), NOW)
    as_form = dataclasses.replace(hashed, headers={**hashed.headers, **TWILIO_FORM}, body=b"&")
    assert reason_of(preset_verifier("twilio"), as_form) == "body_hash_mismatch"


def test_twilio_takes_one_body_hash_only() -> None:
    """Use a registered URL with a hash, which Twilio signs too, so that the hash is ambiguous."""
    own = f"bodySHA256={hashlib.sha256(b'{}').hexdigest()}"
    for url, reason in ((f"{URL}&{own}", None), (f"{URL}&{own}&{own}", "body_hash_mismatch")):
        key = SECRET.encode()
        signature = base64.b64encode(hmac.new(key, url.encode(), "sha1").digest()).decode()
        request = WebhookRequest("POST", url, {"X-Twilio-Signature": signature}, b"{}")
        assert reason_of(preset_verifier("twilio"), request) == reason


# hostile input --------------------------------------------------------------------------------


@every_preset
def test_hostile_input_is_refused_and_nothing_else(name: str) -> None:
    for request in hostile_requests(name):
        reason = reason_of(preset_verifier(name), request)
        assert reason is not None, f"accepted: {request.headers} {request.url[:80]}"
        preset_verifier(name).without_secret(request)


@every_preset
def test_a_hostile_content_type_does_no_harm(name: str) -> None:
    signed = delivery(name)
    for text in HOSTILE_TEXTS.values():
        spoiled = {**signed.headers, "Content-Type": text}
        reason_of(preset_verifier(name), dataclasses.replace(signed, headers=spoiled))


anything = st.text(max_size=60) | st.text(
    alphabet=st.characters(codec=None, categories=None), max_size=60
)
texts = anything | st.sampled_from(list(HOSTILE_TEXTS.values()))


@settings(deadline=None, max_examples=300)
@given(
    name=st.sampled_from(list(PRESETS)),
    values=st.lists(texts, min_size=4, max_size=4),
    body=st.binary(max_size=200),
    method=texts,
    url=texts,
    now=st.floats() | st.integers(),
)
def test_any_input_is_accepted_or_refused(
    name: str, values: list[str], body: bytes, method: str, url: str, now: float
) -> None:
    names = sorted(proof_headers(name) | {"Content-Type"})
    headers = dict(zip(names, values, strict=False))
    request = WebhookRequest(method, url, headers, body, client=values[0])
    assert reason_of(preset_verifier(name), request, now) is not None, "nobody guesses a signature"
    preset_verifier(name).without_secret(request)


# the docs -------------------------------------------------------------------------------------


def preset_table() -> str:
    lines = ["| `preset` | notes | link |", "|---|---|---|"]
    for name, preset in PRESETS.items():
        link = f"[docs]({preset.link})" if preset.link else "none known"
        lines.append(f"| `{name}` | {preset.note} | {link} |")
    return "\n".join(lines)


def reason_table() -> str:
    lines = ["| reason | meaning |", "|---|---|"]
    lines += [f"| `{word}` | {marked(sentence)} |" for word, sentence in REASONS.items()]
    return "\n".join(lines)


@pytest.mark.parametrize(("mark", "table"), [("presets", preset_table), ("reasons", reason_table)])
def test_tables_in_the_docs_are_those_of_the_code(mark: str, table: object) -> None:
    assert callable(table)
    found = re.search(rf"<!-- {mark} -->\n(.*?)\n<!-- /{mark} -->", DOCS.read_text(), re.DOTALL)
    assert found is not None, f"docs/signatures.md has no table between {mark} comments"
    assert found[1] == table(), f"docs/signatures.md: put this there:\n{table()}"


@every_preset
def test_every_preset_says_what_it_is(name: str) -> None:
    preset = PRESETS[name]
    assert preset.note.endswith(".")
    assert preset.link is None or preset.link.startswith(("https://", "http://help.wufoo.com/"))


def test_every_reason_is_raised_somewhere_and_every_raise_has_a_reason() -> None:
    package = ROOT / "adapter" / "signatures"
    source = "".join(path.read_text() for path in package.glob("*.py"))
    raised = set(re.findall(r'VerificationError\("(\w+)"\)', source))
    raised |= set(re.findall(r'_matching_key\(keys, .*, "(\w+)"\)', source))
    raised |= set(re.findall(r'required_header\([^"]*(?:"authorization", )?"(\w+)"\)', source))
    assert raised == set(REASONS)
