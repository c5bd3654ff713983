"""Hold the console's blueprint, and the services that its views work with."""

import contextlib
import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Final, Self

import flask
from werkzeug.local import LocalProxy

from adapter.mapping.source import Source
from adapter.operations.release import Repairs
from adapter.operations.replay import Replays
from adapter.operations.sign_in import SignIn
from adapter.pipeline import Pipeline
from adapter.settings import Settings
from adapter.signatures import Verifier
from adapter.store import Database

bp: Final = flask.Blueprint(
    "console",
    __package__,
    url_prefix="/console",
    static_folder="static",
    template_folder="templates",
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ConsoleServices:
    """The services of one application: the store and the operations that people start."""

    pipeline: Pipeline
    verifiers: Mapping[str, Verifier]
    repairs: Repairs
    replays: Replays
    sign_in: SignIn

    @classmethod
    def of(cls, pipeline: Pipeline, verifiers: Mapping[str, Verifier]) -> Self:
        """Build the services over a pipeline. ``verifiers``: by source, for its rejections."""
        parts = (pipeline.settings, pipeline.store, pipeline.sources, pipeline.clock)
        return cls(
            pipeline=pipeline,
            verifiers=verifiers,
            repairs=Repairs(*parts),
            replays=Replays(*parts),
            sign_in=SignIn(pipeline.settings, pipeline.store, pipeline.clock),
        )

    @property
    def sources(self) -> Mapping[str, Source]:
        """Return the current sources by name."""
        return self.pipeline.sources

    @property
    def settings(self) -> Settings:
        """Return the settings."""
        return self.pipeline.settings

    @property
    def store(self) -> Database:
        """Return the database."""
        return self.pipeline.store

    def now(self) -> dt.datetime:
        """Return the current time."""
        return self.pipeline.clock()

    def mapping_text(self, name: str) -> str:
        """Return a source's mapping text, or "" if there is none."""
        with contextlib.suppress(KeyError, OSError):
            return self.sources[name].path.read_text("utf-8", "replace")
        return ""

    def communities(self) -> list[str]:
        """Return the keys of all communities."""
        return sorted({key for source in self.sources.values() for key in source.communities})


#: The services of the application that answers the current request.
services: ConsoleServices = LocalProxy(  # type: ignore[assignment]
    lambda: flask.current_app.extensions["console"]
)
