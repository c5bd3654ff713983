"""Run benchmarks (``make bench``). Each figure is a ratio of medians within one run.

Other work may keep the machine busy, so each figure and its baseline are measured alternately, in
the same rounds. These are not tests: no figure causes a failure.
"""


class BenchError(Exception):
    """Raised when a measurement is invalid, so that no figure is reported."""
