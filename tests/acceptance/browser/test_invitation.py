"""Follow a renter from a chatbot's response to the tour in Knock, on a phone without scripts."""

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from playwright.sync_api import Browser, Page, expect

from adapter.signatures.renter_links import RenterLinks
from adapter.store.embedded import EmbeddedServer
from tests.acceptance.browser.site import Reader, Site, running_site
from tests.acceptance.browser.test_console import serious_faults

pytestmark = pytest.mark.browser

LEAD = {
    "id": "",
    "community": "Maple Court",
    "name": "Jack Roe",
    "email": "",
    "lang": "en",
    "words": "Is there covered parking?",
}
CHATBOT: dict[str, Any] = {
    "signature": {"scheme": "hmac", "header": "X-Signature", "secrets": ["RENTFEED_SECRET"]},
    "dedupe": "id",
    "community": "community",
    "appointment": {"name": "name", "email_1": "email", "notes": ["{words}"]},
    "without_time": "invite",
    "respond": {
        "wait": "8s",
        "language": "lang",
        "json": {"event": "{event}", "say": "{say}"},
    },
    "tests": [
        {
            "name": "a lead",
            "payload": LEAD | {"id": "L-1", "email": "jack@example.com"},
            "prospect_some": {"last_name": "Roe"},
        }
    ],
}
HOURS = {"mon-sun": "9:00 AM-6:00 PM"}
#: The texts that are clicked and shown, by language.
WORDS = {
    "en": {
        "invited": "Choose a time for your tour here: ",
        "choose": "Choose a time for your tour",
        "book": "Book this tour",
        "booked": "Your tour is booked",
        "change": "Choose another time",
        "move": "Move my tour",
        "cancel": "Cancel my tour",
        "canceling": "We will cancel your tour",
        "taken": "That time is no longer available.",
        "meanwhile": "Your tour has changed since you opened this page.",
        "broken": "This link does not work",
        "expired": "This link has expired",
        "closed": "This request is closed",
    },
    "es": {
        "invited": "Elija aquí el horario de su visita: ",
        "choose": "Elija el horario de su visita",
        "book": "Reservar esta visita",
        "booked": "Su visita está reservada",
        "change": "Elegir otro horario",
        "move": "Cambiar mi visita",
        "cancel": "Cancelar mi visita",
        "canceling": "Cancelaremos su visita",
        "taken": "Ese horario ya no está disponible.",
        "meanwhile": "Su visita cambió desde que abrió esta página.",
        "broken": "Este enlace no funciona",
        "expired": "Este enlace venció",
        "closed": "Esta solicitud está cerrada",
    },
}


def add_chatbot(mappings: Path) -> None:
    """Add a chatbot that invites renters at Maple Court."""
    (mappings / "chatbot.yaml").write_text(yaml.safe_dump(CHATBOT, sort_keys=False))
    file = mappings / "communities.yaml"
    communities = yaml.safe_load(file.read_text())
    community = communities["maple-court"] | {"tour_hours": HOURS}
    community["attributions"]["chatbot"] = "att_chat_m"
    community["known_as"]["chatbot"] = ["Maple Court"]
    file.write_text(yaml.safe_dump(communities | {"maple-court": community}))


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with running_site(add_chatbot) as site:
        yield site


@pytest.fixture(params=["en", "es"])
def lang(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def phone(browser: Browser, lang: str) -> Iterator[Page]:
    """Open a browser on a phone, without scripts."""
    context = browser.new_context(
        viewport={"width": 390, "height": 844},
        has_touch=True,
        java_script_enabled=False,
        locale="es-US" if lang == "es" else "en-US",
    )
    context.set_default_timeout(20_000)
    yield context.new_page()
    context.close()


def chat(site: Site, number: int, lang: str) -> tuple[int, str]:
    """Send a chatbot's lead. Return its ID, and the link in the response."""
    payload = LEAD | {"id": f"{lang}-{number}", "email": f"{lang}{number}@example.com"}
    answer = site.answer("chatbot", payload | {"lang": lang})
    assert WORDS[lang]["invited"] in answer["say"]
    site.settled(int(answer["event"]))
    return int(answer["event"]), answer["say"].rpartition(" ")[2]


def shows(page: Page, text: str) -> None:
    """Check that the page shows a text, fits on a phone's screen, and is easy to tap."""
    expect(page.locator("main")).to_contain_text(text)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for target in page.locator("a, button, summary, input:not([type=hidden])").all():
        if target.is_visible() and (box := target.bounding_box()):
            assert min(box["width"], box["height"]) >= 44, (target.inner_text(), box)


def choose(page: Page, number: int) -> str:
    """Open the second day, tap one of its times, and return the time."""
    page.locator("summary").nth(1).tap()
    slot = page.locator("details").nth(1).locator("a").nth(number)
    text = slot.inner_text()
    slot.tap()
    return text


def submit(page: Page, button: str) -> None:
    """Submit the form, and wait for the result."""
    page.get_by_role("button", name=button).tap()
    expect(page.locator("form")).to_have_count(0)


def tours(site: Site, email: str) -> list[str]:
    """Return the statuses of a person's tours in Knock."""
    found = site.running.upstream.appointments()
    return [one["status"] for one in found if one["person"]["email_1"] == email]


def test_a_renter_walks_from_the_chat_to_the_tour_and_back(
    site: Site, phone: Page, lang: str
) -> None:
    words, email = WORDS[lang], f"{lang}1@example.com"
    event_id, link = chat(site, 1, lang)
    phone.goto(link)
    shows(phone, words["choose"])
    choose(phone, 4)
    shows(phone, "11:00")
    assert tours(site, email) == []
    submit(phone, words["book"])
    site.settled(event_id)
    phone.goto(link)
    shows(phone, words["booked"])
    assert tours(site, email) == ["booked"]

    phone.get_by_role("link", name=words["change"]).tap()
    choose(phone, 6)
    shows(phone, "12:30")
    submit(phone, words["move"])
    site.settled(event_id)
    phone.goto(link)
    shows(phone, "12:30")
    assert tours(site, email) == ["cancelled", "booked"]

    phone.get_by_role("link", name=words["cancel"]).tap()
    shows(phone, "12:30")
    submit(phone, words["cancel"])
    shows(phone, words["canceling"])
    assert tours(site, email) == ["cancelled", "booked"], "a person cancels it in Knock"


def test_each_failure_has_its_page(site: Site, phone: Page, lang: str) -> None:
    words = WORDS[lang]
    event_id, link = chat(site, 2, lang)
    other = phone.context.new_page()
    for page in (phone, other):
        page.goto(link)
        choose(page, 4)
    late = re.sub(r"at=[^&]*", "at=2020-01-01T10%3A00%3A00%2B00%3A00", phone.url)
    phone.goto(late)
    shows(phone, words["taken"])
    phone.goto(link)
    choose(phone, 5)
    submit(phone, words["book"])
    other.get_by_role("button", name=words["book"]).tap()
    shows(other, words["meanwhile"])
    site.settled(event_id)
    phone.goto(link)
    shows(phone, words["booked"])
    phone.reload()
    shows(phone, words["booked"])
    assert tours(site, f"{lang}2@example.com") == ["booked"]

    token = link.partition("?")[0]
    for end, text in ((token[:-3], "broken"), (token + "x", "broken")):
        phone.goto(f"{end}?lang={lang}")
        shows(phone, words[text])
    event_id, link = chat(site, 3, lang)
    phone.goto(old_link(site, event_id + 1, lang))
    shows(phone, words["expired"])
    site.sql(f"UPDATE bookings SET state = 'discarded' WHERE event_id = {event_id}")
    phone.goto(link)
    shows(phone, words["closed"])


def old_link(site: Site, booking_id: int, lang: str) -> str:
    """Return a link for a booking that was made 31 days ago."""
    url = EmbeddedServer(Path(site.running.environ["ADAPTER_DATA_DIR"])).url
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT hash_key FROM installation").fetchone()
    assert row is not None
    made_at = dt.datetime.now(dt.UTC) - dt.timedelta(days=31)
    return RenterLinks(lambda: bytes(row[0]), site.running.url, lambda: made_at).url(
        booking_id, lang
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_are_accessible(browser: Browser, site: Site, scheme: Any) -> None:
    _, link = chat(site, 4 + (scheme == "dark"), "en")
    # The pages' Content-Security-Policy would block axe's own script.
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, color_scheme=scheme, bypass_csp=True
    )
    page = context.new_page()
    reader = Reader(page, site, [])
    page.goto(link)
    assert serious_faults(reader) == []
    page.locator("details a").first.click()
    assert serious_faults(reader) == []
    page.get_by_role("button", name="Book this tour").click()
    assert serious_faults(reader) == []
    page.get_by_role("link", name="Cancel my tour").click()
    assert serious_faults(reader) == []
    page.goto(link + "x")
    assert serious_faults(reader) == []
    context.close()
