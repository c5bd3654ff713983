"""Test that `adapter new` detects a secret in the bodies and drafts lines for it."""

import json
import re
import shlex
import shutil
from pathlib import Path

import click.testing
import pytest

from adapter.cli import commands
from adapter.mapping.authoring.scaffold import draft_from_samples
from tests.paths import MAPPINGS

FORM = "lead[id]=L-77&lead[email]=ana%40uni.example&lead[phone]=7205550188&token=abc123secret456"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(MAPPINGS, tmp_path / "mappings")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> str:
    return click.testing.CliRunner().invoke(commands, arguments).output


def test_a_token_in_the_body_is_stripped_or_verified(folder: Path) -> None:
    (folder / "lead.form").write_text(FORM)
    run("new", "acme", "lead.form")
    file = folder / "mappings/acme.yaml"
    text = file.read_text()
    assert "\nstrip: [token]   # secrets in the body" in text
    token = "signature: { scheme: token, in: form, name: token, secrets: [ACME_SECRET] }"
    assert f"# {token}" in text
    assert "abc123" not in text + (folder / "mappings/samples/acme.form").read_text()

    assert "token was a secret" not in run("check", "acme")
    bare = text.replace("strip: [token]", "# ")
    file.write_text(bare)
    assert "token was a secret, which is stored with each webhook: add strip: [token]" in run(
        "check", "acme"
    )
    file.write_text(re.sub("(?m)^signature: .*", token, bare))
    assert "token was a secret" not in run("check", "acme")


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ({"auth": {"apiToken": "x7f3a9", "v": "1"}}, "strip: [apiToken]"),
        ({"password": "hunter2", "form_response": {"token": "r-1"}}, "strip: [password]"),
        ({"key": "ABC-17"}, None),
        ({"key": "f3a99d0c71b2aa"}, "strip: [key]"),
        ({"signature": {"signature": "99d0c71b2aa"}}, None),
        ({"fields": [{"key": "question_1f3a99d0c7", "value": "x"}]}, None),
        ({"headers": {"Authorization": "Basic x"}}, None),
    ],
)
def test_only_secrets_are_stripped(body: dict[str, object], line: str | None) -> None:
    text = draft_from_samples("acme", [body | {"email": "ana@uni.example"}]).text("a.json")
    found = re.search(r"^strip: \[.*\]", text, re.MULTILINE)
    assert (found and found[0]) == line


@pytest.mark.parametrize(("place", "suffix"), [("form", "form"), ("json", "json")])
def test_a_masked_token_is_replaced_when_the_sample_is_sent(
    folder: Path, monkeypatch: pytest.MonkeyPatch, place: str, suffix: str
) -> None:
    monkeypatch.setenv("RENTFEED_SECRET", "s3cret-token")
    file = folder / "mappings/rentfeed.yaml"
    block = (
        f"signature: {{ scheme: token, in: {place}, name: token, secrets: [RENTFEED_SECRET] }}\n"
    )
    file.write_text(re.sub(r"signature:\n(  .*\n)+", block, file.read_text()))
    sample = folder / f"lead.{suffix}"
    sample.write_text("a=1&token=REMOVED" if place == "form" else '{"a": "1", "token": "REMOVED"}')
    words = shlex.split(run("sign", "rentfeed", sample.name))
    body = words[words.index("--data-raw") + 1]
    expected = "a=1&token=s3cret-token" if place == "form" else {"a": "1", "token": "s3cret-token"}
    assert (body if place == "form" else json.loads(body)) == expected
