"""Peers on this machine: Debian's `webhook` and Node-RED, which verify and answer. Neither stores.

Each is configured to do the least that its makers offer for it: verify the HMAC of the body, answer
202 at once. `webhook` then runs `true` for each lead; Node-RED drops it.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from adapter.processes import free_port
from bench import servers
from bench.servers import Target

WEBHOOK, NODE_RED = "webhook", "Node-RED"
NAMES = (WEBHOOK, NODE_RED)

_VERIFY = """\
const given = Buffer.from(msg.req.get("x-body-signature") || "", "hex");
const hmac = global.get("crypto").createHmac("sha256", global.get("secret"));
const wanted = hmac.update(msg.payload).digest();
const same = given.length === wanted.length && global.get("crypto").timingSafeEqual(given, wanted);
msg.statusCode = same ? 202 : 401;
msg.payload = "";
return msg;
"""


@contextlib.contextmanager
def running(secret: str, folder: Path) -> Iterator[dict[str, Target]]:
    """Those that are installed, ready. Of the others it says so."""
    with contextlib.ExitStack() as stack:
        found = {}
        for name, program, start in (
            (WEBHOOK, "webhook", _webhook),
            (NODE_RED, "node-red", _node_red),
        ):
            if shutil.which(program) is None:
                click.echo(f"  {name} is not installed: left out", err=True)
                continue
            found[name] = stack.enter_context(start(secret, folder))
        yield found


@contextlib.contextmanager
def _webhook(secret: str, folder: Path) -> Iterator[Target]:
    """https://github.com/adnanh/webhook, hooks.json as its documentation has it."""
    rule = {
        "type": "payload-hmac-sha256",
        "secret": secret,
        "parameter": {"source": "header", "name": "X-Body-Signature"},
    }
    hook = {
        "id": "rentfeed",
        "execute-command": shutil.which("true"),
        "success-http-response-code": 202,
        "trigger-rule": {"match": rule},
    }
    hooks = folder / "hooks.json"
    hooks.write_text(json.dumps([hook]))
    port = free_port()
    command = [
        *("webhook", "-hooks", str(hooks), "-ip", "127.0.0.1", "-port", str(port)),
        *("-urlprefix", "hooks"),
    ]
    with _peer(WEBHOOK, command, port, folder) as target:
        yield target


@contextlib.contextmanager
def _node_red(secret: str, folder: Path) -> Iterator[Target]:
    """https://nodered.org/docs/user-guide/, a flow of three nodes."""
    home = folder / "node-red"
    home.mkdir()
    port = free_port()
    flow = [
        {"id": "tab", "type": "tab", "label": "bench"},
        {
            "id": "in",
            "type": "http in",
            "z": "tab",
            "url": "/hooks/rentfeed",
            "method": "post",
            "skipBodyParsing": True,
            "wires": [["verify"]],
        },
        {
            "id": "verify",
            "type": "function",
            "z": "tab",
            "func": _VERIFY,
            "outputs": 1,
            "wires": [["out"]],
        },
        {"id": "out", "type": "http response", "z": "tab", "wires": []},
    ]
    (home / "flows.json").write_text(json.dumps(flow))
    settings: Mapping[str, Any] = {
        "uiHost": "127.0.0.1",
        "uiPort": port,
        "flowFile": "flows.json",
        "httpAdminRoot": False,
        "credentialSecret": False,
        "telemetry": {"enabled": False},
        "logging": {"console": {"level": "off"}},
    }
    (home / "settings.js").write_text(
        f"module.exports = Object.assign({json.dumps(settings)}, {{functionGlobalContext: "
        f'{{crypto: require("crypto"), secret: {json.dumps(secret)}}}}});\n'
    )
    command = ["node-red", "--userDir", str(home), "--settings", str(home / "settings.js")]
    with _peer(NODE_RED, command, port, folder) as target:
        yield target


@contextlib.contextmanager
def _peer(name: str, command: list[str], port: int, folder: Path) -> Iterator[Target]:
    log = folder / f"{name}.log"
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with servers.started(command, kept, log) as process:
        servers.wait_for(f"http://127.0.0.1:{port}/", process, log)
        yield Target(port=port, pid=process.pid)
