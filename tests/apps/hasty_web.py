"""Gunicorn's worker with short timeouts: ``tests.apps.hasty_web.Worker``."""

from adapter.server import gunicorn_conf

gunicorn_conf.REQUEST_SECONDS = 6.0
Worker = gunicorn_conf.Worker
