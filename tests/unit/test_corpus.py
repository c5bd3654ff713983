"""Map real payloads from many senders with the mappings in the gallery or in tests/corpus."""

import dataclasses
import datetime as dt
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

from adapter.mapping import registry
from adapter.mapping.engine import Item, Mapped, Outcome, WithoutTime
from adapter.mapping.loader.loader import load_files
from adapter.mapping.source import Source
from adapter.models import Kind, WebhookRequest
from adapter.propexo.appointment import request_from
from adapter.sandbox.validation import issues_of, schemas_with
from adapter.settings import Policy
from tests.paths import GALLERY, ROOT, SHARED

FOLDER = ROOT / "tests" / "corpus"
PAYLOADS = SHARED / "corpus" / "payloads"

#: Our outcome for each disposition in the corpus.
OUTCOMES = {
    "book": {Outcome.BOOK},
    "book-with-rule": {Outcome.BOOK, Outcome.HELD},
    "lead-only": {Outcome.PROSPECT, Outcome.HELD},
    "needs-enrichment": {Outcome.HELD},
    "ignore": {Outcome.IGNORED},
    "reject": {Outcome.UNREADABLE},
    "mixed": {Outcome.BOOK},
}
#: Unassigned phone numbers, which go to the notes instead of phone_1.
INVALID_PHONES = {"+15555550123", "5555571234", "5555551234", "+910123456789"}

#: The gallery's mapping for each payload, used with the communities in the corpus.
READ_BY = {
    "abodo-lead-email-cloudmailin": "lead-mail-cloudmailin",
    "adf-autotrader-full-name": "adf",
    "calcom-booking-created": "cal-com",
    "calcom-meeting-ended-flat": "cal-com",
    "calendly-v1-docs-example": "calendly-v1",
    "calendly-v2-invitee-created": "calendly",
    "calendly-v2-rebooked": "calendly",
    "dialogflow-cx-session-parameters": "dialogflow-cx",
    "dialogflow-es-book-appointment": "dialogflow-es",
    "elevenlabs-post-call": "elevenlabs",
    "entrata-mits-json-self-tour": "entrata-mits",
    "facebook-leadads-array-values": "facebook-leads",
    "facebook-leadgen-sample": "facebook-leadgen",
    "formstack-submission": "formstack",
    "gohighlevel-appointment": "gohighlevel",
    "google-ads-lead-form-test": "google-ads",
    "hubspot-workflow-contact": "hubspot-workflow",
    "intercom-conversation-lead": "intercom",
    "jotform-date-time-parts": "jotform",
    "knock-syndication-prospect": "knock-syndication",
    "lex-v1-fulfillment": "lex-v1",
    "retell-call-analyzed": "retell-calls",
    "retell-data-envelope": "retell-calls",
    "tally-option-ids": "tally",
    "twilio-sms-inbound": "twilio-sms",
    "typeform-date-answer": "typeform",
    "typeform-docs-example": "typeform",
    "unbounce-data-json": "unbounce",
    "vapi-tool-calls-arguments-string": "vapi",
    "webflow-form-submission": "webflow",
    "whatsapp-flow-nfm-reply": "whatsapp-flow",
    "yardi-mits-leadmanagement": "yardi-mits",
    "zillow-rentals-lead-full": "zillow",
    "zoopla-applicant-push": "zoopla",
}
#: Changes that a form's owner would make: names of questions, and the community's path.
CHANGED = {
    "facebook-leadads-array-values": {"community: form_id": "community: { always: elm-row }"},
    "formstack-submission": {"{Comments}": "{Organisation name}"},
    "hubspot-workflow-contact": {
        "community: properties.community.value": "community: { always: elm-row }"
    },
    "jotform-date-time-parts": {
        "answers.q3_name.last": "answers.q3_workshopName",
        "answers.q6_tourDate": "answers.q5_workshopDate",
        "answers.q7_tourTime": "answers.q4_workshopTime",
        "answers.q10_comments": "answers.q9_workshopNotes",
    },
    "retell-data-envelope": {" call.": " data.", "[call.": "[data.", "{call.": "{data."},
    "tally-option-ids": {
        "answers.First name": "answers.Prénom",
        "community: answers.community": "community: data.formId",
    },
    "typeform-date-answer": {
        "form_response.hidden.community": "form_response.form_id",
        "answers.email": "answers.work_email",
        "answers.move_in": "answers.target_launch_date",
    },
    "typeform-docs-example": {
        "form_response.hidden.community": "form_response.form_id",
        "by: field.ref": "by: field.id",
        "answers.email": "answers.SMEUb7VJz92Q",
        "answers.comments": "answers.DlXFaesGBpoF",
    },
    "unbounce-data-json": {
        "community: [lead.community, page_id]": "community: { always: elm-row }"
    },
    # Meta's page prints the messages alone.
    "whatsapp-flow-nfm-reply": {
        "entry.*.changes.*.value.messages": "messages",
        "community: entry.changes.value.metadata.phone_number_id": "community: { always: elm-row }",
    },
}


def _of_gallery(payload: str, folder: Path) -> Source:
    """Return the gallery's mapping for a payload, with the communities in the corpus."""
    file = folder / payload / f"{READ_BY[payload]}.yaml"
    text = (GALLERY / file.name).read_text()
    for said, instead in CHANGED.get(payload, {}).items():
        assert said in text, f"{file.name} says {said!r} no more"
        text = text.replace(said, instead)
    file.parent.mkdir()
    file.write_text(text)
    found = load_files(FOLDER, [file], Policy(), strict=False)
    assert [str(problem) for problem in found.problems] == []
    return found.sources[file.stem]


def _loaded() -> dict[str, Source]:
    with tempfile.TemporaryDirectory() as folder:
        senders = {payload: _of_gallery(payload, Path(folder)) for payload in READ_BY}
    return {**registry.load(FOLDER, Policy()), **senders}


loaded = _loaded()


def test_the_mappings_pass_their_own_tests() -> None:
    assert [str(problem) for problem in registry.check([FOLDER], Policy())] == []


def _deliver(name: str, meta: dict[str, Any], without_time: WithoutTime | None = None) -> Mapped:
    """Map a real body, by default with the mapping's own ``without_time``."""
    body = (PAYLOADS / meta["raw_file"]).read_bytes()
    content_type = meta["content_type"].split(" (")[0]
    expect = meta.get("expect", {})
    if "appointment_date" in expect:
        day = dt.date.fromisoformat(expect["appointment_date"])
    else:
        day = dt.date(2018, 8, 1)
    now = dt.datetime.combine(day, dt.time(), dt.UTC) - dt.timedelta(days=2)
    source = loaded[name]
    if without_time is not None:
        compiled = dataclasses.replace(source.compiled, without_time=without_time)
        source = dataclasses.replace(source, compiled=compiled)
    # Some senders give the community only in the URL.
    delivery = WebhookRequest.from_body(body, content_type=content_type, query="community=corpus")
    return source.map(delivery, now=now)


def _meta(name: str) -> dict[str, Any]:
    file = PAYLOADS / f"{name}.meta.json"
    if not file.exists():
        pytest.skip("../shared is not here")
    meta: dict[str, Any] = json.loads(file.read_text())
    return meta


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


#: Fields that must be read from a real lead whose tour time is uncertain, by outcome.
READ = {
    Outcome.PROSPECT: {
        "hubspot-workflow-contact": {"first_name": "Kovat"},
        "tally-option-ids": {"last_name": "Dylan", "email_1": "dylan@example.com"},
        "typeform-date-answer": {
            "email_1": "jordan.lee@example.com",
            "move_in_date": "2026-09-01",
        },
        "typeform-docs-example": {"email_1": "laura@example.com", "community_id": "com_london"},
        "unbounce-data-json": {"last_name": "Doe", "email_1": "john.doe@example.com"},
        "webflow-form-submission": {"last_name": "Doe", "attribution_id": "att_corpus"},
        "zillow-rentals-lead-full": {"attribution_id": "att_corpus"},
    },
    Outcome.HELD: {
        "calendly-v2-rebooked": {"first_name": "Morgan", "last_name": "Blake"},
        "facebook-leadads-array-values": {"first_name": "Dummy", "last_name": "Name"},
        "formstack-submission": {"notes": "Rivergate Trust", "attribution_id": "att_corpus"},
        "jotform-date-time-parts": {"last_name": "test", "community_id": "com_chicago"},
    },
}


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("outcome", "name"), [(outcome, name) for outcome, names in READ.items() for name in names]
)
def test_what_is_read_of_a_lead_without_a_time(outcome: Outcome, name: str) -> None:
    (item,) = _deliver(name, _meta(name)).items
    assert item.outcome is outcome
    assert READ[outcome][name].items() <= item.appointment.items()


@pytest.mark.corpus
def test_real_leads_without_a_time_become_guest_cards_that_propexo_takes() -> None:
    made, held = [], {}
    for name in sorted(loaded):
        meta = _meta(name)
        for item in _deliver(name, meta, WithoutTime.PROSPECT).items:
            if item.outcome is Outcome.PROSPECT:
                made.append(name)
                request = request_from(item.appointment, {}, item.kind)
                assert list(issues_of(request, schemas_with({})["prospect"])) == [], name
            elif item.kind is Kind.PROSPECT:
                held[name] = {reason.field for reason in item.blocking_reasons}
    assert len(set(made)) > 15, "most of those that are only leads"
    assert all(fields <= {"email_1", "event"} for fields in held.values()), held


def _differences(expect: dict[str, Any], item: Item) -> dict[str, tuple[Any, Any]]:
    """Return (expected, actual) for each differing field, ignoring added country codes."""
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
        ("typeform-docs-example", "starts_at", "answers.tour_date is not in the payload"),
        ("dialogflow-es-book-appointment", "email_1", "neither an email address nor a phone"),
        ("jotform-date-time-parts", "starts_at", "is at 00:42 in America/Chicago"),
        ("vapi-tool-calls-arguments-string", "name", "name"),
        ("facebook-leadgen-sample", "event", "needs_enrichment"),
        ("calendly-v2-invitee-created", "starts_at", "needs_enrichment"),
        ("calendly-v2-rebooked", "starts_at", "needs_enrichment"),
        ("intercom-conversation-lead", "name", "not a name"),
        ("formsure-docs-trailing-commas", "event", "not JSON"),
        ("adf-spec-example-mangled", "event", "not XML"),
    ],
)
def test_why_a_real_payload_is_held(name: str, field: str, words: str) -> None:
    mapped = _deliver(name, _meta(name))
    reasons = [*mapped.reasons, *(reason for item in mapped.items for reason in item.reasons)]
    assert any(words in reason.reason for reason in reasons if reason.field == field), reasons
