"""Carries across together, in one transaction, what several threads bring at the same moment.

The first one crosses at once. Who comes while it is under way waits, and all who wait cross
together: one round trip and one flush to the disk for all of them.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from adapter.exceptions import StoreUnavailable

Cargo = TypeVar("Cargo")
Receipt = TypeVar("Receipt")

#: So many cross together at most.
SEATS = 16


class Ferry(Generic[Cargo, Receipt]):
    """One ferry of one process. It has no thread of its own: whoever crosses rows."""

    def __init__(self, carry: Callable[[Sequence[Cargo]], Sequence[Receipt]]) -> None:
        """``carry`` takes all of them across or raises and takes none, and gives a receipt each."""
        self._carry = carry
        self._lock = threading.Lock()
        self._waiting: list[_Passenger[Cargo, Receipt]] = []
        self._is_under_way = False

    def take(self, cargo: Cargo) -> Receipt:
        """The receipt of what was carried across. Raises what ``carry`` raises."""
        passenger = _Passenger[Cargo, Receipt](cargo)
        with self._lock:
            self._waiting.append(passenger)
            must_wait, self._is_under_way = self._is_under_way, True
        if must_wait:
            passenger.wait()
        if not passenger.is_across:
            self._cross()
        return passenger.receipt()

    def _cross(self) -> None:
        with self._lock:
            aboard, self._waiting = self._waiting[:SEATS], self._waiting[SEATS:]
        self._row(aboard)
        with self._lock:
            if aboard[0].is_stranded:
                # PostgreSQL is away or says nothing. Who waits has waited for that already.
                aboard, self._waiting = [*aboard, *self._waiting], []
                for passenger in aboard:
                    passenger.land(error=aboard[0].error)
            following = self._waiting[:1]
            self._is_under_way = bool(following)
        for passenger in (*aboard, *following):
            passenger.call()

    def _row(self, aboard: Sequence["_Passenger[Cargo, Receipt]"]) -> None:
        """Whatever happens, everyone aboard hears of it. One that sinks the ferry sinks alone."""
        try:
            receipts = self._carry([passenger.cargo for passenger in aboard])
        except BaseException as exc:  # noqa: BLE001 - it is raised where each of them waits
            if len(aboard) == 1 or isinstance(exc, StoreUnavailable):
                for passenger in aboard:
                    passenger.land(error=exc)
            else:
                for passenger in aboard:
                    self._row([passenger])
        else:
            for passenger, receipt in zip(aboard, receipts, strict=True):
                passenger.land(receipt)


class _Passenger(Generic[Cargo, Receipt]):
    """One thread with its cargo. A bare lock is its bell: the cheapest that Python has."""

    def __init__(self, cargo: Cargo) -> None:
        self.cargo = cargo
        self.is_across = False
        self._receipt: Receipt | None = None
        self.error: BaseException | None = None
        self._bell = threading.Lock()
        self._bell.acquire()

    def wait(self) -> None:
        """Until it was carried across, or may cross as the first of those who wait."""
        self._bell.acquire()

    def call(self) -> None:
        """Ends the wait."""
        self._bell.release()

    def land(self, receipt: Receipt | None = None, *, error: BaseException | None = None) -> None:
        """It is across, or cannot be carried."""
        self._receipt, self.error, self.is_across = receipt, error, True

    @property
    def is_stranded(self) -> bool:
        """Whether it could not cross because there is no way across now."""
        return isinstance(self.error, StoreUnavailable)

    def receipt(self) -> Receipt:
        if self.error is not None:
            raise self.error
        return self._receipt  # type: ignore[return-value] # None is a receipt too
