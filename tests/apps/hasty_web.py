"""Our web worker with little patience: ``tests.apps.hasty_web.Worker``."""

from adapter.server import web_worker

web_worker.READ_SECONDS = 6.0
Worker = web_worker.Worker
