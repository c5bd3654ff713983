"""Store rejected requests separately from events, up to a limit for each source."""

import dataclasses
import datetime as dt
import json
from collections.abc import Mapping, Sequence

from psycopg.types.json import Jsonb

from adapter.store.queries import Statements
from adapter.store.rows import Row, storable

#: statement_timeout for storing a rejection, because other work takes priority.
TIMEOUT_MILLISECONDS = 2000


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NewRejection:
    """A rejected request, without credentials, ready to be stored."""

    source: str
    received_at: dt.datetime
    #: One of :data:`adapter.signatures.REASONS`, or the name of an HTTP error.
    reason: str
    method: str
    url: str
    #: Headers, with names in lower case.
    headers: Mapping[str, str]
    #: The body, or None if it is not kept.
    body: bytes | None
    #: Keyed hash of the client's address, or None if it is unknown.
    sender: str | None
    #: True if the request can be verified again.
    can_retry: bool
    #: Keyed hashes of each spelling of the request's token or password.
    proofs: Sequence[bytes] = ()

    @property
    def size(self) -> int:
        """The approximate size of the request, in bytes."""
        return len(self.body or b"") + len(self.url) + len(json.dumps(dict(self.headers)))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Rejection(NewRejection):
    """A stored rejected request."""

    id: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RejectionSummary:
    """A stored rejected request without its contents, readable without an encryption key."""

    id: int
    source: str
    received_at: dt.datetime
    reason: str
    #: Approximate size in bytes.
    size: int
    sender: str | None
    can_retry: bool


class Rejections(Statements):
    """Reads and writes rejected requests within a transaction."""

    def add(self, new: NewRejection, *, max_rows: int, max_bytes: int) -> None:
        """Store a rejected request. Delete older ones if the source exceeds its limits."""
        self._run("set_statement_timeout", limit=f"{TIMEOUT_MILLISECONDS}ms")
        self._run("lock_rejections", source=new.source)
        headers = {storable(name): storable(text) for name, text in new.headers.items()}
        row = dataclasses.asdict(new) | {"headers": headers, "url": storable(new.url)}
        row = self.connection.cipher.sealed(row)
        row |= {"method": storable(new.method), "proofs": list(new.proofs), "bytes": new.size}
        self._run("insert_rejection", **row | {"headers": Jsonb(row["headers"])})
        self._run("trim_rejections", source=new.source, rows=max_rows, bytes=max_bytes)

    def newest(self, *, source: str | None = None, limit: int = 100) -> list[RejectionSummary]:
        """Return summaries of rejected requests, newest first."""
        rows = self._all("list_rejections", source=source, limit=limit)
        return [RejectionSummary(**row) for row in rows]

    def of_source(self, source: str) -> list[Rejection]:
        """Return a source's rejected requests that can be decrypted, oldest first.

        A source has only a limited number of them.
        """
        rows = self._all("rejections_of_source", source=source, keys=self.connection.cipher.key_ids)
        return [self._rejection(row) for row in rows]

    def get(self, rejection_id: int) -> Rejection | None:
        """Return a rejected request, or None if it does not exist."""
        row = self._one("get_rejection", id=rejection_id)
        return self._rejection(row) if row else None

    def remove(self, rejection_id: int) -> None:
        """Delete a rejected request, for example because it was verified later."""
        self._run("delete_rejection", id=rejection_id)

    def counts(self) -> dict[str, int]:
        """Return the number of stored rejected requests for each source."""
        return {row["source"]: row["rejections"] for row in self._all("rejection_counts")}

    def count(self, requests: Mapping[tuple[str, str], int]) -> None:
        """Add rejected requests to the totals by source and reason."""
        # Sorted, because two processes that lock the same rows in different orders may deadlock.
        rows = [(*key, number) for key, number in sorted(requests.items())]
        sources, reasons, numbers = zip(*rows, strict=True)
        self._run(
            "add_rejection_counts",
            sources=list(sources),
            reasons=list(reasons),
            requests=list(numbers),
        )

    def totals(self) -> dict[tuple[str, str], int]:
        """Return the number of rejected requests for each source and reason."""
        rows = self._all("rejection_totals")
        return {(row["source"], row["reason"]): row["requests"] for row in rows}

    def _rejection(self, row: Row) -> Rejection:
        row = self.connection.cipher.opened(row)
        return Rejection(**{field.name: row[field.name] for field in dataclasses.fields(Rejection)})
