"""Write log lines as JSON, with a constant event name and IDs. Payloads are never logged.

Exceptions are logged with type and traceback but without the message, because a driver's message
may quote the row that failed. Our own exceptions have constant messages, which are logged.

``docs/log_events.py`` describes each event.
"""

import datetime as dt
import json
import logging
import sys
import threading
import traceback
from types import TracebackType
from typing import Any

from adapter.exceptions import AdapterError

#: The standard attributes of a log record. All others are fields of the event.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

#: Created only once, because json.dumps with ``default`` creates an encoder for each call.
_json = json.JSONEncoder(default=str).encode

#: The prefix of our loggers. Other loggers' messages may contain personal data.
_OWN = "adapter."
#: The event name of other loggers' messages.
LIBRARY_MESSAGE = "library_message"

log = logging.getLogger(__name__)


class JsonLines(logging.Formatter):
    """Formats each log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a log record as a line of JSON, with its time, level, event, fields and error."""
        line: dict[str, Any] = {
            "at": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname.lower(),
            "logger": record.name,
            **_event_of(record),
            **{name: value for name, value in vars(record).items() if name not in _STANDARD},
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = error_summary(record.exc_info[1])
        return _json(line)


def _event_of(record: logging.LogRecord) -> dict[str, str]:
    """Return a log record's event name, or only its location if a library logged it.

    A driver's message may contain a row or a URL with a password.
    """
    if record.name.startswith(_OWN):
        return {"event": record.getMessage()}
    return {"event": LIBRARY_MESSAGE, "where": f"{record.funcName}:{record.lineno}"}


def error_summary(exc: BaseException) -> dict[str, Any]:
    """Return an exception's type, causes and traceback. Leave out the messages of libraries."""
    chain: list[dict[str, Any]] = []
    cause: BaseException | None = exc
    while cause is not None and len(chain) < 5:
        chain.append(_summary(cause, cause.__traceback__))
        cause = cause.__cause__ or cause.__context__
    return {"chain": chain}


def _summary(exc: BaseException, trace: TracebackType | None) -> dict[str, Any]:
    frames = traceback.extract_tb(trace)[-6:]
    summary: dict[str, Any] = {
        "type": type(exc).__name__,
        "at": [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames],
    }
    if isinstance(exc, AdapterError):
        summary["text"] = str(exc)
    return summary


def log_crashes() -> None:
    """Log uncaught exceptions in this process and its threads instead of printing tracebacks."""

    def crashed(kind: type[BaseException], exc: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, exc, trace)
        else:
            log.critical("process_crashed", exc_info=exc)

    sys.excepthook = crashed
    threading.excepthook = lambda args: log.critical("process_crashed", exc_info=args.exc_value)
    sys.unraisablehook = lambda args: log.warning("error_ignored", exc_info=args.exc_value)


def configure(level: str = "INFO") -> None:
    """Write this process's log records to standard error as lines of JSON."""
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[stream], force=True)
    logging.captureWarnings(capture=True)
    for verbose in ("werkzeug", "urllib3"):
        logging.getLogger(verbose).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    # The pool warns of each failed connection. The reason is logged as postgresql_unavailable.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
