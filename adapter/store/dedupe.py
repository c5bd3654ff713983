"""Recognize duplicates: the dedupe keys of deliveries that were used (claims), as keyed hashes."""

import dataclasses
import datetime as dt
from collections.abc import Mapping

from psycopg.types.json import Jsonb

from adapter.store.queries import Statements


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Duplicate:
    """What is known of a delivery whose key was used before."""

    #: The event of the first delivery under the key, and that of the latest one.
    first_id: int
    latest_id: int
    #: Whether the content is that of the latest delivery.
    is_same: bool
    #: Whether something else has been requested since: it may be a late repeat or a change back.
    is_outdated: bool
    #: Whether the sender names it differently from the latest one: it is no retry.
    is_other_delivery: bool
    #: How many deliveries under the key came after the first.
    repeats: int


class Claims(Statements):
    """The claims, within one transaction. Deliveries are claimed by :class:`Events`."""

    def record_duplicate(
        self,
        *,
        source: str,
        digest: bytes,
        content: bytes,
        delivery: Mapping[str, str],
        now: dt.datetime,
    ) -> Duplicate:
        """Count a delivery whose key was used before, and lock the claim.

        ``delivery`` has the headers in which the sender names it.
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
            raise LookupError("a claim vanished between two statements")
        return Duplicate(**row)

    def set_latest(self, *, source: str, digest: bytes, content: bytes, event_id: int) -> None:
        """Record the latest delivery under a key."""
        self._run("set_latest_delivery", source=source, digest=digest, content=content, id=event_id)
