"""The demo: what it shows is what happened."""

import json
import subprocess

from tests.running import ADAPTER


def test_the_demo_books_and_shows_what_the_chatbot_says() -> None:
    ended = subprocess.run(
        [*ADAPTER, "demo", "--json"], capture_output=True, text=True, timeout=90, check=False
    )
    assert ended.returncode == 0, ended.stderr
    shown = json.loads(ended.stdout)
    asked = shown["sent"][-1]
    (booking,) = [one for one in shown["bookings"] if one["source"] == asked["source"]]

    assert booking["state"] == "booked"
    assert asked["sentence"] in asked["answer"]["content"]["messages"][0]["text"]
    assert asked["sentence"].startswith(("You are booked for ", "We have your request and will "))
    assert f"and says to the renter: {asked['sentence']}" in ended.stderr
    standing = {one["job_id"]: one for one in shown["appointments"]}
    assert standing[booking["job_id"]]["status"] == "booked"
