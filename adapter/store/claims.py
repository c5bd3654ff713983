"""Record webhook deliveries that repeat an earlier dedupe key."""

import dataclasses
import datetime as dt
from collections.abc import Mapping

from psycopg.types.json import Jsonb

from adapter.store.queries import Statements


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Duplicate:
    """A webhook delivery that has the same dedupe key as an earlier delivery."""

    #: The event IDs of the first and the latest delivery with the key.
    first_id: int
    latest_id: int
    #: True if the content is the same as in the latest delivery.
    is_same: bool
    #: True if a later delivery had different content, so this is a late repeat or a change back.
    is_outdated: bool
    #: True if its delivery ID differs from the latest delivery's, so that it is not a retry. None
    #: if either of the two has no ID.
    is_other_delivery: bool | None
    #: How many deliveries with the key came after the first one.
    repeats: int


class Claims(Statements):
    """Updates claims on dedupe keys within a transaction. :class:`Events` inserts the claims."""

    def record_duplicate(
        self,
        *,
        source: str,
        digest: bytes,
        content: bytes,
        delivery: Mapping[str, str],
        now: dt.datetime,
    ) -> Duplicate:
        """Count a delivery that repeats a dedupe key, and lock that key's claim.

        ``delivery`` contains the headers that may contain the sender's delivery ID.
        """
        row = self._one(
            "record_duplicate",
            source=source,
            digest=digest,
            content=content,
            delivery=Jsonb(dict(delivery)),
            at=now,
        )
        if row is None:
            raise LookupError("a claim disappeared between two statements")
        return Duplicate(**row)

    def set_latest(self, *, source: str, digest: bytes, content: bytes, event_id: int) -> None:
        """Record an event as the latest delivery with a dedupe key."""
        self._run("set_latest_delivery", source=source, digest=digest, content=content, id=event_id)
