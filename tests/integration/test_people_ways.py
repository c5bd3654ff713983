"""Run sequences of events that the examples in docs/people.md do not cover.

``people_ways.txt`` has them in the page's format, but each result is a lead's state and reason
code. The last line has the tours that remain in Knock.
"""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import requests
import yaml

from adapter.exceptions import NotPossible
from adapter.operations.release import Repairs
from adapter.settings import Policy
from adapter.store import Database
from tests.gunicorn_process import write_mappings
from tests.harness import Harness, settle
from tests.integration.test_people_page import Player, clock_time, sections
from tests.sandbox_client import SandboxClient

ACT = re.compile(
    r"(?P<at>\d+:\d\d) agent (?P<act>discards|releases|cannot release|cancels) "
    r"(?:lead (?P<lead>\d)|(?P<contact>\S+) in Knock)"
)
#: The tours' hours in Denver, by their start in UTC.
HOURS = {"T21:30": "2:30", "T22:00": "3:00", "T23:00": "4:00"}

TEXT = Path(__file__).with_name("people_ways.txt").read_text()
#: The lines of each sequence, by its title.
WAYS: Mapping[str, Sequence[str]] = {
    title: lines for title, *lines in map(str.splitlines, TEXT.removeprefix("# ").split("\n\n# "))
}


@dataclasses.dataclass(kw_only=True)
class WayPlayer(Player):
    """Also runs agents' actions in Knock and on leads that need review."""

    upstream: SandboxClient

    def play(self, line: str) -> None:
        if line.startswith("Propexo answers "):
            self.upstream.fault({"status": int(line.split()[-1]), "headers": {"Retry-After": "9"}})
            return
        if line.endswith(" worker sends once"):
            self.harness.clock.at = clock_time(line.split()[0])
            self.harness.send()
            return
        found = ACT.fullmatch(line)
        if found is None:
            super().play(line)
            return
        settle(self.harness)
        self.harness.clock.at = clock_time(found["at"])
        if found["contact"]:
            self.cancel_in_knock(found["contact"])
        elif found["act"] == "cannot release":
            with pytest.raises(NotPossible):
                self.act(int(found["lead"]), "releases")
        else:
            self.act(int(found["lead"]), found["act"])

    def act(self, number: int, act: str) -> None:
        lead_id = self.leads[number - 1][0]
        assert lead_id is not None
        pipeline = self.harness.pipeline
        repairs = Repairs(self.harness.settings, pipeline.store, pipeline.sources, pipeline.clock)
        if act == "releases":
            repairs.release(lead_id, {}, by="ana")
        elif act == "discards":
            repairs.discard(lead_id, "done", by="ana")
        else:
            super().act(number, act)

    def cancel_in_knock(self, contact: str) -> None:
        for tour in self.upstream.appointments():
            if contact in tour["person"].values() and not tour["canceled_by"]:
                url = f"{self.upstream.url}/_sandbox/appointments/{tour['id']}/cancel"
                requests.post(url, timeout=5).raise_for_status()


def write_two_communities(folder: Path) -> None:
    """Write the page's mappings with a second community."""
    write_mappings(folder, dict.fromkeys(("portal", "chatbot", "form"), sections()))
    path = folder / "communities.yaml"
    communities = yaml.safe_load(path.read_text())
    maple = communities["maple-court"]
    known_as = {name: ["Harbor Flats"] for name in maple["known_as"]}
    communities["harbor-flats"] = {**maple, "community_id": "com_2", "known_as": known_as}
    path.write_text(json.dumps(communities))


@pytest.mark.parametrize("way", WAYS)
def test_each_way_ends_right(
    opened: Database, upstream: SandboxClient, tmp_path: Path, way: str
) -> None:
    write_two_communities(tmp_path)
    player = WayPlayer(Harness(opened, upstream, Policy(), mappings=tmp_path), upstream=upstream)
    *lines, knock = WAYS[way]
    for line in lines:
        player.play(line)
    settle(player.harness)

    results = list(player.results())
    ended = [f"{booking.state}: {booking.reason}" for booking, _ in results]
    assert ended == [result for _, result in results]
    standing = [one for one in upstream.appointments() if not one["canceled_by"]]
    hours = sorted(HOURS[tour["starts_at"][10:16]] for tour in standing)
    assert f"Knock: {', '.join(hours) or 'nothing'}" == knock
