"""Check the record of a sequence against the rules about people. All functions are pure.

A person's latest message is the newest by the sender's timestamp or, if there is none, by its first
arrival. A later message about the same booking at the source replaces an earlier one.
"""

import dataclasses
import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping

from adapter.models import BookingState
from tools.people.record import MOVING, WAITING, Lead, Record, Tour, Word


@dataclasses.dataclass(frozen=True, slots=True)
class Broken:
    """A violation of a rule."""

    promise: str
    text: str


def broken(record: Record) -> list[Broken]:
    """Return all violations of the rules in a record."""
    knowledge = Knowledge(record)
    return [
        Broken(promise, text) for promise, check in PROMISES.items() for text in check(knowledge)
    ]


class Knowledge:
    """A record, with lookups derived from it."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.leads: Mapping[int, Lead] = {lead.id: lead for lead in record.leads}
        self.people = sorted({word.person for word in record.words})
        self.words: dict[str, list[Word]] = {person: [] for person in self.people}
        #: The messages that each lead was made from. There are several if they had the same bytes.
        self.words_of: dict[int, list[Word]] = {lead.id: [] for lead in record.leads}
        for word in sorted(record.words, key=lambda word: (word.at, word.number)):
            self.words[word.person].append(word)
            for lead_id in word.leads:
                self.words_of[lead_id].append(word)

    def person_of(self, lead: Lead) -> str:
        """Return the person and the community that a lead is for."""
        return self.words_of[lead.id][0].person

    def renter_of(self, lead: Lead) -> str:
        """Return the person that a lead is for, regardless of the community."""
        return self.person_of(lead).partition(" at ")[0]

    def last_of_threads(self, person: str) -> list[Word]:
        """Return the latest message about each booking at a source, oldest first."""
        return list({word.thread: word for word in self.words[person]}.values())

    def is_last_of_thread(self, word: Word) -> bool:
        """Return True unless a later message replaces this message."""
        return word in self.last_of_threads(word.person)

    def leads_of(self, word: Word) -> list[Lead]:
        """Return the leads made from a message."""
        return [self.leads[lead_id] for lead_id in word.leads]

    def is_handled(self, word: Word) -> bool:
        """Return True if a user discarded the message's lead.

        The decision also covers a message that looks like a retry of a discarded one, and one that
        the sender had repeated unchanged before the user decided.
        """
        repeated = {
            name
            for lead in self.leads_of(word)
            if lead.reason == "item_seen_before"
            for name in lead.names & self.leads.keys()
        }
        if any("discarded" in self.leads[name].acts for name in repeated):
            return True
        same = [
            one
            for one in self.words[word.person]
            if (one.thread, one.instant) == (word.thread, word.instant) and not word.is_told_apart
        ]
        return any("discarded" in lead.acts for one in (word, *same) for lead in self.leads_of(one))

    def is_replaced_by_user(self, word: Word) -> bool:
        """Return True if a user released a lead that arrived after this message and replaced it.

        For a repeat, for example, only the user can tell that the renter has changed back.
        """
        named = {(lead.id, name) for lead in self.leads_of(word) for name in lead.names}
        return any(
            "released" in self.leads[name].acts
            for lead_id, name in named
            if name in self.leads and name > lead_id
        )

    def is_replaced(self, word: Word) -> bool:
        """Return True if the renter later requested something else instead."""
        states = {lead.state for lead in self.leads_of(word)}
        return states == {BookingState.SUPERSEDED}

    def standing(self, person: str) -> list[Tour]:
        """Return a person's tours that exist in Knock."""
        return [tour for tour in self.record.tours if tour.person == person and tour.stands]

    def was_undone_by_people(self, word: Word) -> bool:
        """Return True if someone undid the tour in Knock, directly or by releasing another lead."""
        tours = [tour for tour in self.record.tours if tour.person == word.person]
        tours = [tour for tour in tours if tour.instant == word.instant]
        if not tours or tours[-1].stands:
            return False
        if tours[-1].canceled_by == "person":
            canceled_at = self.record.canceled_in_knock.get((word.person, word.instant))
            return canceled_at is not None and word.at < canceled_at
        second = self.tour(tours[-1].canceled_by)
        return self.is_users(second) or self.is_left_to_others(second)

    def is_being_changed(self, tour: Tour) -> bool:
        """Return True if a later message about the source's booking of the tour is in review."""
        threads = {word.thread for lead_id in tour.leads for word in self.words_of[lead_id]}
        last = [one for one in self.last_of_threads(tour.person) if one.thread in threads]
        return any(self._waits(lead_id) for word in last for lead_id in word.leads)

    def tour(self, tour_id: str | None) -> Tour:
        """Return the tour with the given ID."""
        return next(tour for tour in self.record.tours if tour.id == tour_id)

    def is_users(self, tour: Tour, act: str = "released") -> bool:
        """Return True if a user sent the tour, or took another action on its lead."""
        return any(act in self.leads[lead_id].acts for lead_id in tour.leads)

    def is_left_to_others(self, *tours: Tour) -> bool:
        """Return True if a user discarded one of these tours' leads that may have been in Knock."""
        return any(self.is_users(tour, "discarded") for tour in tours)

    def asks(self, person: str) -> list[Lead]:
        """Return the person's leads that need review."""
        ids = {lead_id for word in self.words[person] for lead_id in word.leads}
        return [self.leads[lead_id] for lead_id in sorted(ids) if self._waits(lead_id)]

    def _waits(self, lead_id: int) -> bool:
        return self.leads[lead_id].state in WAITING

    def is_asked_about(self, word: Word) -> bool:
        """Return True if a lead in review points a user to this message.

        The lead belongs to the message, names it or is named by it, or is about the same tour
        or the tour that Knock has instead.
        """
        own = self.leads_of(word)
        linked = word.leads | {name for lead in own for name in lead.names}
        linked |= {lead_id for tour in self.standing(word.person) for lead_id in tour.leads}
        return any(
            lead.id in linked
            or not lead.names.isdisjoint(word.leads)
            or word.instant in self._instants_of(lead)
            for lead in self.asks(word.person)
        )

    def _instants_of(self, lead: Lead) -> set[dt.datetime | None]:
        """Return the start times of the tours that a lead requests or cancels."""
        words = self.words_of[lead.id]
        return {
            one.instant
            for word in words
            for one in ([word] if word.instant else self.words[word.person])
            if one.thread == word.thread
        }


def at_rest(known: Knowledge) -> Iterator[str]:
    """Yield leads that have not reached a final state."""
    for lead in known.record.leads:
        if lead.state in MOVING:
            yield f"lead {lead.id} is still {lead.state}"


def last_word(known: Knowledge) -> Iterator[str]:
    """Yield people whose latest request is neither in Knock nor in review."""
    for person in known.people:
        last = known.words[person][-1]
        if last.instant is None:
            yield from _after_cancellation(known, person)
        elif not _is_met(known, last):
            held = "another tour" if known.standing(person) else "none"
            yield f"{person}'s last word is {last.text}; Knock holds {held}, and nobody is asked"


def _is_met(known: Knowledge, word: Word) -> bool:
    stands = any(tour.instant == word.instant for tour in known.standing(word.person))
    excused = (
        known.is_handled(word)
        or known.was_undone_by_people(word)
        or known.is_replaced_by_user(word)
    )
    return stands or excused or known.is_asked_about(word)


def _after_cancellation(known: Knowledge, person: str) -> Iterator[str]:
    """Yield violations for people whose latest message is a cancellation.

    A tour requested through another source may remain, and a user may be asked about it.
    """
    wanted = [
        word
        for word in known.last_of_threads(person)
        if word.instant is not None and not known.is_replaced(word)
    ]
    # A user who discards a lead that may exist in Knock leaves its tour to others.
    standing = [
        one
        for one in known.standing(person)
        if not known.is_users(one, "discarded") and not known.is_being_changed(one)
    ]
    last = known.words[person][-1]
    # A user who releases or discards what was moved is responsible for the tour at the old place.
    if known.is_asked_about(last) or (last.is_move and _has_acts(known, last)):
        return
    requested = {word.instant for word in known.last_of_threads(person)}
    if any(tour.instant not in requested for tour in standing):
        yield f"{person}'s last word is {last.text}: the tour stands, nobody is asked"
    elif wanted and not standing and not any(_is_met(known, word) for word in wanted):
        yield f"{person}'s last word is {last.text}, but {wanted[-1].text} was never canceled"


def _has_acts(known: Knowledge, word: Word) -> bool:
    return any(lead.acts for lead in known.leads_of(word))


def accounted_for(known: Knowledge) -> Iterator[str]:
    """Yield requests that were dropped without a correct reason."""
    for word in known.record.words:
        if not word.leads:
            yield f"nothing was made of {word.text}"
        if word.instant is None:
            continue
        for lead in known.leads_of(word):
            if lead.state in (BookingState.DUPLICATE, BookingState.SUPERSEDED):
                yield from _other_is_true(known, word, lead)
            elif lead.state is BookingState.DISCARDED and "discarded" not in lead.acts:
                yield from _cancellation_is_true(known, word, lead)


def _other_is_true(known: Knowledge, word: Word, lead: Lead) -> Iterator[str]:
    others = [known.leads[name] for name in lead.names if name in known.leads]
    if not others:
        yield f"lead {lead.id} is {lead.state} and names no other lead ({word.text})"
    elif not any(_is_as_claimed(known, word, lead, other) for other in others):
        ends = ", ".join(one.text for other in others for one in known.words_of[other.id])
        rule = "the same" if lead.state is BookingState.DUPLICATE else "newer"
        yield f"lead {lead.id} is {lead.state}, and {ends} is not {rule} ({word.text})"
    elif (
        known.is_last_of_thread(word)
        and not known.is_handled(word)
        and not any(_is_covered(known, lead, other, {lead.id}) for other in others)
    ):
        ends = ", ".join(f"{other.id} ({other.state})" for other in others)
        yield f"lead {lead.id} is {lead.state} because of {ends}, which is no tour ({word.text})"


def _is_as_claimed(known: Knowledge, word: Word, lead: Lead, other: Lead) -> bool:
    """Return True if ``other`` is the same request or a newer one, as the lead's state claims."""
    return bool(other.acts) or any(
        one.thread == word.thread or one.instant == word.instant
        if lead.state is BookingState.DUPLICATE
        else (one.at, one.number) > (word.at, word.number)
        for one in known.words_of[other.id]
    )


def _is_covered(known: Knowledge, lead: Lead, other: Lead, seen: Collection[int]) -> bool:
    """Return True if ``other`` covers ``lead``: it is a tour, in review, or covered itself."""
    if known.renter_of(lead) != known.renter_of(other) or other.id in seen:
        return False
    if other.state in WAITING or other.state is BookingState.BOOKED:
        return True
    if other.state is BookingState.DISCARDED:
        # A replaced request stays replaced, but a merged one continues.
        return lead.state is BookingState.SUPERSEDED
    named = [known.leads[name] for name in other.names if name in known.leads]
    return any(_is_covered(known, other, one, {*seen, other.id}) for one in named)


def _cancellation_is_true(known: Knowledge, word: Word, lead: Lead) -> Iterator[str]:
    cancels = [
        other
        for name in lead.names
        if name in known.leads
        for other in known.words_of[name]
        if other.instant is None and other.thread == word.thread
    ]
    if not cancels:
        yield f"lead {lead.id} is discarded ({lead.reason}) and names no cancellation of it"


def one_mail(known: Knowledge) -> Iterator[str]:
    """Yield tours that were booked again while booked, so that the renter got two emails."""
    for tour in known.record.tours:
        if tour.stands or tour.canceled_by == "person":
            continue
        second = known.tour(tour.canceled_by)
        is_same = (second.person, second.instant) == (tour.person, tour.instant)
        # A user who discards a lead that may still be processed does not wait for it.
        is_users = known.is_users(second) or known.is_left_to_others(tour, second)
        if is_same and not is_users:
            yield f"{tour.person}'s tour was booked again while it stood, as {_leads(second)}"


def kept_apart(known: Knowledge) -> Iterator[str]:
    """Yield people who were mistaken for each other."""
    for tour in known.record.tours:
        if tour.stands or tour.canceled_by == "person":
            continue
        second = known.tour(tour.canceled_by)
        # A user who discards a lead that may exist in Knock leaves its tour to others.
        is_users = known.is_users(second) or known.is_left_to_others(tour, second)
        if second.person != tour.person and not is_users:
            yield f"{second.person}'s tour ({_leads(second)}) canceled {tour.person}'s in Knock"
    for lead in known.record.leads:
        if lead.state in (BookingState.DUPLICATE, BookingState.SUPERSEDED):
            for name in lead.names & known.leads.keys():
                one, other = known.renter_of(lead), known.renter_of(known.leads[name])
                if one != other:
                    yield f"lead {lead.id} of {one} is {lead.state} because of {name} of {other}"


def booked_is_booked(known: Knowledge) -> Iterator[str]:
    """Yield leads whose state contradicts the tours in Knock."""
    in_knock = {lead_id for tour in known.record.tours for lead_id in tour.leads}
    for lead in known.record.leads:
        is_booked = lead.state is BookingState.BOOKED and "confirmed" not in lead.acts
        if is_booked and lead.id not in in_knock:
            yield f"lead {lead.id} is booked, and Knock never had its tour"
    for tour in known.record.tours:
        states = [known.leads[lead_id].state for lead_id in tour.leads]
        may_be = {BookingState.BOOKED, *MOVING, *WAITING}
        acts = {act for lead_id in tour.leads for act in known.leads[lead_id].acts}
        if may_be.isdisjoint(states) and not acts:
            yield f"Knock had {tour.person}'s tour, and its lead says {', '.join(states)}"


def asked_for_a_reason(known: Knowledge) -> Iterator[str]:
    """Yield leads in review that do not need a user, or that a user could not resolve."""
    for lead in known.record.leads:
        is_cancellation = all(word.instant is None for word in known.words_of[lead.id])
        if lead.state is BookingState.HELD and is_cancellation:
            yield from _open_cancellation_is_true(known, lead)
        elif lead.state in WAITING and known.record.is_calm and _is_certain(known, lead):
            yield f"lead {lead.id} is {lead.state} ({lead.reason}), and could have been decided"


def _is_certain(known: Knowledge, lead: Lead) -> bool:
    """Return True if all of the messages are about one booking, or all of them are requests."""
    words = known.words[known.person_of(lead)]
    one_thread = len({word.thread for word in words}) == 1
    are_requests = all(word.instant is not None for word in words)
    return one_thread or (are_requests and lead.reason != "repeat_or_change")


def _open_cancellation_is_true(known: Knowledge, lead: Lead) -> Iterator[str]:
    word = known.words_of[lead.id][0]
    own = [one for one in known.words[word.person] if one.thread == word.thread]
    before, ids = [one for one in own if one.instant is not None], known.leads.keys()
    may_exist = any(
        made.state in (BookingState.BOOKED, BookingState.UNKNOWN)
        for one in before
        for made in known.leads_of(one)
    )
    # A tour that was never requested under this key may have been booked before the adapter was
    # installed.
    if before and not may_exist and not lead.names & known.leads.keys():
        yield f"lead {lead.id} has a user cancel what Knock never had ({word.text})"
    elif (
        own[-1].instant is not None
        and lead.names.isdisjoint(own[-1].leads)
        and not known.is_handled(own[-1])
        # The cancellation of an earlier tour remains while a request for another one is in review.
        and not any(
            made.reason == "changed_after_first"
            or (
                made.state in WAITING
                and own[-1].instant not in {one.instant for one in before[:-1]}
            )
            for made in known.leads_of(own[-1])
        )
        # A tour at the community that it was moved away from is not wanted again.
        and all(known.person_of(known.leads[name]) == word.person for name in lead.names & ids)
    ):
        yield f"lead {lead.id} has a user cancel what was requested again: {own[-1].text}"


def _leads(tour: Tour) -> str:
    return "lead " + " or ".join(map(str, sorted(tour.leads)))


PROMISES: Mapping[str, Callable[[Knowledge], Iterator[str]]] = {
    "at rest": at_rest,
    "last word": last_word,
    "accounted for": accounted_for,
    "one mail": one_mail,
    "kept apart": kept_apart,
    "booked is booked": booked_is_booked,
    "asked for a reason": asked_for_a_reason,
}
