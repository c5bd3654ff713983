"""Real payloads of many senders, through the gallery's mappings, or else through tests/corpus."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from adapter import sources
from adapter.config import Policy
from adapter.mapping import Delivery, Item, Mapped, Outcome
from adapter.sources import Source
from adapter.sources.loading import load_files

FOLDER = Path(__file__).parent / "corpus"
MAPPINGS = Path(__file__).parents[1] / "mappings" / "gallery"
PAYLOADS = Path(__file__).parents[1] / ".." / "shared" / "corpus" / "payloads"

#: What each disposition of the corpus is to us.
OUTCOMES = {
    "book": {Outcome.BOOK},
    "book-with-rule": {Outcome.BOOK, Outcome.HELD},
    "lead-only": {Outcome.HELD},
    "needs-enrichment": {Outcome.HELD},
    "ignore": {Outcome.IGNORED},
    "reject": {Outcome.UNREADABLE},
    "mixed": {Outcome.BOOK},
}
#: Numbers that no network gives out: they go to the notes instead of into phone_1.
INVALID_PHONES = {"+15555550123", "5555571234", "5555551234", "+910123456789"}

#: Which mapping of the gallery reads which payload; the communities are those of the corpus.
GALLERY = {
    "abodo-lead-email-cloudmailin": "lead-mail-cloudmailin",
    "adf-autotrader-full-name": "adf",
    "dialogflow-cx-session-parameters": "dialogflow-cx",
    "dialogflow-es-book-appointment": "dialogflow-es",
    "elevenlabs-post-call": "elevenlabs",
    "entrata-mits-json-self-tour": "entrata-mits",
    "gohighlevel-appointment": "gohighlevel",
    "intercom-conversation-lead": "intercom",
    "knock-syndication-prospect": "knock-syndication",
    "lex-v1-fulfillment": "lex-v1",
    "retell-call-analyzed": "retell-calls",
    "twilio-sms-inbound": "twilio-sms",
    "vapi-tool-calls-arguments-string": "vapi",
    "yardi-mits-leadmanagement": "yardi-mits",
    "zillow-rentals-lead-full": "zillow",
    "zoopla-applicant-push": "zoopla",
}


def _loaded() -> dict[str, Source]:
    files = [MAPPINGS / f"{name}.yaml" for name in set(GALLERY.values())]
    gallery = load_files(FOLDER, files, Policy(), tries_out=False)
    assert [str(problem) for problem in gallery.problems] == []
    senders = {payload: gallery.sources[name] for payload, name in GALLERY.items()}
    return {**sources.load(FOLDER, Policy()), **senders}


loaded = _loaded()


def test_the_mappings_pass_their_own_tests() -> None:
    assert [str(problem) for problem in sources.check([FOLDER], Policy())] == []


def _deliver(name: str, meta: dict[str, Any]) -> Mapped:
    body = (PAYLOADS / meta["raw_file"]).read_bytes()
    content_type = meta["content_type"].split(" (")[0]
    expect = meta.get("expect", {})
    if "appointment_date" in expect:
        day = dt.date.fromisoformat(expect["appointment_date"])
    else:
        day = dt.date(2018, 8, 1)
    now = dt.datetime.combine(day, dt.time(), dt.UTC) - dt.timedelta(days=2)
    # Some senders say the community in the address only.
    delivery = Delivery(body=body, content_type=content_type, query="community=corpus")
    return loaded[name].map(delivery, now=now)


def _meta(name: str) -> dict[str, Any]:
    file = PAYLOADS / f"{name}.meta.json"
    if not file.exists():
        pytest.skip("../shared is not here")
    return json.loads(file.read_text())


@pytest.mark.corpus
@pytest.mark.parametrize("name", sorted(loaded))
def test_a_real_payload_becomes_what_its_meta_says(name: str) -> None:
    meta = _meta(name)
    mapped = _deliver(name, meta)
    assert mapped.outcome in OUTCOMES[meta["disposition"]], mapped.reasons
    assert mapped.items or mapped.outcome is not Outcome.BOOK
    if mapped.items and "appointment_date" in meta.get("expect", {}):
        assert _differences(meta["expect"], mapped.items[0]) == {}


@pytest.mark.corpus
def test_each_prospect_of_a_batch_becomes_what_its_meta_says() -> None:
    meta = _meta("yardi-guestcards-batch")
    items = _deliver("yardi-guestcards-batch", meta).items
    prospects = meta["expect"]["per_prospect"]
    assert len(items) == len(prospects)
    for item, expect in zip(items, prospects, strict=True):
        assert item.outcome is (Outcome.BOOK if "appointment_date" in expect else Outcome.HELD)
        assert _differences(expect, item) == {}
    assert len({item.dedupe_key for item in items}) == len(items)


def _differences(expect: dict[str, Any], item: Item) -> dict[str, tuple[Any, Any]]:
    """Field → (want, got). A telephone number may have gained its country code."""
    differences = {}
    promised = {"appointment_date", "last_name", "phone_1"} if item.outcome is Outcome.BOOK else {}
    for field in expect.keys() & {*item.appointment, *promised}:
        want, got = expect[field], item.appointment.get(field)
        if field == "phone_1":
            if want in INVALID_PHONES and got is None:
                continue
            got = got and got[-len(want) :]
        if want != got:
            differences[field] = (want, got)
    return differences


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("name", "field", "words"),
    [
        ("typeform-docs-example", "starts_at", "no tour time"),
        ("dialogflow-es-book-appointment", "email_1", "neither an e-mail address nor a phone"),
        ("jotform-date-time-parts", "starts_at", "is at 00:42 in America/Chicago"),
        ("vapi-tool-calls-arguments-string", "name", "name"),
        ("facebook-leadgen-sample", "event", "needs_enrichment"),
        ("intercom-conversation-lead", "name", "not a name"),
        ("formsure-docs-trailing-commas", "event", "not JSON"),
        ("adf-spec-example-mangled", "event", "not XML"),
    ],
)
def test_why_a_real_payload_is_held(name: str, field: str, words: str) -> None:
    mapped = _deliver(name, _meta(name))
    reasons = [*mapped.reasons, *(reason for item in mapped.items for reason in item.reasons)]
    assert any(words in reason.reason for reason in reasons if reason.field == field), reasons
