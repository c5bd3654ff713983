"""The statements of queries.sql, by name."""

from importlib import resources


def _statements(text: str) -> dict[str, bytes]:
    """``{name: SQL}``, as bytes: the driver takes these for trusted."""
    blocks = text.split("-- name: ")[1:]
    named = (block.split("\n", 1) for block in blocks)
    return {name.strip(): sql.strip().encode() for name, sql in named}


STATEMENTS = _statements((resources.files("adapter.store") / "queries.sql").read_text())
