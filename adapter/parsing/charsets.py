"""Decode bytes in the charsets that senders may use."""

from typing import Final

from adapter.exceptions import PayloadError

#: Python supports more, but some of those are slow or no charsets.
CHARSETS: Final = frozenset(
    {"ascii", "us-ascii", "utf-8", "utf8", "utf-16", "utf-16le", "utf-16be", "utf-32"}
    | {"big5", "euc-jp", "euc-kr", "gb18030", "gb2312", "gbk", "iso-2022-jp", "koi8-r", "koi8-u"}
    | {"cp437", "cp850", "cp852", "macintosh", "shift_jis", "latin1", "latin-1"}
    | {f"iso-8859-{number}" for number in range(1, 17) if number != 12}
    | {f"windows-{number}" for number in range(1250, 1259)}
    | {f"cp{number}" for number in range(1250, 1259)}
)


def charset_from(name: str | None) -> str:
    """Return a supported charset's normalized name. The default is UTF-8. Raise PayloadError."""
    charset = (name or "utf-8").strip().lower()
    if charset not in CHARSETS:
        raise PayloadError("the charset is not supported")
    return charset


def decode(data: bytes, charset: str | None) -> str:
    """Return bytes as text. Raise PayloadError."""
    try:
        return data.decode(charset_from(charset))
    except UnicodeError:
        raise PayloadError("the bytes do not match the declared charset") from None
