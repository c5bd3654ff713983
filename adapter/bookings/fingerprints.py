"""What has been seen, as keyed hashes: deliveries, items, people. None can be read back."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from adapter import signatures


class Fingerprints:
    """Hashes under one installation's key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def delivery(self, source: str, key: str) -> bytes:
        """The digest by which one delivery is known."""
        return self._digest(source, "delivery", key)

    def changed_delivery(self, source: str, key: str, content: bytes) -> bytes:
        """The digest of a delivery that came under a known key with other content."""
        return self._digest(source, "changed delivery", key, content.hex())

    def content(self, *parts: bytes) -> bytes:
        """The digest of what came, to tell the same from something else."""
        return self._digest("content", *(part.hex() for part in parts))

    def item(self, source: str, key: str) -> bytes:
        """The digest by which one item of a delivery is known: one appointment to be made."""
        return self._digest(source, "item", key)

    def cancellation(self, source: str, key: str) -> bytes:
        """The digest by which it is known that an item was called off."""
        return self._digest(source, "cancellation", key)

    def item_content(self, source: str, key: str, appointment: Mapping[str, Any]) -> bytes:
        """The digest of an item together with all that it says."""
        said = json.dumps(dict(appointment), sort_keys=True)
        return self._digest(source, "item content", key, said)

    def person_keys(
        self, community: str | None, appointment: Mapping[str, Any], shared: Collection[str]
    ) -> tuple[int, ...]:
        """One 64-bit key for the e-mail and one for the phone of a person at a community.

        Knock knows a person at a community by either. A contact that many share tells nobody
        apart and gives no key.
        """
        contacts = (appointment.get("email_1"), appointment.get("phone_1"))
        return tuple(
            lock_key(self._digest(community, "person", contact))
            for contact in contacts
            if community and contact and contact.lower() not in shared
        )

    def _digest(self, *parts: str | None) -> bytes:
        value = "\x00".join(part or "" for part in parts).encode("utf-8", "surrogatepass")
        return signatures.keyed_hash(self._key, value)


def lock_key(digest: bytes) -> int:
    """The first 64 bits of a digest, as PostgreSQL's bigint: a key to lock and to look up."""
    return int.from_bytes(digest[:8], signed=True)
