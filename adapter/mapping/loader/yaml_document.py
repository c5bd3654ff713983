"""Load a YAML file as plain data, and record the line and column of every key.

Unquoted scalars become numbers, true, false or null only if they are valid JSON. Anything else is
text: ``NO``, ``10:30``, ``+13035550142`` and ``0000000000`` stay as written.
"""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any, Final

import yaml

from adapter.mapping.problems import Problem

MAX_FILE_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 30
REFERENCES: Final = (
    "anchors (&), aliases (*) and tags (!) are not allowed: "
    "write the value out, or quote text that starts with &, * or !"
)

#: A key path: names, and list indexes as strings.
KeyPath = tuple[str, ...]


class _Loader(yaml.SafeLoader):
    """A YAML loader that accepts only JSON scalars, and no anchors, tags or deep nesting."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:
        """Parse the next node. Raise MarkedYAMLError if the node is not allowed."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        self.depth += isinstance(event, yaml.CollectionStartEvent)
        if getattr(event, "anchor", None) or getattr(event, "tag", None):
            raise yaml.MarkedYAMLError(problem=REFERENCES, problem_mark=event.start_mark)
        if self.depth > MAX_DEPTH:
            message = f"is nested more than {MAX_DEPTH} levels deep"
            raise yaml.MarkedYAMLError(problem=message, problem_mark=event.start_mark)
        node = super().compose_node(parent, index)
        self.depth -= isinstance(event, yaml.CollectionStartEvent)
        return node


for _tag, _pattern, _first in (
    ("null", r"(?:null)?\Z", ["n", ""]),
    ("bool", r"(?:true|false)\Z", ["t", "f"]),
    ("int", r"-?(?:0|[1-9][0-9]{0,17})\Z", list("-0123456789")),
    ("float", r"-?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,17}\Z", list("-0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


class _Dumper(yaml.SafeDumper):
    """A YAML dumper that quotes a string only if it would otherwise load as another type."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """Return True, so that repeated values are written in full and not as aliases."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        """Indent lists below their keys, for readability."""
        super().increase_indent(flow, indentless=False)


def _lines(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _lines)


def text_from_data(data: Any) -> str:
    """Convert plain data to YAML that loads back as the same data."""
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100))


@dataclasses.dataclass(slots=True)
class Document:
    """A YAML file with its data, the positions of its keys, and the problems found in it."""

    #: The file name shown in messages.
    file: str
    data: Any = None
    marks: dict[KeyPath, tuple[int, int]] = dataclasses.field(default_factory=dict)
    #: A dict used as an ordered set, so that duplicates are detected quickly.
    problems: dict[Problem, None] = dataclasses.field(default_factory=dict)

    def position(self, where: KeyPath) -> tuple[int, int]:
        """Return the line and column of a key, or of its nearest parent if the key is missing."""
        while where not in self.marks and where:
            where = where[:-1]
        return self.marks.get(where, (1, 1))

    def at(self, where: KeyPath) -> str:
        """Return the position of a key as ``file:line``."""
        return f"{self.file}:{self.position(where)[0]}"

    def add(
        self, where: KeyPath, message: str, *, field: str | None = None, warning: bool = False
    ) -> None:
        """Add a problem at the position of a key."""
        name = field or ".".join(where) or "file"
        self.add_at(self.position(where), name, message, warning=warning)

    def add_at(
        self, position: tuple[int, int], field: str, message: str, *, warning: bool = False
    ) -> None:
        """Add a problem at a line and column, unless the same problem was added before."""
        line, column = position
        problem = Problem(
            file=self.file, line=line, column=column, field=field, message=message, warning=warning
        )
        self.problems[problem] = None

    @property
    def has_errors(self) -> bool:
        """True if there is any problem other than a warning."""
        return any(not problem.warning for problem in self.problems)


def document_from_file(path: Path) -> tuple[Document, bytes]:
    """Load a YAML file. Return a document, which contains any errors, and the file's bytes."""
    try:
        raw = path.read_bytes()
    except OSError as exc:
        document = Document(str(path))
        document.add((), f"cannot be read: {exc.strerror}")
        return document, b""
    return document_from_bytes(str(path), raw), raw


def document_from_bytes(file: str, raw: bytes) -> Document:
    """Parse a YAML file's contents. Errors are added to the document's problems."""
    document = Document(file)
    if len(raw) > MAX_FILE_BYTES:
        document.add(
            (), f"is larger than {MAX_FILE_BYTES // 1024} kB: move payloads to files under samples/"
        )
        return document
    try:
        _fill(document, raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        document.add((), "is not UTF-8: save it as UTF-8")
    except yaml.MarkedYAMLError as exc:
        position = _position(exc.problem_mark or exc.context_mark)
        document.add_at(position, "file", _parser_message(exc.problem))
    except yaml.YAMLError as exc:
        document.add((), str(getattr(exc, "reason", None) or "is not YAML"))
    return document


def _parser_message(problem: str | None) -> str:
    """Return the error message of the YAML parser, with a hint about the usual cause."""
    message = problem or "is not YAML"
    if "expected ':'" in message or "expected ','" in message:
        return f"{message} (here or on the previous line)"
    if message.startswith("mapping values"):
        return f"{message}: put text that contains ': ' in quotes"
    return f"{message}: indent with spaces, not tabs" if "\\t" in message else message


def _fill(document: Document, text: str) -> None:
    root = yaml.compose(text, _Loader)
    if root is None:
        document.add((), "is empty")
        return
    document.marks[()] = _position(root.start_mark)
    document.data = _value(document, root, ())


def _position(mark: Any) -> tuple[int, int]:
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _value(document: Document, node: yaml.Node, where: KeyPath) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _object(document, node, where)
    if isinstance(node, yaml.SequenceNode):
        return [_item(document, item, (*where, str(n))) for n, item in enumerate(node.value)]
    if node.tag == "tag:yaml.org,2002:str":
        return node.value
    return json.loads(node.value or "null")


def _item(document: Document, node: yaml.Node, where: KeyPath) -> Any:
    document.marks[where] = _position(node.start_mark)
    return _value(document, node, where)


def _object(document: Document, node: yaml.MappingNode, where: KeyPath) -> dict[str, Any]:
    """Convert a YAML mapping to a dictionary with only strings as keys."""
    data: dict[str, Any] = {}
    for key, value in node.value:
        position = _position(key.start_mark)
        if not isinstance(key, yaml.ScalarNode):
            field = ".".join(where) or "file"
            document.add_at(position, field, "a key must be text, not a list or an object")
            continue
        name = (*where, key.value)
        if key.value in data:
            document.add_at(position, ".".join(name), "appears twice: remove one of them")
            continue
        document.marks[name] = position
        data[key.value] = _value(document, value, name)
    return data
