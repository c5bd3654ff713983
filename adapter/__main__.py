"""Run the ``adapter`` command as ``python -m adapter``."""

from adapter.cli import main

main()
