"""Take the screenshots of the console in docs/ with a real Chromium (``make pictures``)."""

import datetime as dt
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from playwright.sync_api import expect

from tests.acceptance.browser.site import (
    CHROMIUM,
    Reader,
    Site,
    open_browser,
    portal_lead,
    running_chromium,
    running_site,
)
from tests.harness import sample

DOCS = Path(__file__).parent.parent / "docs"
#: Name of a screenshot → its page. ``{held}`` is the ID of a held lead.
PAGES = {
    "overview": "/",
    "queue": "/queue?todo=call",
    "phone": "/queue",
    "lead": "/leads/{held}",
    "try-out": "/try?source=rentfeed&event={held}",
}
#: A smaller file shows an empty page.
LEAST_BYTES = 20_000

#: Made-up people.
PEOPLE = (
    "Dana Okafor", "Luis Herrera", "Mei Tanaka", "Aisha Rahman", "Tom Lindqvist", "Priya Nair",
    "Sam Whitfield", "Elena Petrova", "Jonas Weber", "Grace Adeyemi", "Omar Haddad", "Ruth Cohen",
)  # fmt: skip


def send_leads(site: Site) -> int:
    """Send leads with arrival times throughout a day. Return the ID of a held lead."""
    numbers = []
    for number in range(100, 136):
        name = PEOPLE[number % len(PEOPLE)]
        email = name.lower().replace(" ", ".") + "@example.com"
        payload = portal_lead(number, days=1 + number % 6, name=name, email=f"{number}.{email}")
        if number % 9 == 0:
            payload["tour"]["time"] = "11:30 PM"
        if number % 11 == 0:
            payload["listing"] |= {"propertyId": "40777", "propertyName": "Birch House"}
        numbers.append(site.send("rentfeed", payload))
    for number in range(8):
        chat = sample("leasebot-handoff.json")
        chat["conversation"]["id"] = f"c_{number}"
        chat["visitor"]["phone"] = f"(720) 555-{130 + number:04}"
        day = dt.datetime.now(dt.UTC) + dt.timedelta(days=2 + number % 3)
        for tour in chat["handoff"]["tours"]:
            tour["startsAt"] = f"{day:%Y-%m-%d}T{10 + number % 8}:00:00"
        numbers.append(site.send("leasebot", chat))
    site.settled(*numbers)
    chance = random.Random(7)
    for number in numbers[:-3]:
        hours = chance.choice([2, 3, 4, 5, 5, 6, 7, 8, 9, 10, 12, 14, 18, 20, 22])
        back = f"interval '{hours} hours {chance.randrange(60)} minutes'"
        moved = f"created_at = created_at - {back}, updated_at = updated_at - {back}"
        site.sql(f"UPDATE bookings SET {moved} WHERE event_id = {number}")
        site.sql(f"UPDATE events SET received_at = received_at - {back} WHERE id = {number}")
    return numbers[8]


def take(reader: Reader, held: int, folder: Path) -> Iterator[Path]:
    """Yield each screenshot once it is taken. Exit if a page shows an error."""
    for name, path in PAGES.items():
        size = (390, 844) if name == "phone" else (1280, 900)
        reader.page.set_viewport_size({"width": size[0], "height": size[1]})
        reader.go(path.format(held=held))
        expect(reader.page.locator("h1")).to_be_visible()
        if name == "queue":
            reader.page.keyboard.press("j")
            reader.page.keyboard.press("Enter")
            reader.page.locator("#panel [data-panel]").wait_for()
        file = folder / f"console-{name}.png"
        reader.page.screenshot(path=file)
        if reader.console_messages:
            sys.exit(f"{path} logs: {reader.console_messages}")
        if file.stat().st_size < LEAST_BYTES:
            sys.exit(f"{file} shows an empty page")
        yield file


@click.command(help=__doc__)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=DOCS,
    help="Save the pictures in this folder (docs/ by default).",
)
def main(*, folder: Path) -> None:
    if CHROMIUM is None:
        raise click.ClickException("Chromium is not installed; run apt-get install chromium")
    with (
        running_site() as site,
        running_chromium() as browser,
        open_browser(browser, site) as reader,
    ):
        reader.sign_in("ana")
        for file in take(reader, send_leads(site), folder):
            click.echo(file)


if __name__ == "__main__":
    main(prog_name="python -m tools.pictures")
