"""What the database tells by itself: ids of events as they are settled."""

from collections.abc import Iterator

import psycopg

from adapter.exceptions import StoreUnavailable
from adapter.store.migrate import reason_of
from adapter.store.statements import STATEMENTS


def settlements(url: str) -> Iterator[int | None]:
    """Ids of events, each as the transaction that settled it is committed; without an end.

    The first is None: from then on nothing is missed. Holds one connection of its own, and raises
    :class:`StoreUnavailable` when that is lost.
    """
    try:
        with psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=5,
            # A host that is gone without a word is found out within these seconds.
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
        ) as connection:
            connection.execute(STATEMENTS["listen"])
            yield None
            for notice in connection.notifies():
                yield int(notice.payload)
    except psycopg.Error as exc:
        raise StoreUnavailable(reason_of(exc)) from exc
