"""Parse JSON and XML."""

import json
from collections.abc import Mapping
from typing import Final, Never
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from adapter.exceptions import PayloadError
from adapter.parsing.charsets import decode
from adapter.parsing.forms import add_value

#: Protects later code from deep trees.
MAX_DEPTH: Final = 100
#: Each element costs a call from the parser.
MAX_ELEMENTS: Final = 30_000


def parse_json(body: bytes, parameters: Mapping[str, str]) -> object:
    """Parse JSON. Integers stay exact, and the Unicode encoding is detected from the bytes."""
    charset = parameters.get("charset", "utf-8").lower()
    text = body if charset.startswith("utf") else decode(body, charset)
    if not body.strip():
        raise PayloadError("the body is empty")
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise PayloadError("JSON: nested too deeply") from None
    except json.JSONDecodeError as exc:
        raise PayloadError(f"not JSON: line {exc.lineno}, column {exc.colno}") from None
    except UnicodeDecodeError:
        raise PayloadError("JSON: the bytes do not match the declared charset") from None
    except ValueError as exc:
        # From _refuse_constant, or for an integer of more than 4,300 digits.
        reason = str(exc) if str(exc) == _NO_CONSTANT else "an integer is too long"
        raise PayloadError(f"JSON: {reason}") from None


_NO_CONSTANT: Final = "NaN and Infinity are not JSON"


def _refuse_constant(_: str) -> Never:
    raise ValueError(_NO_CONSTANT)


def parse_xml(body: bytes, parameters: Mapping[str, str]) -> object:
    """Parse XML. The root's name is a path's first part, and the header's charset takes precedence.

    Attributes are named ``@name``, and text beside attributes or children is ``#text``.
    """
    charset = parameters.get("charset")
    # For text the parser ignores the document's own encoding declaration.
    document = decode(body, charset) if charset else body
    parser = DefusedXMLParser(target=_Tree(), forbid_dtd=True)
    try:
        parser.feed(document.lstrip())
        return parser.close()
    except DefusedXmlException:
        raise PayloadError("XML: DTDs and entities are not accepted") from None
    except ParseError as exc:
        line, column = exc.position
        raise PayloadError(f"not XML: line {line}, column {column + 1}") from None
    except (ValueError, LookupError):
        raise PayloadError("XML: the charset is not supported") from None


class _Tree:
    """Parser target that builds plain data directly, without a tree of elements."""

    def __init__(self) -> None:
        self._open: list[dict[str, object]] = [{}]
        self._texts: list[list[str]] = [[]]
        self._elements = 0

    def start(self, _tag: str, attributes: Mapping[str, str]) -> None:
        if len(self._open) > MAX_DEPTH:
            raise PayloadError("XML: nested too deeply")
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            raise PayloadError(f"XML: more than {MAX_ELEMENTS:,} elements")
        self._open.append({f"@{_local(name)}": value for name, value in attributes.items()})
        self._texts.append([])

    def data(self, text: str) -> None:
        self._texts[-1].append(text)

    def end(self, tag: str) -> None:
        element, text = self._open.pop(), "".join(self._texts.pop()).strip()
        if element and text:
            element["#text"] = text
        add_value(self._open[-1], _local(tag), element or text)

    def close(self) -> dict[str, object]:
        return self._open[0]


def _local(name: str) -> str:
    """Return a name without the namespace that the parser puts before it in braces."""
    return name.rpartition("}")[2]
