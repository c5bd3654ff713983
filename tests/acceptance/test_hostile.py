"""Run the hostile test briefly, and check that it detects each kind of problem."""

import base64
import dataclasses
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from adapter.mapping import registry
from adapter.mapping.source import Source
from adapter.settings import Policy
from tests.paths import ROOT
from tools.hostile import canaries, in_process
from tools.hostile.attacks import KINDS, Attack, Target, draw
from tools.hostile.audit import Genuine, is_error
from tools.hostile.mappings import make_folder, secrets_of
from tools.hostile.payloads import mapping_samples
from tools.hostile.strangers import Answer, faults

SECRET = canaries.secret_for("TESTS")
LOGIN = base64.b64encode(f"adapter:{SECRET}".encode()).decode()
FORBIDDEN = canaries.spellings([SECRET])
ATTACK = Attack(kind="signed", data=b"", address="127.0.0.1", is_answered=True)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Target:
    folder = make_folder(tmp_path_factory.mktemp("hostile") / "mappings")
    sources = dict(registry.load(folder, Policy()))
    return Target(
        url="http://127.0.0.1:8000",
        sources=sources,
        samples=mapping_samples(sources),
        secrets=secrets_of(sources),
        propexo_secret=SECRET,
        metrics_token=SECRET,
        api_token=SECRET,
    )


@pytest.mark.timed
def test_hostile_requests_and_payloads_break_no_promise() -> None:
    options = ("--requests", "300", "--payloads", "3000", "--seed", "1", "--busy", "--json")
    ended = subprocess.run(
        [sys.executable, "-m", "tools.hostile", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.stdout, ended.stderr
    data = json.loads(ended.stdout)
    assert data["faults"] == []
    assert ended.returncode == 0
    assert (data["requests"]["count"], data["payloads"]["count"]) == (300, 3000)
    assert data["genuine"]["acknowledged"] == data["genuine"]["leads"] > 10
    assert data["requests"]["statuses"].keys() == {make.__name__ for make in KINDS}
    assert {"book", "held", "unreadable"} <= data["payloads"]["outcomes"].keys()


def test_a_seed_gives_the_same_requests_again(target: Target) -> None:
    def paths(seed: int) -> list[bytes]:
        return [draw(target, seed, number).data.partition(b"\r\n")[0] for number in range(200)]

    assert paths(7) == paths(7) != paths(8)
    kinds = Counter(draw(target, 7, number).kind for number in range(200))
    assert kinds.keys() == {make.__name__ for make in KINDS}


def test_a_seed_gives_the_same_payloads_again() -> None:
    first, again = ([in_process.payload_of(7, n)[1] for n in range(200)] for _ in range(2))
    assert first == again
    assert len({one.body for one in first}) > 150


@pytest.mark.parametrize(
    ("attack", "data", "seconds", "found"),
    [
        (ATTACK, b"HTTP/1.1 200 OK\r\n\r\n", 0.1, []),
        (ATTACK, b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 500 No\r\n\r\n", 0.1, ["status 500"]),
        (ATTACK, b"HTTP/1.1 503 No\r\n\r\n", 0.1, ["status 503"]),
        (ATTACK, b"HTTP/1.1 501 No\r\n\r\n", 0.1, ["status 501"]),
        (dataclasses.replace(ATTACK, may_be_501=True), b"HTTP/1.1 501 No\r\n\r\n", 0.1, []),
        (ATTACK, b"HTTP/1.1 200 OK\r\n\r\n", 2.1, ["slower than 2 s"]),
        (ATTACK, b"", 0.1, ["no response"]),
        (
            ATTACK,
            b"HTTP/1.1 400 No\r\n\r\nQANARY, 303-555-0173",
            0.1,
            [
                "the response contains a name, email address or text",
                "the response contains a phone number",
            ],
        ),
        (
            dataclasses.replace(ATTACK, is_proved=True),
            b"HTTP/1.1 200 OK\r\n\r\nqanary " + SECRET.encode(),
            0.1,
            ["the response contains a secret"],
        ),
    ],
)
def test_what_is_wrong_with_an_answer_is_found(
    attack: Attack, data: bytes, seconds: float, found: list[str]
) -> None:
    assert list(faults(attack, Answer(data=data, seconds=seconds), FORBIDDEN)) == found


@pytest.mark.parametrize(
    "line",
    [
        "Qanaryna",
        "qanary.leak@example.com",
        "+1 (303) 555-0173",
        f"Bearer {SECRET}",
        f"Basic {LOGIN}",
    ],
)
def test_a_canary_is_found_in_a_line(line: str) -> None:
    assert list(canaries.leaks(line, FORBIDDEN))


def test_samples_hold_canaries_only(target: Target) -> None:
    said = json.dumps([sample.tree for samples in target.samples.values() for sample in samples])
    assert "okafor" not in said.lower()
    assert said.lower().count(canaries.MARK) > 100
    assert said.translate(str.maketrans("", "", "()-. +")).count(canaries.PHONE) > 50


def test_an_error_in_a_log_is_found() -> None:
    assert is_error('{"at": "…", "level": "error", "event": "unexpected_error"}')
    assert is_error("Traceback (most recent call last):")
    assert not is_error('{"at": "…", "level": "warning", "event": "webhook_rejected"}')


def test_a_slow_percentile_counts_the_slowest() -> None:
    answers = [{"seconds": number / 100} for number in range(100)]
    assert Genuine(answers=answers).percentile(0.99) == 0.99
    assert Genuine(answers=[]).percentile(0.99) == 0


def test_what_a_mapping_raises_or_logs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: Source, *_: object, **__: object) -> None:
        raise LookupError("qanary")

    monkeypatch.setattr(Source, "map", fail)
    (number, _, fault) = in_process.map_chunk(1, range(3, 4)).faults[0]
    assert (number, fault.partition(":")[0]) == (3, "LookupError in test_hostile.py")


def test_each_kind_of_change_is_drawn() -> None:
    """Check that bodies are changed as trees and as bytes, and get incorrect content types."""
    drawn = [in_process.payload_of(3, number)[1] for number in range(2000)]
    for piece in (b"\x00", b"\xff\xfe", b"[[[[", b"<script>", b"NaN", b"9999999999", b"2026-02-30"):
        assert any(piece in payload.body for payload in drawn), piece
    assert any(len(payload.body) > 50_000 for payload in drawn)
    assert any(payload.content_type == "*/*" for payload in drawn)


def test_the_mappings_are_all_there(target: Target) -> None:
    gallery = {file.stem for file in (ROOT / "mappings" / "gallery").glob("*.yaml")}
    shipped = {file.stem for file in Path(ROOT / "mappings").glob("*.yaml")}
    assert target.sources.keys() == (gallery | shipped) - {"communities"}
