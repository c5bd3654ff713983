"""Draft a mapping's lines about the secrets in webhook bodies."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from adapter.mapping.authoring.payload_keys import names_in, secret_name
from adapter.mapping.authoring.readings import quoted
from adapter.parsing.paths import leaves

#: The value of ``in`` for a token in the body or query, by the extension of a sample.
_PLACES: Final = {"json": "json", "form": "form", "query": "query"}
STRIP_HINT: Final = "# secrets in the body, which are removed before it is stored: confirm"
_RANDOM: Final = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[!-~]{8,}")


def variable_for(source: str) -> str:
    """Return the name of the environment variable that holds a source's secret."""
    return f"{re.sub('[^A-Z0-9]', '_', source.upper())}_SECRET"


def secret_lines(source: str, payloads: Sequence[Any], samples: Sequence[str]) -> Iterator[str]:
    """Yield the ``strip`` line of a draft, and a hint if a secret may be the sender's token."""
    paths = dict.fromkeys(
        path
        for payload in payloads
        for path, value in leaves(payload)
        if isinstance(value, str) and value.strip() and _is_secret_of_body(path, value)
    )
    if not paths:
        return
    place = _PLACES.get(samples[0].rpartition(".")[2]) if samples else None
    for path in paths:
        if place and len(names_in(path)) == 1:
            token = f"in: {place}, name: {quoted(path)}, secrets: [{variable_for(source)}]"
            yield f"# If {path} is the same in each webhook, it is the sender's secret:"
            yield f"# signature: {{ scheme: token, {token} }}"
    names = dict.fromkeys(secret_name(path) for path in paths)
    yield f"strip: [{', '.join(map(quoted, names))}]   {STRIP_HINT}"


def _is_secret_of_body(path: str, value: str) -> bool:
    """Return True if a field is a secret. A ``key`` or ``token`` must also look random."""
    name = "" if path.startswith("headers.") else secret_name(path)
    return bool(name) and (
        name.lower() not in ("key", "token") or _RANDOM.fullmatch(value) is not None
    )
