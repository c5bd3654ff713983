"""Test that `adapter sandbox` runs until it is stopped, and reports errors."""

import os
import re
import signal
import socket
import subprocess
import sys

import pytest

from tests.sandbox_calls import Client

# Knock


# Lists


# Faults


# What it shows


# The command


def start(*options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "adapter", "sandbox", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_told_to_stop(stop: signal.Signals) -> None:
    options = ("--port", "0", "--token", "t", "--enum", "tour_type=A,B", "--rate-limit", "9")
    with start(*options) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(
            r"sandbox at (\S+) \(set PROPEXO_BASE_URL=\1 PROPEXO_TOKEN=t\); Ctrl-C stops it\n", line
        )
        assert found, line
        client = Client(found[1])
        client.token = "t"
        answer = client.book(tour_type="B")
        assert (answer.status_code, answer.headers["x-ratelimit-limit"]) == (200, "9")
        process.send_signal(stop)
        assert process.communicate(timeout=10) == ("", "")
    assert process.returncode == 0


def test_a_port_in_use_is_one_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with start("--port", str(port)) as process:
            out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (78, "")
    wanted = f"adapter: the sandbox cannot listen on 127.0.0.1 port {port}: Address already in use"
    assert err == wanted + "; choose another --host or --port\n"


# Compared with what is known about Propexo's API
