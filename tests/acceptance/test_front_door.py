"""Test handshakes, limits, proxies and signed URLs with gunicorn."""

import dataclasses
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from adapter import app
from adapter.cli import commands
from adapter.cli.run import _announce as announce
from adapter.exceptions import ConfigurationError
from adapter.models import WebhookRequest
from adapter.server.supervisor import Supervisor
from adapter.settings import Settings, settings_from
from adapter.signatures import sign
from adapter.signatures.request import FORM_TYPE
from adapter.store import Database, Filter
from adapter.store.child_processes import popen
from adapter.webhooks import endpoints
from tests.adapter_process import ADAPTER, kept_environ
from tests.gunicorn_process import (
    LEAD,
    GunicornServer,
    HttpResponse,
    running_gunicorn,
    target_of,
    write_mappings,
)
from tests.key_pairs import private_pem, public_pem
from tests.ports import free_port
from tests.rows import whole_rejections
from tests.wait import wait_until

SECRET = "the-secret"
SECRETS = {"SECRET": SECRET, "VERIFY_TOKEN": "vt-1", "PUBLIC_KEY": public_pem("ed25519").strip()}
PUBLIC_URL = "https://leads.example.com"
HMAC = {"scheme": "hmac", "header": "X-Signature", "secrets": ["SECRET"]}
MAPPINGS: dict[str, dict[str, Any]] = {
    "plain": {"signature": HMAC},
    "other": {"signature": HMAC},
    "open": {"signature": {"scheme": "none"}},
    "from-there": {"signature": HMAC | {"allow_ips": ["198.51.100.0/24"]}},
    "meta": {
        "signature": {"preset": "meta", "secrets": ["SECRET"]},
        "handshake": {"meta": "VERIFY_TOKEN"},
    },
    "slack": {"signature": {"preset": "slack", "secrets": ["SECRET"]}, "handshake": "slack"},
    "zoom": {"signature": {"preset": "zoom", "secrets": ["SECRET"]}, "handshake": "zoom"},
    "public": {
        "signature": {"preset": "gohighlevel", "secrets": ["PUBLIC_KEY"]},
        "handshake": {"match": "type", "value": "verify", "respond": {"token": "token"}},
    },
    "hubspot": {"signature": {"preset": "hubspot-v3", "secrets": ["SECRET"]}},
    "twilio": {"signature": {"preset": "twilio", "secrets": ["SECRET"]}},
}
ASKED = "?hub.mode=subscribe&hub.verify_token=vt-1&hub.challenge=1158201444"
BODY = json.dumps(LEAD).encode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("mappings")
    write_mappings(made, MAPPINGS)
    return made


def environment(**changes: str) -> dict[str, Any]:
    return SECRETS | {"ADAPTER_PUBLIC_URL": PUBLIC_URL, "ADAPTER_LOG_LEVEL": "ERROR"} | changes


@pytest.fixture(scope="module")
def web(folder: Path, module_database: str) -> Iterator[GunicornServer]:
    """Run the web process behind one proxy, with high rate limits."""
    with running_gunicorn(
        folder, module_database, **environment(ADAPTER_TRUSTED_PROXIES="1")
    ) as web:
        yield web


def signed(
    name: str, body: bytes = BODY, query: str = "", secret: str = SECRET, **headers: str
) -> WebhookRequest:
    url = f"{PUBLIC_URL}/hooks/{name}{query}"
    request = WebhookRequest("POST", url, {"Content-Type": "application/json"} | headers, body)
    return sign(MAPPINGS[name]["signature"], secret, request, time.time())


def send(web: GunicornServer, request: WebhookRequest, **headers: str) -> HttpResponse:
    target = target_of(request.url)[1]
    return web.call("POST", target, dict(request.headers) | headers, request.body)


# handshakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "status", "body"),
    [
        (ASKED, 200, b"1158201444"),
        (ASKED.replace("vt-1", "vt-2"), 403, b""),
        (ASKED.replace("1158201444", "%3Cscript%3Ealert(1)%3C/script%3E"), 400, b""),
        (ASKED.replace("1158201444", "<script>"), 400, b""),
        ("", 403, b""),
    ],
)
def test_metas_challenge_is_answered_in_plain_text(
    web: GunicornServer, query: str, status: int, body: bytes
) -> None:
    answer = web.call("GET", f"/hooks/meta{query}", {})

    assert (answer.status, answer.body) == (status, body)
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("name", ["plain", "slack", "open"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_a_source_without_a_handshake_returns_405(
    web: GunicornServer, name: str, method: str
) -> None:
    answer = web.call(method, f"/hooks/{name}{ASKED}", {})

    assert answer.status == 405
    assert "POST" in answer.headers["Allow"]


def test_slacks_challenge_is_answered_only_if_signed(web: GunicornServer) -> None:
    asked = b'{"type": "url_verification", "challenge": "3eZbrw1aBm2r"}'
    request = signed("slack", asked)
    answer = send(web, request)

    assert (answer.status, answer.body) == (200, b"3eZbrw1aBm2r")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert send(web, request, **{"X-Slack-Signature": "v0=" + "0" * 64}).status == 401
    with Database(web.database) as store, store.transaction() as tx:
        assert tx.search.events(Filter(source="slack")) == [], "a question is no lead"


def test_zooms_challenge_is_answered_only_if_signed(web: GunicornServer) -> None:
    asked = b'{"event": "endpoint.url_validation", "payload": {"plainToken": "qgg8vlvZRS6UY"}}'
    request = signed("zoom", asked)
    answer = send(web, request)

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert json.loads(answer.body)["plainToken"] == "qgg8vlvZRS6UY"
    assert send(web, request, **{"x-zm-signature": "v0=" + "0" * 64}).status == 401
    assert send(web, signed("zoom")).status == 200, "a webhook is one"
    with Database(web.database) as store, store.transaction() as tx:
        assert len(tx.search.events(Filter(source="zoom"))) == 1, "a question is no lead"


def test_a_mappings_own_handshake_and_public_key(web: GunicornServer) -> None:
    key = private_pem("ed25519")
    asked = signed("public", b'{"type": "verify", "token": "a-1"}', secret=key)
    answer = send(web, asked)

    assert (answer.status, json.loads(answer.body)) == (200, {"token": "a-1"})
    assert answer.headers["Content-Type"] == "application/json"
    forged = signed("public", asked.body + b" ", secret=key).headers["X-GHL-Signature"]
    assert send(web, asked, **{"X-GHL-Signature": forged}).status == 401
    assert send(web, signed("public", secret=key)).status == 200
    with Database(web.database) as store, store.transaction() as tx:
        assert len(tx.search.events(Filter(source="public"))) == 1, "a handshake is no lead"


# limits ----------------------------------------------------------------------------------------


def test_forged_requests_use_up_nobodys_share_but_their_addresss(
    folder: Path, module_database: str
) -> None:
    limits = environment(
        ADAPTER_TRUSTED_PROXIES="1",
        ADAPTER_ADDRESS_LIMIT_PER_MINUTE="20",
        ADAPTER_SOURCE_LIMIT_PER_MINUTE="30",
    )
    with running_gunicorn(folder, module_database, **limits) as web:
        good = signed("plain")
        forged = dataclasses.replace(good, headers={"X-Signature": "0" * 64})
        attacker, sender = {"X-Forwarded-For": "203.0.113.9"}, {"X-Forwarded-For": "192.0.2.7"}

        answers = [send(web, forged, **attacker) for _ in range(60)]
        statuses = [answer.status for answer in answers]
        assert statuses[:20] == [401] * 20
        assert statuses.count(429) >= 39
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
        # 25 valid requests exceed the limit for rejected ones, but do not count toward it.
        assert {send(web, good, **sender).status for _ in range(25)} == {200}
        assert send(web, forged, **sender).status == 401
        assert [send(web, good, **sender).status for _ in range(20)].count(429) >= 10
        assert send(web, signed("other"), **sender).status == 200, "another source has its own"
        unknown = [web.post("nobody", {"X-Forwarded-For": "203.0.113.1"}, b"") for _ in range(25)]
        assert {answer.status for answer in unknown} == {404, 429}


def test_a_stranger_cannot_fill_the_disk_through_an_open_source(
    folder: Path, fresh_database: str
) -> None:
    """Check that a large body counts as several requests, unless its sender is verified."""
    with running_gunicorn(folder, fresh_database, **environment()) as web:
        body = b"x" * 2**20
        opened = [web.post("open", {}, b"%d" % n + body[:-1]).status for n in range(8)]
        small = web.post("open", {}, BODY).status
        proved = [send(web, signed("plain", b"%d" % n + body[:-1])).status for n in range(8)]

    assert (opened.count(200), opened.count(429)) == (4, 4)
    assert small == 200
    assert proved == [200] * 8


STRONG = "a-secret-of-32-bytes-or-so-aaaaa"
TOKEN = {"scheme": "token", "in": "json", "name": "token"}


@pytest.mark.parametrize(
    ("block", "secret", "statuses"),
    [
        (HMAC, STRONG, [200] * 10),
        (TOKEN, STRONG, [200] * 10),
        ({"scheme": "basic", "username": "leads"}, STRONG, [200] * 10),
        (TOKEN, "short", [429] * 10),  # the limit keeps strangers from guessing it
    ],
    ids=["hmac", "token", "basic", "short token"],
)
def test_a_genuine_sender_may_share_an_address_with_strangers(
    tmp_path: Path, fresh_database: str, block: Any, secret: str, statuses: list[int]
) -> None:
    signature = block | {"secrets": ["SECRET"]}
    write_mappings(tmp_path, {"shared": {"signature": signature}})
    limits = environment(ADAPTER_ADDRESS_LIMIT_PER_MINUTE="6") | {"SECRET": secret}
    with running_gunicorn(tmp_path, fresh_database, **limits) as web:

        def status(secret: str, **changes: Any) -> int:
            body = json.dumps(LEAD | changes).encode()
            url, headers = f"{PUBLIC_URL}/hooks/shared", {"Content-Type": "application/json"}
            request = sign(
                signature, secret, WebhookRequest("POST", url, headers, body), time.time()
            )
            return send(web, request).status

        flood = [status("forged") for _ in range(20)]
        assert flood.count(429) >= 12
        assert [status(secret, id=number) for number in range(10)] == statuses
        assert status(secret, comments="x" * 2**17) == 429, "too large to be verified beyond it"
        assert status("forged") == 429
    with Database(fresh_database) as store, store.transaction() as tx:
        assert tx.rejections.counts()["shared"] == flood.count(401)


# proxies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("forwarded_for", "status"),
    [
        ("198.51.100.7", 200),
        ("203.0.113.9, 198.51.100.7", 200),
        ("198.51.100.7, 203.0.113.9", 401),  # the sender can forge the first one
        ("203.0.113.9", 401),
        ("nonsense", 401),
    ],
)
def test_allow_ips_trusts_only_the_proxy(
    web: GunicornServer, forwarded_for: str, status: int
) -> None:
    body = json.dumps(LEAD | {"id": forwarded_for}).encode()

    answer = send(web, signed("from-there", body), **{"X-Forwarded-For": forwarded_for})

    assert answer.status == status


# signed addresses ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hubspot", "twilio"])
@pytest.mark.parametrize(
    "query",
    ["", "?", "?unit=2%42", "?a=%2F%3A&a=b+c&&=", "?x=%E2%82%AC&y=%ff", "?next=http://a/b?c"],
)
def test_the_url_is_verified_as_the_sender_wrote_it(
    web: GunicornServer, name: str, query: str
) -> None:
    body = f"id={len(query)}&kind=tour".encode() if name == "twilio" else BODY
    kind = {"Content-Type": FORM_TYPE} if name == "twilio" else {}
    request = signed(name, body, query, **kind)

    assert send(web, request).status == 200
    changed = dataclasses.replace(request, url=request.url + ("&" if query else "?") + "z=1")
    assert send(web, changed).status == 401


def settings(folder: Path, **environ: str) -> Settings:
    return settings_from({"ADAPTER_MAPPINGS_DIR": str(folder)} | environ)


def test_a_signed_url_needs_the_public_url(folder: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        endpoints.check(settings(folder, **SECRETS))

    lines = str(refused.value).splitlines()
    assert [line.partition(":")[0].rpartition("/")[2] for line in lines] == [
        "hubspot.yaml",
        "twilio.yaml",
    ]
    assert all("set ADAPTER_PUBLIC_URL" in line for line in lines)
    endpoints.check(settings(folder, **SECRETS, ADAPTER_PUBLIC_URL=PUBLIC_URL))


@pytest.mark.parametrize("token", [{}, {"VERIFY_TOKEN": " "}])
def test_a_missing_verify_token_prevents_startup(folder: Path, token: dict[str, str]) -> None:
    environ = {"SECRET": SECRET, "ADAPTER_PUBLIC_URL": PUBLIC_URL} | token

    with pytest.raises(ConfigurationError, match=r"meta\.yaml: VERIFY_TOKEN is not set"):
        endpoints.check(settings(folder, **environ))


def test_an_unsigned_source_is_logged_at_startup(
    folder: Path, module_database: str, caplog: Any
) -> None:
    environ = environment(DATABASE_URL=module_database, ADAPTER_MAPPINGS_DIR=str(folder))
    made = app.create_app(settings_from(environ))
    made.extensions["pipeline"].store.__exit__()

    (line,) = [record for record in caplog.records if record.message == "source_is_open"]
    assert (line.levelname, line.source) == ("WARNING", "open")


def test_adapter_run_names_an_open_source(
    folder: Path, module_database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = environment(ADAPTER_MAPPINGS_DIR=str(folder), DATABASE_URL=module_database)
    announce(Supervisor(environ, print))

    said = capsys.readouterr().err
    assert "open is UNSIGNED (scheme: none): anyone who knows its URL can send" in said
    assert said.count("UNSIGNED") == 1


def test_a_run_goes_on_without_a_link_if_postgresql_ended_just_after_the_start(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = f"postgresql://127.0.0.1:{free_port()}/nothing"
    environ = environment(ADAPTER_MAPPINGS_DIR=str(folder), DATABASE_URL=nowhere)
    announce(Supervisor(environ, print))

    said = capsys.readouterr().err
    assert "console: no sign-in link, because PostgreSQL does not respond; restart" in said
    assert "open is UNSIGNED" in said


def test_a_secret_with_a_line_break_is_named_and_works(
    folder: Path,
    module_database: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secrets = {
        "SECRET": SECRET + "\n",
        "ADAPTER_METRICS_TOKEN": "'metrics'",
        "VERIFY_TOKEN": "vt-1 ",
    }
    environ = environment(ADAPTER_MAPPINGS_DIR=str(folder), DATABASE_URL=module_database, **secrets)
    announce(Supervisor(environ, print))
    said = capfd.readouterr().err
    with running_gunicorn(
        folder, module_database, **environ | {"ADAPTER_LOG_LEVEL": "INFO"}
    ) as web:
        assert send(web, signed("plain")).status == 200
        assert web.call("GET", f"/hooks/meta{ASKED}", {}).status == 200
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if "_trimmed" in line]

    for name, value in environ.items():
        assert (f"{name} has whitespace or quotes" in said) is (name in secrets)
        assert name not in secrets or value not in said
    assert sorted(line["variable"] for line in lines) == sorted(secrets), "once per process"
    monkeypatch.setenv("SECRET", "a-secret ")
    ended = CliRunner().invoke(commands, ["check", str(folder / "plain.yaml")])
    assert (ended.exit_code, "warning: SECRET has whitespace" in ended.output) == (0, True)
    assert "a-secret" not in ended.output


# slightly wrong URLs and requests -----------------------------------------------


@pytest.mark.parametrize("name", ["plain", "hubspot"])
@pytest.mark.parametrize(
    "target",
    [
        "/hooks/{}/",
        "//hooks/{}",
        "/hooks//{}",
        "/hooks/{}%20",
        "/hooks/%09{}%0A",
        "/Hooks/{}/?unit=2",
        "/hooks/{}/?",
    ],
)
def test_extra_slashes_spaces_and_capitals_in_a_url_are_ignored(
    web: GunicornServer, name: str, target: str
) -> None:
    """Check that the signature covers the URL as the sender wrote it."""
    url = PUBLIC_URL + target.format(name.capitalize() if "Hooks" in target else name)
    request = WebhookRequest("POST", url, {"Content-Type": "application/json"}, BODY)
    request = sign(MAPPINGS[name]["signature"], SECRET, request, time.time())

    assert send(web, request).status == 200
    changed = dataclasses.replace(request, headers={"X-Signature": "0" * 64})
    assert send(web, changed).status == 401


def raw(web: GunicornServer, request: bytes) -> int:
    """Send raw bytes, close the sending side of the connection, and return the status."""
    with socket.create_connection(("127.0.0.1", web.port), timeout=20) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return int(connection.recv(65536).split(b" ")[1])


def test_requests_rejected_before_verification_are_logged_and_counted(
    folder: Path, fresh_database: str, capfd: pytest.CaptureFixture[str]
) -> None:
    start = b"POST /hooks/other HTTP/1.1\r\nHost: x\r\n"
    put = dataclasses.replace(signed("other"), method="PUT")
    limits = environment(ADAPTER_LOG_LEVEL="INFO", ADAPTER_MAX_BODY_BYTES="2048")
    with running_gunicorn(folder, fresh_database, **limits) as web:
        target = target_of(put.url)[1]
        statuses = [
            web.call("POST", target, {}, b"x" * 3000).status,
            raw(
                web,
                start
                + b"Transfer-Encoding: chunked\r\n\r\nbb8\r\n"
                + b"x" * 3000
                + b"\r\n0\r\n\r\n",
            ),
            web.call("PUT", target, put.headers, put.body).status,
            web.call("GET", target, {}).status,
            web.call("HEAD", target, {}).status,
            raw(web, start + b"Content-Length: 100\r\n\r\n{"),
            raw(web, start + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"),
            web.call("POST", "/hooks/othr", {}).status,
            web.call("POST", "/webhooks/other", {}).status,
            web.call("BREW", target, {}).status,
            raw(web, b"POST /hooks/other?token=a-secret\r\n\r\n"),
            raw(web, start + b"X-Long: " + b"x" * 9000 + b"\r\n\r\n"),
            raw(web, b"GET /hooks/other?" + b"x" * 5000 + b" HTTP/1.1\r\n\r\n"),
        ]
    log = capfd.readouterr().err
    lines = [json.loads(line) for line in log.splitlines() if "webhook_rejected" in line]
    with Database(fresh_database) as store, store.transaction() as tx:
        rows, totals = whole_rejections(tx, "other"), tx.rejections.totals()

    assert statuses == [413, 413, 405, 405, 405, 400, 400, 404, 404, 405, 400, 431, 414]
    assert [(line["source"], line["reason"]) for line in lines] == [
        *[("other", "request_entity_too_large")] * 2,
        *[("other", "method_not_allowed")] * 3,
        *[("other", "bad_request")] * 2,
        (None, "unknown_source"),
        (None, "not_found"),
        (None, "method_not_allowed"),
        (None, "bad_request"),
        (None, "request_header_fields_too_large"),
        (None, "request_uri_too_large"),
    ]
    assert lines[7]["similar"] == "other"
    assert "a-secret" not in log
    assert [(row.reason, row.body, row.can_retry) for row in reversed(rows)][-7:] == [
        *[("request_entity_too_large", None, False)] * 2,
        ("method_not_allowed", BODY, True),
        *[("method_not_allowed", None, False)] * 2,
        *[("bad_request", None, False)] * 2,
    ]
    assert totals["other", "request_entity_too_large"] == 2
    assert totals["other", "method_not_allowed"] == 3
    assert totals["", "unknown_source"] == 1
    assert totals["", "request_uri_too_large"] == 1


def test_a_flood_of_them_is_bounded_and_delays_nobody(folder: Path, fresh_database: str) -> None:
    limits = environment(ADAPTER_ADDRESS_LIMIT_PER_MINUTE="50", ADAPTER_REJECTIONS_PER_SOURCE="20")
    with running_gunicorn(folder, fresh_database, **limits) as web:
        flood = [web.call("PUT", "/hooks/other", {}, b"x").status for _ in range(300)]
    with Database(fresh_database) as store, store.transaction() as tx:
        totals, rows = tx.rejections.totals(), tx.rejections.counts()

    assert set(flood) == {405, 429}
    assert sum(totals.values()) == 300
    assert totals["other", "rate_limited"] == flood.count(429) > 200
    assert rows == {"other": 20}


def test_a_worker_names_its_secrets_with_blanks(folder: Path) -> None:
    environ = kept_environ() | environment(
        ADAPTER_MAPPINGS_DIR=str(folder),
        DATABASE_URL="postgresql://nobody@127.0.0.1:9/none",
        PROPEXO_TOKEN=" '  a-token'",
        ADAPTER_LOG_LEVEL="INFO",
    )
    with popen([*ADAPTER, "worker"], env=environ, stderr=subprocess.PIPE) as worker:
        assert worker.stderr is not None
        lines = iter(worker.stderr.readline, b"")
        said = next(line for line in lines if b"secret_not_trimmed" in line)
        worker.terminate()

    assert b'"variable": "PROPEXO_TOKEN"' in said
    assert b"a-token" not in said


# without a database ----------------------------------------------------------------------------


def test_a_forged_request_is_401_at_once_without_a_database(folder: Path) -> None:
    away = "postgresql://nobody@127.0.0.1:9/none"
    with running_gunicorn(folder, away, **environment()) as web:
        started = time.monotonic()
        answers = [send(web, signed("plain"), **{"X-Signature": "0" * 64}) for _ in range(100)]
        took = time.monotonic() - started

        assert {answer.status for answer in answers} == {401}
        assert took < 10, "none of them waited for the database"


def test_requests_rejected_over_http_are_stored_without_credentials(web: GunicornServer) -> None:
    secret = {"Authorization": "Bearer very-secret", "Cookie": "session=very-secret"}
    assert send(web, signed("other"), **secret, **{"X-Signature": "0" * 64}).status == 401

    def kept() -> list[Any]:
        with Database(web.database) as store, store.transaction() as tx:
            return whole_rejections(tx, "other")

    wait_until(kept, "the rejection is written")
    (rejection,) = kept()
    assert rejection.body == BODY
    assert rejection.sender is not None
    assert "very-secret" not in repr(rejection)


def test_the_sender_of_a_draft_keeps_its_webhooks(
    tmp_path: Path, fresh_database: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Add the line ``draft: true`` to a mapping in use, as a deployment might."""
    acme: dict[str, Any] = {"signature": HMAC, "draft": True}
    write_mappings(tmp_path, {"plain": {"signature": HMAC}, "acme": acme})
    with running_gunicorn(tmp_path, fresh_database, **environment(ADAPTER_LOG_LEVEL="INFO")) as web:
        answer = web.post("acme", {}, BODY)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "30")
    log = capfd.readouterr().err
    (line,) = [json.loads(line) for line in log.splitlines() if "webhook_rejected" in line]
    assert (line["reason"], line["similar"]) == ("mapping_is_draft", "acme")


# senders that accept only 200 ----------------------------------------------------------


def test_every_stored_webhook_is_answered_with_200(web: GunicornServer) -> None:
    first = json.dumps(LEAD | {"id": "F-1"})
    changed = json.dumps(LEAD | {"id": "F-1", "name": "Dana Lee Okafor"})
    ignored = json.dumps(LEAD | {"id": "F-2", "kind": "no tour"})
    answers = [
        send(web, signed("other", body.encode()))
        for body in (first, first, changed, ignored, "{cut off", "")
    ]

    assert {answer.status for answer in answers} == {200}
    assert [json.loads(answer.body)["status"] for answer in answers] == [
        *("accepted", "duplicate", "accepted", "accepted", "accepted", "accepted")
    ]
