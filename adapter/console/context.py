"""What the pages are made from: the pipeline's parts and the functions that people act by."""

import dataclasses
from collections.abc import Mapping
from typing import Self

from adapter.mapping.source import Source
from adapter.operations.release import Repairs
from adapter.operations.replay import Replays
from adapter.operations.sign_in import SignIn
from adapter.pipeline import Pipeline
from adapter.signatures import Verifier


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ConsoleServices:
    """One web process's parts."""

    pipeline: Pipeline
    verifiers: Mapping[str, Verifier]
    repairs: Repairs
    replays: Replays
    sign_in: SignIn

    @classmethod
    def of(cls, pipeline: Pipeline, verifiers: Mapping[str, Verifier]) -> Self:
        """All of it, over one pipeline."""
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
        """The sources of now, by name."""
        return self.pipeline.sources
