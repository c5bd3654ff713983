"""Test that real processes log only JSON, with constant event names and without messages."""

import json
import subprocess
import sys
from typing import Any

from tests.adapter_process import SECRETS, kept_environ
from tests.paths import MAPPINGS, ROOT
from tests.ports import free_port

SETUP = "import logging, threading; from adapter import logs; logs.configure(); logs.log_crashes()"


def logged(code: str) -> list[dict[str, Any]]:
    """Run code in a process that logs like web and worker, and return its log lines."""
    done = subprocess.run(
        [sys.executable, "-c", f"{SETUP}\n{code}"], capture_output=True, text=True, check=False
    )
    assert "secret" not in done.stderr
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_a_crash_is_an_event_and_not_a_traceback() -> None:
    (line,) = logged("raise ValueError('secret')")

    assert (line["level"], line["event"]) == ("critical", "process_crashed")
    assert line["error"]["chain"][0]["type"] == "ValueError"


def test_so_is_the_crash_of_a_thread_and_an_error_that_python_ignores() -> None:
    thread = "t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()"
    ignored = "class A:\n  def __del__(self): raise ValueError('secret')\nA()"

    assert [line["event"] for line in logged(thread)] == ["process_crashed"]
    assert [line["event"] for line in logged(ignored)] == ["error_ignored"]


def test_of_what_libraries_log_only_the_place_is_kept() -> None:
    code = "def f(): logging.getLogger('some.library').error('secret %s', 1)\nf()"
    warned = "import warnings; warnings.warn('secret')"
    (line,), (warning,) = logged(code), logged(warned)

    assert line["event"] == warning["event"] == "library_message"
    assert line["logger"] == "some.library"
    assert line["where"].startswith("f:")


#: Runs the web process, whose application cannot be built.
BROKEN_WEB = """
import sys
from gunicorn.app.wsgiapp import run
from adapter import app
from adapter.server.web_process import web_command
from adapter.settings import settings_from

def create_app(*_):
    raise ValueError("secret")

app.create_app = create_app
sys.argv = ["gunicorn", *web_command(settings_from())[3:]]
run()
"""


def test_a_web_process_that_cannot_start_logs_json_only() -> None:
    environ = {
        **kept_environ(),
        **SECRETS,
        "ADAPTER_MAPPINGS_DIR": str(MAPPINGS),
        "ADAPTER_HOST": "127.0.0.1",
        "DATABASE_URL": "postgresql://127.0.0.1:1/none",
        "PORT": str(free_port()),
        "WEB_CONCURRENCY": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", BROKEN_WEB],
        capture_output=True,
        check=False,
        cwd=ROOT,
        env=environ,
        text=True,
        timeout=60,
    )
    events = {json.loads(line)["event"] for line in done.stderr.splitlines()}

    assert done.returncode == 3, done.stderr
    assert events == {"web_started", "process_crashed", "library_message"}
    assert "secret" not in done.stderr
