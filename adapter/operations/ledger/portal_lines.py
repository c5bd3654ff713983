"""Read the lines of a portal's list or invoice: renter, date, community and amount."""

import dataclasses
import datetime as dt
import decimal
import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from adapter.exceptions import PayloadError, Unreadable
from adapter.mapping import transforms
from adapter.mapping.engine.tables import key_from_value
from adapter.mapping.portal_yaml import PortalRules
from adapter.operations.ledger.portal_columns import find_columns, known_columns
from adapter.parsing.date_formats import MONTHS
from adapter.parsing.local_time import YEARS
from adapter.parsing.spreadsheet import Sheet, read_sheet
from adapter.settings import Policy

Value = TypeVar("Value")

#: Limits that make sure that a list fits into memory.
MAX_BYTES: Final = 64 * 1024 * 1024
MAX_LINES: Final = 200_000
_MAX_CELL: Final = 300
#: Progress is shown each time this many lines have been read.
SHOWN_EVERY: Final = 1000

#: Text in a cell that marks a line with a total.
_TOTAL: Final = re.compile(
    r"(?i)(?:grand |invoice |sub[ -]?)?totals?(?: due| amount| charges| credits)?:?"
)
#: Other text that such a cell may contain if the line has no contact.
_LONG_TOTAL: Final = re.compile(
    r"(?i)(?:(?:(?:grand|invoice|net|page|sub)[ -]?)?totals?|(?:amount|balance) due)(?:\W.{0,40})?"
)
_US_PHONE: Final = re.compile(
    r"(?:\+?1[\s.-]?)?\(?([2-9][0-9]{2})\)?[\s.-]{0,2}([2-9][0-9]{2})[\s.-]?([0-9]{4})"
)
_TIME: Final = re.compile(
    r"[T,]? ?(?:at )?[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?"
    r" ?(?:[AaPp]\.?[Mm]\.?)? ?(?:[A-Z]{1,5}|[+-][0-9]{2}:?[0-9]{2})?|"
)
#: The weekday and the year of a written-out date.
_DAY_OF_WEEK: Final = r"(?:[A-Za-z]{3,9},? )?"
_MONTH: Final = r"(?P<m>[A-Za-z]{3,9})\.?"
_YEAR: Final = r"(?P<y>[0-9]{4}|[0-9]{2})(?![0-9])"
_DATES: Final = tuple(
    map(
        re.compile,
        (
            r"(?P<y>[0-9]{4})(?P<sep>[-/.]?)(?P<m>[0-9]{2})(?P=sep)(?P<d>[0-9]{2})(?![0-9])",
            rf"(?P<m>[0-9]{{1,2}})(?P<sep>[-/.])(?P<d>[0-9]{{1,2}})(?P=sep){_YEAR}",
            rf"{_DAY_OF_WEEK}{_MONTH} (?P<d>[0-9]{{1,2}})(?:st|nd|rd|th)?,? {_YEAR}",
            rf"{_DAY_OF_WEEK}(?P<d>[0-9]{{1,2}})[ -]{_MONTH},?[ -]{_YEAR}",
        ),
    )
)
_US_AMOUNT: Final = re.compile(r"([0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)?(?:\.([0-9]{1,2}))?")
_EUROPEAN_AMOUNT: Final = re.compile(r"([0-9]+|[0-9]{1,3}(?:\.[0-9]{3})+),([0-9]{2})")


@dataclasses.dataclass(kw_only=True, slots=True)
class PortalLine:
    """A line on a portal's list: a lead that the portal says it sent."""

    #: The number of the line in the file.
    number: int
    lead_id: str = ""
    name: str = ""
    email: str | None = None
    phone: str | None = None
    #: The date of the lead as the portal writes it, or None if it is unknown.
    on: dt.date | None = None
    #: The portal's name for the community, and the community's key or "".
    community: str = ""
    community_key: str = ""
    #: What the portal charges in cents, negative for a credit, or None if it is unknown.
    cents: int | None = None
    #: The names of fields that could not be read.
    unreadable: tuple[str, ...] = ()
    #: False if there was not enough time to read the line's contact details.
    is_in_time: bool = True

    @property
    def has_contact(self) -> bool:
        """True if the line contains an email address or a phone number."""
        return bool(self.email or self.phone)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PortalList:
    """A portal's list of leads, and the format of its file."""

    lines: Sequence[PortalLine]
    #: The name of each field's column.
    columns: Mapping[str, str]
    encoding: str
    separator: str
    #: Number of lines without a renter, such as totals, and the sum of their amounts in cents.
    skipped: int
    skipped_cents: int
    #: Names of communities that the adapter does not know, with the number of lines for each.
    unknown_communities: Mapping[str, int]

    @property
    def has_amounts(self) -> bool:
        """True if at least one line contains an amount."""
        return any(line.cents is not None for line in self.lines)


def read_list(
    data: bytes,
    rules: PortalRules,
    policy: Policy,
    communities: Mapping[str, str],
    is_over: Callable[[], bool] = lambda: False,
    progress: Callable[[int], object] = lambda _: None,
) -> PortalList:
    """Read a portal's list. ``communities`` maps the portal's community names to keys.

    Once ``is_over`` returns True, contact details are no longer read. ``progress`` is called
    with the number of lines read so far. Raise PayloadError with the reason if the file cannot be
    read.
    """
    if len(data) > MAX_BYTES:
        raise PayloadError(f"the file is larger than {MAX_BYTES // 1024**2} MB: split it by month")
    sheet = read_sheet(data, functools.partial(known_columns, rules=rules))
    where = find_columns(sheet.columns, rules)
    reader = _LineReader(where, rules, policy, communities, is_over)
    lines = [*reader.lines(sheet, progress)]
    return PortalList(
        lines=lines,
        columns={
            field: " + ".join(sheet.columns[index] for index in indexes)
            for field, indexes in where.items()
        },
        encoding=sheet.encoding,
        separator=sheet.separator,
        skipped=reader.skipped,
        skipped_cents=reader.skipped_cents,
        unknown_communities=reader.unknown,
    )


class _LineReader:
    """Reads the rows of a file."""

    def __init__(
        self,
        where: Mapping[str, Sequence[int]],
        rules: PortalRules,
        policy: Policy,
        communities: Mapping[str, str],
        is_over: Callable[[], bool],
    ) -> None:
        self._where, self._rules, self._policy = where, rules, policy
        self._communities, self._is_over = communities, is_over
        self.skipped = self.skipped_cents = 0
        self.unknown: dict[str, int] = {}

    def lines(self, sheet: Sheet, progress: Callable[[int], object]) -> Iterator[PortalLine]:
        """Yield the lines that name a renter, and count the other lines."""
        count = 0
        for number, cells in sheet.rows:
            line = self._line(number, cells)
            if _is_lead(line, cells) or not line.is_in_time:
                yield line
                count += 1
                if count % SHOWN_EVERY == 0:
                    progress(count)
            else:
                self.skipped += 1
                self.skipped_cents += line.cents or 0
            if count > MAX_LINES:
                raise PayloadError(f"the file has more than {MAX_LINES:,} leads: split it by month")

    def _line(self, number: int, cells: Sequence[str]) -> PortalLine:
        text = {
            field: " ".join(filter(None, (cells[i][:_MAX_CELL] for i in at if i < len(cells))))
            for field, at in self._where.items()
        }
        line = PortalLine(
            number=number,
            lead_id=text.get("lead_id", ""),
            name=_name(text),
            community=text.get("community", ""),
        )
        if self._is_over() and (text.get("email") or text.get("phone")):
            line.is_in_time = False
        else:
            line.email = self._read(line, "email", text, self._email)
            line.phone = self._read(line, "phone", text, self._phone)
        line.on = self._read(line, "date", text, self._date)
        line.cents = self._read(line, "amount", text, cents_from)
        if "amount" not in self._where:
            line.cents = self._rules.price
        line.community_key = self._community(line.community)
        return line

    def _read(
        self,
        line: PortalLine,
        field: str,
        text: Mapping[str, str],
        read: Callable[[str], Value | None],
    ) -> Value | None:
        """Return a cell's value, or None if it is empty or unreadable. Count unreadable cells."""
        if not text.get(field):
            return None
        try:
            return read(text[field])
        except Unreadable:
            line.unreadable += (field,)
            return None

    def _email(self, text: str) -> str | None:
        if "*" in text or ".." in text:
            raise Unreadable("the portal hides a part of it")
        address = transforms.email_from(text, policy=self._policy)
        is_shared = address is None or address in self._policy.shared_contacts
        return None if is_shared else str(address)

    def _phone(self, text: str) -> str | None:
        number: object
        match = _US_PHONE.fullmatch(text)
        if match and self._policy.phone_region == "US":
            number = "+1" + "".join(match.groups())  # 30 times as fast
        else:
            number = transforms.phone_from(text, policy=self._policy)
            number = number.value if isinstance(number, transforms.Noted) else number
        is_shared = number is None or number in self._policy.shared_contacts
        return None if is_shared else str(number)

    def _date(self, text: str) -> dt.date | None:
        form = self._rules.date_format
        day = form.parse(text).date() if form is not None else date_from(text)
        if day.year not in YEARS:
            raise Unreadable("not a year in which a lead was sent")
        return day

    def _community(self, name: str) -> str:
        key = self._communities.get(key_from_value(name) or "", "")
        if name and not key:
            self.unknown[name] = self.unknown.get(name, 0) + 1
        return key


def _is_lead(line: PortalLine, cells: Sequence[str]) -> bool:
    """Return False for a line that is not about a renter, such as a total."""
    has_contact = line.has_contact or "email" in line.unreadable
    total = _TOTAL if has_contact else _LONG_TOTAL
    if any(total.fullmatch(cell.strip()) for cell in cells):
        is_named = bool(line.name) and not total.fullmatch(line.name)
        return is_named and (has_contact or line.on is not None)
    return has_contact or bool(line.name or line.lead_id)


def _name(text: Mapping[str, str]) -> str:
    name = text.get("name") or f"{text.get('first_name', '')} {text.get('last_name', '')}".strip()
    return "" if not name or transforms.is_no_name(name[:200]) else name


@functools.lru_cache(4096)
def date_from(text: str) -> dt.date:
    """Parse a date in a US format, ignoring any time after the date.

    Raise Unreadable if the text is not a date. Raise PayloadError if the day comes before the
    month, because then the other dates in the file are misread too.
    """
    for pattern in _DATES:
        match = pattern.match(text)
        if match and _TIME.fullmatch(text[match.end() :]):
            return _date_from_parts(match["y"], match["m"], match["d"])
    raise Unreadable("not a date")


def _date_from_parts(year: str, month: str, day: str) -> dt.date:
    if month.isdigit() and 12 < int(month) <= 31 and 1 <= int(day) <= 12 and len(month) < 4:
        raise PayloadError(
            "some dates have the day before the month: write 'date_format: DD/MM/YYYY' in the "
            "portal's file (--columns)"
        )
    number = int(month) if month.isdigit() else _month(month)
    try:
        return dt.date(int(year) + (2000 if len(year) == 2 else 0), number, int(day))
    except ValueError:
        raise Unreadable("no such date") from None


def _month(name: str) -> int:
    numbers = [n for n, one in enumerate(MONTHS, 1) if one.startswith(name.lower())]
    if len(numbers) != 1:
        raise Unreadable("not a month")
    return numbers[0]


@functools.lru_cache(4096)
def cents_from(text: str) -> int:
    """Parse an amount such as ``$1,234.50``, ``(12.00)`` or ``1.234,50`` and return cents.

    Raise Unreadable if the text is not an amount or could mean two amounts.
    """
    plain = re.sub(r"(?i)us\$|usd|[$\s\u2212\u2013]", lambda m: _kept(m[0]), text)
    is_negative = plain[:1] in "(-" or plain[-1:] == "-"
    plain = plain.strip("()-+")
    if match := _EUROPEAN_AMOUNT.fullmatch(plain):
        whole, fraction = match[1].replace(".", ""), match[2]
    elif plain and (match := _US_AMOUNT.fullmatch(plain)):
        whole, fraction = (match[1] or "0").replace(",", ""), (match[2] or "")
    else:
        raise Unreadable("not an amount in dollars")
    cents = int(decimal.Decimal(f"{whole[:12]}.{fraction or 0}") * 100)
    return -cents if is_negative else cents


def _kept(text: str) -> str:
    return "-" if text in "\u2212\u2013" else ""
