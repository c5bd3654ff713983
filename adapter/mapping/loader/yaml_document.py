"""A YAML file as plain data, and for every key the line and column where it stands.

A plain scalar is a number, true, false or null only if JSON would say so; anything else is
text: ``NO``, ``10:30``, ``+13035550142`` and ``0000000000`` stay what people wrote.
"""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any, Final

import yaml

from adapter.mapping.problems import Problem

LARGEST_FILE: Final = 256 * 1024
DEEPEST: Final = 30

#: A key path: names, and for items of a list their numbers as text.
Where = tuple[str, ...]


class _Loader(yaml.SafeLoader):
    """Knows JSON's scalars only."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _tag, _pattern, _first in (
    ("null", r"(?:null)?\Z", ["n", ""]),
    ("bool", r"(?:true|false)\Z", ["t", "f"]),
    ("int", r"-?(?:0|[1-9][0-9]{0,17})\Z", list("-0123456789")),
    ("float", r"-?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,17}\Z", list("-0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


class _Dumper(yaml.SafeDumper):
    """Quotes what the loader would not read as text, and nothing else."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """Writes the same list twice where it stands twice: mappings know no aliases."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        """Indents lists below their key, as people do."""
        super().increase_indent(flow, indentless=False)


def _lines(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _lines)


def text_from_data(data: Any) -> str:
    """Plain data as YAML that reads back as the same."""
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100))


def flow_from_data(data: Any) -> str:
    """The same in one line, as people write it: ``{ a: [b, c] }``."""
    if isinstance(data, dict):
        inner = ", ".join(f"{flow_from_data(key)}: {flow_from_data(data[key])}" for key in data)
        return f"{{ {inner} }}" if data else "{}"
    if isinstance(data, list):
        return f"[{', '.join(map(flow_from_data, data))}]"
    # Within brackets a comma needs quotes too.
    made = yaml.dump(
        [data], Dumper=_Dumper, allow_unicode=True, width=10**6, default_flow_style=True
    )
    return str(made).strip()[1:-1]


def nodes_from_text(text: str) -> yaml.Node | None:
    """The nodes of a text that was loaded before, with their places; None where there are none."""
    return yaml.compose(text, _Loader)


@dataclasses.dataclass(slots=True)
class Document:
    """One file, and the problems found in it so far."""

    #: As messages name it.
    file: str
    data: Any = None
    marks: dict[Where, tuple[int, int]] = dataclasses.field(default_factory=dict)
    problems: list[Problem] = dataclasses.field(default_factory=list)

    def position(self, where: Where) -> tuple[int, int]:
        """Line and column of a key, or of the nearest key around it."""
        while where not in self.marks and where:
            where = where[:-1]
        return self.marks.get(where, (1, 1))

    def at(self, where: Where) -> str:
        """``file:line``, for reasons."""
        return f"{self.file}:{self.position(where)[0]}"

    def add(
        self, where: Where, message: str, *, field: str | None = None, warning: bool = False
    ) -> None:
        """Notes a mistake."""
        line, column = self.position(where)
        self._add(line, column, field or ".".join(where) or "file", message, warning)

    def _add(
        self,
        line: int,
        column: int,
        field: str,
        message: str,
        warning: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        problem = Problem(
            file=self.file, line=line, column=column, field=field, message=message, warning=warning
        )
        if problem not in self.problems:
            self.problems.append(problem)

    @property
    def is_wrong(self) -> bool:
        """Whether there is more than warnings."""
        return any(not problem.warning for problem in self.problems)


def document_from_file(path: Path) -> tuple[Document, bytes]:
    """The file's data and its bytes; what is wrong with it is in its problems."""
    try:
        raw = path.read_bytes()
    except OSError as exc:
        document = Document(str(path))
        document.add((), f"cannot be read: {exc.strerror}")
        return document, b""
    return document_from_bytes(str(path), raw), raw


def document_from_bytes(file: str, raw: bytes) -> Document:
    """The data of a file that is called ``file``; what is wrong with it is in its problems."""
    document = Document(file)
    if len(raw) > LARGEST_FILE:
        document.add((), f"larger than {LARGEST_FILE // 1024} kB")
        return document
    try:
        _fill(document, raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        document.add((), "not UTF-8")
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        document._add(line, column, "file", _slip(exc.problem))  # noqa: SLF001
    except yaml.YAMLError as exc:
        document.add((), str(getattr(exc, "reason", None) or "not YAML"))
    return document


def _slip(problem: str | None) -> str:
    """What the parser says, with what people have usually done."""
    said = problem or "not YAML"
    if "expected ':'" in said:
        return f"{said} (here or in the line before)"
    return f"{said}: indent with spaces, not tabs" if "\\t" in said else said


def _fill(document: Document, text: str) -> None:
    if not _is_plain(document, text):
        return
    root = yaml.compose(text, _Loader)
    if root is None:
        document.add((), "is empty")
        return
    document.marks[()] = _position(root)
    document.data = _value(document, root, ())


def _is_plain(document: Document, text: str) -> bool:
    """Refuses what could refer, call or nest without end, before anything is built."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        mark = event.start_mark
        position = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        if getattr(event, "anchor", None) or getattr(event, "tag", None):
            document._add(*position, "file", "anchors, aliases and tags are not used here")  # noqa: SLF001
            return False
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            document._add(*position, "file", f"nested more than {DEEPEST} deep")  # noqa: SLF001
            return False
    return True


def _position(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _value(document: Document, node: yaml.Node, where: Where) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _object(document, node, where)
    if isinstance(node, yaml.SequenceNode):
        return [_item(document, item, (*where, str(n))) for n, item in enumerate(node.value)]
    if node.tag == "tag:yaml.org,2002:str":
        return node.value
    return json.loads(node.value or "null")


def _item(document: Document, node: yaml.Node, where: Where) -> Any:
    document.marks[where] = _position(node)
    return _value(document, node, where)


def _object(document: Document, node: yaml.MappingNode, where: Where) -> dict[str, Any]:
    """Keys stay text, also true and 20417."""
    data: dict[str, Any] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            document._add(*_position(key), ".".join(where) or "file", "a key must be text")  # noqa: SLF001
            continue
        name = (*where, key.value)
        if key.value in data:
            document._add(*_position(key), ".".join(name), "written twice")  # noqa: SLF001
            continue
        document.marks[name] = _position(key)
        data[key.value] = _value(document, value, name)
    return data
