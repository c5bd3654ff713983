"""Gunicorn's own log lines: JSON like ours, and nothing of a request in them."""

from typing import Any

from gunicorn import glogging


class Logger(glogging.Logger):  # type: ignore[misc] # gunicorn has no types
    """Pass gunicorn's records on to our handler, which logs where they came from, not their text.

    Their text quotes requests: what follows a body whose length is wrong is read as a request line.
    """

    def setup(self, cfg: Any) -> None:
        """Replace gunicorn's handler. Gunicorn calls this at start and reload."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        # Without the wrappers around these, a record names the code that logged it.
        for name in ("critical", "error", "warning", "info", "debug", "exception"):
            setattr(self, name, getattr(self.error_log, name))
