"""Build leads as each preset's sender does, and requests that must be rejected."""

import dataclasses
import functools
from collections.abc import Iterator

from adapter.models import WebhookRequest
from adapter.signatures import PRESETS, Verifier, sign, verifier
from adapter.signatures.request import FORM_TYPE
from adapter.signatures.token_scheme import TokenScheme
from tests.key_pairs import private_pem, public_pem

NOW = 1767229200.25


URL = "https://hooks.example.com/hooks/riverside?unit=2"


#: Valid for every secret_encoding: hex, base64 and text.
SECRET = "0123456789abcdef"


def preset_block(name: str) -> dict[str, object]:
    return {"preset": name}


@functools.cache
def preset_verifier(name: str) -> Verifier:
    return verifier(preset_block(name), [secret_of(name)])


def algorithm_of(name: str) -> str | None:
    """Return the algorithm of a preset whose sender signs with a private key."""
    block = PRESETS[name].block
    return str(block["algorithm"]) if block["scheme"] == "public_key" else None


def secret_of(name: str) -> str:
    """Return the secret that the adapter needs: the shared secret, or the sender's public key."""
    algorithm = algorithm_of(name)
    return public_pem(algorithm) if algorithm else SECRET


def signing_secret_of(name: str) -> str:
    algorithm = algorithm_of(name)
    return private_pem(algorithm) if algorithm else SECRET


def is_form(name: str) -> bool:
    scheme = preset_verifier(name).scheme
    return isinstance(scheme, TokenScheme) and scheme.place == "form"


def delivery(name: str) -> WebhookRequest:
    """Return a signed lead as the preset's sender would send it."""
    content_type = FORM_TYPE if is_form(name) else "application/json"
    body = b"name=Zo%C3%AB&beds=2" if is_form(name) else '{"name": "Zoë", "beds": 2}'.encode()
    bare = WebhookRequest("POST", URL, {"Content-Type": content_type, "X-Other": "1"}, body)
    return sign(preset_block(name), signing_secret_of(name), bare, NOW)


def bit_flips(text: str) -> Iterator[str]:
    for place, letter in enumerate(text):
        yield text[:place] + chr(ord(letter) ^ 1) + text[place + 1 :]


def hostile_requests(name: str) -> Iterator[WebhookRequest]:
    signed = delivery(name)
    own = proof_headers(name) | {"Authorization", "Content-Type"}
    for text in HOSTILE_TEXTS.values():
        for header in proof_headers(name):
            yield dataclasses.replace(signed, headers={**signed.headers, header: text})
        yield WebhookRequest(text, text, dict.fromkeys(own, text), b"", client=text)
        for body in HOSTILE_BODIES.values():
            yield WebhookRequest("POST", f"{URL}&token={text}", dict.fromkeys(own, text), body)
    for url in HOSTILE_URLS:
        yield WebhookRequest("POST", url, {}, b"")
        yield WebhookRequest(
            "POST", url, {"Content-Type": FORM_TYPE, "Authorization": "x"}, b"\xff"
        )


HOSTILE_TEXTS = {
    "empty": "",
    "space": " ",
    "one letter": "x",
    "not ASCII": "sha256=\u00fc\u0661\u2028",
    "lone surrogate": "\ud800\udfff",
    "control characters": "\x00\r\n\t\x7f",
    "very long": "a" * 100_000,
    "just under the cap": "v1,A " * 819,
    "many items": "v1=" + "0" * 64 + ",v1=0" * 500,
    "many commas": "," * 4000,
    "huge number": f"t={'9' * 4000},v1={'0' * 64}",
    "negative time": "t=-1,v1=00",
    "not a number": "nan",
    "infinity": "inf",
    "exponent": "1e999",
    "a date that is none": "2026-13-45T99:99:99Z",
    "braces": "{signature}{timestamp}{0}{}",
    "percent": "%s%n%ff%",
    "hex": "0" * 64,
    "base64": "A" * 43 + "=",
    "basic without text": "Basic",
    "basic of junk": "Basic !!!!",
    "basic of a lone byte": "Basic /w==",
    "bearer": "Bearer ",
    "form": "HandshakeKey=x&token=y&=&&;",
}


HOSTILE_BODIES = {
    "empty": b"",
    "not UTF-8": b"\xff\xfe\x00",
    "zeros": b"\x00" * 100,
    "deep list": b"[" * 100_000,
    "deep object": b'{"secret_key":' * 100_000,
    "huge number": b'{"secret_key":' + b"9" * 10_000 + b"}",
    "not finite": b'{"secret_key":NaN}',
    "lone surrogate": b'{"secret_key":"\\ud800"}',
    "list": b"[1]",
    "twice": b'{"secret_key":"a","secret_key":"b"}',
    "many fields": b"HandshakeKey=1&" * 5000,
    "bad percent": b"HandshakeKey=%zz%&HandshakeKey",
    "UTF-16": '{"secret_key":"x"}'.encode("utf-16"),
}


HOSTILE_URLS = ("", "http://[", "https://a.example:99999999/", "?token=%ff&token", "//\ud800#?")


def proof_headers(name: str) -> set[str]:
    """Return the headers that contain the sender's signature or token, if any."""
    return set(delivery(name).headers) - {"Content-Type", "X-Other"}
