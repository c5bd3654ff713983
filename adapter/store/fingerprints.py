"""Compute irreversible keyed hashes of deliveries, items and people."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from adapter import signatures


class Fingerprints:
    """Hash under the key of this installation."""

    def __init__(self, key: bytes) -> None:
        self.key = key

    def delivery(self, source: str, key: str) -> bytes:
        """Return the digest of a delivery's dedupe key."""
        return self._digest(source, "delivery", key)

    def changed_delivery(self, source: str, key: str, content: bytes) -> bytes:
        """Return the digest of a delivery that reuses a known key with different content."""
        return self._digest(source, "changed delivery", key, content.hex())

    def item(self, source: str, key: str) -> bytes:
        """Return the digest of the dedupe key of one item: one appointment to be made."""
        return self._digest(source, "item", key)

    def cancellation(self, source: str, key: str) -> bytes:
        """Return the digest that marks an item as canceled."""
        return self._digest(source, "cancellation", key)

    def item_content(self, source: str, key: str, appointment: Mapping[str, Any]) -> bytes:
        """Return the digest of an item and all of its fields."""
        fields = json.dumps(dict(appointment), sort_keys=True)
        return self._digest(source, "item content", key, fields)

    def person_keys(
        self, community: str | None, appointment: Mapping[str, Any], shared: Collection[str]
    ) -> tuple[int, ...]:
        """Return one 64-bit key for the email and one for the phone of a person at a community.

        Knock identifies a person at a community by either. A contact that many people share
        identifies no person and gives no key.
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
    """Return the first 64 bits of a digest as a PostgreSQL bigint, to lock and to look up."""
    return int.from_bytes(digest[:8], signed=True)
