"""Find the leads that each line of a portal's list may refer to.

The leads are read in pages, and each is looked up among the lines, so that memory use depends only
on the length of the list.
"""

import dataclasses
import datetime as dt
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from adapter.bookings.same_person import names_agree
from adapter.models import BookingState
from adapter.operations.contact_matcher import texts_in
from adapter.operations.ledger.portal_lines import PortalLine
from adapter.store.fingerprints import Fingerprints, lock_key

#: A contact on more lines than this, such as an office's phone, does not identify a renter.
MAX_LINES_OF_CONTACT: Final = 50
#: Maximum number of lines with the same name and date to compare by name.
MAX_NAMESAKES: Final = 5
#: Maximum number of leads for a line. A line with more leads is doubtful.
MAX_FOUND: Final = 100
#: Erased leads are not compared if that would need more keyed hashes than this.
MAX_HASHES: Final = 1_000_000

_EMAIL: Final = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}")
_DIGITS: Final = re.compile(r"\d(?:[\s().-]{0,3}\d){9,14}")
_WORD: Final = re.compile(r"[^\W\d_]{2,}")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FoundLead:
    """The fields of a stored lead that are compared with a line on a portal's list."""

    #: The booking's ID, or the webhook's if it has no booking.
    id: int
    #: The date of arrival, in the community's time zone.
    on: dt.date
    #: What matched: lead_id, email, phone, hash (of an erased contact), name or text.
    by: str
    #: The community's key, or "" if it is unknown.
    community: str = ""
    #: True if the line and the lead have the names of different people.
    is_other_name: bool = False
    #: The email, phone and name of the lead, which distinguish people.
    person: tuple[str, str] = ("", "")
    #: The state of the booking or webhook.
    state: str = ""
    because_of: int | None = None
    is_gone: bool = False
    knock_status: str | None = None
    is_booking: bool = True


class LineIndex:
    """Finds lines by lead ID, email, phone or name."""

    def __init__(
        self,
        lines: Sequence[PortalLine],
        source: str,
        fingerprints: Fingerprints,
        shared: Collection[str],
        match_days: int,
        is_over: Callable[[], bool],
    ) -> None:
        self._match_days = match_days
        self._source, self._fingerprints, self._shared = source, fingerprints, shared
        self._lines, self._is_over = lines, is_over
        self._by_id: dict[int, list[PortalLine]] = {}
        self._by_email: dict[str, list[PortalLine]] = {}
        self._by_phone: dict[str, list[PortalLine]] = {}
        #: Lines by name and date, because many people have the same name.
        self._by_name: dict[tuple[tuple[str, ...], dt.date | None], list[PortalLine]] = {}
        self._by_hash: dict[int, list[PortalLine]] | None = None
        #: The leads found for each line, by line number.
        self.found: dict[int, list[FoundLead]] = {}
        #: The numbers of lines with a contact that many lines or leads share.
        self.crowded: set[int] = set()
        for line in lines:
            self._add(line)
        for index in (self._by_email, self._by_phone):
            self._drop_shared(index)
        # An ID on many lines is not a lead's ID. It may be the invoice's.
        self._by_id = {
            key: of for key, of in self._by_id.items() if len(of) <= MAX_LINES_OF_CONTACT
        }

    def _add(self, line: PortalLine) -> None:
        if line.lead_id:
            key = lock_key(self._fingerprints.item(self._source, line.lead_id))
            self._by_id.setdefault(key, []).append(line)
        if line.email:
            self._by_email.setdefault(line.email, []).append(line)
        if line.phone:
            self._by_phone.setdefault(line.phone, []).append(line)
        if len(words := name_key(line.name)) > 1:
            self._by_name.setdefault((words, line.on), []).append(line)

    def _drop_shared(self, index: dict[str, list[PortalLine]]) -> None:
        for contact in [one for one, of in index.items() if len(of) > MAX_LINES_OF_CONTACT]:
            self.crowded |= {line.number for line in index.pop(contact)}

    def take(self, row: Mapping[str, Any], communities: Collection[str]) -> bool:
        """Match a lead to the lines that may refer to it. Return False if it cannot be compared.

        Erased leads are compared by keyed hashes, which need the lines' ``communities``.
        """
        if row["is_erased"] and not self._take_erased(row, communities):
            return False
        seen: set[int] = set()
        for by, lines in self._candidates(row):
            for line in lines:
                if line.number not in seen:
                    seen.add(line.number)
                    self._append(line, _found(row, by, line))
        return True

    def is_known(self, row: Mapping[str, Any]) -> bool:
        """Return True if the list contains a lead's ID, email or phone."""
        return any(lines for by, lines in self._candidates(row) if by != "name")

    def _candidates(self, row: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[PortalLine]]]:
        yield "lead_id", self._by_id.get(row["item_key"] or 0, ())
        yield "email", self._by_email.get(row["email"] or "", ())
        yield "phone", self._by_phone.get(row["phone"] or "", ())
        if len(words := name_key(row["name"])) > 1:
            on = arrival_date(row["received_at"], row["timezone"])
            yield "name", [*self._named(words, on)]

    def _named(self, words: tuple[str, ...], on: dt.date) -> Iterator[PortalLine]:
        """Yield lines with this name and either no date or a date near the lead's arrival."""
        days = range(-self._match_days, self._match_days + 1)
        for day in (None, *(on + dt.timedelta(days=number) for number in days)):
            yield from self._by_name.get((words, day), ())[:MAX_NAMESAKES]

    def _append(self, line: PortalLine, lead: FoundLead) -> None:
        found = self.found.setdefault(line.number, [])
        if len(found) < MAX_FOUND:
            found.append(lead)
        else:
            self.crowded.add(line.number)

    def _take_erased(self, row: Mapping[str, Any], communities: Collection[str]) -> bool:
        if self._by_hash is None:
            self._by_hash = self._hashes(communities)
        keys = set(row["erased_keys"]) - {row["item_key"]}
        lines = [line for key in keys for line in self._by_hash.get(key, ())]
        for line in {line.number: line for line in lines}.values():
            self._append(line, _found(row, "hash", line))
        return bool(keys and self._by_hash) or row["item_key"] in self._by_id

    def _hashes(self, communities: Collection[str]) -> dict[int, list[PortalLine]]:
        """Map keyed hashes of contact details to their lines. Return {} if that takes too long."""
        unknown = sum(not line.community_key for line in self._lines)
        if unknown * len(communities) > MAX_HASHES:
            return {}
        found: dict[int, list[PortalLine]] = {}
        for line in self._lines:
            if self._is_over():
                return {}
            contacts = {"email_1": line.email, "phone_1": line.phone}
            for community in [line.community_key] if line.community_key else communities:
                for key in self._fingerprints.person_keys(community, contacts, self._shared):
                    found.setdefault(key, []).append(line)
        return found

    def take_text(self, texts: Iterable[bytes], lead: FoundLead) -> None:
        """Match a webhook without bookings to the lines whose contact or name it contains."""
        seen: set[int] = set()
        names: dict[int, PortalLine] = {}
        for data in texts:
            for text in texts_in(data):
                low = text.lower()
                for line in self._with_contact(low):
                    if line.number not in seen:
                        seen.add(line.number)
                        self._append(line, lead)
                names |= {line.number: line for line in self._with_name(low, lead.on)}
        for number in names.keys() - seen:
            self._append(names[number], dataclasses.replace(lead, by="name_in_text"))

    def _with_contact(self, text: str) -> Iterator[PortalLine]:
        for match in _EMAIL.finditer(text):
            yield from self._by_email.get(match[0].strip(".-"), ())
        for match in _DIGITS.finditer(text):
            digits = re.sub(r"\D", "", match[0])
            yield from self._by_phone.get("+" + digits, ())
            yield from self._by_phone.get("+1" + digits[-10:], ())

    def _with_name(self, text: str, on: dt.date) -> Iterator[PortalLine]:
        words = [*dict.fromkeys(name_key(text))]
        if len(words) > 2000:
            return
        known = set(words)
        for key in self._keys_by_word.keys() & known:
            for names in self._keys_by_word[key]:
                if known.issuperset(names):
                    yield from self._named(names, on)

    @property
    def _keys_by_word(self) -> Mapping[str, Sequence[tuple[str, ...]]]:
        if self._words is None:
            self._words = {}
            for names in dict.fromkeys(names for names, _ in self._by_name):
                self._words.setdefault(names[-1], []).append(names)
        return self._words

    _words: dict[str, list[tuple[str, ...]]] | None = None


def name_key(name: str | None) -> tuple[str, ...]:
    """Return a name's words in sorted order, so that ``Okafor, Dana`` equals ``Dana Okafor``."""
    return tuple(sorted(_WORD.findall((name or "").casefold())))


def _found(row: Mapping[str, Any], by: str, line: PortalLine) -> FoundLead:
    names = [{"last_name": one} for one in (row["name"], line.name)]
    return FoundLead(
        id=row["id"],
        on=arrival_date(row["received_at"], row["timezone"]),
        by=by,
        community=row["community"] or "",
        is_other_name=by != "hash" and names_agree(*names) is False,
        person=(row["email"] or "", row["phone"] or ""),
        state=row["state"],
        because_of=row["because_of"],
        is_gone=row["gone_at"] is not None or row["knock_status"] == "canceled",
        knock_status=row["knock_status"],
    )


def arrival_date(at: dt.datetime, timezone: str | None) -> dt.date:
    """Return the date of a time in the community's zone, or in UTC if the zone is unknown."""
    return at.astimezone(ZoneInfo(timezone) if timezone else dt.UTC).date()


def in_knock(lead: FoundLead) -> bool:
    """Return True if a lead became a tour or a guest card in Knock."""
    return lead.is_booking and lead.state == BookingState.BOOKED
