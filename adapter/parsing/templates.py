"""Split templates with ``{placeholder}`` into literal text and names."""

import re
from typing import Final

_TOKEN: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def parse_template(text: str) -> list[tuple[str, str | None]]:
    """Return (literal text, placeholder after it) pairs. The last placeholder is None.

    ``{{`` and ``}}`` are literal braces. A placeholder is only a name: unlike ``str.format`` it
    follows no attribute or item. Raise ValueError for a single brace.
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
