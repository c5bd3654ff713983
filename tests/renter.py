"""Open the pages for renters as a browser without JavaScript does."""

import html
import re
from typing import Any
from urllib.parse import urljoin, urlsplit

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from adapter.bookings.later_words import LINK_LABEL
from adapter.models import Booking


def link_in(booking: Booking) -> str:
    """Return the link in the notes of a guest card."""
    notes = str(booking.appointment["notes"])
    lines = (line for line in notes.split("\n") if line.startswith(LINK_LABEL))
    return next(lines).removeprefix(LINK_LABEL)


class Renter:
    """A renter who opens links and submits forms."""

    def __init__(self, client: FlaskClient, url: str, **headers: str) -> None:
        self._client, self._headers = client, headers
        self.at = path_of(url)
        self.response = self.open(url)

    @property
    def text(self) -> str:
        """The page's text without tags."""
        body = re.sub(r"<head>.*?</head>", " ", self.response.text, flags=re.DOTALL)
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())

    def open(self, url: str) -> TestResponse:
        """Open a link. It may be relative to the current page."""
        self.at = urljoin(self.at, path_of(url))
        self.response = self._client.get(self.at, headers=self._headers)
        return self.response

    def links(self) -> dict[str, str]:
        """Return the page's links, keyed by text."""
        found = re.findall(r'<a [^>]*?href="([^"]*)"[^>]*>(.*?)</a>', self.response.text, re.DOTALL)
        return {html.unescape(text): html.unescape(link) for link, text in reversed(found)}

    def follow(self, text: str) -> TestResponse:
        """Follow the link with this text."""
        return self.open(self.links()[text])

    def form(self) -> tuple[str, dict[str, str]]:
        """Return the URL of the page's form, and the form's hidden fields and button."""
        [action] = re.findall(r'<form method="post" action="([^"]*)"', self.response.text)
        fields = re.findall(
            r'<(?:input type="hidden"|button[^>]*?) name="([^"]+)" value="([^"]*)"',
            self.response.text,
        )
        return html.unescape(action), {name: html.unescape(value) for name, value in fields}

    def submit(self, **fields: Any) -> TestResponse:
        """Submit the page's form, and follow the redirect."""
        action, hidden = self.form()
        self.at = urljoin(self.at, action)
        self.response = self._client.post(self.at, data=hidden | fields, headers=self._headers)
        if self.response.status_code == 303:
            assert self.response.location is not None
            self.open(self.response.location)
        return self.response


def path_of(url: str) -> str:
    """Return an absolute URL's path and query, or a relative URL unchanged."""
    parts = urlsplit(url)
    return parts._replace(scheme="", netloc="").geturl()
