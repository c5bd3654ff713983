"""Test that Propexo's enum values are found in its documentation."""

import functools
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import click.testing
import pytest

from adapter.cli import commands
from adapter.exceptions import ConfigurationError
from adapter.mapping.authoring.enum_page import enums_in
from adapter.settings import settings_from
from tests.shell import Shell

OPENAPI = """
openapi: 3.1.0
paths:
  /crm/v1/appointments/knock/:
    post:
      requestBody:
        content:
          application/json:
            schema:
              type: object
              properties:
                tour_type: {$ref: "#/components/schemas/TourType"}
                first_contact_type: {type: string, enum: [INTERNET, CHAT, PHONE, EMAIL, SMS, OTHER]}
                pets: {type: array, items: {$ref: "#/components/schemas/Pet"}}
components:
  schemas:
    TourType: {type: string, enum: [IN_PERSON, SELF_GUIDED, LIVE_VIDEO]}
    Pet: {anyOf: [{type: string, enum: [CAT, SMALL_DOG, LARGE_DOG, BIRD]}, {type: "null"}]}
"""
SETTINGS = [
    "ADAPTER_TOUR_TYPES=in_person=IN_PERSON,self_guided=SELF_GUIDED,video=LIVE_VIDEO",
    "ADAPTER_FIRST_CONTACT_TYPES=internet=INTERNET,chat=CHAT,call=PHONE,email=EMAIL,sms=SMS",
    "ADAPTER_PETS=cat=CAT,small_dog=SMALL_DOG,large_dog=LARGE_DOG",
]
MARKDOWN = """
# Create an appointment

| Field | Type | Description |
|---|---|---|
| `tour_type` | enum | One of `IN_PERSON`, `SELF_GUIDED`, `LIVE_VIDEO` |

- `first_contact_type` (string): how the prospect got in touch
  - `INTERNET`
  - `CHAT`
  - `PHONE`
  - `EMAIL`
  - `SMS`
  - `OTHER`
- **pets** (array): Allowed values: "CAT", "SMALL_DOG", "LARGE_DOG", "BIRD"
"""


def as_json(text: str) -> str:
    import yaml

    return json.dumps(yaml.safe_load(text))


def in_a_page(text: str) -> str:
    return f"# Create an appointment\n\nThe request:\n\n```yaml\n{text}```\n\nMore text: here.\n"


@pytest.mark.parametrize("form", [str, as_json, in_a_page])
def test_the_words_are_found_in_openapi(form: Callable[[str], str]) -> None:
    found = enums_in(form(OPENAPI))
    assert [one.text for one in found] == SETTINGS
    assert [one.unused for one in found] == [(), ("OTHER",), ("BIRD",)]


def test_the_words_are_found_in_markdown() -> None:
    assert [one.text for one in enums_in(MARKDOWN)] == SETTINGS


def test_a_word_that_is_not_there_is_named() -> None:
    (one,) = enums_in("- `tour_type`: `Guided`, `Self-Guided`, `Group`")
    assert one.text == "ADAPTER_TOUR_TYPES=in_person=Guided,self_guided=Self-Guided"
    assert (one.without, one.unused) == (("video",), ("Group",))


@pytest.mark.parametrize("text", ["", "# A page", "tour_type: {type: string}", "a: [", "&a [*a]"])
def test_other_pages_have_no_words(text: str) -> None:
    assert enums_in(text) == []


def test_the_settings_can_be_used_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "openapi.yaml"
    file.write_text(OPENAPI)
    said = Shell()("enums", "pull", str(file))
    assert "# Propexo's values that are not used: BIRD" in said
    for line in said.splitlines():
        if not line.startswith("#"):
            name, _, value = line.partition("=")
            monkeypatch.setenv(name, value)
    assert settings_from().policy.spellings["pets"]["small_dog"] == "SMALL_DOG"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """Serve ``tmp_path`` over HTTP, and yield the URL of its root."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_page_is_read_from_its_url(tmp_path: Path, site: str) -> None:
    (tmp_path / "page.md").write_text(MARKDOWN)
    assert Shell()("enums", "pull", f"{site}/page.md").splitlines()[0] == SETTINGS[0]
    with pytest.raises(ConfigurationError, match="cannot be read: HTTPError"):
        Shell()("enums", "pull", f"{site}/other.md")


def test_a_page_without_enums_fails(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("nothing")
    Shell()("enums", "pull", str(tmp_path / "page.md"), exit_code=1)


def test_the_fields_that_a_page_does_not_list_are_named(
    tmp_path: Path,
) -> None:
    (tmp_path / "page.md").write_text("`tour_type`: one of `IN_PERSON`, `SELF_GUIDED`")
    said = click.testing.CliRunner().invoke(commands, ["enums", "pull", str(tmp_path / "page.md")])
    assert said.exit_code == 1
    assert "ADAPTER_TOUR_TYPES=" in said.stdout
    assert "page.md lists no values for first_contact_type, pets; use" in said.stderr


def test_broken_yaml_is_reported_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "openapi.yaml").write_text("openapi: 3.1.0\npaths: [")
    file = str(tmp_path / "openapi.yaml")
    said = click.testing.CliRunner().invoke(commands, ["enums", "pull", file])
    assert said.exit_code == 1
    assert "openapi.yaml is not YAML or JSON: line 2: " in said.stderr
