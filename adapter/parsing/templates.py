"""Split templates into literal text and ``{placeholder}`` names."""

import re
from typing import Final

_TOKEN: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def parse_template(text: str) -> list[tuple[str, str | None]]:
    """Parse a template into pairs of literal text and the name of the next placeholder.

    ``{{`` and ``}}`` are literal braces. A placeholder is just a name: unlike ``str.format``, it
    cannot access attributes or items. Raise ValueError for an unmatched brace.
    """
    pieces: list[tuple[str, str | None]] = []
    literal, end = "", 0
    for match in _TOKEN.finditer(text):
        literal, end = literal + text[end : match.start()], match.end()
        token = match.group()
        if token in ("{{", "}}"):
            literal += token[0]
        elif token in ("{", "}"):
            raise ValueError(f"a single {token!r}: write {2 * token} for a literal brace")
        else:
            pieces.append((literal, match[1]))
            literal = ""
    return [*pieces, (literal + text[end:], None)]
