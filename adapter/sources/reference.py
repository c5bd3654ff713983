"""The generated parts of docs/mapping.md. ``python -m adapter.sources.reference`` writes them."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from adapter import answers, transforms
from adapter.appointment import TARGETS, Target
from adapter.sources import schema
from adapter.variables import NEUTRAL_WORDS

PAGE: Final = "docs/mapping.md"


def fields_table() -> str:
    """What may stand under ``appointment:``."""
    rows = ["| field | is read as | takes |", "|---|---|---|"]
    rows += [
        f"| `{target.name}` | {_reading(target)} | {_takes(target)} |"
        for target in TARGETS.values()
    ]
    return "\n".join(rows)


def _reading(target: Target) -> str:
    if target.transform is None:
        return "**say which:** `as: dollars` or `as: cents`"
    return f"`{target.transform}`"


#: What a field takes, where the words of its transform do not say it.
TAKES: Final[Mapping[str, str]] = {
    "name": "fills first_name and last_name; **required**, or last_name",
    "starts_at": "fills appointment_date and appointment_time in UTC; **required**",
    "last_name": "**required**, or name",
    "email_1": "this or phone_1 is **required**",
    "phone_1": "this or email_1 is **required**",
    "lease_term_in_months": "1 to 18",
    "desired_num_bedrooms": "a list; 0 is a studio, 3 is three and more",
    "notes": "lines with `{path}`; cut at 1,000 characters",
}


def _takes(target: Target) -> str:
    words = NEUTRAL_WORDS.get(target.name)
    if words:
        kind = "a list of " if target.many else ""
        return kind + ", ".join(f"`{word}`" for word in words)
    return TAKES.get(target.name, "")


def sentences_table() -> str:
    """What ``{say}`` stands for."""
    rows = ["| outcome | sentence |", "|---|---|"]
    rows += [f"| `{outcome}` | {sentence} |" for outcome, sentence in answers.SENTENCES.items()]
    return "\n".join(rows)


BLOCKS: Final[Mapping[str, Callable[[], str]]] = {
    "fields": fields_table,
    "sentences": sentences_table,
    "transforms": transforms.reference,
}


def regenerated(page: str) -> str:
    """The page with its generated blocks as they should be."""
    for name, make in BLOCKS.items():
        start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, _, rest = page.partition(start)
        _, _, after = rest.partition(end)
        page = f"{before}{start}\n{make().strip()}\n{end}{after}"
    return page


def schema_text() -> str:
    """The JSON Schema as it is committed."""
    return json.dumps(schema.mapping_schema(), indent=2, ensure_ascii=False) + "\n"


def write(root: Path) -> None:
    """Writes both files of the documentation anew."""
    page = root / PAGE
    page.write_text(regenerated(page.read_text(encoding="utf-8")), encoding="utf-8")
    (root / schema.FILE).write_text(schema_text(), encoding="utf-8")


if __name__ == "__main__":
    write(Path())
