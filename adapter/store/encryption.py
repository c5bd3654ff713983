"""Re-encrypt stored requests with the current key."""

from collections.abc import Collection

from psycopg.types.json import Jsonb

from adapter.store.queries import Statements

#: The kinds of stored requests, as named in the SQL statements.
KINDS = ("event", "rejection")


class Encryption(Statements):
    """Re-encrypts stored requests within a transaction."""

    def rotate(self, kind: str, *, after: int, readable: Collection[str], limit: int) -> list[int]:
        """Re-encrypt a batch of requests with IDs above ``after``, and return their IDs.

        Skip requests that another transaction has locked. Do not encrypt the headers in
        ``readable``.
        """
        cipher = self.connection.cipher
        rows = self._all(f"{kind}s_to_encrypt", after=after, key=cipher.key_id, limit=limit)
        for row in rows:
            sealed = cipher.sealed(cipher.opened(row), readable=readable)
            self._run(f"encrypt_{kind}", **sealed | {"headers": Jsonb(sealed["headers"])})
        return [row["id"] for row in rows]

    def remaining(self) -> int:
        """Return how many requests are not stored with the current key yet."""
        row = self._one("requests_to_encrypt", key=self.connection.cipher.key_id)
        return int(row["requests"]) if row else 0
