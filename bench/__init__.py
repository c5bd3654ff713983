"""Figures side by side: ``make bench``. Each is a ratio of medians within one run.

The machine may be busy with other things, so what stands beside each figure is measured in the
same rounds, in turn. Nothing here is a test: no figure makes anything fail.
"""


class BenchError(Exception):
    """What was measured is not what should have been: there is no figure."""
