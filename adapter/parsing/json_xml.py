"""JSON and XML: bytes that hold a tree."""

import json
from collections.abc import Mapping
from typing import Final, Never
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from adapter.exceptions import PayloadError
from adapter.parsing.charsets import decoded
from adapter.parsing.forms import add

#: Deeper XML is refused, so that nothing behind this module meets a deep tree.
MAX_DEPTH: Final = 100
#: More elements are refused: each costs a call from the parser.
MAX_ELEMENTS: Final = 30_000


def data_from_json(body: bytes, parameters: Mapping[str, str]) -> object:
    """Integers stay exact. Bytes say themselves which Unicode they are, as RFC 8259 has it."""
    charset = parameters.get("charset", "utf-8").lower()
    text = body if charset.startswith("utf") else decoded(body, charset)
    if not body.strip():
        raise PayloadError("the body is empty")
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise PayloadError("JSON: nested too deeply") from None
    except json.JSONDecodeError as exc:
        raise PayloadError(f"not JSON: line {exc.lineno}, column {exc.colno}") from None
    except UnicodeDecodeError:
        raise PayloadError("JSON: the bytes are not in the charset they claim") from None
    except ValueError as exc:
        # From _refuse_constant, or an integer of more than 4,300 digits.
        reason = str(exc) if str(exc) == _NO_CONSTANT else "an integer is too long"
        raise PayloadError(f"JSON: {reason}") from None


_NO_CONSTANT: Final = "NaN and Infinity are not JSON"


def _refuse_constant(_: str) -> Never:
    raise ValueError(_NO_CONSTANT)


def data_from_xml(body: bytes, parameters: Mapping[str, str]) -> object:
    """The root's name is the first name of a path; a charset in the header beats the document's."""
    charset = parameters.get("charset")
    # Text is read without regard to the document's own declaration.
    document = decoded(body, charset) if charset else body
    parser = DefusedXMLParser(target=_Tree(), forbid_dtd=True)
    try:
        parser.feed(document.lstrip())
        return parser.close()
    except DefusedXmlException:
        raise PayloadError("XML: a DTD or an entity is not accepted") from None
    except ParseError as exc:
        line, column = exc.position
        raise PayloadError(f"not XML: line {line}, column {column + 1}") from None
    except (ValueError, LookupError):
        raise PayloadError("XML: the charset is not known") from None


class _Tree:
    """Builds plain data while the parser reads, without a tree of elements between."""

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
        add(self._open[-1], _local(tag), element or text)

    def close(self) -> dict[str, object]:
        return self._open[0]


def _local(name: str) -> str:
    """A name without its namespace, which the parser writes before it in braces."""
    return name.rpartition("}")[2]
