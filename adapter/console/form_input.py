"""What a browser sent, cleaned once where it comes in: what PostgreSQL can hold."""

import flask
from werkzeug.datastructures import ImmutableMultiDict, MultiDict

from adapter.store import LARGEST_NUMBER, storable


def sanitize_form(request: flask.Request) -> None:
    """Puts cleaned texts in the place of what was sent, for every page that reads them after."""
    request.args = _cleaned(request.args)
    request.form = _cleaned(request.form)


def number_of(text: str | None) -> int | None:
    """The number of a row; None for whatever else was typed."""
    digits = (text or "").strip()
    if not (digits.isascii() and digits.isdigit()) or len(digits) > len(str(LARGEST_NUMBER)):
        return None
    number = int(digits)
    return number if number <= LARGEST_NUMBER else None


def _cleaned(sent: MultiDict[str, str]) -> ImmutableMultiDict[str, str]:
    return ImmutableMultiDict((_text(name), _text(text)) for name, text in sent.items(multi=True))


def _text(text: str) -> str:
    """A NUL is not dropped: the rest of the text would mean something else than what was sent."""
    return storable(text.replace("\x00", "\N{REPLACEMENT CHARACTER}"))
