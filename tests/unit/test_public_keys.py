"""Test ``scheme: public_key`` with signatures that other libraries made, and hostile keys."""

import base64
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from adapter.cli import commands
from adapter.exceptions import ConfigurationError, VerificationError
from adapter.models import WebhookRequest
from adapter.signatures import PRESETS, check_block, sign, verifier
from tests.key_pairs import PRIVATE, private_pem, public_der, public_pem
from tests.paths import MAPPINGS, ROOT
from tests.presets import NOW, URL

VECTORS = json.loads((ROOT / "tests" / "public_key_vectors.json").read_text())["vectors"]
BODY = b'{"name": "Ana Example"}'


def block(algorithm: str, **more: object) -> dict[str, object]:
    return {"scheme": "public_key", "algorithm": algorithm, "header": "X-Signature", **more}


def request_with(headers: dict[str, str], body: bytes = BODY) -> WebhookRequest:
    return WebhookRequest("POST", URL, headers, body)


def test_there_are_enough_vectors_of_other_libraries() -> None:
    assert len(VECTORS) >= 40
    assert len({vector["made_by"] for vector in VECTORS}) >= 5


@pytest.mark.parametrize("vector", VECTORS, ids=range(len(VECTORS)))
def test_signatures_of_other_libraries(vector: dict[str, Any]) -> None:
    found = verifier(vector["block"], [vector["secret"]])
    request = request_with(vector["headers"], base64.b64decode(vector["body_base64"]))
    try:
        found.verify(request, vector["now"])
    except VerificationError:
        assert not vector["valid"], f"rejected: {vector['why']}"
    else:
        assert vector["valid"], f"accepted: {vector['why']}"


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_signed_with_a_private_key_and_verified_with_the_public_one(algorithm: str) -> None:
    signed = sign(block(algorithm), private_pem(algorithm), request_with({}), NOW)
    for form in (public_pem(algorithm), public_der(algorithm)):
        assert verifier(block(algorithm), [form]).verified_by(signed, NOW) == 0


def test_keys_rotate() -> None:
    signed = sign(block("ed25519"), private_pem("ed25519"), request_with({}), NOW)
    other = base64.b64encode(bytes(range(1, 33))).decode()
    found = verifier(block("ed25519"), [other, public_pem("ed25519")])
    assert found.owners[found.verified_by(signed, NOW) or 0] == 1


def test_a_public_key_cannot_sign() -> None:
    with pytest.raises(ConfigurationError, match="private key in PEM with --key"):
        sign(block("ed25519"), public_pem("ed25519"), request_with({}), NOW)


@pytest.mark.parametrize("algorithm", PRIVATE)
@pytest.mark.parametrize(
    ("secret", "message"),
    [
        ("", "is empty"),
        ("not a key", "cannot be read"),
        ("AAAA", "cannot be read"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "cannot be read"),
        ("{", "cannot be read"),
        ('{"keys": 7}', "cannot be read"),
        ('{"keys": [7]}', "cannot be read"),
        ('{"keys": []}', "must contain"),
        ('{"keys": [{"kty": "oct", "k": "AAAA"}]}', "must contain"),
        ("[" * 100_000, "cannot be read"),
        ('{"keys":' * 100_000, "cannot be read"),
        ("\ud800", "cannot be read"),
        ("\u00e9", "cannot be read"),
    ],
    ids=range(13),
)
def test_a_key_that_cannot_be_read_says_what_to_do(
    algorithm: str, secret: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        verifier(block(algorithm), [secret])


def test_a_private_key_is_refused_and_not_quoted() -> None:
    secret = private_pem("ed25519")
    with pytest.raises(ConfigurationError, match="ask the sender for its public key") as caught:
        verifier(block("ed25519"), [secret])
    assert secret.splitlines()[1] not in str(caught.value)


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_a_key_of_another_algorithm_is_refused(algorithm: str) -> None:
    for other in PRIVATE.keys() - {algorithm}:
        with pytest.raises(ConfigurationError, match="is not an"):
            verifier(block(algorithm), [public_pem(other)])


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP256K1()], ids=lambda curve: curve.name)
def test_other_curves_are_refused(curve: ec.EllipticCurve) -> None:
    pem = (
        ec.derive_private_key(5, curve)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(ConfigurationError, match="on the curve P-256"):
        verifier(block("ecdsa-p256"), [pem.decode()])


def test_a_short_rsa_key_is_refused() -> None:
    n = base64.urlsafe_b64encode((2**1023 + 1).to_bytes(128, "big")).decode().rstrip("=")
    weak = json.dumps({"kty": "RSA", "e": "AQAB", "n": n})
    with pytest.raises(ConfigurationError, match="2048 to 8192 bits"):
        verifier(block("rsa-sha256"), [weak])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"scheme": "public_key", "header": "X-S"}, "'algorithm' is missing"),
        (block("sha256"), "unknown value; did you mean"),
        (block("ed25519", secret_encoding="hex"), "does not belong to scheme 'public_key'"),
        (block("ed25519", signed="{timestamp}{body}"), "name its header under 'timestamp'"),
    ],
)
def test_an_invalid_block_says_what_to_fix(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check_block(wrong)


def test_a_header_with_many_signatures_is_rejected_before_they_are_verified() -> None:
    found = verifier({"preset": "standard-webhooks-v1a"}, [public_pem("ed25519")])
    many = " ".join(["v1a," + base64.b64encode(bytes(40)).decode()] * 17)
    headers = {"webhook-id": "m", "webhook-timestamp": str(int(NOW)), "webhook-signature": many}
    with pytest.raises(VerificationError, match="too_many_signatures"):
        found.verify(request_with(headers), NOW)


def test_cryptography_is_imported_only_where_a_source_needs_it() -> None:
    code = (
        "import sys; from adapter.signatures import verifier; "
        "verifier({'preset': 'github'}, ['0123456789abcdef']); "
        "assert 'cryptography' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_presets_with_public_keys() -> None:
    names = [name for name, one in PRESETS.items() if one.block["scheme"] == "public_key"]
    assert names == ["standard-webhooks-v1a", "sendgrid", "sendgrid-inbound-parse", "gohighlevel"]


def test_sign_prints_a_request_that_the_public_key_verifies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sign with a private key, as users can do to test such a source."""
    mappings = tmp_path / "mappings"
    shutil.copytree(MAPPINGS, mappings)
    mapping = mappings / "rentfeed.yaml"
    text = re.sub(
        r"signature:\n(  .*\n)+",
        "signature:\n  preset: gohighlevel\n  secrets: [RENTFEED_KEY]\n",
        mapping.read_text(),
    )
    mapping.write_text(text)
    key = tmp_path / "test.pem"
    key.write_text(private_pem("ed25519"))
    lead = mappings / "samples" / "rentfeed-tour.json"
    monkeypatch.setenv("ADAPTER_MAPPINGS_DIR", str(mappings))
    monkeypatch.setenv("RENTFEED_KEY", public_pem("ed25519"))
    ended = CliRunner().invoke(commands, ["sign", "rentfeed", str(lead), "--key", str(key)])
    assert ended.exit_code == 0, ended.output
    found = re.search(r"X-GHL-Signature: (\S+)'", ended.output)
    assert found is not None, ended.output
    request = request_with({"X-GHL-Signature": found[1]}, lead.read_bytes())
    verifier({"preset": "gohighlevel"}, [public_pem("ed25519")]).verify(request, NOW)
    without = CliRunner().invoke(commands, ["sign", "rentfeed", str(lead)])
    assert "with --key" in str(without.exception)


@pytest.mark.parametrize("key", ["00" * 32, "01" + "00" * 31, "ec" + "ff" * 30 + "7f"])
def test_keys_with_which_anyone_can_sign_are_refused(key: str) -> None:
    with pytest.raises(ConfigurationError, match="is not an Ed25519 key"):
        verifier(block("ed25519"), [key])


def test_a_private_web_key_is_refused() -> None:
    key = json.dumps({"kty": "OKP", "crv": "Ed25519", "x": "AA", "d": "AA"})
    with pytest.raises(ConfigurationError, match="ask the sender for its public key"):
        verifier(block("ed25519"), [key])


def test_only_a_few_signatures_of_a_header_are_verified() -> None:
    """Send many signatures. Each costs 0.1 ms, so a stranger could overload the CPU."""
    own = block("ed25519", separator=",")
    (good,) = sign(own, private_pem("ed25519"), request_with({}), NOW).headers.values()
    wrong = base64.b64encode(bytes(64)).decode()
    found = verifier(own, [public_pem("ed25519")])
    found.verify(request_with({"X-Signature": ",".join([*[wrong] * 3, good])}), NOW)
    with pytest.raises(VerificationError, match="signature_mismatch"):
        found.verify(request_with({"X-Signature": ",".join([*[wrong] * 4, good])}), NOW)
    assert not found.is_cheap
