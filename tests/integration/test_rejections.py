"""Test how rejected requests are stored, limited, and accepted later."""

import base64
import dataclasses
import datetime as dt
import json
import re
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import psycopg
import pytest
from click.testing import CliRunner

from adapter.cli import commands
from adapter.exceptions import VerificationError
from adapter.models import WebhookRequest
from adapter.operations import readmit
from adapter.pipeline import Pipeline
from adapter.services import pipeline_from
from adapter.settings import Settings
from adapter.signatures import sign
from adapter.signatures.request import FORM_TYPE
from adapter.store import Database, NewRejection, Rejection
from adapter.webhooks.endpoints import build_endpoint
from adapter.webhooks.rejections import USE_SECONDS, BackgroundWriter, rejection_from
from tests.gunicorn_process import LEAD, write_mappings
from tests.rows import whole_rejections

START = dt.datetime(2026, 3, 2, 18, 0, tzinfo=dt.UTC)
RIGHT, WRONG = "the-right-secret", "another-secret"
HMAC = {
    "scheme": "hmac",
    "header": "X-Signature",
    "signed": "{timestamp}.{body}",
    "timestamp": {"header": "X-Time"},
    "secrets": ["OLD_SECRET", "NEW_SECRET"],
}
ONE = {"secrets": ["NEW_SECRET"]}
MAPPINGS: dict[str, dict[str, Any]] = {
    "signed": {"signature": HMAC},
    "in-authorization": {"signature": {"scheme": "hmac", "header": "Authorization"} | ONE},
    "from-there": {"signature": HMAC | {"allow_ips": ["192.0.2.0/24"]}},
    "by-address": {"signature": {"preset": "hubspot-v3"} | ONE},
    "header-token": {"signature": {"scheme": "token", "in": "header", "name": "X-Token"} | ONE},
    "query-token": {"signature": {"scheme": "token", "in": "query", "name": "token"} | ONE},
    "form-token": {"signature": {"scheme": "token", "in": "form", "name": "key"} | ONE},
    "json-token": {"signature": {"scheme": "token", "in": "json", "name": "key"} | ONE},
    "reader": {"signature": HMAC, "dedupe": ["id", "headers.X-Kept"]},
    "login": {"signature": {"scheme": "basic", "username": "portal"} | ONE},
}
TOKENS = ["header-token", "query-token", "form-token", "json-token", "login"]


class Desk:
    """A pipeline with a folder of mappings, a manual clock and changeable secrets."""

    def __init__(self, folder: Path, store: Database, **changes: Any) -> None:
        self.now = START
        self.store = store
        self.settings = Settings(
            mappings_dir=folder, public_url="https://leads.example.com", **changes
        )
        self.use(OLD_SECRET="the-old-secret", NEW_SECRET=RIGHT)

    def use(self, **secrets: str) -> None:
        """Restart the pipeline with the given secrets."""
        self.settings = dataclasses.replace(self.settings, environ=secrets)
        self.pipeline: Pipeline = pipeline_from(self.settings, self.store, lambda: self.now)

    def request(
        self, name: str, secret: str, body: bytes | None = None, **more: Any
    ) -> WebhookRequest:
        kind = FORM_TYPE if name == "form-token" else "application/json"
        body = body if body is not None else json.dumps(LEAD).encode()
        body = b"id=L-1&kind=tour" if name == "form-token" else body
        url = f"https://leads.example.com/hooks/{name}?unit=2"
        headers = {"Content-Type": kind, "Cookie": "session=1"}
        client = more.pop("client", "192.0.2.7")
        bare = WebhookRequest("POST", url, headers | more, body, client=client)
        source = self.pipeline.sources[name]
        return sign(source.signature, secret, bare, self.now.timestamp())

    def send(self, name: str, request: WebhookRequest) -> str | None:
        """Receive a request, or return the reason for its rejection."""
        source = self.pipeline.sources[name]
        try:
            verified = self.pipeline.receiver.verify(build_endpoint(source, self.settings), request)
        except VerificationError as exc:
            return exc.reason
        finally:
            self.pipeline.receiver.background_writer.flush()
        self.pipeline.receiver.store(verified)
        return None

    def kept(self, name: str | None = None) -> list[Rejection]:
        with self.store.transaction() as tx:
            return whole_rejections(tx, name)

    def events(self) -> int:
        with self.store.transaction() as tx:
            return len(tx.search.events(limit=10_000))

    def retry(self, name: str, *, dry_run: bool = False) -> readmit.Retried:
        source = self.pipeline.sources[name]
        verifier = build_endpoint(source, self.settings).verifier
        return readmit.retry(self.pipeline.receiver, source, verifier, by="ana", dry_run=dry_run)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("mappings")
    write_mappings(made, MAPPINGS)
    return made


@pytest.fixture
def desk(folder: Path, opened: Database) -> Iterator[Desk]:
    desk = Desk(folder, opened)
    yield desk
    desk.pipeline.receiver.background_writer.flush()


def everything_in(url: str) -> str:
    """Return all rows of events and rejections as text, with bodies as text and base64."""
    with psycopg.connect(url) as connection:
        rows = [
            repr(row)
            for table in ("events", "rejections", "secret_uses", "history")
            for row in connection.execute(f"SELECT * FROM {table}")
        ]
    return "\n".join(rows)


def test_a_rejected_request_is_stored_separately_from_events(desk: Desk) -> None:
    assert desk.send("signed", desk.request("signed", WRONG)) == "signature_mismatch"

    (rejection,) = desk.kept()
    assert desk.events() == 0
    assert (rejection.source, rejection.reason) == ("signed", "signature_mismatch")
    assert rejection.received_at == START
    assert rejection.body == json.dumps(LEAD).encode()
    assert rejection.url == "https://leads.example.com/hooks/signed?unit=2"
    assert {"x-signature", "x-time", "content-type"} <= rejection.headers.keys()
    assert "cookie" not in rejection.headers
    assert rejection.can_retry


def test_a_senders_address_is_stored_as_a_short_hash(desk: Desk, database: str) -> None:
    for client in ("192.0.2.7", "192.0.2.7", "192.0.2.8", None):
        desk.send("signed", dataclasses.replace(desk.request("signed", WRONG), client=client))

    unknown, other, same, first = [rejection.sender for rejection in desk.kept()]
    assert first is not None
    assert len(first) == 8
    assert (first == same, first == other, unknown) == (True, False, None)
    assert "192.0.2" not in everything_in(database)


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("secret", [RIGHT, WRONG], ids=["accepted", "refused"])
def test_no_credential_reaches_the_database(
    desk: Desk, database: str, name: str, secret: str
) -> None:
    reason = desk.send(name, desk.request(name, secret))

    assert (reason is None) == (secret == RIGHT)
    assert (desk.events(), len(desk.kept())) == ((1, 0) if secret == RIGHT else (0, 1))
    rows = everything_in(database)
    assert "L-1" in rows, "the lead itself is there"
    for text in (secret, base64.b64encode(f"portal:{secret}".encode()).decode()):
        assert text not in rows


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("secret", [RIGHT, WRONG, "odd+ &one=1"], ids=["right", "wrong", "odd"])
def test_no_copy_of_a_credential_in_a_header_is_stored(
    desk: Desk, database: str, name: str, secret: str
) -> None:
    """Send headers such as X-Original-URL, which contain copies of the URL in several spellings."""
    desk.use(NEW_SECRET=secret if secret != WRONG else RIGHT, OLD_SECRET="the-old-secret")
    copies = [
        copy.format(spelling)
        for copy in ("{}", "/hooks/x?token={}", "token={}", "https://a.example/?a=1&token={}#b")
        for spelling in (secret, quote(secret, safe=""), quote_plus(secret))
    ]
    copied = {f"X-Original-{number}": text for number, text in enumerate(copies)}
    request = desk.request(name, secret)
    headers = {**request.headers, **copied, "Referer": copies[-1], "Other": "stays"}

    desk.send(name, dataclasses.replace(request, headers=headers))

    rows = everything_in(database)
    assert "stays" in rows
    assert [text for text in copies if text in rows] == []


@pytest.mark.parametrize("name", TOKENS)
def test_no_copy_of_an_accepted_credential_is_stored(desk: Desk, database: str, name: str) -> None:
    request = desk.request(name, RIGHT)
    url = f"{request.url}&again={RIGHT}"
    body = request.body.replace(b"L-1", f"L-1 {RIGHT}".encode())

    assert desk.send(name, dataclasses.replace(request, url=url, body=body)) is None

    rows = everything_in(database)
    assert "again=[removed]" in rows
    assert "L-1 [removed]" in rows
    assert RIGHT not in rows


@pytest.mark.parametrize("secret", [RIGHT, WRONG], ids=["accepted", "refused"])
@pytest.mark.parametrize("name", ["signed", "query-token"])
@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("X-Forwarded-For", "203.0.113.77, 10.1.2.3"),
        ("X-Real-IP", "203.0.113.77"),
        ("CF-Connecting-IP", "2001:db8:77::1"),
        ("Forwarded", 'for="[2001:db8:77::1]:4711";proto=https'),
        ("X-Client-Ip", "203.0.113.77:50000"),
        ("Via", "1.1 203.0.113.77:3128 (squid)"),
        ("X-Unheard-Of", "client=203.0.113.77"),
    ],
)
def test_no_address_of_a_sender_is_stored(
    desk: Desk, database: str, name: str, secret: str, header: str, text: str
) -> None:
    agent = "Mozilla/5.0 Chrome/120.0.0.0 Safari/537.36"
    request = desk.request(name, secret)
    headers = {**request.headers, header: text, "User-Agent": agent}

    desk.send(name, dataclasses.replace(request, headers=headers))

    rows = everything_in(database)
    assert agent in rows
    assert not re.search("203.0.113.77|2001:db8:77", rows)


def test_a_header_that_the_mapping_or_a_delivery_needs_is_stored(desk: Desk, database: str) -> None:
    needed = {
        "X-Kept": "from 203.0.113.5?",
        "Webhook-Id": "msg:1.2.3.4",
        "X-Session-Token": "another one's",
    }
    request = desk.request("reader", RIGHT)
    headers = {**request.headers, **needed}
    assert desk.send("reader", dataclasses.replace(request, headers=headers)) is None

    rows = everything_in(database)
    assert [text in rows for text in needed.values()] == [True, True, False]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("json-token", b'{"key": "%s",}'),  # unreadable
        ("json-token", b'{"data": {"key": "%s"}}'),  # elsewhere
        ("json-token", b'{"key": "%s", "key": "%s"}'),
        ("json-token", b"key=%s"),
        ("header-token", b'{"token": "%s"}'),
        ("query-token", b'{"token": "%s"}'),
    ],
)
@pytest.mark.parametrize("secret", [RIGHT, "the-secret-of-tomorrow"])
def test_a_token_in_the_wrong_place_is_not_stored_either(
    desk: Desk, database: str, name: str, body: bytes, secret: str
) -> None:
    body = body.replace(b"%s", secret.encode())
    url = f"https://leads.example.com/hooks/{name}"
    request = WebhookRequest("POST", url, {"Authorization": f"Bearer {secret}"}, body)
    assert desk.send(name, request) is not None

    (rejection,) = desk.kept()
    if name == "json-token":
        assert rejection.body is None
    if name == "json-token" or secret == RIGHT:
        assert secret not in everything_in(database)


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("ours", ["{}", "{}\n"], ids=["plain", "with a line break"])
def test_a_token_is_verified_again_by_its_hash(desk: Desk, name: str, ours: str) -> None:
    desk.use(OLD_SECRET="unused", NEW_SECRET="mistyped")
    request = desk.request(name, RIGHT)
    assert desk.send(name, request) in ("token_mismatch", "credentials_mismatch")
    assert sum(desk.retry(name).refused.values()) == 1
    desk.use(OLD_SECRET="unused", NEW_SECRET=ours.format(RIGHT))

    assert desk.retry(name).accepted == 1
    assert (desk.events(), desk.kept(name)) == (1, [])
    assert desk.send(name, request) is None
    assert desk.events() == 1, "the sender's retry is the same webhook"


def test_a_credential_hash_is_valid_for_one_source_only(desk: Desk, database: str) -> None:
    desk.use(OLD_SECRET="unused", NEW_SECRET="mistyped")
    desk.send("header-token", desk.request("header-token", RIGHT))
    with psycopg.connect(database) as other:
        other.execute("UPDATE rejections SET source = 'query-token'")
    desk.use(OLD_SECRET="unused", NEW_SECRET=RIGHT)

    assert desk.retry("query-token").refused == {"token_mismatch": 1}


@pytest.mark.parametrize("name", TOKENS)
def test_a_short_token_leaves_no_hash(desk: Desk, name: str) -> None:
    desk.send(name, desk.request(name, "x" * 15))
    desk.use(OLD_SECRET="unused", NEW_SECRET="x" * 15)

    (rejection,) = desk.kept(name)
    assert (rejection.proofs, rejection.can_retry) == ([], False)
    assert desk.retry(name).not_verifiable == 1


@pytest.mark.parametrize("name", ["signed", "in-authorization", "from-there", "by-address"])
def test_after_a_secret_is_fixed_the_lead_is_accepted(desk: Desk, name: str) -> None:
    desk.use(OLD_SECRET="old", NEW_SECRET="mistyped")
    request = desk.request(name, RIGHT)
    assert desk.send(name, request) == "signature_mismatch"
    desk.now += dt.timedelta(days=3)  # the signing time is compared with the arrival time
    assert desk.retry(name).refused == {"signature_mismatch": 1}
    desk.use(OLD_SECRET="old", NEW_SECRET=RIGHT)

    assert desk.retry(name, dry_run=True).accepted == 1
    assert (desk.events(), len(desk.kept())) == (0, 1), "a dry run changes nothing"
    assert desk.retry(name).accepted == 1
    assert (desk.events(), len(desk.kept())) == (1, 0)
    with desk.store.transaction() as tx:
        (listed,) = tx.search.events()
        event = tx.events.get(listed.id)
    assert event is not None
    assert (event.received_at, event.query) == (START, "unit=2")
    assert "authorization" not in event.headers
    assert desk.retry(name).accepted == 0


def test_after_the_public_url_is_fixed_the_lead_is_accepted(desk: Desk) -> None:
    request = desk.request("by-address", RIGHT)
    url = request.url.replace("leads.example.com", "wrong.example.com")
    assert desk.send("by-address", dataclasses.replace(request, url=url)) == "signature_mismatch"

    assert desk.retry("by-address").accepted == 1


def test_a_request_accepted_in_the_meantime_is_not_booked_again(desk: Desk) -> None:
    desk.use(OLD_SECRET="old", NEW_SECRET="mistyped")
    request = desk.request("signed", RIGHT)
    desk.send("signed", request)
    desk.use(OLD_SECRET="old", NEW_SECRET=RIGHT)
    assert desk.send("signed", request) is None

    retried = desk.retry("signed")

    assert (retried.accepted, retried.repeated) == (0, 1)
    assert (desk.events(), len(desk.kept())) == (1, 0)


def test_a_replayed_old_request_stays_rejected(desk: Desk) -> None:
    request = desk.request("signed", RIGHT)
    desk.now += dt.timedelta(hours=1)
    assert desk.send("signed", request) == "timestamp_outside_tolerance"

    assert desk.retry("signed").refused == {"timestamp_outside_tolerance": 1}


def test_a_request_rejected_for_its_address_is_never_accepted(desk: Desk) -> None:
    request = desk.request("from-there", RIGHT, client="198.51.100.1")
    assert desk.send("from-there", request) == "address_not_allowed"

    assert desk.retry("from-there").not_verifiable == 1
    assert desk.events() == 0


def new_rejection(source: str = "signed", **changes: Any) -> NewRejection:
    values: dict[str, Any] = {
        "source": source,
        "received_at": START,
        "reason": "signature_mismatch",
        "method": "POST",
        "url": "https://leads.example.com/hooks/signed",
        "headers": {},
        "body": b"x" * 1000,
        "sender": None,
        "can_retry": True,
    }
    return NewRejection(**values | changes)


def test_the_limit_holds_under_concurrent_floods(database: str) -> None:
    def flood(source: str) -> None:
        with Database(database, size=2) as store:
            for number in range(30):
                new = new_rejection(source, body=b"%d" % number)
                with store.transaction() as tx:
                    tx.rejections.add(new, max_rows=10, max_bytes=10**6)
                with store.transaction() as tx:
                    counts.append(tx.rejections.counts()[source])

    counts: list[int] = []
    threads = [threading.Thread(target=flood, args=[name]) for name in ("a", "a", "a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(counts) == 120
    assert max(counts) == 10
    with Database(database) as store, store.transaction() as tx:
        rows = tx.rejections
        assert rows.counts() == {"a": 10, "b": 10}
        assert [row.body for row in whole_rejections(tx, "b")][:2] == [b"29", b"28"]


def test_a_list_of_rejections_loads_no_bodies(opened: Database) -> None:
    with opened.transaction() as tx:
        for _ in range(5):
            new = new_rejection(body=b"x" * 1_000_000)
            tx.rejections.add(new, max_rows=10, max_bytes=10**7)
        tracemalloc.start()
        listed = tx.rejections.newest()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert [one.size for one in listed] == [new.size] * 5
    assert peak < 100_000


def test_bytes_are_limited_too(folder: Path, opened: Database) -> None:
    desk = Desk(folder, opened, rejection_bytes_per_source=64 * 1024)
    for _ in range(10):
        desk.send("signed", desk.request("signed", WRONG, body=b"y" * 20_000))

    kept = desk.kept()
    assert len(kept) == 3  # 3 x (20,000 + some headers) are below 65,536
    assert sum(row.size for row in kept) <= 64 * 1024


def test_an_oversized_rejection_does_not_displace_others(folder: Path, opened: Database) -> None:
    desk = Desk(folder, opened, rejection_bytes_per_source=64 * 1024)
    desk.send("signed", desk.request("signed", WRONG))
    desk.send("signed", desk.request("signed", WRONG, body=b"y" * 70_000))

    large, small = desk.kept()
    assert (large.body, large.can_retry) == (None, False)
    assert small.can_retry


def test_probes_do_not_displace_what_can_be_verified_again(opened: Database) -> None:
    with opened.transaction() as tx:
        for number in range(40):
            probe = number not in (3, 4)
            new = new_rejection(body=None if probe else b"lead", can_retry=not probe)
            tx.rejections.add(new, max_rows=10, max_bytes=10**6)

        kept = tx.rejections.newest()
    assert [row.can_retry for row in kept] == [False] * 10 + [True] * 2


def test_a_flood_displaces_its_own_requests(folder: Path, opened: Database) -> None:
    """Send a flood from one address, one from all of an IPv6 network, and one of large bodies."""
    bounds = {"rejections_per_source": 20, "rejection_bytes_per_source": 64 * 1024}
    desk = Desk(folder, opened, **bounds)
    for client in ("192.0.2.7", "198.51.100.7"):
        desk.send("signed", desk.request("signed", "the-old-secrets", client=client))
    for number in range(30):
        forged = desk.request("signed", WRONG, body=b"y" * 5000, client=f"2001:db8::{number:x}")
        desk.send("signed", forged)

    kept = desk.kept()
    assert len({row.sender for row in kept}) == 3
    assert sum(len(row.body or b"") == 5000 for row in kept) > 5
    assert sum(row.size for row in kept) <= 64 * 1024


def test_every_rejection_is_counted_once_even_in_a_flood(opened: Database, desk: Desk) -> None:
    """Check the counts of two processes that reject at the same time, with few transactions."""
    writers = [BackgroundWriter(opened, desk.settings) for _ in range(2)]

    def flood(writer: BackgroundWriter) -> None:
        for number in range(2000):
            writer.count(("a", "b")[number % 2], ("bad_request", "token_mismatch")[number % 2])

    threads = [threading.Thread(target=flood, args=[writer]) for writer in writers * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for writer in writers:
        writer.flush()
        writer.count("a", "bad_request")
        writer.flush()

    with opened.transaction() as tx:
        assert tx.rejections.totals() == {("a", "bad_request"): 4002, ("b", "token_mismatch"): 4000}


def test_counts_are_saved_once_the_database_is_free(database: str, folder: Path) -> None:
    with Database(database, statement_seconds=0.3) as hurried, psycopg.connect(database) as other:
        writer = Desk(folder, hurried).pipeline.receiver.background_writer
        other.execute("LOCK TABLE rejection_counts")
        writer.count("a", "bad_request")
        writer.flush()
        other.rollback()
        writer.count("a", "bad_request")
        writer.flush()
        with hurried.transaction() as tx:
            assert tx.rejections.totals() == {("a", "bad_request"): 2}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("/hooks/by-address", "/hooks/by-address/"),
        ("https://leads.example.com/hooks", "https://leads.example.com//hooks"),
        ("/hooks/by-address", "//HOOKS/by-address"),
    ],
)
def test_a_url_with_extra_slashes_can_be_verified_again(
    desk: Desk, before: str, after: str
) -> None:
    desk.use(OLD_SECRET="old", NEW_SECRET="mistyped")
    bare = desk.request("by-address", RIGHT)
    unsigned = dataclasses.replace(bare, url=bare.url.replace(before, after))
    source = desk.pipeline.sources["by-address"]
    request = sign(source.signature, RIGHT, unsigned, desk.now.timestamp())
    assert desk.send("by-address", request) == "signature_mismatch"
    desk.use(OLD_SECRET="old", NEW_SECRET=RIGHT)

    assert desk.retry("by-address").accepted == 1


def test_a_put_can_be_accepted_later_and_a_probe_cannot(desk: Desk) -> None:
    endpoint = build_endpoint(desk.pipeline.sources["signed"], desk.settings)
    put = dataclasses.replace(desk.request("signed", RIGHT), method="PUT")
    receiver = desk.pipeline.receiver
    receiver.save_rejection(endpoint, put, "method_not_allowed")
    receiver.save_rejection(endpoint, dataclasses.replace(put, body=b""), "method_not_allowed")
    receiver.background_writer.flush()

    retried = desk.retry("signed")
    assert (retried.accepted, retried.not_verifiable) == (1, 1)


def test_without_a_database_a_request_is_still_rejected(folder: Path) -> None:
    """Send many requests at the same time, and check that none of them waits for the database."""
    with Database("postgresql://nobody@127.0.0.1:9/none", wait_seconds=0.2) as away:
        desk = Desk(folder, away)
        endpoint = build_endpoint(desk.pipeline.sources["signed"], desk.settings)
        request = desk.request("signed", WRONG)
        started = dt.datetime.now(dt.UTC)
        for _ in range(1000):
            with pytest.raises(VerificationError):
                desk.pipeline.receiver.verify(endpoint, request)
        took = dt.datetime.now(dt.UTC) - started
        background_writer = desk.pipeline.receiver.background_writer
        assert background_writer._waiting <= 200, "what waits is bounded"
        background_writer._writer.shutdown(cancel_futures=True)  # type: ignore[union-attr]

    assert took < dt.timedelta(seconds=5)


def test_the_use_of_a_secret_is_recorded_once_a_minute(desk: Desk) -> None:
    def uses() -> dict[str, dt.datetime]:
        desk.pipeline.receiver.background_writer.flush()
        with desk.store.transaction() as tx:
            return {name: at for (_, name), at in tx.stats.secret_uses().items()}

    desk.send("signed", desk.request("signed", "the-old-secret"))
    assert uses() == {"OLD_SECRET": START}
    desk.now += dt.timedelta(seconds=USE_SECONDS - 1)
    desk.send("signed", desk.request("signed", "the-old-secret"))
    assert uses() == {"OLD_SECRET": START}, "not yet a minute"
    desk.now += dt.timedelta(seconds=1)
    desk.send("signed", desk.request("signed", "the-old-secret"))
    desk.send("signed", desk.request("signed", RIGHT))
    assert uses() == {"OLD_SECRET": desk.now, "NEW_SECRET": desk.now}
    desk.send("signed", desk.request("signed", WRONG))
    assert uses() == {"OLD_SECRET": desk.now, "NEW_SECRET": desk.now}


def test_queued_writes_are_saved_when_the_process_ends(opened: Database, desk: Desk) -> None:
    background_writer = BackgroundWriter(opened, desk.settings)
    source = desk.pipeline.sources["signed"]
    verifier = build_endpoint(source, desk.settings).verifier
    request = desk.request("signed", WRONG)
    for _ in range(50):
        new = rejection_from(source, verifier, request, "signature_mismatch", START)
        background_writer.save_rejection(new, "192.0.2.7")
    background_writer._writer.shutdown(wait=True)  # type: ignore[union-attr] # as the interpreter does
    background_writer.save_rejection(new, "192.0.2.7")  # and this is not an error

    assert len(desk.kept()) == 50


# the commands ----------------------------------------------------------------------------------


@pytest.fixture
def run(desk: Desk, database: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("ADAPTER_MAPPINGS_DIR", str(folder))
    monkeypatch.setenv("ADAPTER_PUBLIC_URL", "https://leads.example.com")
    monkeypatch.setenv("OLD_SECRET", "the-old-secret")
    monkeypatch.setenv("NEW_SECRET", RIGHT)

    def run(*arguments: str) -> Any:
        ended = CliRunner().invoke(commands, arguments, catch_exceptions=False)
        assert ended.exit_code == 0, ended.output
        return json.loads(ended.output) if "--json" in arguments else ended.output

    return run


def test_the_commands_list_and_retry(desk: Desk, run: Any) -> None:
    desk.use(OLD_SECRET="old", NEW_SECRET="mistyped")
    desk.send("signed", desk.request("signed", RIGHT))
    desk.send("json-token", desk.request("json-token", "short"))

    listed = run("rejections", "--json")["rejections"]
    assert [(row["source"], row["can_retry"]) for row in listed] == [
        ("json-token", False),
        ("signed", True),
    ]
    assert "signature_mismatch" in run("rejections", "--source", "signed")
    shown = json.loads(run("rejections", "show", str(listed[1]["id"])))
    assert json.loads(shown["body"]) == LEAD
    assert "would be accepted: 1" in run("rejections", "retry", "signed", "--dry-run")
    assert run("rejections", "retry", "signed", "--json") == {
        "accepted": 1,
        "repeated": 0,
        "refused": {},
        "not_verifiable": 0,
        "undecryptable": [],
        "dry_run": False,
    }
    assert "cannot be verified again: 1" in run("rejections", "retry", "json-token")
    assert len(run("rejections", "--json")["rejections"]) == 1


def test_sources_tells_what_each_one_sent(desk: Desk, run: Any) -> None:
    desk.send("signed", desk.request("signed", "the-old-secret"))
    desk.send("signed", desk.request("signed", WRONG))

    found = {row["source"]: row for row in run("sources", "--json")["sources"]}

    assert found["signed"] == {
        "source": "signed",
        "address": "https://leads.example.com/hooks/signed",
        "preset": None,
        "scheme": "hmac",
        "format_changes": [],
        "is_open": False,
        "is_valid": True,
        "secrets": [
            {"name": "OLD_SECRET", "last_used_at": "2026-03-02T18:00:00Z"},
            {"name": "NEW_SECRET", "last_used_at": None},
        ],
        "last_event_at": "2026-03-02T18:00:00Z",
        "events": {"received": 1},
        "rejections": 1,
        "unknown_communities": [],
    }
    assert found["by-address"]["preset"] == "hubspot-v3"
    text = run("sources")
    assert "secret OLD_SECRET: last used 2026-03-02T18:00:00Z" in text
    assert "secret NEW_SECRET: last used never" in text
    assert re.search(r"verified last: OLD_SECRET \(1st of 2\), [0-9]+ days ago\n", text)

    desk.now = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=3)
    desk.send("signed", desk.request("signed", RIGHT))
    assert re.search(r"verified last: NEW_SECRET \(2nd of 2\), [34] min ago\n", run("sources"))
    assert RIGHT not in text
