"""Benchmarks: ``make bench``. Each figure is a ratio of medians within one run.

The machine may be busy with other things, so each figure's baseline is measured in the same
rounds, in turn. Nothing here is a test: no figure makes anything fail.
"""


class BenchError(Exception):
    """Raised when a measurement is invalid, so that no figure is reported."""
