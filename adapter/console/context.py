"""Create the console's Flask blueprint, and provide services to its views."""

import contextlib
import datetime as dt
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import flask
from werkzeug.exceptions import TooManyRequests
from werkzeug.local import LocalProxy

from adapter.bookings.calendar_check import TimeCheck
from adapter.mapping.source import Source
from adapter.operations.release import Repairs
from adapter.operations.replay import Replays
from adapter.operations.sign_in import SignIn
from adapter.operations.take_back import UNDO_SECONDS, TakeBacks
from adapter.operations.version_watch import VersionWatch
from adapter.pipeline import Pipeline
from adapter.signatures import Verifier

bp: Final = flask.Blueprint(
    "console",
    __package__,
    url_prefix="/console",
    static_folder="static",
    template_folder="templates",
)


_heavy: Final = threading.Lock()
_trial: Final = threading.Lock()
#: One trial may run and one may wait, so that a user's latest edit is always tried.
_trials: Final = threading.BoundedSemaphore(2)


@contextlib.contextmanager
def trial() -> Iterator[None]:
    """Limit mapping tests to one at a time. Abort with 429 if too many are waiting.

    Each test takes up to half a second of CPU time.
    """
    if not _trials.acquire(blocking=False):
        raise TooManyRequests("Other mappings are being tried. Try again in a few seconds.")
    try:
        with _trial:
            yield
    finally:
        _trials.release()


def one_at_a_time(items: Iterable[Any]) -> Iterator[Any]:
    """Allow only one backtest or export at a time. Abort the request with 429 if one is running.

    Each takes several seconds of CPU time in a process that also receives webhooks.
    """
    running = _while_locked(items)
    next(running)
    return running


def _while_locked(items: Iterable[Any]) -> Iterator[Any]:
    if not _heavy.acquire(blocking=False):
        raise TooManyRequests("Another backtest or export is running. Try again in a minute.")
    try:
        yield None
        yield from items
    finally:
        _heavy.release()


class ConsoleServices:
    """The services that the console's views use, such as the database and actions on leads."""

    def __init__(self, pipeline: Pipeline, verifiers: Mapping[str, Verifier]) -> None:
        """Create the services for a pipeline. ``verifiers`` maps each source to its verifier."""
        self.pipeline, self.verifiers = pipeline, verifiers
        self.settings, self.store, self.now = pipeline.settings, pipeline.store, pipeline.clock
        self.take_backs = TakeBacks(self.store, self.now)
        self.sign_in = SignIn(self.settings, self.store, self.now)
        self.version_watch = VersionWatch(self.settings, self.store, pipeline.live)

    @property
    def sources(self) -> Mapping[str, Source]:
        """Return the current sources, keyed by name."""
        return self.pipeline.sources

    @property
    def repairs(self) -> Repairs:
        """Return the operations for releasing and resolving leads."""
        hold_for = dt.timedelta(seconds=UNDO_SECONDS)
        check = TimeCheck(self.store, self.pipeline.free_times, self.sources)
        return Repairs(
            self.settings,
            self.store,
            self.sources,
            self.now,
            hold_for=hold_for,
            time_check=check,
        )

    @property
    def replays(self) -> Replays:
        """Return the operations for remapping webhooks."""
        return Replays(self.settings, self.store, self.sources, self.now)

    def mapping_text(self, name: str) -> str:
        """Return the text of a source's mapping, or "" if there is none."""
        return self.sources[name].text if name in self.sources else ""

    def community_name(self, key: str) -> str:
        """Return a community's display name."""
        known = (source.communities.get(key) for source in self.sources.values())
        community = next(filter(None, known), None)
        return getattr(community, "name", "") or key.replace("-", " ").replace("_", " ").title()

    def communities(self) -> list[str]:
        """Return the keys of all communities, sorted."""
        return sorted({key for source in self.sources.values() for key in source.communities})


#: The services of the application that handles the current request.
services: ConsoleServices = LocalProxy(  # type: ignore[assignment]
    lambda: flask.current_app.extensions["console"]
)
