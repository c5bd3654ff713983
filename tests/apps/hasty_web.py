"""Define a web worker with short timeouts: ``tests.apps.hasty_web.Worker``."""

from adapter.server import web_worker

web_worker.READ_SECONDS = 6.0
Worker = web_worker.Worker
