"""Test the messages that the console sends to a source's own URL, over real HTTP."""

import dataclasses
import json
import threading
from typing import Any

import pytest
from werkzeug.serving import make_server

from adapter import signatures
from adapter.app import create_app
from adapter.exceptions import NotPossible
from adapter.models import WebhookRequest
from adapter.operations import trial_message
from adapter.settings import Settings
from adapter.webhooks import trial
from tests.harness import SECRETS, Harness, load_cached, tour
from tests.integration.test_community_pages import Visit, visit  # noqa: F401 - a fixture
from tests.paths import MAPPINGS
from tests.ports import free_port

SOURCES = load_cached()


def stored(harness: Harness) -> tuple[int, int]:
    """Return the numbers of stored events and rejections."""
    with harness.pipeline.store.transaction() as tx:
        return len(tx.search.events()), sum(tx.rejections.counts().values())


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_a_test_message_is_verified_and_never_stored(
    harness: Harness,
    visit: Visit,  # noqa: F811
    name: str,
) -> None:
    port = free_port()
    ana = visit(public_url=f"http://127.0.0.1:{port}")
    assert "Send a test message</button>" in ana.page(f"/sources/{name}")
    ana.post(f"/sources/{name}/test")
    assert "The test message did not reach http://127.0.0.1" in ana.page(f"/sources/{name}"), (
        "no server yet"
    )
    server = make_server("127.0.0.1", port, ana.client.application, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        ana.post(f"/sources/{name}/test")
    finally:
        server.shutdown()
        server.server_close()
    page = ana.page(f"/sources/{name}")
    assert "The test message arrived and was accepted. Nothing was booked." in page
    assert stored(harness) == (0, 0)
    assert "sent a test message" in ana.page("/audit")
    assert visit("rob").post(f"/sources/{name}/test").status_code == 403


def test_only_the_console_can_send_one(harness: Harness) -> None:
    settings = Settings(
        database_url=harness.pipeline.store.url, mappings_dir=MAPPINGS, environ=SECRETS
    )
    app = create_app(settings, harness.clock, SOURCES)
    store = app.extensions["pipeline"].store
    body, now = json.dumps(tour()).encode(), harness.clock()
    url = "http://localhost/hooks/rentfeed/test"
    request = WebhookRequest("POST", url, {"Content-Type": "application/json"}, body)
    source, secret = SOURCES["rentfeed"], SECRETS["RENTFEED_SECRET"]
    signed = signatures.sign(source.signature, secret, request, now.timestamp())
    token = trial.token_for(store, "rentfeed", body, now)
    client: Any = app.test_client()

    def post(token: str, sent: WebhookRequest = signed) -> int:
        headers = {**sent.headers, trial.HEADER: token} if token else sent.headers
        return int(client.post("/hooks/rentfeed/test", data=sent.body, headers=headers).status_code)

    with store:
        assert post(token) == 200
        other = trial.token_for(store, "rentfeed", body + b" ", now)
        website = trial.token_for(store, "website", body, now)
        for wrong in ("", "x", f"{token}0", "99.x", "²." + token, other, website):
            assert post(wrong) == 404, wrong
        assert post(token, request) == 401, "it is not signed"
        harness.clock.advance(trial.VALID_SECONDS + 1)
        assert post(token) == 404
    assert stored(harness) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"secrets": ("NOT_SET",)}, "NOT_SET is not set. Tell your admin."),
        ({"signature": {"scheme": "public_key"}}, "no sample that can be signed"),
        ({"sections": {}}, "no sample that can be signed"),
    ],
)
def test_what_cannot_be_signed_is_not_sent(
    harness: Harness, changes: dict[str, Any], text: str
) -> None:
    source = dataclasses.replace(SOURCES["rentfeed"], **changes)
    settings = Settings(mappings_dir=MAPPINGS, environ=SECRETS)
    with pytest.raises(NotPossible, match=text):
        trial_message.send(source, settings, harness.pipeline.store, harness.clock)
