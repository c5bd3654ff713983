"""Find Propexo's spellings of enum values in an OpenAPI file or a documentation page."""

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import yaml

from adapter.settings import NEUTRAL_WORDS

#: For each of the adapter's values, a pattern for Propexo's word, in matching order.
WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "tour_type": {
        "self_guided": r"self",
        "video": r"video|virtual|remote|online",
        "in_person": r"person|guided|agent|site|physical",
    },
    "first_contact_type": {
        "sms": r"sms|text",
        "chat": r"chat|bot",
        "email": r"mail",
        "call": r"call|phone",
        "internet": r"internet|web|online|site",
    },
    "pets": {"cat": r"cat", "small_dog": r"small", "large_dog": r"large|big"},
}
VARIABLES: Final = {
    "tour_type": "ADAPTER_TOUR_TYPES",
    "first_contact_type": "ADAPTER_FIRST_CONTACT_TYPES",
    "pets": "ADAPTER_PETS",
}
#: A code block in a Markdown page.
BLOCK: Final = re.compile(r"^(`{3,})[^\n]*\n(.*?)^\1", re.MULTILINE | re.DOTALL)
#: A word in quotes or backticks, as enum values appear in documentation.
QUOTED: Final = re.compile(r"[`\"']([A-Za-z][A-Za-z0-9 _-]{0,40})[`\"']")
#: Maximum depth in an OpenAPI file, and maximum number of schema references to follow.
MAX_DEPTH: Final = 40
MAX_REFERENCES: Final = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Enum:
    """A setting that contains Propexo's spellings of an enum field's values."""

    variable: str
    #: Propexo's word for each of the adapter's values.
    spellings: Mapping[str, str]
    #: The adapter's values that Propexo has no word for, and Propexo's words that are not used.
    without: tuple[str, ...]
    unused: tuple[str, ...]

    @property
    def text(self) -> str:
        """The setting as a line for an environment file."""
        return (
            f"{self.variable}={','.join(f'{ours}={one}' for ours, one in self.spellings.items())}"
        )


def enums_in(text: str) -> list[Enum]:
    """Return a setting for each enum field whose values appear in a web page or OpenAPI file."""
    documents = [one for part in (text, *_blocks(text)) for one in _data(part)]
    found: dict[str, list[str]] = {}
    for field in VARIABLES:
        words = [word for one in documents for word in _from_openapi(one, field)]
        found[field] = list(dict.fromkeys(words or _from_markdown(text, field)))
    return [_enum(field, words) for field, words in found.items() if words]


def _enum(field: str, words: Sequence[str]) -> Enum:
    left, spellings = list(words), {}
    for ours, pattern in WORDS[field].items():
        exact = [word for word in left if re.sub(r"[^a-z]", "_", word.lower()) == ours]
        alike = [word for word in left if re.search(pattern, word, re.IGNORECASE)]
        if chosen := (exact or alike)[:1]:
            spellings[ours] = chosen[0]
            left.remove(chosen[0])
    ordered = {ours: spellings[ours] for ours in NEUTRAL_WORDS[field] if ours in spellings}
    without = tuple(ours for ours in NEUTRAL_WORDS[field] if ours not in spellings)
    return Enum(VARIABLES[field], ordered, without, tuple(left))


def _blocks(text: str) -> Iterator[str]:
    yield from (found[2] for found in BLOCK.finditer(text))


def _data(text: str) -> Iterator[Any]:
    """Parse text as JSON or YAML. Yield the result if it is an object."""
    try:
        data = json.loads(text) if text.lstrip()[:1] == "{" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError, RecursionError):
        return
    if isinstance(data, Mapping):
        yield data


def mistake_in(text: str) -> str | None:
    """Return the syntax error in a YAML or JSON text, with its line, or None if it is valid."""
    try:
        yaml.safe_load(text)
    except yaml.MarkedYAMLError as exc:
        line = f"line {exc.problem_mark.line + 1}: " if exc.problem_mark else ""
        return f"{line}{exc.problem}"
    except (ValueError, yaml.YAMLError, RecursionError) as exc:
        return type(exc).__name__
    return None


def _from_openapi(document: Any, field: str) -> Iterator[str]:
    """Yield an OpenAPI file's enum values for all properties and parameters named ``field``."""
    for schema in _schemas(document, field, 0):
        yield from _words_of(document, schema, MAX_REFERENCES)


def _schemas(data: Any, field: str, depth: int) -> Iterator[Any]:
    if depth > MAX_DEPTH:
        return
    if isinstance(data, Mapping):
        if data.get("name") == field and "schema" in data:
            yield data["schema"]
        for key, value in data.items():
            if key == field and isinstance(value, Mapping):
                yield value
            yield from _schemas(value, field, depth + 1)
    elif isinstance(data, list):
        for value in data:
            yield from _schemas(value, field, depth + 1)


def _words_of(document: Any, schema: Any, references: int) -> Iterator[str]:
    if not isinstance(schema, Mapping) or references < 0:
        return
    if isinstance(schema.get("$ref"), str):
        yield from _words_of(document, _resolved(document, schema["$ref"]), references - 1)
    yield from (word for word in schema.get("enum", ()) if isinstance(word, str))
    for inner in (schema.get("items"), *_alternatives(schema)):
        yield from _words_of(document, inner, references)


def _alternatives(schema: Mapping[str, Any]) -> Iterator[Any]:
    for key in ("anyOf", "oneOf", "allOf"):
        yield from schema[key] if isinstance(schema.get(key), list) else ()


def _resolved(document: Any, reference: str) -> Any:
    for part in reference.removeprefix("#/").split("/"):
        document = document.get(part) if isinstance(document, Mapping) else None
    return document


def _from_markdown(text: str, field: str) -> list[str]:
    """Return the quoted words on the Markdown line that names a field, and in the list below it."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if not re.search(rf"(?<!\w){field}(?!\w)", line):
            continue
        words = [word for word in QUOTED.findall(line) if word != field]
        for below in lines[number + 1 :]:
            is_item = re.match(r"\s+[-*+] |\s*$", below) or (not words and below[:1] in "-*+")
            if not is_item or len(words) > 50:
                break
            words += QUOTED.findall(below)[:1]
        if len(words) > 1:
            return words
    return []
