"""Test the handshakes that platforms require before they send webhooks."""

import json

import pytest

from adapter.exceptions import ConfigurationError
from adapter.signatures.handshakes import (
    Answer,
    Handshake,
    handshake_from,
    meta_answer,
    signed_answer,
    slack_answer,
    zoom_answer,
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


@pytest.mark.parametrize("body", [b"", b"\xff", b"{", b"[" * 100_000, b"null", b"[]", b"{}"])
def test_other_requests_are_not_handshakes(body: bytes) -> None:
    assert slack_answer(body) is None
    assert zoom_answer(body, b"key") is None


def test_zoom_is_given_the_hash_of_its_token() -> None:
    """Compare with: printf %s qgg8vlvZRS6UYooatFL8Aw | openssl dgst -sha256 -hmac s3cret."""
    asked = {
        "event": "endpoint.url_validation",
        "payload": {"plainToken": "qgg8vlvZRS6UYooatFL8Aw"},
    }
    answer = zoom_answer(json.dumps(asked).encode(), b"s3cret")

    assert answer is not None
    assert (answer.status, answer.media_type) == (200, "application/json")
    assert json.loads(answer.text) == {
        "plainToken": "qgg8vlvZRS6UYooatFL8Aw",
        "encryptedToken": "f54f2d5fee8f181aab8371bada7fed9bb675eae464f18ed4fb91715244b58ef4",
    }


@pytest.mark.parametrize("payload", [None, [], {}, {"plainToken": 5}, {"plainToken": "v0:1:{}"}])
def test_only_a_zoom_token_is_signed(payload: object) -> None:
    """Check that a handshake cannot be used to sign a whole webhook."""
    asked = {"event": "endpoint.url_validation", "payload": payload}

    assert zoom_answer(json.dumps(asked).encode(), b"s3cret") == Answer(status=400)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (None, None),
        ("slack", Handshake(kind="slack")),
        ("zoom", Handshake(kind="zoom")),
        ("meta", Handshake(kind="meta", variable="META_VERIFY_TOKEN")),
        ({"meta": "FORM_TOKEN"}, Handshake(kind="meta", variable="FORM_TOKEN")),
    ],
)
def test_a_mapping_selects_its_handshake(block: object, expected: Handshake | None) -> None:
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
    with pytest.raises(ConfigurationError, match="'handshake' must be slack, zoom, ") as refused:
        handshake_from(block)
    assert "a token!" not in str(refused.value)


TEXT = {"match": "type", "value": "endpoint_check", "respond": "data.challenge"}
OBJECT = {"match": "challenge", "respond": {"challenge": "challenge", "plain": "data.plain"}}


@pytest.mark.parametrize(
    ("block", "document", "expected"),
    [
        (
            TEXT,
            {"type": "endpoint_check", "data": {"challenge": "a-1"}},
            Answer(status=200, text="a-1"),
        ),
        (TEXT, {"type": "lead", "data": {"challenge": "a-1"}}, None),
        (TEXT, {"data": {"challenge": "a-1"}}, None),
        (TEXT, {"type": ["endpoint_check"]}, None),
        (TEXT, {"type": [{"a": 1}, {"b": 2}]}, None),
        (TEXT, [1], None),
        (TEXT, {"type": "endpoint_check"}, Answer(status=400)),
        (TEXT, {"type": "endpoint_check", "data": {"challenge": "<b>"}}, Answer(status=400)),
        (TEXT, {"type": "endpoint_check", "data": {"challenge": "a" * 1025}}, Answer(status=400)),
        (TEXT, {"type": "endpoint_check", "data": {"challenge": 7}}, Answer(status=400)),
        (OBJECT, {"challenge": ""}, None),
        (OBJECT, {"challenge": "a", "data": {"plain": "b"}, "name": "Dana"}, None),
        (OBJECT, {"challenge": "a"}, Answer(status=400)),
        (
            OBJECT,
            {"challenge": "a", "data": {"plain": "b="}},
            Answer(
                status=200,
                text='{"challenge": "a", "plain": "b="}',
                media_type="application/json",
            ),
        ),
    ],
)
def test_a_mapping_names_what_it_responds_with(
    block: object, document: object, expected: Answer | None
) -> None:
    handshake = handshake_from(block)
    assert handshake is not None
    assert signed_answer(handshake, json.dumps(document).encode(), b"key") == expected


@pytest.mark.parametrize(
    "block",
    [
        *({"match": "a"}, {"match": "a", "respond": {}}, {"match": "a", "respond": 5}),
        *({"match": "", "respond": "a"}, {"match": "a..b", "respond": "a"}),
        *({"match": 5, "respond": "a"}, {"match": "a", "respond": "a", "value": 5}),
        *({"match": "a", "respond": "a", "other": "b"}, {"match": "a", "respond": {"x": 1}}),
    ],
)
def test_an_invalid_match_says_what_to_fix(block: object) -> None:
    with pytest.raises(ConfigurationError, match="'match'"):
        handshake_from(block)
