"""Re-encrypt stored requests with the newest key, and find requests with a missing key."""

import dataclasses
from collections.abc import Collection

from psycopg.types.json import Jsonb

from adapter.store.queries import Statements

#: The kinds of stored requests, as named in the SQL statements.
KINDS = ("event", "rejection", "message")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Undecryptable:
    """The IDs of stored requests whose keys are not in ADAPTER_ENCRYPTION_KEYS."""

    events: tuple[int, ...] = ()
    rejections: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.events or self.rejections)


class Encryption(Statements):
    """Re-encrypts stored requests within a transaction."""

    def rotate(self, kind: str, *, after: int, readable: Collection[str], limit: int) -> list[int]:
        """Re-encrypt a batch of stored requests with IDs above ``after``. Return their IDs.

        Skip requests that another transaction has locked, and those whose key is not set. Do not
        encrypt the headers in ``readable``.
        """
        cipher = self.connection.cipher
        values = {"after": after, "key": cipher.key_id, "keys": cipher.key_ids, "limit": limit}
        rows = self._all(f"{kind}s_to_encrypt", **values)
        for row in rows:
            sealed = cipher.sealed(cipher.opened(row), readable=readable)
            self._run(f"encrypt_{kind}", **sealed | {"headers": Jsonb(sealed["headers"])})
        return [row["id"] for row in rows]

    def remaining(self) -> int:
        """Return the number of stored requests that are not yet encrypted with the newest key."""
        return int(self._value("requests_to_encrypt", key=self.connection.cipher.key_id) or 0)

    def undecryptable(self) -> Undecryptable:
        """Return the IDs of stored requests whose encryption keys are not configured."""
        events = self._ids("undecryptable_events")
        return Undecryptable(events=events, rejections=self.undecryptable_rejections())

    def undecryptable_rejections(self) -> tuple[int, ...]:
        """Return the IDs of rejected requests whose encryption keys are not configured."""
        return self._ids("undecryptable_rejections")

    def _ids(self, name: str) -> tuple[int, ...]:
        return tuple(self._values(name, keys=self.connection.cipher.key_ids))
