"""The site and its readers, as fixtures."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.acceptance.browser.site import CHROMIUM, Reader, Site, chromium, running_site, somebody


@pytest.fixture(scope="package")
def site() -> Iterator[Site]:
    with running_site() as site:
        yield site


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    with chromium() as started:
        yield started


@pytest.fixture
def reader(browser: Browser, site: Site) -> Iterator[Reader]:
    """Somebody who has not signed in."""
    with somebody(browser, site) as reader:
        yield reader


@pytest.fixture
def ana(reader: Reader) -> Reader:
    """Somebody who may operate."""
    reader.sign_in("ana")
    return reader
