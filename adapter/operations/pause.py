"""Pause and resume sending to Propexo. Webhooks are stored and mapped during a pause."""

import contextlib
from collections.abc import Mapping

from adapter.exceptions import ConfigurationError, NotPossible
from adapter.mapping import registry
from adapter.mapping.source import Source
from adapter.models import Clock
from adapter.settings import Settings
from adapter.store import Database, Pause, Transaction, scope_text


class Pauses:
    """Pauses and resumes sending on behalf of a user."""

    def __init__(self, settings: Settings, store: Database, clock: Clock, by: str) -> None:
        self._settings, self._store, self._clock, self._by = settings, store, clock, by

    def pause(self, reason: str, *, source: str = "", community: str = "") -> list[Pause]:
        """Pause sending for a source, a community or all bookings. Return all current pauses.

        Once this returns, no POST for a paused booking begins. Raise :class:`NotPossible` if the
        source or community does not exist.
        """
        now, scope = self._clock(), scope_text(source, community)
        with self._store.transaction() as tx:
            if (source or community) and not self._exists(tx, source, community):
                raise NotPossible(f"there is no {scope}; `adapter sources` lists the sources")
            tx.send_queue.pause(
                source=source, community=community, reason=reason, by=self._by, now=now
            )
            tx.audit.record("paused", by=self._by, at=now, detail=f"{scope}: {reason}")
            return tx.send_queue.pauses()

    def resume(self, *, source: str = "", community: str = "") -> list[Pause]:
        """End a pause. Return the pauses that remain.

        Without a source or community, also end all other delays: a pause that Propexo requested,
        and the delays before retries. Raise :class:`NotPossible` if the source or community is not
        paused.
        """
        now, scope = self._clock(), scope_text(source, community)
        with self._store.transaction() as tx:
            tx.rate_limit.lock(now)  # locked before bookings to avoid deadlocks
            is_ended = tx.send_queue.end_pause(source=source, community=community)
            if not source and not community:
                tx.rate_limit.lift()
                tx.send_queue.bring_forward(now)
            elif not is_ended:
                raise NotPossible(f"{scope} is not paused; `adapter stats` lists what is paused")
            tx.audit.record("resumed", by=self._by, at=now, detail=scope)
            return tx.send_queue.pauses()

    def _exists(self, tx: Transaction, source: str, community: str) -> bool:
        if tx.send_queue.has_bookings(source=source, community=community):
            return True
        found: Mapping[str, Source] = {}
        with contextlib.suppress(ConfigurationError):  # pausing must work with invalid mappings
            found = registry.load(self._settings.mappings_dir, self._settings.policy)
        return source in found or any(community in one.communities for one in found.values())
