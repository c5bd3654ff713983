"""Test third-party signatures: vendors' test vectors, real deliveries, and altered copies."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from adapter.exceptions import AdapterError, ConfigurationError, VerificationError
from adapter.signatures import PRESETS, check_block, verifier
from adapter.signatures.handshakes import Answer, meta_answer, slack_answer
from tests.paths import ROOT
from tests.vectors import VECTORS, files, request_from

DOCS = ROOT / "docs" / "signatures.md"

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(not VECTORS.is_dir(), reason="../shared/vectors is not there"),
]


def error_of(vector: dict[str, Any]) -> AdapterError | None:
    secrets = vector.get("secrets") or [vector["secret"]]
    try:
        verifier({"preset": vector["provider"]}, secrets).verify(
            request_from(vector), vector["now"]
        )
    except (VerificationError, ConfigurationError) as exc:
        return exc
    return None


@pytest.mark.parametrize("path", files("signatures"), ids=lambda path: path.stem)
def test_we_agree_with_the_vector(path: Path) -> None:
    vector = json.loads(path.read_text())
    error = error_of(vector)
    assert (error is None) == vector["valid"], f"{vector['why']}: {error!r}"
    if vector["secret"]:
        assert not isinstance(error, ConfigurationError), "only an empty secret is our own fault"


def test_every_vector_is_there() -> None:
    assert len(files("signatures")) >= 205
    assert len(files("contested")) >= 16
    assert len(files("handshake")) >= 5


def policies() -> dict[str, str]:
    """Return the documented policy (docs/signatures.md) for each contested case."""
    found = re.search(r"<!-- contested -->\n(.*?)<!-- /contested -->", DOCS.read_text(), re.DOTALL)
    assert found is not None
    return dict(re.findall(r"^\| `([\w-]+)` \| (\w+)", found[1], re.MULTILINE))


@pytest.mark.parametrize("path", files("contested"), ids=lambda path: path.stem)
def test_contested_cases_go_as_the_docs_say(path: Path) -> None:
    assert policies().get(path.stem) == "rejected", "docs/signatures.md must state the policy"
    assert isinstance(error_of(json.loads(path.read_text())), VerificationError)


def test_the_docs_name_no_case_that_is_gone() -> None:
    assert set(policies()) == {path.stem for path in files("contested")}


@pytest.mark.parametrize("path", files("handshake"), ids=lambda path: path.stem)
def test_handshakes(path: Path) -> None:
    vector = json.loads(path.read_text())
    request = request_from(vector)
    if vector["provider"] == "slack":
        verifier({"preset": "slack"}, [vector["secret"]]).verify(request, vector["now"])
        answer = slack_answer(request.body)
    else:
        answer = meta_answer(request.query, vector["verify_token"])
    expected = Answer(status=vector["expected_status"], text=vector["expected_body"] or "")
    assert answer == expected, vector["why"]


def test_every_provider_has_its_preset() -> None:
    providers = {
        json.loads(path.read_text())["provider"]
        for folder in ("signatures", "contested")
        for path in files(folder)
    }
    assert providers <= set(PRESETS)
    for name in PRESETS:
        check_block({"preset": name})
