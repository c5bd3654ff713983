"""Write gunicorn's log messages in our JSON format, without any part of a request."""

from typing import Any

from gunicorn import glogging


class Logger(glogging.Logger):  # type: ignore[misc] # gunicorn has no types
    """Passes gunicorn's log records to our handler without the text of the messages.

    The text may quote a request, because the bytes after an oversized body look like a request
    line.
    """

    def setup(self, cfg: Any) -> None:
        """Remove gunicorn's own log handler. Gunicorn calls this at startup and on each reload."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        # Without gunicorn's wrapper methods, a record names the code that logged it.
        for name in ("critical", "error", "warning", "info", "debug", "exception"):
            setattr(self, name, getattr(self.error_log, name))
