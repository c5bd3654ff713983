"""Test the options that give a webhook a query string and headers."""

import datetime as dt
import json
import re
import shlex
import shutil
import urllib.parse
from pathlib import Path

import click.testing
import pytest
import yaml

from adapter.cli import commands
from adapter.mapping import registry
from adapter.mapping.authoring.record_test import with_sample
from adapter.models import WebhookRequest
from adapter.settings import settings_from
from tests.paths import MAPPINGS

LEAD = (
    """{"id": "L1", "who": "Dana Okafor", "mail": "dana@example.com", "at": "2026-03-14T14:30"}"""
)
CHAT = """
signature: { scheme: none }
dedupe: id
community: query.community
appointment:
  name: who
  email_1: mail
  starts_at: at
  first_contact_type: { always: chat }
  notes: [ "Unit: {headers.X-Unit}" ]
tests:
  - name: a tour
    payload: { id: L1, who: Dana Okafor, mail: dana@example.com, at: 2026-03-14T14:30 }
    headers: { X-Unit: "302" }
    query: community=maple-court
    expect_some: { last_name: Okafor }
"""
GIVEN = ("--query", "community=maple-court", "--header", "X-Unit: 302")


@pytest.fixture(autouse=True)
def chat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a mapping that reads the community from the URL, and write a lead's body."""
    shutil.copytree(MAPPINGS, tmp_path / "mappings")
    monkeypatch.chdir(tmp_path)
    known = tmp_path / "mappings/communities.yaml"
    known.write_text(
        known.read_text()
        .replace("rentfeed: att_rentfeed_m,", "rentfeed: att_rentfeed_m, chat: att_chat,")
        .replace("    rentfeed: [20417", "    chat: maple-court\n    rentfeed: [20417")
    )
    (tmp_path / "mappings/chat.yaml").write_text(CHAT)
    (tmp_path / "lead.json").write_text(LEAD)
    return tmp_path / "mappings/chat.yaml"


def run(*arguments: str) -> click.testing.Result:
    result = click.testing.CliRunner().invoke(commands, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_map_reads_the_query_string_and_the_headers() -> None:
    now = ("--now", "2026-03-01T00:00:00Z")
    without = run("map", "chat", "lead.json", *now)
    assert (without.exit_code, "query.community is not in the payload" in without.output) == (
        *(1, True),
    )
    given = run("map", "chat", "lead.json", *GIVEN, *now)
    assert given.exit_code == 0, given.output
    assert "community: maple-court" in given.output
    assert "notes: Unit: 302" in given.output


def test_a_printed_test_has_the_query_string_and_passes(chat: Path) -> None:
    utm = ("--query", "utm_source=mail")
    entry = run("map", "chat", "lead.json", *GIVEN, *utm, "--as-test").stdout
    (test,) = yaml.safe_load(entry)
    assert (test["query"], test["headers"]) == ("community=maple-court", {"x-unit": "302"})
    assert "expect" in test
    head = CHAT.partition("tests:\n")[0]
    chat.write_text(f"{head}tests:\n" + "".join(f"  {line}\n" for line in entry.splitlines()))
    checked = run("check", "chat")
    assert (checked.exit_code, checked.output) == (0, "mappings/chat.yaml: no errors\n")


def test_a_signed_webhook_has_the_query_string_and_the_headers() -> None:
    utm = ("--query", "place=Maple & Oak", "--to", "https://leads.example.com/")
    words = shlex.split(run("sign", "chat", "lead.json", *GIVEN, *utm).stdout)
    (url,) = (word for word in words if word.startswith("https:"))
    parts = urllib.parse.urlsplit(url)
    assert (parts.netloc, parts.path) == ("leads.example.com", "/hooks/chat")
    assert urllib.parse.parse_qs(parts.query) == {
        "community": ["maple-court"],
        "place": ["Maple & Oak"],
    }
    assert "X-Unit: 302" in words


@pytest.mark.parametrize(
    ("option", "text", "said"),
    [
        ("--to", "http://127.0.0.1:8000?community=maple-court", "use --query"),
        ("--to", "http://127.0.0.1:8000/hooks/chat?community=maple-court", "use --query"),
        ("--to", "http://127.0.0.1:8000#x", "from the #"),
        ("--to", "http://127.0.0.1:8000/hooks/chat", "leave out /hooks/chat"),
        ("--to", "http://127.0.0.1:8000/other", "leave out /other"),
        ("--query", "community", "must be NAME=VALUE"),
        ("--query", "=maple-court", "must be NAME=VALUE"),
        ("--query", "?community=maple-court", "must be NAME=VALUE"),
        ("--query", "community=maple-court&unit=302", "one --query for each parameter"),
        ("--header", "X-Unit=302", "must be 'NAME: VALUE'"),
        ("--header", "X-Unit: 302\r\nX-Other: 1", "must be 'NAME: VALUE'"),
        ("--header", "content-type: text/plain", "use --content-type"),
    ],
)
def test_an_option_that_would_be_misread_is_refused(option: str, text: str, said: str) -> None:
    result = run("send", "chat", "lead.json", option, text)
    assert (result.exit_code, said in " ".join(result.output.split())) == (2, True), result.output


def test_the_path_of_the_public_url_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTER_PUBLIC_URL", "https://leads.example.com/knock")
    for given in ([], ["--to", "https://leads.example.com/knock/"]):
        words = shlex.split(run("sign", "chat", "lead.json", *given).stdout)
        assert "https://leads.example.com/knock/hooks/chat" in words


def test_a_message_becomes_a_test_with_its_query_string_but_without_its_renter(chat: Path) -> None:
    chat.write_text(CHAT.replace("name: who", "name: [who, query.who]"))
    source = registry.load_one(chat.parent, "chat", settings_from().policy)
    request = WebhookRequest.from_body(
        LEAD.replace('"who": "Dana Okafor", ', "").encode(),
        "application/json",
        query="community=maple-court&who=Ines+Duarte",
    )
    now = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    text = with_sample(source, chat.read_text(), request, now)
    assert "query: community=maple-court&who=Dana+Okafor" in text
    assert "Duarte" not in text
    assert not registry.check_text(chat.parent, "chat", text, settings_from().policy)


def test_the_first_and_last_names_in_an_answer_become_different_names(chat: Path) -> None:
    read = "read:\n  answers: { list: q, by: k, value: v }\n"
    chat.write_text(CHAT.replace("name: who", "name: [who, answers.Name]") + read)
    source = registry.load_one(chat.parent, "chat", settings_from().policy, strict=False)
    answers = [{"k": "Name", "v": "Ines Duarte"}, {"k": "Unit", "v": "2B"}]
    body = json.loads(LEAD) | {"who": "", "q": answers}
    request = WebhookRequest.from_body(
        json.dumps(body).encode(), "application/json", query="community=maple-court"
    )
    text = with_sample(source, chat.read_text(), request, dt.datetime(2026, 3, 1, tzinfo=dt.UTC))
    assert "Dana Okafor" in text
    assert "Dana Dana" not in text


def test_a_printed_test_contains_no_real_people() -> None:
    """Use a file that is not a mapping's sample, and so may contain a real person."""
    lead = json.loads(LEAD) | {"who": "Ines Duarte", "mail": "ines@duarte.com", "credit": 702}
    Path("lead.json").write_text(json.dumps(lead))
    printed = run("map", "chat", "lead.json", *GIVEN, "--as-test")
    (test,) = yaml.safe_load(printed.stdout)
    assert test["expect"]["last_name"] == "Okafor"
    assert not [one for one in ("Ines", "Duarte", "702") if one in printed.output]
    assert "lead.json is not in the mapping's folder" in printed.stderr
    assert test["query"] == "community=maple-court"

    shutil.copy("lead.json", "mappings/samples/chat.json")
    sample = run("map", "chat", "mappings/samples/chat.json", *GIVEN, "--as-test")
    assert yaml.safe_load(sample.stdout)[0]["payload"] == "samples/chat.json"
    assert not sample.stderr


def test_map_says_that_the_time_of_the_request_cannot_be_read(chat: Path) -> None:
    chat.write_text(CHAT.replace("dedupe: id\n", "dedupe: id\nsent_at: items.when\n"))
    lead = json.loads(LEAD) | {"items": [{"when": 1772800000}, {"when": 1772800001}]}
    Path("lead.json").write_text(json.dumps(lead))
    said = run("map", "chat", "lead.json", *GIVEN, "--now", "2026-03-01T00:00:00Z").stderr
    assert re.search("warning: sent_at .*, so the time when the message arrives counts", said)
    Path("lead.json").write_text(LEAD)
    assert "warning: sent_at" not in run("map", "chat", "lead.json", *GIVEN).stderr
