"""Change tours in Knock as leasing agents do."""

import datetime as dt
import threading
import time
from collections.abc import Mapping
from typing import Any

import requests

from tools.chaos.leads import Lead
from tools.chaos.stage import Stage

#: How long an agent waits for a tour to appear.
PATIENCE_SECONDS = 20.0
PAUSE_SECONDS = 0.5


class Agents:
    """Leasing agents who cancel tours, and record visits and missed tours."""

    def __init__(self, stage: Stage, stopping: threading.Event) -> None:
        self._stage = stage
        self._stopping = stopping
        #: When each tour was canceled, keyed by the lead's place and the tour's start.
        self.canceled_at: dict[tuple[tuple[str, str], dt.datetime], dt.datetime] = {}

    def act(self, lead: Lead, action: str) -> None:
        """Wait for a lead's tour, and change it. Do nothing if it does not appear in time."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and not self._stopping.wait(PAUSE_SECONDS):
            tour = self._tour_of(lead)
            if tour is not None:
                self._stage.upstream.act(dict(tour), action)
                if action == "cancel" and lead.starts_at is not None:
                    self.canceled_at[lead.place, lead.starts_at] = dt.datetime.now(dt.UTC)
                return

    def _tour_of(self, lead: Lead) -> Mapping[str, Any] | None:
        try:
            tours = self._stage.upstream.appointments()
        except requests.RequestException:
            return None
        name = f"lead {lead.id}"
        return next((one for one in tours if name in one["request"]["notes"].split("\n")), None)
