"""Provide the site, and browsers with and without a session, as fixtures."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.acceptance.browser.site import (
    CHROMIUM,
    Reader,
    Site,
    open_browser,
    running_chromium,
    running_site,
)


@pytest.fixture(scope="package")
def site() -> Iterator[Site]:
    with running_site() as site:
        yield site


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    with running_chromium() as started:
        yield started


@pytest.fixture
def reader(browser: Browser, site: Site) -> Iterator[Reader]:
    """Yield a browser without a session."""
    with open_browser(browser, site) as reader:
        yield reader


@pytest.fixture
def ana(reader: Reader) -> Reader:
    """Return a browser that is signed in with the `operate` role."""
    reader.sign_in("ana")
    return reader
