"""Claims: dedupe keys that were used, as keyed hashes."""

import datetime as dt

from adapter.store.queries import Statements


class Claims(Statements):
    """The claims, within one transaction. Deliveries are claimed by :class:`Events`."""

    def insert(self, source: str, digest: bytes, booking_id: int, *, now: dt.datetime) -> bool:
        """Claim ``digest`` for a booking. Return False if it was claimed before."""
        row = self._one("claim_item", source=source, digest=digest, booking_id=booking_id, at=now)
        return row is not None

    def owner(self, source: str, digest: bytes) -> int | None:
        """Return the ID of the event or booking that claimed ``digest`` first."""
        row = self._one("owner_of_claim", source=source, digest=digest)
        return int(row["lead_id"]) if row else None

    def record_duplicate(
        self, *, source: str, digest: bytes, content: bytes, now: dt.datetime
    ) -> tuple[int, bool]:
        """Count a repeat. Return the first event's ID and whether the content is the same."""
        row = self._one("record_duplicate", source=source, digest=digest, content=content, at=now)
        if row is None:
            raise LookupError("a claim vanished between two statements")
        return int(row["lead_id"]), bool(row["is_same"])

    def reassign(self, source: str, digest: bytes, booking_id: int) -> None:
        """Point a claim to the booking that replaced the first one."""
        self._run("reassign_claim", source=source, digest=digest, booking_id=booking_id)

    def reassign_all(self, from_id: int, to_id: int) -> None:
        """Point all claims of one booking to another. Slow: it reads all claims."""
        self._run("reassign_claims", from_id=from_id, to_id=to_id)
