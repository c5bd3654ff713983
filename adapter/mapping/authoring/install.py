"""Copy a mapping from the gallery to a folder, with its samples and test communities."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import adapter
from adapter.exceptions import ConfigurationError
from adapter.mapping.authoring.json_schema import FILE as SCHEMA
from adapter.mapping.communities_yaml import FILE, examples_file
from adapter.mapping.engine import WithoutTime
from adapter.mapping.loader.yaml_document import document_from_file, text_from_data
from adapter.mapping.source import Source

#: The comment that tells editors where the schema is.
SCHEMA_LINE: Final = "# yaml-language-server: $schema="
EXAMPLES_HEADER: Final = """\
# Made-up communities for the samples and tests of {mapping}. Webhooks never use them; the real
# communities are in communities.yaml.
"""
FIRST_HEADER: Final = """\
# Every community to book tours for, and each source's names for it. Replace these made-up ones.
"""
#: Template for an entry in communities.yaml. Each community of a source needs one.
COMMUNITY: Final = """\
community-name:
  integration_id: INTEGRATION_ID
  community_id: COMMUNITY_ID
  timezone: TIME_ZONE
  attributions: {{ {source}: ATTRIBUTION_ID }}
  known_as: {{ {source}: [VALUE] }}   # as sent in {paths}
"""
#: An example of a community's tour hours.
TOUR_HOURS: Final = """\
  tour_hours: { mon-fri: "9:00 AM-6:00 PM", sat: "10:00 AM-5:00 PM" }   # change them
"""
#: A test's expected guest card, with all of its lines.
GUEST_CARD: Final = re.compile(
    r"^    prospect(?:_some)?:.*\n(?:      .*\n|\n(?=      ))*", re.MULTILINE
)
CARDS: Final = re.compile(r"^without_time: (?:prospect|invite)\b.*", re.MULTILINE)
INVITABLE: Final = re.compile(r"^without_time: prospect\b", re.MULTILINE)
#: A test's expected result if leads without a tour time are held.
HELD: Final = '    held: { starts_at: "" }\n'


def install_mapping(
    template: Source, mapping: Path, *, without_time: WithoutTime | None = None
) -> list[Path]:
    """Copy a gallery mapping to the file ``mapping``. Return the written files, samples first.

    ``without_time`` replaces the gallery's choice for leads without a tour time. Raise
    :class:`ConfigurationError`, and write nothing, if a file would be overwritten.
    """
    files = _samples(template, mapping.parent)
    header = EXAMPLES_HEADER.format(mapping=mapping.name)
    files[examples_file(mapping)] = _examples_text(template, mapping.stem, header).encode()
    text = _mapping_text(template, mapping.parent)
    files[mapping] = _with_choice(text, without_time).encode()
    _refuse_overwrite(mapping, files)
    for file, content in files.items():  # the mapping is last, because it needs the others
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return list(files)


def first_mapping(template: Source, folder: Path) -> dict[Path, bytes]:
    """Return the contents of all files for a new folder with one mapping, keyed by path."""
    return _samples(template, folder) | {
        folder / FILE: _examples_text(template, template.name, FIRST_HEADER).encode(),
        folder / template.path.name: _mapping_text(template, folder).encode(),
    }


def community_text(template: Source, name: str, *, invites: bool = False) -> str:
    """Return an entry for communities.yaml with placeholders in capital letters.

    With ``invites``, the entry also contains tour hours for renters to choose a time from.
    """
    paths = template.sections["community"].get("from_", ())
    hours = TOUR_HOURS if invites else ""
    return COMMUNITY.format(source=name, paths=", else ".join(paths)) + hours


def _samples(template: Source, folder: Path) -> dict[Path, bytes]:
    tests = template.sections["tests"]
    files = (one for test in tests for one in (test["payload"], *test.get("fetched", {}).values()))
    names = dict.fromkeys(name for name in files if isinstance(name, str))
    return {folder / name: (template.path.parent / name).read_bytes() for name in names}


def _examples_text(template: Source, name: str, header: str) -> str:
    """Return the YAML text of made-up communities for a mapping's tests."""
    communities = document_from_file(template.path.parent / FILE)[0].data
    entries = {
        key: _renamed(entry, template.name, name)
        for key, entry in communities.items()
        if template.name in entry["known_as"]
    }
    return header + text_from_data(entries)


def _renamed(entry: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    by_source = {section: {new: entry[section][old]} for section in ("attributions", "known_as")}
    return {**entry, **by_source}


def _mapping_text(template: Source, folder: Path) -> str:
    """Return a mapping's text, updating or removing the path to the JSON Schema."""
    text = template.path.read_text(encoding="utf-8")
    first, _, rest = text.partition("\n")
    if not first.startswith(SCHEMA_LINE):
        return text
    schema = Path(adapter.__file__).parents[1] / SCHEMA
    return f"{SCHEMA_LINE}{os.path.relpath(schema, folder)}\n{rest}" if schema.exists() else rest


def _with_choice(text: str, without_time: WithoutTime | None) -> str:
    """Edit a mapping's text to hold leads without a tour time, or to invite the renters."""
    if without_time is WithoutTime.HOLD:
        return GUEST_CARD.sub(HELD, CARDS.sub("without_time: hold", text))
    if without_time is WithoutTime.INVITE:
        return INVITABLE.sub("without_time: invite", text)
    return text


def _refuse_overwrite(mapping: Path, files: Mapping[Path, bytes]) -> None:
    """Raise ConfigurationError if one of the files already exists with different content."""
    if mapping.exists():
        raise ConfigurationError(f"{mapping} already exists; choose another name with --as")
    for file, content in files.items():
        if file.exists() and file.read_bytes() != content:
            raise ConfigurationError(f"{file} already exists with different content; move it away")
