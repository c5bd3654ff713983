"""Post signed leads at a steady rate in a separate process, until its standard input closes."""

import concurrent.futures
import datetime as dt
import http.client
import json
import os
import sys
import threading
import time

from adapter import signatures
from adapter.models import WebhookRequest
from tools.hostile.canaries import MARK

SIGNATURE = {
    "scheme": "hmac",
    "header": "X-RentFeed-Signature",
    "signed": "{timestamp}.{body}",
    "timestamp": {"header": "X-RentFeed-Timestamp"},
}
TIMEOUT_SECONDS = 30.0
_LETTERS = "abcdefghijklmnop"


def lead(number: int) -> dict[str, object]:
    """Return a lead for the bundled mapping rentfeed. Each number stands for a different person."""
    name = "".join(_LETTERS[int(digit, 16)] for digit in f"{number:05x}")
    now = dt.datetime.now(dt.UTC)
    tour = now + dt.timedelta(days=3 + number % 60)
    return {
        "leadId": f"G-{number}",
        "eventType": "tour_request",
        "isTest": False,
        "createdAt": now.isoformat(),
        "listing": {"propertyId": 20417, "propertyName": "Maple Court", "unit": "2B"},
        "contact": {"name": f"{MARK.title()} Roe{name}", "email": email(number), "phone": ""},
        "tour": {"date": f"{tour:%m/%d/%Y}", "time": "2:30 PM", "type": "IN_PERSON"},
        "comments": f"{MARK} asks for parking",
    }


def email(number: int) -> str:
    """Return the email address of the lead with the given number."""
    return f"{MARK}.genuine.{number}@example.com"


def main(url: str, rate: float) -> None:
    """Send leads and write a line of JSON for each: its number, status and seconds."""
    ended = threading.Event()
    threading.Thread(target=_wait_for_the_end, args=[ended], daemon=True).start()
    secret, number, began = os.environ["RENTFEED_SECRET"], 0, time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        while not ended.wait(max(0.0, began + number / rate - time.monotonic())):
            pool.submit(_send, url, secret, number, began + number / rate)
            number += 1


def _wait_for_the_end(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


def _send(url: str, secret: str, number: int, due: float) -> None:
    """Send one lead. Measure the response time from the scheduled time of sending."""
    body = json.dumps(lead(number)).encode()
    headers = {"Content-Type": "application/json"}
    request = WebhookRequest("POST", f"{url}/hooks/rentfeed", headers, body)
    request = signatures.sign(SIGNATURE, secret, request, time.time())
    status: int | None = None
    try:
        connection = http.client.HTTPConnection(url.partition("://")[2], timeout=TIMEOUT_SECONDS)
        connection.request("POST", "/hooks/rentfeed", body, dict(request.headers))
        response = connection.getresponse()
        response.read()
        status = response.status
        connection.close()
    except (OSError, http.client.HTTPException):
        pass
    line = json.dumps({"lead": number, "status": status, "seconds": time.monotonic() - due})
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
