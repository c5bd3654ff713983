"""Carries across together, in one transaction, what several threads bring at the same moment.

The first one crosses at once. Who comes while it is under way waits, and all who wait cross
together: one round trip and one flush to the disk for all of them.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from adapter.exceptions import StoreUnavailable

Item = TypeVar("Item")
Receipt = TypeVar("Receipt")

#: So many cross together at most.
MAX_BATCH = 16


class InsertBatcher(Generic[Item, Receipt]):
    """One ferry of one process. It has no thread of its own: whoever crosses rows."""

    def __init__(self, carry: Callable[[Sequence[Item]], Sequence[Receipt]]) -> None:
        """``carry`` takes all of them across or raises and takes none, and gives a receipt each."""
        self._insert_items = carry
        self._lock = threading.Lock()
        self._waiting: list[_PendingInsert[Item, Receipt]] = []
        self._is_flushing = False

    def submit(self, item: Item) -> Receipt:
        """The receipt of what was carried across. Raises what ``carry`` raises."""
        pending = _PendingInsert[Item, Receipt](item)
        with self._lock:
            self._waiting.append(pending)
            must_wait, self._is_flushing = self._is_flushing, True
        if must_wait:
            pending.wait()
        if not pending.is_done:
            self._flush()
        return pending.receipt()

    def _flush(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
        self._insert(batch)
        with self._lock:
            if batch[0].database_is_down:
                # PostgreSQL is away or says nothing. Who waits has waited for that already.
                batch, self._waiting = [*batch, *self._waiting], []
                for pending in batch:
                    pending.resolve(error=batch[0].error)
            following = self._waiting[:1]
            self._is_flushing = bool(following)
        for pending in (*batch, *following):
            pending.notify()

    def _insert(self, batch: Sequence["_PendingInsert[Item, Receipt]"]) -> None:
        """Whatever happens, everyone aboard hears of it. One that sinks the ferry sinks alone."""
        try:
            receipts = self._insert_items([pending.item for pending in batch])
        except BaseException as exc:  # noqa: BLE001 - it is raised where each of them waits
            if len(batch) == 1 or isinstance(exc, StoreUnavailable):
                for pending in batch:
                    pending.resolve(error=exc)
            else:
                for pending in batch:
                    self._insert([pending])
        else:
            for pending, receipt in zip(batch, receipts, strict=True):
                pending.resolve(receipt)


class _PendingInsert(Generic[Item, Receipt]):
    """One thread with its cargo. A bare lock is its bell: the cheapest that Python has."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.is_done = False
        self._receipt: Receipt | None = None
        self.error: BaseException | None = None
        self._event = threading.Lock()
        self._event.acquire()

    def wait(self) -> None:
        """Until it was carried across, or may cross as the first of those who wait."""
        self._event.acquire()

    def notify(self) -> None:
        """Ends the wait."""
        self._event.release()

    def resolve(
        self, receipt: Receipt | None = None, *, error: BaseException | None = None
    ) -> None:
        """It is across, or cannot be carried."""
        self._receipt, self.error, self.is_done = receipt, error, True

    @property
    def database_is_down(self) -> bool:
        """Whether it could not cross because there is no way across now."""
        return isinstance(self.error, StoreUnavailable)

    def receipt(self) -> Receipt:
        if self.error is not None:
            raise self.error
        return self._receipt  # type: ignore[return-value] # None is a receipt too
