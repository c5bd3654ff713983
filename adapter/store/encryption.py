"""Store requests again with a different encryption key."""

from collections.abc import Collection

from psycopg.types.json import Jsonb

from adapter.store.queries import Statements

#: The tables with requests, by the name for a row in the statements.
KINDS = ("event", "rejection")


class Encryption(Statements):
    """Encrypts stored requests again within a transaction."""

    def rotate(self, kind: str, *, after: int, readable: Collection[str], limit: int) -> list[int]:
        """Store requests after an ID in the same way as new ones, and return their IDs.

        Skip those that another transaction has locked. The headers in ``readable`` stay readable.
        """
        cipher = self.connection.cipher
        rows = self._all(f"{kind}s_to_encrypt", after=after, key=cipher.key_id, limit=limit)
        for row in rows:
            sealed = cipher.sealed(cipher.opened(row), readable=readable)
            self._run(f"encrypt_{kind}", **sealed | {"headers": Jsonb(sealed["headers"])})
        return [row["id"] for row in rows]

    def remaining(self) -> int:
        """Return how many requests are not stored in the same way as new ones."""
        row = self._one("requests_to_encrypt", key=self.connection.cipher.key_id)
        return int(row["requests"]) if row else 0
