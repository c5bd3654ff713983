"""Send the signature test vectors and hostile requests again, this time through gunicorn."""

import base64
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter.signatures import PRESETS
from tests.apps.timed_web import PUBLIC_URLS
from tests.gunicorn_process import (
    GunicornServer,
    HttpResponse,
    running_gunicorn,
    target_of,
    write_mappings,
)
from tests.presets import NOW, delivery, hostile_requests, secret_of
from tests.vectors import VECTORS, files

needs_vectors = pytest.mark.skipif(not VECTORS.is_dir(), reason="../shared/vectors is not there")

UNLIMITED = {
    "ADAPTER_ADDRESS_LIMIT_PER_MINUTE": "1000000",
    "ADAPTER_SOURCE_LIMIT_PER_MINUTE": "1000000",
    "ADAPTER_MAX_BODY_BYTES": str(4 * 1024 * 1024),
    "ADAPTER_LOG_LEVEL": "ERROR",
}
PUBLIC_URL = "https://hooks.example.com"
REFUSED = {"error": "signature not accepted"}


def vectors(folder: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in files(folder)]


def once_for_each_preset() -> dict[str, dict[str, Any]]:
    """Choose the first test vector that each preset accepts and the first that it rejects.

    ``tests/unit/test_signature_vectors.py`` verifies all vectors in this process.
    """
    chosen: dict[str, dict[str, Any]] = {}
    for vector in vectors("signatures"):
        if vector["secret"] and vector["method"] == "POST":  # nothing starts with an empty secret
            word = "accepted" if vector["valid"] else "refused"
            chosen.setdefault(f"{vector['provider']}-{word}", vector)
    return chosen


ONCE = once_for_each_preset()


def source_of(vector: dict[str, Any]) -> str:
    """Return a source's name. Vectors with the same provider and secrets share a source."""
    shared = [vector["provider"], *secrets_of(vector), vector.get("verify_token")]
    return f"v{zlib.crc32(json.dumps(shared).encode())}"


def secrets_of(vector: dict[str, Any]) -> list[str]:
    secrets: list[str] = vector.get("secrets") or [vector.get("secret") or "unused"]
    return secrets


def sections_of(vector: dict[str, Any], environ: dict[str, str]) -> dict[str, Any]:
    """Return a mapping's sections for a test vector, and set its secrets in the environment."""
    name = source_of(vector).upper()
    secrets = {f"{name}_{number}": text for number, text in enumerate(secrets_of(vector))}
    environ |= secrets
    sections: dict[str, Any] = {
        "signature": {"preset": vector["provider"], "secrets": list(secrets)}
    }
    if vector["provider"] == "slack":
        sections["handshake"] = "slack"
    if "verify_token" in vector:
        environ[f"{name}_TOKEN"] = vector["verify_token"]
        sections["handshake"] = {"meta": f"{name}_TOKEN"}
    return sections


def call(web: GunicornServer, vector: dict[str, Any]) -> HttpResponse:
    public_url, target = target_of(vector["url"])
    own = [
        ("X-Tests-Source", source_of(vector)),
        ("X-Tests-Now", str(vector.get("now", 0))),
        ("X-Tests-Public-Url", public_url),
    ]
    headers = vector.get("headers_list") or list(vector.get("headers", {}).items())
    body = base64.b64decode(vector.get("body_base64", ""))
    return web.call(vector["method"], target, [*own, *headers], body)


@pytest.fixture(scope="module")
def web(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GunicornServer]:
    """Run the web process with a source for every test vector and preset."""
    variables = {name: f"SECRET_{number}" for number, name in enumerate(PRESETS)}
    environ: dict[str, Any] = UNLIMITED | {
        variable: secret_of(name) for name, variable in variables.items()
    }
    mappings: dict[str, dict[str, Any]] = {
        PUBLIC_URL: {
            f"preset-{name}": {"signature": {"preset": name, "secrets": [variable]}}
            for name, variable in variables.items()
        }
    }
    for vector in [*ONCE.values(), *vectors("handshake")]:
        of_url = mappings.setdefault(target_of(vector["url"])[0], {})
        of_url[source_of(vector)] = sections_of(vector, environ)
    folder = tmp_path_factory.mktemp("mappings")
    for number, of_url in enumerate(mappings.values()):
        (folder / str(number)).mkdir()
        write_mappings(folder / str(number), of_url)
    environ[PUBLIC_URLS] = ",".join(mappings)
    with running_gunicorn(
        folder, module_database, entry="tests.apps.timed_web:application()", **environ
    ) as web:
        yield web


@pytest.mark.corpus
@needs_vectors
@pytest.mark.parametrize("name", ONCE)
def test_the_vector_agrees_over_http(web: GunicornServer, name: str) -> None:
    vector = ONCE[name]
    answer = call(web, vector)

    if vector["valid"]:
        assert answer.status == 200, f"{vector['why']}: {answer}"
    else:
        assert (answer.status, json.loads(answer.body)) == (401, REFUSED), vector["why"]


@pytest.mark.corpus
@needs_vectors
@pytest.mark.parametrize("path", files("handshake"), ids=lambda path: path.stem)
def test_the_handshake_agrees_over_http(web: GunicornServer, path: Path) -> None:
    vector = json.loads(path.read_text())
    answer = call(web, vector)

    assert answer.status == vector["expected_status"], vector["why"]
    assert answer.body.decode() == (vector["expected_body"] or "")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def is_sendable(headers: dict[str, str]) -> bool:
    """Return True if a client can send the headers and a server can read them."""
    return all(
        text.isprintable() and text.isascii() and len(text) < 8000 for text in headers.values()
    )


@pytest.mark.parametrize("name", PRESETS)
def test_a_hostile_request_is_401_and_nothing_else(web: GunicornServer, name: str) -> None:
    own = {
        "X-Tests-Source": f"preset-{name}",
        "X-Tests-Now": str(NOW),
        "X-Tests-Public-Url": PUBLIC_URL,
    }
    signed = delivery(name)
    accepted = web.call("POST", target_of(signed.url)[1], own | dict(signed.headers), signed.body)
    assert accepted.status == 200, "the preset's own delivery must pass"

    statuses = set()
    for request in hostile_requests(name):
        target = target_of(request.url)[1]
        if not is_sendable(dict(request.headers)) or not re.fullmatch(r"/[!-~]{,3500}", target):
            continue
        answer = web.call("POST", target, own | dict(request.headers), request.body)
        statuses.add((answer.status, answer.body.strip()))

    assert {status for status, _ in statuses} == {401}
    assert len(statuses) == 1, "one opaque body"
