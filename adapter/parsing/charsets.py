"""Decode bytes to text in any of the supported charsets."""

from typing import Final

#: Charsets that are often declared by mistake. Text in them is almost never valid UTF-8.
_OFTEN_WRONG: Final = frozenset(
    {"utf-16", "utf-16le", "utf-16be", "utf-32"}
    | {"ascii", "us-ascii", "koi8-r", "koi8-u", "cp437", "cp850", "cp852", "macintosh"}
    | {"latin1", "latin-1"}
    | {f"iso-8859-{number}" for number in range(1, 17) if number != 12}
    | {f"windows-{number}" for number in range(1250, 1259)}
    | {f"cp{number}" for number in range(1250, 1259)}
)
#: Python supports more encodings, but some of them are slow or are not charsets.
CHARSETS: Final = _OFTEN_WRONG | frozenset(
    {"utf-8", "utf8"}
    | {"big5", "euc-jp", "euc-kr", "gb18030", "gb2312", "gbk", "iso-2022-jp", "shift_jis"}
)


def decode(data: bytes, charset: str | None, repairs: list[str]) -> str:
    """Decode bytes as UTF-8 if they are valid UTF-8, and otherwise in the declared charset.

    The default is UTF-8. Many clients declare a charset that they do not use.
    """
    declared = (charset or "utf-8").strip().lower()
    if declared not in CHARSETS:
        repairs.append("the declared charset is not supported: UTF-8 was used")
        declared = "utf-8"
    for name in ("utf-8", declared) if declared in _OFTEN_WRONG else (declared, "utf-8"):
        try:
            text = data.decode(name)
        except UnicodeError:
            continue
        if name != declared and not data.isascii():
            repairs.append(f"the bytes are {name}, not {declared} as declared")
        return text
    return _decode_damaged(data, declared, repairs)


def _decode_damaged(data: bytes, declared: str, repairs: list[str]) -> str:
    """Decode bytes that are invalid in the declared charset, replacing the invalid bytes.

    If the declared charset is UTF-8, and the bytes contain no valid UTF-8 character beyond ASCII,
    decode them as windows-1252 instead.
    """
    text = data.decode(declared, "replace")
    if declared == "utf-8" and text.replace("\ufffd", "").isascii():
        declared, text = "windows-1252", data.decode("windows-1252", "replace")
        repairs.append("the bytes are not utf-8: read as windows-1252")
    if "\ufffd" in text:
        repairs.append(f"some bytes are not {declared}: they are shown as \ufffd")
    return text
