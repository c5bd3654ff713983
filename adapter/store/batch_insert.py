"""Batch concurrent inserts from several threads into one transaction.

The first insert runs immediately. Inserts that are submitted while it runs wait, and then run
together with one round trip and one flush to disk.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from adapter.exceptions import StoreUnavailable

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Maximum number of items in one transaction.
MAX_BATCH = 16


class InsertBatcher(Generic[Item, Result]):
    """Combines concurrent inserts into batches. The calling threads run the batches."""

    def __init__(self, insert: Callable[[Sequence[Item]], Sequence[Result]]) -> None:
        """Set ``insert``, a function that inserts a list of items and returns their results."""
        self._insert_items = insert
        self._lock = threading.Lock()
        self._waiting: list[_PendingInsert[Item, Result]] = []
        self._is_flushing = False

    def submit(self, item: Item) -> Result:
        """Insert an item and return its result. Raise any error that the insert raised."""
        pending = _PendingInsert[Item, Result](item)
        with self._lock:
            self._waiting.append(pending)
            must_wait, self._is_flushing = self._is_flushing, True
        if must_wait:
            pending.wait()
        if not pending.is_done:
            self._flush()
        return pending.result()

    def _flush(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
        self._insert(batch)
        with self._lock:
            if batch[0].database_is_down:
                # The waiting threads have already waited for the whole timeout.
                batch, self._waiting = [*batch, *self._waiting], []
                for pending in batch:
                    pending.resolve(error=batch[0].error)
            following = self._waiting[:1]
            self._is_flushing = bool(following)
        for pending in (*batch, *following):
            pending.notify()

    def _insert(self, batch: Sequence["_PendingInsert[Item, Result]"]) -> None:
        """Insert a batch and resolve its inserts. If it fails, insert the items one by one."""
        try:
            results = self._insert_items([pending.item for pending in batch])
        except BaseException as exc:  # noqa: BLE001 - raised again in each waiting thread
            if len(batch) == 1 or isinstance(exc, StoreUnavailable):
                for pending in batch:
                    pending.resolve(error=exc)
            else:
                for pending in batch:
                    self._insert([pending])
        else:
            for pending, result in zip(batch, results, strict=True):
                pending.resolve(result)


class _PendingInsert(Generic[Item, Result]):
    """An item to insert, and the lock that its thread waits for."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.is_done = False
        self._result: Result | None = None
        self.error: BaseException | None = None
        self._event = threading.Lock()
        self._event.acquire()

    def wait(self) -> None:
        """Block until this insert is resolved, or until this thread must run the next batch."""
        self._event.acquire()

    def notify(self) -> None:
        """Wake the thread that is waiting for this insert."""
        self._event.release()

    def resolve(self, result: Result | None = None, *, error: BaseException | None = None) -> None:
        """Set the insert's result or its error."""
        self._result, self.error, self.is_done = result, error, True

    @property
    def database_is_down(self) -> bool:
        """True if the insert failed because the database is unavailable."""
        return isinstance(self.error, StoreUnavailable)

    def result(self) -> Result:
        if self.error is not None:
            raise self.error
        return self._result  # type: ignore[return-value] # None is a result too
