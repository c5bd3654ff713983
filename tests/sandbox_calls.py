"""Call a sandbox as Propexo's clients do."""

import datetime as dt
from typing import Any

import requests

APPOINTMENTS = "/crm/v1/appointments/knock"


NOW = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)


OMITTED = object()


ALICE = {
    "integration_id": "int-1",
    "community_id": "com-1",
    "attribution_id": "att-1",
    "appointment_date": "2026-12-01",
    "appointment_time": "18:30:00",
    "first_name": "Alice",
    "last_name": "Example",
    "email_1": "alice@example.com",
    "phone_1": "+12065550155",
}


class ManualClock:
    """A clock that is stopped until a test moves it."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> dt.datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)


class Client:
    """A client that calls one sandbox."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.token = "sandbox"

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"} | more.pop("headers", {})
        return requests.request(method, self.url + path, headers=headers, timeout=20, **more)

    def get(self, path: str, **query: Any) -> Any:
        answer = self.call("GET", path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def book(self, **changes: Any) -> requests.Response:
        fields = {k: v for k, v in (ALICE | changes).items() if v is not OMITTED}
        return self.call("POST", APPOINTMENTS, json=fields)

    def job(self, **changes: Any) -> str:
        answer = self.book(**changes)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["meta"]["job_id"])

    def status(self, job_id: str) -> Any:
        return self.get(f"/v1/admin/write-status/{job_id}")

    def appointments(self) -> list[dict[str, Any]]:
        return list(self.get("/_sandbox/appointments")["appointments"])

    def calls(self) -> list[dict[str, Any]]:
        return list(self.get("/_sandbox/requests")["requests"])

    def fault(self, *faults: dict[str, Any]) -> requests.Response:
        return self.call("POST", "/_sandbox/faults", json={"next": list(faults)})
