"""Report automatic decisions, and contact details that several people share."""

import dataclasses
import datetime as dt
from collections.abc import Iterable, Sequence

from adapter.bookings.same_person import names_agree
from adapter.settings import Policy
from adapter.store import IGNORED, Database, DecisionCount, SharedContact

#: A contact counts as shared if this many people used it in this period.
MIN_PEOPLE = 3
SHARED_SINCE = dt.timedelta(days=30)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DecisionReport:
    """The automatic decisions in a period, and contact details that several people share."""

    since: dt.datetime
    decisions: Sequence[DecisionCount]
    #: Contact details that several people share but that are not in ``ADAPTER_SHARED_CONTACTS``.
    shared: Sequence[SharedContact]
    #: The environment line that adds them to the setting, or "".
    setting: str

    @property
    def leads(self) -> int:
        """The number of leads that were decided automatically."""
        return sum(one.leads for one in self.decisions if one.rule != IGNORED)

    @property
    def messages(self) -> int:
        """The number of messages that were ignored, so that they never became leads."""
        return sum(one.leads for one in self.decisions if one.rule == IGNORED)

    @property
    def title(self) -> str:
        """The counts as the beginning of a sentence."""
        counts = [(self.leads, "lead"), (self.messages, "message")]
        parts = [f"{n} {what}{'s' if n > 1 else ''}" for n, what in counts if n]
        verb = "was" if self.leads + self.messages == 1 else "were"
        return f"{' and '.join(parts) or 'No leads'} {verb} handled automatically"


def decision_report(
    store: Database,
    policy: Policy,
    now: dt.datetime,
    period: dt.timedelta,
    source: str | None = None,
) -> DecisionReport:
    """Report the automatic decisions in a period, for one source or all sources."""
    with store.transaction() as tx:
        counts = tx.decisions.counts(now - period)
        several = tx.decisions.contacts_of_several(now - SHARED_SINCE, MIN_PEOPLE)
    shared = [
        dataclasses.replace(one, names=people)
        for one in several
        if one.contact.lower() not in policy.shared_contacts
        and len(people := _people(one.names)) >= MIN_PEOPLE
    ]
    contacts = sorted({*policy.shared_contacts, *(one.contact for one in shared)})
    return DecisionReport(
        since=now - period,
        decisions=[one for one in counts if source in (None, one.source)],
        shared=shared,
        setting="ADAPTER_SHARED_CONTACTS=" + ",".join(contacts) if shared else "",
    )


def _people(names: Iterable[str]) -> list[str]:
    """Return one name for each person: the longest variant that may be the person's name."""
    people: list[str] = []
    for name in sorted(names, key=len, reverse=True):
        if all(names_agree({"last_name": name}, {"last_name": one}) is False for one in people):
            people.append(name)
    return people
