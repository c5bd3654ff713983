"""Check that the demo's output matches what happened."""

import json
import subprocess

from adapter.store.child_processes import popen
from tests.adapter_process import ADAPTER


def test_the_demo_books_and_shows_what_the_chatbot_says() -> None:
    command = [*ADAPTER, "demo", "--json"]
    with popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        stdout, stderr = demo.communicate(timeout=90)
    assert demo.returncode == 0, stderr
    shown = json.loads(stdout)
    asked = shown["sent"][-1]
    (booking,) = [one for one in shown["bookings"] if one["source"] == asked["source"]]

    assert booking["state"] == "booked"
    assert asked["sentence"] in asked["answer"]["content"]["messages"][0]["text"]
    assert asked["sentence"].startswith(("You are booked for ", "We have your request and will "))
    assert f"and tells the renter: {asked['sentence']}" in stderr
    standing = {one["job_id"]: one for one in shown["appointments"]}
    assert standing[booking["job_id"]]["status"] == "booked"
