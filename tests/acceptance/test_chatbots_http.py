"""Test the format, content and time of responses to chatbots and voice agents.

The schemas follow each sender's documentation, which is linked next to them.
"""

import concurrent.futures
import contextlib
import dataclasses
import datetime as dt
import functools
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from adapter import signatures
from adapter.mapping.respond import seconds_from
from adapter.mapping.samples import sample_from_test
from adapter.mapping.source import Source
from adapter.models import WebhookRequest
from tests.chatbots import (
    BOTS,
    IN_TOUCH,
    SOURCES,
    SampleRequest,
    first_test_request,
    matches_documented_format,
)
from tests.gunicorn_process import (
    GunicornServer,
    HttpResponse,
    call_timed,
    running_gunicorn,
    running_worker,
    target_of,
)
from tests.paths import GALLERY
from tests.sandbox_client import SandboxClient, running_sandbox
from tests.wait import wait_until


def timeless_of(source: Source) -> SampleRequest:
    """Return the request from the first mapping test that expects a guest card."""
    test = next(
        test for test in source.sections["tests"] if {"prospect", "prospect_some"} & test.keys()
    )
    sample = sample_from_test(test, GALLERY, source.kind).changed(test.get("change", {}))
    return json.dumps(sample.payload).encode(), "application/json", test.get("query", "")


# --- over HTTP -------------------------------------------------------------------------------

DENVER = ZoneInfo("America/Denver")
PUBLIC = "https://adapter.example.com"
SECRET = "only-for-this-test"
#: The last digits of the samples' phone numbers.
PEOPLE = ["42", "77", "86", "88"]


@dataclasses.dataclass
class Stage:
    """A web server, a worker and the sandbox with the gallery's mappings."""

    web: GunicornServer
    upstream: SandboxClient
    #: Day of the tours: in the future and in daylight saving time, like the samples' offsets.
    day: dt.date

    def ask(
        self, name: str, body_of: Callable[[Source], SampleRequest] = first_test_request
    ) -> HttpResponse:
        """Send the sample for a different person each time, because a person has only one tour."""
        source = SOURCES[name]
        body, content_type, query = body_of(source)
        text = moved(body.decode(), self.day, name)
        request = WebhookRequest(
            method="POST",
            url=f"{PUBLIC}/hooks/{name}" + (f"?{query}" if query else ""),
            headers={"Content-Type": content_type},
            body=text.encode(),
        )
        signed = signatures.sign(source.signature, SECRET, request, time.time())
        _, target = target_of(signed.url)
        return self.web.call("POST", target, signed.headers, signed.body)


def moved(text: str, day: dt.date, name: str) -> str:
    """Return a sample for another day and other people."""
    sunday = day + dt.timedelta(days=1)
    text = text.replace("2026-03-14", f"{day}").replace("2026-03-15", f"{sunday}")
    text = text.replace(
        '"year": 2026, "month": 3, "day": 14',
        f'"year": {day.year}, "month": {day.month}, "day": {day.day}',
    )
    text = re.sub(r"([a-z.]+)@example\.com", rf"\1.{name}@example.com", text)
    first = len(PEOPLE) * BOTS.index(name)
    return re.sub(
        r"555([- ]?)01(42|77|86|88)",
        lambda at: f"555{at[1]}01{first + PEOPLE.index(at[2]):02}",
        text,
    )


def summer_day(today: dt.date) -> dt.date:
    """Return the next day, at least three days away, on which Denver is six hours behind."""
    for days in range(3, 365):
        day = today + dt.timedelta(days=days)
        noon = dt.datetime.combine(day, dt.time(14, 30), DENVER)
        if noon.utcoffset() == dt.timedelta(hours=-6):
            return day
    raise LookupError("Denver has no summer time any more")


@contextlib.contextmanager
def staged(database: str, folder: Path, **propexo: Any) -> Iterator[Stage]:
    """Run the web server, a worker and the sandbox while the block executes."""
    shutil.copytree(GALLERY, folder)
    threads = 2 * len(BOTS) + 4
    secrets = {secret for source in SOURCES.values() for secret in source.secrets}
    shaken = (source.handshake for source in SOURCES.values())
    secrets |= {said["meta"] for said in shaken if isinstance(said, Mapping)}
    environ = dict.fromkeys(secrets, SECRET)
    environ |= {"ADAPTER_LOG_LEVEL": "ERROR", "ADAPTER_WEB_THREADS": str(threads)}
    environ |= {"ADAPTER_PUBLIC_URL": PUBLIC}
    with (
        running_sandbox(**propexo) as upstream,
        running_worker(folder, database, upstream, environ),
        running_gunicorn(folder, database, threads=threads, **environ) as web,
    ):
        yield Stage(web, upstream, summer_day(dt.datetime.now(DENVER).date()))


def all_at_once(
    ask: Callable[[str], HttpResponse], names: Sequence[str] = BOTS
) -> Mapping[str, tuple[HttpResponse, float]]:
    """Send all senders' samples at the same time. Return each response and its duration."""
    with concurrent.futures.ThreadPoolExecutor(len(names)) as threads:
        asked = {name: threads.submit(call_timed, functools.partial(ask, name)) for name in names}
        return {name: one.result(60) for name, one in asked.items()}


def test_a_chatbot_can_say_that_the_tour_is_booked(database: str, tmp_path: Path) -> None:
    with staged(database, tmp_path / "gallery") as stage:
        words = f"You are booked for {stage.day:%A}, {stage.day:%B} {stage.day.day} at 2:30 PM."

        def answer(name: str) -> HttpResponse:
            """Ask again if this machine is slow, because a repeat gets the same response."""
            wanted = "Thank you. We have your message" if name == "twilio-sms" else words
            wait_until(lambda: wanted in stage.ask(name).body.decode(), f"{name} says it")
            return stage.ask(name)

        told = all_at_once(answer)
        posts = stage.upstream.posts()

    for name, (one, _) in told.items():
        assert one.status == 200, name
        assert matches_documented_format(name, one.body.decode()), one.body
    assert len({post["phone_1"] for post in posts}) == len(posts) == len(BOTS) - 1 + 2


def test_a_chatbot_without_a_time_can_say_that_the_team_has_the_details(
    database: str, tmp_path: Path
) -> None:
    names = [name for name in BOTS if name != "twilio-sms"]
    with staged(database, tmp_path / "gallery") as stage:

        def answer(name: str) -> HttpResponse:
            """Ask again if this machine is slow, because a repeat gets the same response."""
            wait_until(
                lambda: IN_TOUCH in stage.ask(name, timeless_of).body.decode(), f"{name} says it"
            )
            return stage.ask(name, timeless_of)

        told = all_at_once(answer, names)
        cards, posts = stage.upstream.cards(), stage.upstream.posts()

    for name, (one, _) in told.items():
        assert one.status == 200, name
        assert matches_documented_format(name, one.body.decode()), one.body
        assert "You are booked" not in one.body.decode()
    assert len({card["phone_1"] for card in cards}) == len(cards) == len(names)
    assert posts == []


def test_a_slow_propexo_gets_each_sender_the_honest_sentence_before_it_gives_up(
    database: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with staged(database, tmp_path / "gallery", job_seconds=3600.0) as stage:
        told = all_at_once(stage.ask)

    for name, (answer, took) in told.items():
        respond = SOURCES[name].respond
        assert respond is not None
        deadline = seconds_from(respond["deadline"])
        record_property(name, f"{took:.2f} of {deadline} s")
        print(f"{name:16} answered after {took:5.2f} s, waits {deadline} s")
        assert took < deadline, name
        body = answer.body.decode()
        assert answer.status == 200
        assert matches_documented_format(name, body), body
        assert "You are booked" not in body
        if name != "twilio-sms":
            assert "We have your request and will confirm shortly." in body
