"""Log gunicorn's own messages as JSON like ours, without any part of a request."""

from typing import Any

from gunicorn import glogging


class Logger(glogging.Logger):  # type: ignore[misc] # gunicorn has no types
    """Pass gunicorn's records to our handler, which logs where they came from, not their text.

    Their text quotes requests: what follows a body of the wrong length is read as a request line.
    """

    def setup(self, cfg: Any) -> None:
        """Replace gunicorn's handler. Gunicorn calls this at start and reload."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        # Without gunicorn's wrappers, a record names the code that logged it.
        for name in ("critical", "error", "warning", "info", "debug", "exception"):
            setattr(self, name, getattr(self.error_log, name))
