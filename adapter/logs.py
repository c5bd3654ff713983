"""Logs as JSON lines: a constant event name and ids. Nothing from a payload gets here.

Exceptions are written as their type and the places they passed, never as their text: a driver's
text may quote the row it failed on. Our own exceptions hold constant sentences and keep theirs.
"""

import datetime as dt
import json
import logging
import sys
import traceback
from types import TracebackType
from typing import Any

from adapter.exceptions import AdapterError

#: What logging puts on every record; anything else was given as a field.
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

#: And fields of Procrastinate's that say what ours say already, or hold a task's arguments.
_UNSEEN = _PLAIN | {"job", "jobs", "kwargs", "worker", "result", "exception", "queues"}


#: Made once: json.dumps makes an encoder for each line that has a default.
_json = json.JSONEncoder(default=str).encode

#: Loggers of packages that speak of data.
_FOREIGN = frozenset({"psycopg", "procrastinate", "urllib3", "py"})


class JsonLines(logging.Formatter):
    """One record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON: at, level, event, fields, error."""
        line: dict[str, Any] = {
            "at": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _event_of(record),
            **{name: value for name, value in vars(record).items() if name not in _UNSEEN},
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = error_summary(record.exc_info[1])
        return _json(line)


def _event_of(record: logging.LogRecord) -> str:
    """The record's own words, where they are ours; of others only which place speaks.

    A driver's sentence may hold an address with its password, or a row.
    """
    if record.name.partition(".")[0] in _FOREIGN:
        return f"{record.name}:{record.funcName}:{record.lineno}"
    return record.getMessage()


def error_summary(exc: BaseException) -> dict[str, Any]:
    """Type and places of an exception and of its causes; the text only of our own."""
    chain: list[dict[str, Any]] = []
    cause: BaseException | None = exc
    while cause is not None and len(chain) < 5:
        chain.append(_summary(cause, cause.__traceback__))
        cause = cause.__cause__ or cause.__context__
    return {"chain": chain}


def _summary(exc: BaseException, places: TracebackType | None) -> dict[str, Any]:
    frames = traceback.extract_tb(places)[-6:]
    summary: dict[str, Any] = {
        "type": type(exc).__name__,
        "at": [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames],
    }
    if isinstance(exc, AdapterError):
        summary["text"] = str(exc)
    return summary


def configure(level: str = "INFO") -> None:
    """Sends every log record of this process to standard error as JSON lines."""
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[stream], force=True)
    logging.captureWarnings(capture=True)
    for chatty in ("procrastinate", "werkzeug", "urllib3"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLevelName(level)))
