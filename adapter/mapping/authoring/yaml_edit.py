"""Entries put into a YAML text that people wrote: every other character stays as it is."""

from collections.abc import Mapping
from typing import Any

import yaml

from adapter.mapping.loader.yaml_document import KeyPath, flow_from_data, nodes_from_text


def replaced(text: str, where: KeyPath, value: str) -> str:
    """The text with another scalar at a place that holds one."""
    node = _found(text, where)
    if not isinstance(node, yaml.ScalarNode):
        raise TypeError(f"{'.'.join(where)} holds no scalar")
    return text[: node.start_mark.index] + value + text[node.end_mark.index :]


def inserted(text: str, where: KeyPath, value: Any) -> str:
    """The text with one more key, ``where[-1]``; keys around it are made where they are missing."""
    around, key = where[:-1], where[-1]
    parent = _found(text, around)
    if parent is None:
        return inserted(text, around, {key: value})
    if not isinstance(parent, yaml.MappingNode):
        raise TypeError(f"{'.'.join(around)} holds no keys")
    line = f"{flow_from_data(key)}: {flow_from_data(value)}"
    return _into_braces(text, parent, line) if parent.flow_style else _below(text, parent, line)


def appended(text: str, key: str, entry: Mapping[str, Any]) -> str:
    """The text with one more entry at its end, a line for each of its keys."""
    lines = [f"{flow_from_data(key)}:"]
    lines += [f"  {flow_from_data(name)}: {flow_from_data(entry[name])}" for name in entry]
    before = text.rstrip()
    between = "\n\n" if nodes_from_text(text) else "\n" if before else ""
    return _as_written(text, before + between + "\n".join(lines) + "\n")


def _found(text: str, where: KeyPath) -> yaml.Node | None:
    node = nodes_from_text(text)
    for name in where:
        node = _inner(node, name)
    return node


def _inner(node: yaml.Node | None, name: str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == name), None)
    if isinstance(node, yaml.SequenceNode):
        return node.value[int(name)] if int(name) < len(node.value) else None
    return None


def _into_braces(text: str, parent: yaml.MappingNode, line: str) -> str:
    if not parent.value:
        return text[: parent.start_mark.index] + f"{{ {line} }}" + text[parent.end_mark.index :]
    end = parent.value[-1][1].end_mark.index
    return f"{text[:end]}, {line}{text[end:]}"


def _below(text: str, parent: yaml.MappingNode, line: str) -> str:
    """After the last line of the parent's last entry, as deep as its first key."""
    indent = " " * parent.value[0][0].start_mark.column
    lines = text.splitlines(keepends=True)
    last = _last_line(parent)
    before, after = "".join(lines[: last + 1]), "".join(lines[last + 1 :])
    if not before.endswith("\n"):
        before += "\n"
    return _as_written(text, f"{before}{indent}{line}\n{after}")


def _last_line(node: yaml.Node) -> int:
    """The number of the line on which a node ends. Blocks say where the next token stands."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _last_line(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.line)


def _as_written(text: str, made: str) -> str:
    """With the line ends of the text that was there."""
    return made.replace("\r\n", "\n").replace("\n", "\r\n") if "\r\n" in text else made
