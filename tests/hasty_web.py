"""Gunicorn's worker with little patience: ``tests.hasty_web.Worker``."""

from adapter import serving

serving.REQUEST_SECONDS = 6.0
Worker = serving.Worker
