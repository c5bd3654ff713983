"""The questions that platforms ask before they send anything."""

import json

import pytest

from adapter.exceptions import ConfigurationError
from adapter.signatures.handshakes import (
    Answer,
    Handshake,
    handshake_from,
    meta_answer,
    slack_answer,
)

ASKED = "hub.mode=subscribe&hub.verify_token=vt-1&hub.challenge=1158201444"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (ASKED, Answer(status=200, text="1158201444")),
        (ASKED.replace("vt-1", "vt%2D1"), Answer(status=200, text="1158201444")),
        (ASKED.replace("vt-1", "vt-2"), Answer(status=403)),
        (ASKED.replace("vt-1", "vt-"), Answer(status=403)),
        (ASKED.replace("vt-1", "vt-1x"), Answer(status=403)),
        (ASKED.replace("vt-1", ""), Answer(status=403)),
        (ASKED.replace("hub.mode=subscribe&", ""), Answer(status=403)),
        (ASKED.replace("subscribe", "unsubscribe"), Answer(status=403)),
        (ASKED + "&hub.verify_token=vt-1", Answer(status=403)),
        (ASKED + "&hub.challenge=2", Answer(status=400)),
        (ASKED.replace("1158201444", ""), Answer(status=400)),
        (ASKED.replace("1158201444", "%3Cscript%3E"), Answer(status=400)),
        (ASKED.replace("1158201444", "12%0A"), Answer(status=400)),
        (ASKED.replace("1158201444", "%D9%A1"), Answer(status=400)),
        (ASKED.replace("1158201444", "1" * 65), Answer(status=400)),
        ("&".join(["a=b"] * 3000), Answer(status=400)),
        ("\ud800=%ff", Answer(status=403)),
        ("", Answer(status=403)),
    ],
)
def test_meta(query: str, expected: Answer) -> None:
    assert meta_answer(query, "vt-1") == expected


@pytest.mark.parametrize("token", ["", " "])
def test_meta_without_a_token_would_answer_anybody(token: str) -> None:
    with pytest.raises(ConfigurationError, match="verify token is empty"):
        meta_answer("hub.mode=subscribe&hub.verify_token=&hub.challenge=1", token)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"type": "url_verification", "challenge": "3eZb-_1"}, Answer(status=200, text="3eZb-_1")),
        ({"type": "url_verification", "challenge": "<b>"}, Answer(status=400)),
        ({"type": "url_verification", "challenge": "a\n"}, Answer(status=400)),
        ({"type": "url_verification", "challenge": 5}, Answer(status=400)),
        ({"type": "url_verification"}, Answer(status=400)),
        ({"type": "event_callback", "challenge": "3eZb"}, None),
        (["url_verification"], None),
        ("url_verification", None),
    ],
)
def test_slack(document: object, expected: Answer | None) -> None:
    assert slack_answer(json.dumps(document).encode()) == expected


@pytest.mark.parametrize("body", [b"", b"\xff", b"{", b"[" * 100_000, b"null"])
def test_slack_passes_over_what_is_no_handshake(body: bytes) -> None:
    assert slack_answer(body) is None


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (None, None),
        ("slack", Handshake(kind="slack", variable=None)),
        ("meta", Handshake(kind="meta", variable="META_VERIFY_TOKEN")),
        ({"meta": "FORM_TOKEN"}, Handshake(kind="meta", variable="FORM_TOKEN")),
    ],
)
def test_a_mapping_says_which(block: object, expected: Handshake | None) -> None:
    assert handshake_from(block) == expected


@pytest.mark.parametrize(
    "block",
    [
        *("", "Slack", True, 5, [], {}),
        *({"slack": "X"}, {"meta": ""}, {"meta": None}, {"meta": "a token!"}),
        {"meta": "A", "slack": "B"},
    ],
)
def test_anything_else_is_refused_without_being_quoted(block: object) -> None:
    with pytest.raises(ConfigurationError, match="'handshake' must be slack, or") as refused:
        handshake_from(block)
    assert "a token!" not in str(refused.value)
