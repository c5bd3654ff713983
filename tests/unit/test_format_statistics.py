"""Test which changes in a sender's format are detected, with real mappings and samples."""

import copy
import datetime as dt
import hashlib
import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from adapter.mapping import registry
from adapter.mapping.format_profile import Feature, profile_of
from adapter.mapping.format_statistics import Count, FormatStatistics, is_missing, is_new
from adapter.mapping.source import Source
from adapter.models import FormatKind, WebhookRequest
from adapter.settings import Policy
from tests.paths import GALLERY, MAPPINGS

NOW = dt.datetime(2026, 3, 1, 16, tzinfo=dt.UTC)
#: Eight sources and a sample of each.
SAMPLES = {
    "rentfeed": (MAPPINGS, "samples/rentfeed-tour.json"),
    "website": (MAPPINGS, "samples/website-response.json"),
    "leasebot": (MAPPINGS, "samples/leasebot-handoff.json"),
    "cal-com": (GALLERY, "samples/cal-com-created.json"),
    "calendly": (GALLERY, "samples/calendly-created.json"),
    "typeform": (GALLERY, "samples/typeform-tour.json"),
    "showmojo": (GALLERY, "samples/showmojo-confirm.json"),
    "fillout": (GALLERY, "samples/fillout-tour.json"),
}
#: A change must be detected within this number of webhooks.
NOTICED_WITHIN = 20
ORDINARY = 5_000


def hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def loaded(name: str) -> tuple[Source, Any]:
    folder, file = SAMPLES[name]
    source = registry.load(folder, Policy())[name]
    return source, json.loads((folder / file).read_bytes())


def varied(data: Any, chance: random.Random, path: str = "") -> Any:
    """Return a body that lacks some optional values, each at a different rate."""
    if isinstance(data, dict):
        pairs = ((key, varied(value, chance, f"{path}.{key}")) for key, value in data.items())
        return {key: value for key, value in pairs if value is not None}
    if isinstance(data, list):
        return [varied(value, chance, path) for value in data]
    share = int(hashed(path)[:4], 16) % 100
    return None if share < 30 and chance.random() * 100 < share * 3 else data


class Traffic:
    """A source's webhooks, with their statistics."""

    def __init__(self, name: str) -> None:
        self.source, self.body = loaded(name)
        self.statistics = FormatStatistics(source=name, mapping_hash=self.source.hash)
        self.number = 0

    def send(self, body: Any) -> None:
        self.number += 1
        request = WebhookRequest.from_body(
            json.dumps(body).encode(), content_type="application/json"
        )
        at = NOW + dt.timedelta(minutes=self.number)
        features = profile_of(self.source, request, NOW, hashed)
        self.statistics.add(features, self.number, at)

    def changes(self) -> list[Any]:
        return self.statistics.changes(self.source, hashed)


def test_ordinary_webhooks_of_eight_sources_are_no_change() -> None:
    chance = random.Random(19)
    for name in SAMPLES:
        traffic = Traffic(name)
        for number in range(ORDINARY // len(SAMPLES)):
            # Some sources stop sending optional fields for a while, such as overnight.
            is_night = number % 90 > 80
            traffic.send(varied(traffic.body, random.Random(3) if is_night else chance))
            if number % 5 == 0:
                assert traffic.changes() == [], (name, number)
        assert traffic.statistics.accepted > 0, name


def renamed(body: Any) -> None:
    body["tour"]["slot"] = body["tour"].pop("time")


def new_value(body: Any) -> None:
    body["tour"]["type"] = "LIVE_PHONE"


def other_date(body: Any) -> None:
    body["tour"]["date"] = "2026-03-14"


def renamed_event(body: Any) -> None:
    body["eventType"] = "tour.requested"


@pytest.mark.parametrize(
    ("change", "share", "kind", "name", "new_paths"),
    [
        (renamed, 1.0, FormatKind.PATH, "tour.time", ["tour.slot"]),
        (new_value, 0.3, FormatKind.VALUE, "tour.type", []),
        (other_date, 1.0, FormatKind.FIELD, "starts_at", []),
        (renamed_event, 1.0, FormatKind.ACCEPTED, "", []),
    ],
)
def test_a_change_of_format_is_noticed_within_20_webhooks(
    change: Callable[[Any], None], share: float, kind: FormatKind, name: str, new_paths: list[str]
) -> None:
    traffic, chance = Traffic("rentfeed"), random.Random(7)
    for _ in range(250):
        traffic.send(varied(traffic.body, chance))
    assert traffic.changes() == []
    for number in range(1, NOTICED_WITHIN + 1):
        body = copy.deepcopy(traffic.body)
        if number * share // 1 > (number - 1) * share // 1:
            change(body)
        traffic.send(body)
        if found := traffic.changes():
            break
    (one,) = found
    assert number <= NOTICED_WITHIN
    assert (one.kind, one.name) == (kind, name)
    assert list(one.new_paths) == new_paths
    assert 250 < one.first_event <= 254
    assert one.since == NOW + dt.timedelta(minutes=one.first_event)


def test_a_change_is_over_when_the_mapping_reads_the_new_path() -> None:
    traffic = Traffic("rentfeed")
    for _ in range(50):
        traffic.send(traffic.body)
    body = copy.deepcopy(traffic.body)
    renamed(body)
    for _ in range(12):
        traffic.send(body)
    assert traffic.changes()
    text = traffic.source.text.replace("time: tour.time", "time: [tour.time, tour.slot]")
    edited = registry.load_text(MAPPINGS, "rentfeed", text.replace("tour.time, ", ""), Policy())
    assert traffic.statistics.changes(edited, hashed) == []


def test_a_value_that_the_table_has_by_now_is_no_change() -> None:
    traffic = Traffic("rentfeed")
    for _ in range(100):
        traffic.send(traffic.body)
    body = copy.deepcopy(traffic.body)
    new_value(body)
    for _ in range(8):
        traffic.send(body)
    assert [one.kind for one in traffic.changes()] == [FormatKind.VALUE]
    text = traffic.source.text.replace("LIVE_VIDEO: video", "LIVE_VIDEO: video, LIVE_PHONE: video")
    edited = registry.load_text(MAPPINGS, "rentfeed", text, Policy())
    assert [one.kind for one in traffic.statistics.changes(edited, hashed)] == []


def test_a_profile_contains_no_value_of_the_webhook() -> None:
    source, body = loaded("rentfeed")
    body["by email"] = {"dana.okafor@example.com": 1, "3035550142": 2}
    request = WebhookRequest.from_body(json.dumps(body).encode(), content_type="application/json")
    features = profile_of(source, request, NOW, hashed)
    text = repr(sorted(features)).lower()
    assert Feature(FormatKind.PATH, "contact.email") in features
    assert Feature(FormatKind.LEAF, "tour.date") in features
    assert Feature(FormatKind.VALUE, "tour.type", hashed("in_person")) in features
    for value in ("okafor@", "dana okafor", "555", "in_person'", "parking"):
        assert value not in text


def test_a_sender_with_ever_new_keys_and_values_fills_no_table() -> None:
    traffic = Traffic("rentfeed")
    for number in range(400):
        word = "".join(chr(ord("a") + int(digit)) for digit in f"{number:03}")
        body = copy.deepcopy(traffic.body) | {f"key {word}": "x"}
        body["tour"]["type"] = f"type {word}"
        traffic.send(body)
    kinds = [feature.kind for feature in traffic.statistics.counts]
    assert kinds.count(FormatKind.LEAF) == 300
    assert kinds.count(FormatKind.VALUE) == 200
    for _ in range(8):
        body = copy.deepcopy(traffic.body)
        renamed(body)
        traffic.send(body)
    assert "tour.time" in [one.name for one in traffic.changes()]
    (change,) = [one for one in traffic.changes() if one.name == "tour.time"]
    assert change.new_paths, "a new path is counted although there were too many others"


@pytest.mark.parametrize(
    ("count", "gap", "is_reported"),
    [
        (Count(seen=100, first=1, last=100), 5, True),
        (Count(seen=100, first=1, last=100), 4, False),
        (Count(seen=19, first=1, last=19), 50, False),
        (Count(seen=50, first=1, last=100), 20, False),
        (Count(seen=50, first=1, last=100), 35, True),
        (Count(seen=90, first=1, last=100, longest_gap=10), 20, False),
        (Count(seen=90, first=1, last=100, longest_gap=10), 21, True),
    ],
)
def test_a_feature_is_missing_if_that_is_no_chance(
    count: Count, gap: int, *, is_reported: bool
) -> None:
    assert is_missing(count, gap) is is_reported


@pytest.mark.parametrize(
    ("seen", "before", "span", "is_reported"),
    [(2, 1000, 2, False), (3, 1000, 3, True), (3, 20, 3, False), (3, 200, 100, False)],
)
def test_a_value_is_new_if_that_is_no_chance(
    seen: int, before: int, span: int, *, is_reported: bool
) -> None:
    count = Count(seen=seen, first=before + 1, last=before + span)
    assert is_new(count, span) is is_reported
