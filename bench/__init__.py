"""Benchmarks: ``make bench``. Each figure is a ratio of medians within one run.

Other work may keep the machine busy, so each figure's baseline is measured in the same rounds, in
alternation. These are not tests: no figure makes anything fail.
"""


class BenchError(Exception):
    """Raised when a measurement is invalid, so that no figure is reported."""
