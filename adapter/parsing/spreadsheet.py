"""Read CSV files from spreadsheet programs, in any common encoding and with any separator."""

import codecs
import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from adapter.exceptions import PayloadError

#: Common separators. The first one wins a tie.
SEPARATORS: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
#: Number of lines to search for the column names. An invoice may start with an address.
MAX_PREAMBLE: Final = 30

#: The first bytes of files that are not text, with the names of their types.
_OTHER_FILES: Final = {
    b"PK\x03\x04": "an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"%PDF": "a PDF document",
}
_MARKS: Final = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class Sheet(NamedTuple):
    """A table with its column names and rows, and the encoding and separator of its file."""

    columns: Sequence[str]
    #: The first line of each row in the file, and the row's cells.
    rows: Iterator[tuple[int, Sequence[str]]]
    encoding: str
    separator: str


def read_sheet(data: bytes, score: Callable[[Sequence[str]], int]) -> Sheet:
    """Read a CSV file, using the row with the highest ``score`` as the column names.

    ``score`` returns how many of a row's cells are known column names. Raise PayloadError with
    the reason if the file is not a CSV file or has no column names.
    """
    encoding = encoding_of(data)
    heads = {one: _head(data, encoding, one) for one in SEPARATORS}
    best = max(
        (
            (score(cells), len(cells), -order, number, separator)
            for order, (separator, rows) in enumerate(heads.items())
            for number, cells in rows
        ),
        key=lambda one: (*one[:3], -one[3]),
        default=None,
    )
    if best is None:
        raise PayloadError("the file is empty")
    rows = _rows(data, encoding, best[4])
    columns = next(cells for number, cells in rows if number == best[3])
    return Sheet(columns, rows, encoding, SEPARATORS[best[4]])


def encoding_of(data: bytes) -> str:
    """Return a text file's encoding. Raise PayloadError if it is not a text file."""
    for start, kind in _OTHER_FILES.items():
        if data.startswith(start):
            raise PayloadError(f"the file is {kind}: save it as CSV and try again")
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return encoding
    if b"\0" in data[:1000]:
        return "utf-16-le" if data[1:1000:2].count(0) > data[0:1000:2].count(0) else "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data, final=True)
    except UnicodeDecodeError:
        return "windows-1252"
    return "utf-8"


def _head(data: bytes, encoding: str, separator: str) -> list[tuple[int, Sequence[str]]]:
    """Split a file's first rows at the separator. Skip empty rows."""
    return [*_rows(data, encoding, separator, is_strict=False, last=MAX_PREAMBLE)]


def _rows(
    data: bytes, encoding: str, separator: str, *, is_strict: bool = True, last: int | None = None
) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield each nonempty row with the number of its first line, up to the line ``last``."""
    text = io.TextIOWrapper(io.BytesIO(data), encoding, errors="replace", newline="")
    # Without ``strict``, an unclosed quotation mark would hide all rows after it.
    reader = csv.reader(text, delimiter=separator, strict=True)
    line = 1
    try:
        for cells in reader:
            if last is not None and line > last:
                return
            if any(map(str.strip, cells)):
                yield line, [cell.strip() for cell in cells]
            line = reader.line_num + 1
    except csv.Error:
        if is_strict:
            raise PayloadError(
                f"line {line} cannot be read: a quotation mark is missing or too many"
            ) from None
