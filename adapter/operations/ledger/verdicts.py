"""Decide whether each line of a portal's list is a correct charge, a claim, or doubtful.

All functions are pure. A line that could mean two things is doubtful, never a claim.
"""

import dataclasses
import datetime as dt
import enum
import functools
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from adapter.bookings.same_person import names_agree
from adapter.mapping.portal_yaml import PortalRules
from adapter.models import BookingState
from adapter.operations.ledger.match_lines import MAX_LINES_OF_CONTACT, FoundLead, in_knock
from adapter.operations.ledger.portal_lines import PortalLine


class Verdict(enum.StrEnum):
    """The verdict on a line of a portal's list."""

    #: Charged, but the lead never arrived.
    NOT_ARRIVED = "not_arrived"
    #: The same lead was charged on an earlier line.
    CHARGED_TWICE = "charged_twice"
    #: The same renter was already a lead within the portal's period for duplicates.
    DUPLICATE = "duplicate"
    #: Neither a correct charge nor a claim is certain.
    DOUBTFUL = "doubtful"
    #: Arrived, but it is not in Knock.
    NOT_IN_KNOCK = "not_in_knock"
    #: In Knock, and the renter has toured.
    TOURED = "toured"
    #: In Knock.
    IN_KNOCK = "in_knock"
    #: On the list without a charge.
    NOT_CHARGED = "not_charged"
    #: A credit from the portal.
    CREDIT = "credit"
    #: Charged, and credited on another line.
    CREDITED = "credited"


#: The verdicts that entitle us to a credit.
CLAIMS = (Verdict.NOT_ARRIVED, Verdict.CHARGED_TWICE, Verdict.DUPLICATE)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A line of a portal's list, with its verdict and the evidence."""

    line: PortalLine
    verdict: Verdict
    #: A sentence with the evidence.
    why: str
    #: The ID of the stored lead, or None.
    lead: int | None = None
    #: The last day on which the portal accepts the request for a credit, or None.
    ask_by: dt.date | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """The stored data about a source that the verdicts depend on."""

    #: The leads that may belong to each line, by its number.
    found: Mapping[int, Sequence[FoundLead]]
    #: The lines with too many leads.
    crowded: Collection[int]
    #: The date of the source's first message.
    first_on: dt.date
    #: Dates on which leads or webhooks arrived that cannot be compared.
    unreadable: Collection[dt.date]
    #: For lines without a lead: another source that sent this renter, and when.
    elsewhere: Mapping[int, tuple[str, dt.date]]
    #: For leads that were merged or replaced, the leads that count, by ID.
    final: Mapping[int, FoundLead]
    #: False if not all stored webhooks were searched in time.
    is_complete: bool = True
    #: False if not all stored leads were compared in time.
    has_all_leads: bool = True


_STATES = {
    BookingState.PENDING: "is waiting to be sent to Knock",
    BookingState.SENDING: "is being sent to Knock",
    BookingState.SUBMITTED: "is being sent to Knock",
    BookingState.UNKNOWN: "was sent to Knock, and the outcome is unknown",
    BookingState.HELD: "needs review and is not in Knock",
    BookingState.FAILED: "was rejected by Knock and needs review",
    BookingState.EXPIRED: "could not be sent to Knock in time",
    BookingState.DISCARDED: "was dismissed and is not in Knock",
    BookingState.SUPERSEDED: "was replaced by another lead that is not in Knock",
    BookingState.DUPLICATE: "was merged with another lead that is not in Knock",
}
_MESSAGES = {
    "received": "has not been read yet",
    "held": "could not be read and needs review",
    "ignored": "was ignored, because it does not count as a lead",
    "discarded": "was dismissed",
    "rejected": "was rejected, because its sender could not be verified",
}


#: The reason for a line that was not compared.
NOT_IN_TIME = "There was no time to compare it. Split the list, and check each part separately."


def judge(
    lines: Sequence[PortalLine],
    known: Known,
    rules: PortalRules,
    is_over: Callable[[], bool] = lambda: False,
) -> list[Judged]:
    """Return a verdict on each line, in the order of the list.

    Once ``is_over`` returns True, the remaining lines are doubtful.
    """
    earlier = _Earlier(known.crowded)
    by_day = sorted(lines, key=_order)
    verdicts: dict[int, Judged] = {}
    for line in by_day:
        if is_over() or not line.is_in_time:
            verdicts[line.number] = _uncharged(line) or _doubtful(line, NOT_IN_TIME)
            continue
        judged = _verdict(line, known, rules, earlier.before(line))
        if judged.verdict in CLAIMS and not known.has_all_leads:
            judged = _doubtful(line, NOT_IN_TIME)
        verdicts[line.number] = judged
        earlier.remember(judged)
    return _with_credits([verdicts[line.number] for line in lines])


class _Earlier:
    """Finds earlier lines about the same renter and community. Lines must be passed in order."""

    def __init__(self, crowded: Collection[int]) -> None:
        self._crowded = crowded
        # An ID may be the same on all lines, such as the invoice's number.
        self._lines: dict[tuple[str, ...], deque[PortalLine]] = defaultdict(
            functools.partial(deque, maxlen=MAX_LINES_OF_CONTACT)
        )

    def before(self, line: PortalLine) -> PortalLine | None:
        """Return the latest earlier line that charges the same lead or renter, or None."""
        if self._is_left_out(line):
            return None
        others = (self._latest(key, line) for key in keys_of(line))
        return max(filter(None, others), key=_order, default=None)

    def remember(self, judged: Judged) -> None:
        """Remember a line for comparison with later lines.

        A charge that is claimed must not count as the renter's first one. Otherwise, all charges
        of a renter could be claimed, although one of the leads arrived.
        """
        if self._is_left_out(judged.line) or judged.verdict is Verdict.NOT_ARRIVED:
            return
        for key in keys_of(judged.line):
            if judged.verdict not in CLAIMS or key[0] == "lead_id":
                self._lines[key].append(judged.line)

    def _is_left_out(self, line: PortalLine) -> bool:
        return (line.cents is not None and line.cents <= 0) or line.number in self._crowded

    def _latest(self, key: tuple[str, ...], line: PortalLine) -> PortalLine | None:
        return next((one for one in reversed(self._lines[key]) if _may_be_one(one, line)), None)


def _order(line: PortalLine) -> tuple[dt.date, int]:
    return line.on or dt.date.min, line.number


def keys_of(line: PortalLine) -> Iterator[tuple[str, ...]]:
    """Yield the keys that identify a line's renter: the lead ID, the email and the phone."""
    place = line.community_key or line.community.casefold()
    if line.lead_id:
        yield "lead_id", line.lead_id.casefold()
    if line.email:
        yield "email", line.email, place
    if line.phone:
        yield "phone", line.phone, place


def _may_be_one(one: PortalLine, other: PortalLine) -> bool:
    """Return False if the names or contact details on two lines show two different people."""
    contacts = [{line.email, line.phone} - {None} for line in (one, other)]
    if all(contacts) and contacts[0].isdisjoint(contacts[1]):
        return False
    return names_agree({"last_name": one.name}, {"last_name": other.name}) is not False


def _verdict(
    line: PortalLine, known: Known, rules: PortalRules, earlier: PortalLine | None
) -> Judged:
    if uncharged := _uncharged(line):
        return uncharged
    if line.number in known.crowded:
        return _doubtful(line, "Too many lines or leads share this contact.")
    charged_before = _charged_before(line, earlier, rules)
    if charged_before is not None:
        return charged_before
    arrived = _arrived(line, known.found.get(line.number, ()), rules)
    if isinstance(arrived, str):
        return _doubtful(line, arrived)
    if not arrived:
        return _missing(line, known, rules)
    duplicate = _arrived_before(line, arrived, known.found[line.number], rules)
    return duplicate or _in_knock(line, arrived, known)


def _uncharged(line: PortalLine) -> Judged | None:
    """Return the verdict on a line that charges nothing or is a credit, or None."""
    if line.cents is None or line.cents > 0:
        return None
    verdict = Verdict.CREDIT if line.cents else Verdict.NOT_CHARGED
    return Judged(line=line, verdict=verdict, why="")


def _claim(
    line: PortalLine, verdict: Verdict, why: str, rules: PortalRules, lead: int | None = None
) -> Judged:
    days = rules.credit_days
    ask_by = line.on + dt.timedelta(days=days) if line.on and days is not None else None
    return Judged(line=line, verdict=verdict, why=why, lead=lead, ask_by=ask_by)


def _doubtful(line: PortalLine, why: str) -> Judged:
    return Judged(line=line, verdict=Verdict.DOUBTFUL, why=why)


def _charged_before(
    line: PortalLine, earlier: PortalLine | None, rules: PortalRules
) -> Judged | None:
    """Return a claim if an earlier line charges the same lead or renter, or None."""
    if earlier is None:
        return None
    same_id = line.lead_id and line.lead_id.casefold() == earlier.lead_id.casefold()
    # With two IDs, the renter is charged twice, but not for the same lead.
    has_other_id = bool(line.lead_id and earlier.lead_id and not same_id)
    days = (line.on - earlier.on).days if line.on and earlier.on else 0
    if same_id or (days <= rules.match_days and not has_other_id):
        when = f" of {day_text(earlier.on)}" if earlier.on else ""
        what = "lead ID" if same_id else "renter and community"
        why = f"Line {earlier.number}{when} charges the same {what}."
        return _claim(line, Verdict.CHARGED_TWICE, why, rules)
    if line.on and earlier.on and earlier.on > months_before(line.on, rules.duplicate_months):
        why = f"The same renter was charged on {day_text(earlier.on)} (line {earlier.number})."
        return _claim(line, Verdict.DUPLICATE, why, rules)
    return None


def _arrived(
    line: PortalLine, found: Sequence[FoundLead], rules: PortalRules
) -> list[FoundLead] | str:
    """Return the leads that a line refers to, or the reason that the line is doubtful.

    Return an empty list if no lead matches.
    """
    if "date" in line.unreadable and found:
        return "A lead from this renter arrived, but the date on this line cannot be read."
    here = [one for one in found if _is_here(line, one)]
    sure = [one for one in here if one.by not in _WEAK and not one.is_other_name]
    if near := [one for one in sure if _is_near(line, one, rules)]:
        return near
    names = [one for one in here if one.by == "name" and _is_near(line, one, rules)]
    if names and not line.has_contact and len({one.person for one in names}) == 1:
        return names
    return _doubt(line, found, sure, names, rules)


#: Matches that are not enough by themselves.
_WEAK = ("name", "name_in_text")


def _is_here(line: PortalLine, lead: FoundLead) -> bool:
    return not (line.community_key and lead.community and line.community_key != lead.community)


def _is_near(line: PortalLine, lead: FoundLead, rules: PortalRules) -> bool:
    return line.on is None or abs((lead.on - line.on).days) <= rules.match_days


def _doubt(
    line: PortalLine,
    found: Sequence[FoundLead],
    sure: Sequence[FoundLead],
    names: Sequence[FoundLead],
    rules: PortalRules,
) -> list[FoundLead] | str:
    """Return the reason why a line is doubtful, or an empty list if no lead matches."""
    if sure and line.on:
        nearest = min(sure, key=lambda one: abs((one.on - line.on).days))  # type: ignore[operator]
        days = (nearest.on - line.on).days
        order = "after" if days > 0 else "before"
        return (
            f"A lead from this renter (lead {nearest.id}) arrived on {day_text(nearest.on)}, "
            f"{abs(days)} days {order} the portal's date."
        )
    strong = [one for one in found if one.by not in _WEAK and _is_near(line, one, rules)]
    if other := next((one for one in strong if not _is_here(line, one)), None):
        return f"This renter's lead {other.id} is for {other.community}, not for this community."
    if other := next((one for one in strong if one.is_other_name), None):
        return f"Lead {other.id} has the same contact or ID, but a different name."
    if names:
        text = (
            "different contact details" if line.has_contact else "a name that several leads share"
        )
        return f"Lead {names[0].id} has the same name, but {text}."
    if other := next((one for one in found if one.by == "name_in_text"), None):
        near = _is_near(line, other, rules)
        return f"Message {other.id} contains this name, but not the contact." if near else []
    return []


def _missing(line: PortalLine, known: Known, rules: PortalRules) -> Judged:
    """Judge a line without a lead, which is a claim if all stored data was searched."""
    if number := known.elsewhere.get(line.number):
        text = f"This renter's lead came from {number[0]} on {day_text(number[1])} instead."
        return _doubtful(line, text)
    if line.on and line.on < known.first_on:
        day = day_text(known.first_on)
        text = f"This line is dated before the first message from this source ({day})."
        return _doubtful(line, text)
    if not line.has_contact:
        return _doubtful(line, "The line has no email or phone to compare.")
    if line.on is None and "date" in line.unreadable:
        return _doubtful(line, "No lead was found, and the date on this line cannot be read.")
    if not known.is_complete:
        return _doubtful(line, "No lead was found, but not all stored messages were searched.")
    if any(_days_apart(line.on, day) <= rules.match_days for day in known.unreadable):
        return _doubtful(line, "No lead was found, but data from these days was deleted.")
    when = f" within {rules.match_days} days of {day_text(line.on)}" if line.on else ""
    why = f"No lead with this email or phone arrived{when}."
    return _claim(line, Verdict.NOT_ARRIVED, why, rules)


def _days_apart(one: dt.date | None, other: dt.date) -> int:
    return abs((one - other).days) if one else 0


def _arrived_before(
    line: PortalLine,
    arrived: Sequence[FoundLead],
    found: Iterable[FoundLead],
    rules: PortalRules,
) -> Judged | None:
    """Return a claim if the renter was already a lead shortly before, or None."""
    first = min(one.on for one in arrived)
    since = months_before(line.on or first, rules.duplicate_months)
    until = min(first, line.on or first) - dt.timedelta(days=rules.match_days)
    before = [
        one
        for one in found
        if one.by not in _WEAK
        and not one.is_other_name
        and one.is_booking
        and one.community == arrived[0].community
        and since < one.on < until
    ]
    if not before or not line.on:
        return None
    other = max(before, key=lambda one: one.on)
    why = f"The same renter was already a lead on {day_text(other.on)} (lead {other.id})."
    return _claim(line, Verdict.DUPLICATE, why, rules, arrived[0].id)


def _in_knock(line: PortalLine, arrived: Sequence[FoundLead], known: Known) -> Judged:
    """Return the verdict on a line whose lead arrived: toured, in Knock or not in Knock."""
    ends = [(one, known.final.get(one.id, one)) for one in arrived]
    lead, end = max(ends, key=lambda pair: _progress(pair[1]))
    when = f"Arrived on {day_text(lead.on)}"
    if not in_knock(end):
        states: Mapping[str, str] = _STATES if end.is_booking else _MESSAGES  # type: ignore[assignment]
        text = f"{when}, but it {states.get(end.state, 'is not in Knock')}."
        known_lead = None if end.state == "rejected" else lead.id
        return Judged(line=line, verdict=Verdict.NOT_IN_KNOCK, why=text, lead=known_lead)
    if end.knock_status == "visited":
        return Judged(line=line, verdict=Verdict.TOURED, why=f"{when}; toured.", lead=lead.id)
    more = {"no_show": "; the renter did not show up"}.get(end.knock_status or "", "")
    more = "; later canceled in Knock" if end.is_gone else more
    return Judged(line=line, verdict=Verdict.IN_KNOCK, why=f"{when}{more}.", lead=lead.id)


def _progress(lead: FoundLead) -> tuple[bool, bool, bool, bool, int]:
    is_sent = lead.state in (BookingState.SENDING, BookingState.SUBMITTED, BookingState.UNKNOWN)
    toured = in_knock(lead) and lead.knock_status == "visited"
    return toured, in_knock(lead), lead.is_booking and is_sent, lead.is_booking, -lead.id


def _with_credits(judged: Sequence[Judged]) -> list[Judged]:
    """Mark the lines that the portal has already credited, starting with claims."""
    result = list(judged)
    if not any(one.verdict is Verdict.CREDIT for one in judged):
        return result
    charges: dict[tuple[object, ...], list[int]] = defaultdict(list)
    # The best one comes last.
    for index in sorted(range(len(result)), key=lambda index: _rank(result, index), reverse=True):
        for key in keys_of(result[index].line):
            charges[(*key, result[index].line.cents)].append(index)
    for one in judged:
        if one.verdict is not Verdict.CREDIT:
            continue
        stacks = [charges[(*key, -(one.line.cents or 0))] for key in keys_of(one.line)]
        for stack in stacks:
            while stack and result[stack[-1]].verdict is Verdict.CREDITED:
                stack.pop()
        best = [stack[-1] for stack in stacks if stack]
        credited = min(best, key=lambda index: _rank(result, index)[0], default=-1)
        if credited >= 0:
            why = f"Line {one.line.number} credits this charge."
            result[credited] = dataclasses.replace(
                result[credited], verdict=Verdict.CREDITED, why=why, ask_by=None
            )
    return result


def _rank(judged: Sequence[Judged], index: int) -> tuple[bool, int]:
    return judged[index].verdict not in CLAIMS, index


def months_before(day: dt.date, months: int) -> dt.date:
    """Return the date ``months`` earlier, limited to the last day of the month."""
    number = day.year * 12 + day.month - 1 - months
    first = dt.date(number // 12, number % 12 + 1, 1)
    following = (first + dt.timedelta(days=31)).replace(day=1)
    return min(first + dt.timedelta(days=day.day - 1), following - dt.timedelta(days=1))


def day_text(day: dt.date | None) -> str:
    """Format a date like ``Mar 14, 2026``."""
    return f"{day:%b} {day.day}, {day.year}" if day else "an unknown day"
