"""Parse JSON and XML. If strict parsing fails, correct common mistakes and try again."""

import functools
import html.entities
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Never
from xml.etree.ElementTree import ParseError
from xml.sax.saxutils import escape

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from adapter.exceptions import PayloadError
from adapter.parsing.charsets import decode
from adapter.parsing.forms import add_value
from adapter.parsing.html_text import unescape_html
from adapter.parsing.text import is_empty

#: Limited to protect later code from deeply nested data.
MAX_DEPTH: Final = 100
#: Limited because the parser makes a Python call for each element.
MAX_ELEMENTS: Final = 30_000
#: Limited because each correction requires another pass over the body.
MAX_CORRECTIONS: Final = 20
#: Limited because each one requires a Python call. Half a million would take 0.3 seconds.
MAX_XML_CORRECTIONS: Final = 20_000

REPEATED: Final = "an object has the same key twice with different values: read as a list"

#: A JSON escape sequence, valid or not.
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
#: JSON with escaped quotes, as PHP and HTML forms send it: ``{\\"id\\": …``.
_ESCAPED_WHOLE: Final = re.compile(r"[\[{][\[{\s]{0,20}(?:\\\"|&quot;)")
#: A comma after the last item of an object or list, which JavaScript allows and JSON does not.
_EXTRA_COMMA: Final = re.compile(r",\s*[}\]]")
#: Programming languages' words for null. They are replaced where JSON expects a value.
_NO_VALUE: Final = re.compile(r"(?:undefined|None|NULL|Null|nan|nil)\b")


def parse_json(body: bytes, parameters: Mapping[str, str], repairs: list[str]) -> object:
    """Parse a JSON body, detecting its Unicode encoding. Integers keep their precision."""
    if not body.strip():
        raise PayloadError("the body is empty")
    text = _json_text(body, parameters.get("charset", "utf-8").lower(), repairs)
    data = _load(text, repairs)
    while isinstance(data, str) and data.lstrip()[:1] in ("{", "[", '"'):
        data = _load(data, repairs)
        repairs.append("the body is JSON in a JSON string")
    return data


def _json_text(body: bytes, charset: str, repairs: list[str]) -> str:
    if not charset.startswith("utf"):
        return decode(body, charset, repairs)
    try:
        return body.decode(json.detect_encoding(body), "surrogatepass")
    except UnicodeDecodeError:
        return decode(body, None, repairs)


def _load(text: str, repairs: list[str]) -> Any:
    where = ""
    build = functools.partial(_object, repairs)
    try:
        try:
            return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=build)
        except json.JSONDecodeError as exc:
            where = f"line {exc.lineno}, column {exc.colno}{_comma_hint(exc)}"
        except ValueError:  # NaN, Infinity, or an integer of more than 4,300 digits
            pass
        data = _load_corrected(text.strip("\ufeff\0 \t\r\n"), build)
    except RecursionError:
        raise PayloadError("JSON: nested too deeply") from None
    except json.JSONDecodeError as exc:
        where = where or f"line {exc.lineno}, column {exc.colno}"
        raise PayloadError(f"not JSON: {where}") from None
    except ValueError:
        raise PayloadError("JSON: an integer is too long") from None
    corrected = f"invalid JSON was corrected, first in {where}"
    repairs.append(corrected if where else "NaN and Infinity are not JSON: read as null")
    return data


def _comma_hint(exc: json.JSONDecodeError) -> str:
    start = exc.doc.rfind(",", 0, exc.pos + 1)
    extra = _EXTRA_COMMA.match(exc.doc, start) if start >= 0 else None
    return " (there is a comma after the last item)" if extra and extra.end() > exc.pos else ""


def _object(repairs: list[str], pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a dictionary from JSON pairs. A repeated key with different values becomes a list.

    It is unknown which value is meant, so a field that takes only one value is not filled.
    """
    data = dict(pairs)
    if len(data) == len(pairs):
        return data
    for name, values in _by_name(pairs).items():
        given = [value for value in values if not is_empty(value)] or values[-1:]
        data[name] = given[0]
        if any(type(one) is not type(given[0]) or one != given[0] for one in given[1:]):
            data[name] = given
            repairs.append(REPEATED)
    return data


def _by_name(pairs: Iterable[tuple[str, Any]]) -> Mapping[str, list[Any]]:
    values: dict[str, list[Any]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return {name: several for name, several in values.items() if len(several) > 1}


def _load_corrected(text: str, build: Callable[[list[tuple[str, Any]]], Any]) -> Any:
    """Parse JSON after fixing common mistakes, such as escaped quotes or control characters."""
    text = _ESCAPE.sub(_valid_escape, text)
    if _ESCAPED_WHOLE.match(text):
        is_html = "&quot;" in text[:100]
        text = unescape_html(text) if is_html else json.loads(f'"{text}"', strict=False)
        text = _ESCAPE.sub(_valid_escape, text)
    for _ in range(MAX_CORRECTIONS):
        try:
            return json.loads(
                text, strict=False, parse_constant=lambda _: None, object_pairs_hook=build
            )
        except json.JSONDecodeError as exc:
            word = _NO_VALUE.match(text, exc.pos)
            if word is None:
                raise
            text = f"{text[: exc.pos]}null{text[word.end() :]}"
    raise PayloadError("JSON: too many mistakes")


def _valid_escape(match: re.Match[str]) -> str:
    if match[1][0] in '"\\/bfnrt' or len(match[1]) > 1:
        return match[0]
    return "'" if match[1] == "'" else rf"\\{match[1]}"


def _refuse_constant(_: str) -> Never:
    raise ValueError


#: Text that is not valid XML: a bare ``&`` or ``<``, HTML entities, and control characters. CDATA
#: sections are matched so that they stay unchanged.
_XML_MISTAKES: Final = re.compile(
    r"<!\[CDATA\[.*?(?:\]\]>|\Z)"
    r"|&#(?:0*(?:[0-8]|1[124-9]|2[0-9]|3[01])|x0*(?:[0-8bcefBCEF]|1[0-9a-fA-F]));"
    r"|&(?!(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#x[0-9a-fA-F]{1,6});)([A-Za-z][A-Za-z0-9]{1,31};)?"
    r"|<(?![A-Za-z_:/!?])|[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]",
    re.DOTALL,
)
_XML_ENCODING: Final = re.compile(rb"<\?xml[^<>]{1,100}?encoding=[\"']([\w.-]{1,40})[\"']")


def parse_xml(body: bytes, parameters: Mapping[str, str], repairs: list[str]) -> object:
    """Parse an XML body into nested dictionaries, with the root element's name as the only key.

    Attributes are named ``@name``, and text next to attributes or children is ``#text``.
    """
    charset = parameters.get("charset")
    try:
        return _tree_from(decode(body, charset, repairs) if charset else body)
    except ParseError as exc:
        line, column = exc.position
        where = f"line {line}, column {column + 1}"
    except (ValueError, LookupError):
        where = "its encoding"
    if not charset:
        own = _XML_ENCODING.search(body[:300])
        charset = own[1].decode("ascii", "replace") if own else None
    text = decode(body, charset, [] if "charset" in parameters else repairs).lstrip("\ufeff")
    try:
        tree = _tree_from(_XML_MISTAKES.sub(_valid_xml, text, MAX_XML_CORRECTIONS))
    except (ParseError, ValueError):
        raise PayloadError(f"not XML: {where}") from None
    repairs.append(f"invalid XML was corrected, first in {where}")
    return tree


def _tree_from(document: str | bytes) -> object:
    # For text, the parser ignores the document's encoding declaration.
    parser = DefusedXMLParser(target=_Tree(), forbid_dtd=True)
    try:
        parser.feed(document.lstrip())
        return parser.close()
    except DefusedXmlException:
        raise PayloadError("XML: DTDs and entities are not accepted") from None


def _valid_xml(match: re.Match[str]) -> str:
    mistake, name = match[0], match[1]
    if mistake[:2] == "<!":
        return mistake
    if name:
        return escape(html.entities.html5.get(name, mistake))
    return escape(mistake) if mistake in ("&", "<") else ""


class _Tree:
    """An XML parser target that builds nested dictionaries without an element tree."""

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
    """Return an XML name without its namespace."""
    return name.rpartition("}")[2]
