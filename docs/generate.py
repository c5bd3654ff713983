"""Write the parts of README.md and docs/ that are generated from the code.

Run it as ``python -m docs.generate``.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Set
from pathlib import Path
from typing import Final

from click.testing import CliRunner

from adapter.cli import commands
from adapter.console.metrics_page import COUNTED, GAUGES
from adapter.mapping import renter_language, transforms
from adapter.mapping.authoring import json_schema
from adapter.mapping.gallery import Entry, entries
from adapter.operations.health import CONDITIONS, Level
from adapter.propexo.appointment import TARGETS, Target
from adapter.settings import FILE_SUFFIX, NEUTRAL_WORDS, SETTINGS, Policy, Setting
from adapter.signatures import PRESETS
from docs.code_words import marked
from docs.log_events import events_table


def fields_table() -> str:
    """Return a table of the fields under ``appointment:``."""
    rows = ["| field | is read as | takes |", "|---|---|---|"]
    rows += [
        f"| `{target.name}` | {_reading(target)} | {_takes(target)} |"
        for target in TARGETS.values()
    ]
    return "\n".join(rows)


def _reading(target: Target) -> str:
    if target.transform is None:
        return "**required:** `as: dollars` or `as: cents`"
    return f"`{target.transform}`"


#: Notes on fields whose values are not a fixed list of words.
TAKES: Final[Mapping[str, str]] = {
    "name": "fills first_name and last_name; name or last_name is **required**",
    "starts_at": "fills appointment_date and appointment_time in UTC; **required**",
    "last_name": "last_name or name is **required**",
    "email_1": "email_1 or phone_1 is **required**",
    "phone_1": "email_1 or phone_1 is **required**",
    "lease_term_in_months": "1 to 18",
    "desired_num_bedrooms": "a list; 0 means a studio, and 3 means three or more bedrooms",
    "notes": "lines with `{path}`; at most 1,000 characters, the longest line is shortened first",
}


def _takes(target: Target) -> str:
    words = NEUTRAL_WORDS.get(target.name)
    if words:
        kind = "a list of " if target.many else ""
        return kind + ", ".join(f"`{word}`" for word in words)
    return TAKES.get(target.name, "")


def sentences_table() -> str:
    """Return the table of default messages for ``{say}``."""
    rows = ["| outcome | message | in Spanish |", "|---|---|---|"]
    rows += [
        f"| `{outcome}` | {sentence} | {renter_language.IN_SPANISH[outcome]} |"
        for outcome, sentence in renter_language.SENTENCES.items()
    ]
    return "\n".join(rows)


def schema_text() -> str:
    """Return the JSON Schema as the text of the committed file."""
    return json.dumps(json_schema.mapping_schema(), indent=2, ensure_ascii=False) + "\n"


ROOT = Path(__file__).parent.parent
GALLERY = ROOT / "mappings" / "gallery"
README = ROOT / "README.md"

CONFIGURATION = ROOT / "docs" / "configuration.md"
MAPPING = ROOT / "docs" / "mapping.md"
SOURCES = ROOT / "docs" / "sources.md"
MONITORING = ROOT / "docs" / "monitoring.md"
OPERATIONS = ROOT / "docs" / "operations.md"
ALERTS = ROOT / "ops" / "alerts.yml"
PAGES = (README, CONFIGURATION, MAPPING, MONITORING, OPERATIONS, SOURCES, ALERTS)

#: A time before the sample's tour in March 2026.
NOW = "2026-03-02T18:00:00Z"


def settings_table() -> str:
    """Return a table with a row for each environment variable."""
    rows = [
        f"| {_names(one)} | {_default(one.default_text)} | {marked(one.meaning)}{_range(one)} |"
        for one in SETTINGS
    ]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def _names(one: Setting) -> str:
    return f"`{one.name}`" + (f" or `{one.name}{FILE_SUFFIX}`" if one.is_secret else "")


def _default(text: str) -> str:
    return f"`{text}`" if text else "none"


def _range(one: Setting) -> str:
    """Return a number's range, read from the error message for text that is not a number."""
    try:
        one.read("no number")
    except ValueError as exc:
        found = re.search(r" from (\S+) to (\S+)$", str(exc))
        return f" From {found[1]} to {found[2]}." if found else ""
    return ""


def mapping_block(name: str) -> str:
    """Return a bundled mapping without its tests and the comment for editors."""
    text = (ROOT / "mappings" / f"{name}.yaml").read_text()
    lines = text.partition("\ntests:")[0].splitlines()
    return "```yaml\n" + "\n".join(lines[1:]).strip() + "\n```"


def sample_block(file: str) -> str:
    """Return a sample payload."""
    return "```json\n" + (ROOT / "mappings" / "samples" / file).read_text().strip() + "\n```"


def map_block(arguments: str) -> str:
    """Return the output of `adapter map` for a sample."""
    name, file = arguments.split()
    sample = str(ROOT / "mappings" / "samples" / file)
    folder = str(ROOT / "mappings")
    result = CliRunner().invoke(commands, ["map", name, sample, "--mappings", folder, "--now", NOW])
    assert result.exit_code == 0, result.output
    command = f"$ adapter map {name} mappings/samples/{file} --now {NOW}"
    return f"```console\n{command}\n{result.output.strip()}\n```"


def gallery_table() -> str:
    """Return the table of the gallery's senders."""
    head = [
        "sender",
        "family",
        "signature",
        "event id",
        "holds",
        "without a time",
        "format known from",
        "documentation",
    ]
    rows = [[_cell(cell) for cell in _row(entry)] for entry in entries(GALLERY, Policy())]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def _row(entry: Entry) -> list[str]:
    return [
        f"[`{entry.name}`](#{entry.name})",
        entry.family,
        f"`{entry.signature}`",
        " + ".join(f"`{path}`" for path in entry.event_id),
        entry.holds,
        entry.without_time,
        entry.shape,
        f"[docs]({entry.docs})",
    ]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def gallery_senders() -> str:
    """Return a section for each sender, with its setup, signature, retries and limits."""
    found = sorted(entries(GALLERY, Policy()), key=lambda entry: entry.name)
    names = {entry.name for entry in found} | PRESETS.keys()
    return "\n\n".join(_sender(entry, names) for entry in found)


def _sender(entry: Entry, names: Set[str]) -> str:
    about = {name: marked(_sentence(text), names) for name, text in entry.about.items()}
    file = f"{entry.name}.yaml"
    return "\n".join(
        [
            f"### {entry.name}",
            "",
            f"{marked(entry.description, names)} Mapping: [{file}](../mappings/gallery/{file}).",
            "",
            f"- Setup: {about['switch_on']}",
            f"- Signature: {about['signs']}",
            f"- Success: {about['success']}",
            f"- Retries: {about['retries']}",
            f"- Limitations: {about['cannot']}",
        ]
    )


def _sentence(text: str) -> str:
    line = " ".join(text.split())
    return line[0].upper() + line[1:]


def problems_table() -> str:
    """Return a table of the kinds of problems."""
    rows = (
        (f"`{code}`", one.level, *map(marked, (one.when, one.meaning, one.next_step)))
        for code, one in CONDITIONS.items()
    )
    head = [
        "| code | level | reported when | what it means | what to do |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows)])


def metrics_table() -> str:
    """Return the table of metrics: counters, histograms and gauges."""
    counted = (
        (one.name if one.buckets else f"{one.name}_total", one.meaning, one.labels, one.buckets)
        for one in COUNTED
    )
    rows = [
        (name, "histogram" if buckets else "counter", meaning, labels)
        for name, meaning, labels, buckets in counted
    ]
    rows += [
        (name, "gauge", meaning, dict.fromkeys(labels))
        for name, (meaning, labels) in GAUGES.items()
    ]
    head = ["| metric | type | meaning |", "|---|---|---|"]
    return "\n".join(
        [
            *head,
            *(
                f"| `adapter_{name}{_labels(labels)}` | {kind} | {meaning} |"
                for name, kind, meaning, labels in rows
            ),
        ]
    )


def _labels(labels: Iterable[str]) -> str:
    text = ",".join(labels)
    return f"{{{text}}}" if text else ""


def problem_alerts() -> str:
    """Return a Prometheus alerting rule for each kind of problem."""
    return "\n".join(
        PROBLEM_ALERT.format(
            name=alert_name(code),
            code=code,
            severity="page" if one.level is Level.BROKEN else "ticket",
            summary=json.dumps(
                f"{{{{ with $labels.source }}}}{{{{ . }}}}: {{{{ end }}}}{one.when}"
            ),
            description=json.dumps(f"{one.meaning} {one.next_step}"),
        )
        for code, one in CONDITIONS.items()
        if code in ALERTED
    )


#: The problems with an alert. If the database is unreachable, there are no metrics.
ALERTED: Final = [
    code
    for code, one in CONDITIONS.items()
    if one.level is not Level.NOTE and code != "database_unreachable"
]
PROBLEM_ALERT: Final = """\
      - alert: {name}
        expr: max by (source) (adapter_problem{{code="{code}"}}) == 1
        labels: {{severity: {severity}}}
        annotations:
          summary: {summary}
          description: {description}
          runbook: docs/operations.md#{code}"""


def alert_name(code: str) -> str:
    """Return the name of the alert for a kind of problem: `AdapterNoWorker` for `no_worker`."""
    return "Adapter" + "".join(map(str.capitalize, code.split("_")))


def problem_sections() -> str:
    """Return a section of the runbook for each kind of problem."""
    return "\n\n".join(
        f"### {code}\n\n" + marked(f"{_sentence(one.when)}. {one.meaning}\n\n{one.next_step}")
        for code, one in CONDITIONS.items()
        if one.level is not Level.NOTE
    )


BLOCKS: dict[str, Callable[[str], str]] = {
    "settings": lambda _: settings_table(),
    "fields": lambda _: fields_table(),
    "sentences": lambda _: sentences_table(),
    "transforms": lambda _: transforms.reference().strip(),
    "mapping": mapping_block,
    "sample": sample_block,
    "map": map_block,
    "gallery": lambda _: gallery_table(),
    "senders": lambda _: gallery_senders(),
    "problems": lambda _: problems_table(),
    "events": lambda _: events_table(),
    "metrics": lambda _: metrics_table(),
    "problem_alerts": lambda _: problem_alerts(),
    "problem_sections": lambda _: problem_sections(),
}


def regenerated(text: str) -> str:
    """Regenerate each block ``<!-- name: arguments --> … <!-- end -->``, and return the page."""

    def block(match: re.Match[str]) -> str:
        content = BLOCKS[match["name"]](match["arguments"] or "")
        return f"{match['head']}\n{content}\n{match['end']}"

    head = r"(?P<head><!-- (?P<name>\w+)(?:: (?P<arguments>[^>]*?))? -->)"
    pattern = head + r"\n(?:.*?\n)??(?P<end>[ #]*<!-- end -->)"
    return re.sub(pattern, block, text, flags=re.DOTALL)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(regenerated(page.read_text()))
    (ROOT / json_schema.FILE).write_text(schema_text(), encoding="utf-8")
