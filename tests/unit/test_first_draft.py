"""Measure how much of the finished mappings `adapter new` can draft automatically."""

import collections
import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter.exceptions import PayloadError
from adapter.mapping.authoring.observe import with_query
from adapter.mapping.authoring.scaffold import draft_from_samples
from adapter.mapping.authoring.similar import similar_senders
from adapter.mapping.engine import Item, Mapped, Outcome
from adapter.mapping.gallery import BUNDLED, FOLDER
from adapter.mapping.loader.loader import load_files
from adapter.mapping.source import Source
from adapter.models import WebhookRequest
from adapter.parsing.body import parse
from adapter.settings import Policy
from tests.second_samples import varied
from tests.unit import test_corpus as corpus

#: Real payloads whose format a mapping in the gallery reads, and other real payloads.
OF_THE_GALLERY = {
    "calcom-booking-created": "cal-com",
    "intercom-conversation-lead": "intercom",
    "tally-option-ids": "tally",
    "zoopla-applicant-push": "zoopla",
}
NOT_IN_THE_GALLERY = ("bungalow-lead-capture", "olark-offline-message", "voice-scheduling-trigger")
#: Facts of an item that a mapping reads, besides the fields of the appointment.
FROM_COMMUNITY = {"integration_id", "community_id", "attribution_id"}
#: Minimum percentage of fields that a first draft must read like the finished mapping.
LEAST_RIGHT = 80
#: Before every tour in the corpus, so that none is in the past.
NOW = dt.datetime(2017, 1, 1, tzinfo=dt.UTC)


def _requests(name: str) -> Iterator[WebhookRequest]:
    """Yield a real request, and a second one in the same format with other values."""
    meta = corpus._meta(name)
    content_type = meta["content_type"].split(" (")[0]
    body = (corpus.PAYLOADS / meta["raw_file"]).read_bytes()
    # Some senders give the community only in the URL.
    paths = (used.path.text for used in corpus.loaded[name].used_paths)
    query = "community=corpus" if "query.community" in paths else ""
    first = WebhookRequest.from_body(body, content_type=content_type, query=query)
    key = corpus.loaded[name].map(first, now=NOW).dedupe_key or "[]"
    yield first
    other = varied(body, _parts(key))
    yield WebhookRequest.from_body(other, content_type=content_type, query=query)


def _draft(name: str, finished: Source, requests: list[WebhookRequest], folder: Path) -> Source:
    samples = [with_query(finished.scope(request).payload, request.query) for request in requests]
    text = draft_from_samples(finished.name, samples).text("samples/a.json")
    if finished.kind:
        text += f"body: {finished.kind}\n"
    file = folder / name / f"{finished.name}.yaml"
    file.parent.mkdir()
    file.write_text(text)
    found = load_files(corpus.FOLDER, [file], Policy(), strict=False)
    assert [str(problem) for problem in found.problems] == [], text
    return found.sources[finished.name]


def _facts(mapped: Mapped, constants: set[str]) -> list[dict[str, Any]]:
    return [_item_facts(item, mapped, constants) for item in mapped.items]


def _item_facts(item: Item, mapped: Mapped, constants: set[str]) -> dict[str, Any]:
    left_out = constants | FROM_COMMUNITY
    return {
        **{field: value for field, value in item.appointment.items() if field not in left_out},
        **({"community": item.community.key} if item.community else {}),
        **({"dedupe": item.dedupe_key} if item.dedupe_key else {}),
        **({"sent_at": item.sent_at} if item.sent_at else {}),
        "is_lead": mapped.outcome not in (Outcome.IGNORED, Outcome.CANCELLATION),
    }


def _constants(source: Source) -> set[str]:
    """Return the fields with constant values, which no sample contains."""
    fields = source.sections["appointment"].items()
    names = {name for name, how in fields if isinstance(how, dict) and "always" in how}
    community = source.sections["community"]
    return names | ({"community"} if community.get("always") else set())


def _is_right(field: str, wanted: Any, got: Any, accepted: set[str]) -> bool:
    if field == "dedupe" and got is not None:
        return _parts(wanted) - accepted <= _parts(got)
    if field == "sent_at" and got is not None:
        return bool(abs(wanted - got) < dt.timedelta(minutes=1))
    if field != "notes" or got is None:
        return bool(wanted == got)
    values = (line.partition(": ")[2] or line for line in wanted.splitlines())
    return all(value in got for value in values)


def _parts(key: str) -> set[str]:
    """Return the parts of a dedupe key. A key with more parts distinguishes more leads."""
    return set(map(str, json.loads(key))) if key.startswith("[") else {key}


def measure(name: str, folder: Path) -> dict[str, bool]:
    """Return True or False for each value of the finished mapping: True if the draft reads it."""
    finished = corpus.loaded[name]
    requests = list(_requests(name))
    try:
        draft = _draft(name, finished, requests, folder)
    except PayloadError:
        return {}
    right: dict[str, bool] = {}
    constants = _constants(finished)
    accepted = {str(value) for value in finished.sections.get("accept", {}).values()}
    for request in requests:
        pairs = (_facts(source.map(request, now=NOW), constants) for source in (finished, draft))
        for number, (wanted, got) in enumerate(zip(*pairs, strict=False)):
            for field, value in wanted.items():
                if field in constants:
                    continue
                is_right = _is_right(field, value, got.get(field), accepted)
                right[field] = right.get(field, True) and is_right
                if not is_right:
                    print(f"  {name} item {number} {field}: {value!r}, not {got.get(field)!r}")
    return right


@pytest.mark.corpus
def test_a_first_draft_reads_four_of_five_fields_right(tmp_path: Path) -> None:
    counts: collections.Counter[bool] = collections.Counter()
    by_field: dict[str, collections.Counter[bool]] = collections.defaultdict(collections.Counter)
    for name in sorted(corpus.loaded):
        right = measure(name, tmp_path)
        counts.update(right.values())
        for field, is_right in right.items():
            by_field[field][is_right] += 1
        print(f"{name}: {sum(right.values())} of {len(right)}")
    print(json.dumps({field: [one[True], one.total()] for field, one in by_field.items()}))
    print(f"{counts[True]} of {counts.total()} fields are right")
    assert counts[True] * 100 >= LEAST_RIGHT * counts.total()


@pytest.mark.corpus
def test_only_a_mapping_for_the_same_format_is_named() -> None:
    found = {name: similar_senders([_payload(name)], BUNDLED / FOLDER) for name in OF_THE_GALLERY}
    assert found == {name: [sender] for name, sender in OF_THE_GALLERY.items()}
    for name in NOT_IN_THE_GALLERY:
        assert similar_senders([_payload(name)], BUNDLED / FOLDER) == []


def _payload(name: str) -> Any:
    request = next(_requests(name))
    return parse(request.body, request.content_type)
