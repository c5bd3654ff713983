"""Compute irreversible keyed hashes of dedupe keys, items and people."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from adapter import signatures


class Fingerprints:
    """Computes keyed hashes with this installation's secret key."""

    def __init__(self, key: bytes) -> None:
        self.key = key

    def delivery(self, source: str, key: str) -> bytes:
        """Return the keyed hash of a webhook delivery's dedupe key."""
        return self._digest(source, "delivery", key)

    def later_delivery(self, source: str, key: str, number: int) -> bytes:
        """Return the keyed hash to store for a webhook that repeats a dedupe key."""
        return self._digest(source, "later delivery", key, str(number))

    def item(self, source: str, key: str) -> bytes:
        """Return the keyed hash of the dedupe key of an item, which is mapped to one booking."""
        return self._digest(source, "item", key)

    def content(self, source: str, kind: str, appointment: Mapping[str, Any]) -> bytes:
        """Return the keyed hash of all fields mapped from an item."""
        fields = json.dumps(dict(appointment), sort_keys=True)
        return self._digest(source, "content", kind, fields)

    def person_keys(
        self, community: str | None, appointment: Mapping[str, Any], shared: Collection[str]
    ) -> tuple[int, ...]:
        """Return keyed hashes of a person's email address and phone number at a community.

        The hashes have 64 bits. Knock identifies a person at a community by either contact. A
        contact in ``shared`` gets no hash, because it does not identify a person.
        """
        contacts = (appointment.get("email_1"), appointment.get("phone_1"))
        return tuple(
            lock_key(self._digest(community, "person", contact))
            for contact in contacts
            if community and contact and contact.lower() not in shared
        )

    def _digest(self, *parts: str | None) -> bytes:
        value = "\x00".join(part or "" for part in parts).encode("utf-8", "surrogatepass")
        return signatures.keyed_hash(self.key, value)


def lock_key(digest: bytes) -> int:
    """Return a digest's first 64 bits as a PostgreSQL bigint, for locks and lookups."""
    return int.from_bytes(digest[:8], signed=True)
