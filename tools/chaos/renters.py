"""Open the renter page and choose tour times, like renters whose browsers run no scripts."""

import concurrent.futures
import dataclasses
import datetime as dt
import html
import re
import threading
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import requests

from tools.chaos.leads import Choice, Lead
from tools.chaos.stage import Stage

#: How long a renter tries to choose one time, and waits for the link on the guest card.
PATIENCE_SECONDS = 45.0
#: A link may be opened 30 times per minute.
PAUSE_SECONDS = 1.0
ANSWER_SECONDS = 8.0
_LINK = re.compile(r"https?://\S+/tour/\S+")


@dataclasses.dataclass(kw_only=True, slots=True)
class Chosen:
    """A tour time that a renter has submitted."""

    lead_id: str
    at: dt.datetime
    #: True if a response confirmed it. Otherwise, it may be stored or not.
    is_confirmed: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class _Form:
    """The form that confirms a tour time."""

    at: dt.datetime
    fields: dict[str, str]


class Renters:
    """Renters who open the links that they receive."""

    def __init__(
        self, stage: Stage, inject: Callable[[str], object], stopping: threading.Event
    ) -> None:
        self._stage = stage
        self._inject = inject
        self._stopping = stopping
        #: The chosen times, in the order they were submitted.
        self.chosen: list[Chosen] = []
        #: Leads whose renters got no link, or were offered no time.
        self.gave_up: list[str] = []

    def choose(self, lead: Lead, link: str, choices: Sequence[Choice]) -> None:
        """Choose times one after another. Without a link, use the one that an agent sends."""
        link = link or self._link_of_card(lead)
        for choice in choices:
            self._stopping.wait(choice.pause_seconds)
            if not link or not self._choose(lead, link, choice):
                self.gave_up.append(lead.id)

    def _link_of_card(self, lead: Lead) -> str:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and not self._stopping.wait(PAUSE_SECONDS):
            try:
                cards = self._stage.upstream.cards()
            except requests.RequestException:
                continue
            notes = [one["notes"] for one in cards if f"lead {lead.id}" in one["notes"].split("\n")]
            if found := [link for text in notes for link in _LINK.findall(text)]:
                return str(found[0])
        return ""

    def _choose(self, lead: Lead, link: str, choice: Choice) -> bool:
        """Choose a time, or another one if that time is not available. Return True on success."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        fault = choice.fault
        while time.monotonic() < deadline and not self._stopping.is_set():
            form = self._form(lead, link, choice)
            if form is not None:
                chosen = Chosen(lead_id=lead.id, at=form.at)
                self.chosen.append(chosen)
                if self._submit(link, form, choice.copies, fault, deadline):
                    chosen.is_confirmed = True
                    return True
                fault = None
            self._stopping.wait(PAUSE_SECONDS)
        return False

    def _form(self, lead: Lead, link: str, choice: Choice) -> _Form | None:
        """Return the form for one of the offered times, or None if no time is offered."""
        before = {one.at for one in self.chosen if one.lead_id == lead.id}
        times = sorted(set(_times(self._get(link, change="1"))) - before)
        if not times:
            return None
        at = times[min(int(choice.place * len(times)), len(times) - 1)]
        page = self._get(link, at=at.isoformat())
        fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))
        # If the time was taken in the meantime, the page has no form for it.
        form = {name: html.unescape(value) for name, value in fields.items()}
        return _Form(at, form) if form.get("at") else None

    def _get(self, link: str, **query: str) -> str:
        try:
            return requests.get(link, params=query, timeout=ANSWER_SECONDS).text
        except requests.RequestException:
            return ""

    def _submit(
        self, link: str, form: _Form, copies: int, fault: str | None, deadline: float
    ) -> bool:
        """Submit copies of a form at the same time. Repeat until a response is clear.

        Return False if the time is not available.
        """
        while time.monotonic() < deadline and not self._stopping.is_set():
            with concurrent.futures.ThreadPoolExecutor(copies) as pool:
                posts = [pool.submit(_post, link, form) for _ in range(copies)]
                if fault is not None:
                    self._inject(fault)
                    fault = None
            statuses = [post.result() for post in posts]
            if HTTPStatus.SEE_OTHER in statuses:
                return True
            if HTTPStatus.CONFLICT in statuses:
                return False
            self._stopping.wait(PAUSE_SECONDS)
        return False


def _times(page: str) -> list[dt.datetime]:
    """Return the times that a page offers (aware, UTC)."""
    links = map(html.unescape, re.findall(r'<a href="(\?[^"]*)"', page))
    texts = [text for link in links for text in parse_qs(urlsplit(link).query).get("at", ())]
    return [dt.datetime.fromisoformat(text).astimezone(dt.UTC) for text in texts]


def _post(link: str, form: _Form) -> int | None:
    try:
        answer = requests.post(
            link, data=form.fields, timeout=ANSWER_SECONDS, allow_redirects=False
        )
    except requests.RequestException:
        return None
    return answer.status_code
