"""Run two peers, Debian's `webhook` and Node-RED, which verify and forward webhooks.

Neither stores anything. Each verifies the HMAC of the body, immediately responds with 202, and then
forwards the lead: `webhook` to a program, here `true`, and Node-RED to a server that responds
immediately. If one of them accepts a wrong signature, no figure is reported.
"""

import contextlib
import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from adapter.server.ports import free_port
from bench import BenchError, servers
from bench.servers import Target

WEBHOOK, NODE_RED = "webhook", "Node-RED"
NAMES = (WEBHOOK, NODE_RED)

_VERIFY = """\
const given = Buffer.from(msg.req.get("x-body-signature") || "", "hex");
const hmac = global.get("crypto").createHmac("sha256", global.get("secret"));
const wanted = hmac.update(msg.payload).digest();
const same = given.length === wanted.length && global.get("crypto").timingSafeEqual(given, wanted);
const lead = {payload: msg.payload, headers: {"content-type": "application/json"}};
msg.statusCode = same ? 202 : 401;
msg.payload = "";
return [msg, same ? lead : null];
"""

#: The server that Node-RED forwards leads to. It reads each lead and responds with 202.
_SINK = """\
require("http").createServer((request, response) => {
  request.resume().on("end", () => response.writeHead(202, {"content-length": 0}).end());
}).listen(Number(process.argv[1]), "127.0.0.1");
"""


@contextlib.contextmanager
def running(secret: str, folder: Path) -> Iterator[dict[str, Target]]:
    """Yield the installed peers once they are ready. Print which ones are missing."""
    with contextlib.ExitStack() as stack:
        found = {}
        for name, program, start in (
            (WEBHOOK, "webhook", _webhook),
            (NODE_RED, "node-red", _node_red),
        ):
            if shutil.which(program) is None:
                click.echo(f"  {name} is not installed; skipping it", err=True)
                continue
            found[name] = stack.enter_context(start(secret, folder))
            _check_refusal(name, found[name].port)
        yield found


def _check_refusal(name: str, port: int) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/hooks/rentfeed",
        data=b"{}",
        headers={"Content-Type": "application/json", "X-Body-Signature": "00" * 32},
    )
    try:
        with urllib.request.urlopen(request, timeout=10):
            raise BenchError(f"{name} accepted a wrong signature")
    except urllib.error.HTTPError as refused:
        with refused:
            if refused.code == 404:
                raise BenchError(f"{name} does not respond at its URL") from None


@contextlib.contextmanager
def _webhook(secret: str, folder: Path) -> Iterator[Target]:
    """Start https://github.com/adnanh/webhook with a hooks.json like the documented one."""
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
    """Start https://nodered.org/docs/user-guide/ with a flow of four nodes."""
    home = folder / "node-red"
    home.mkdir()
    sink, port = free_port(), free_port()
    (home / "flows.json").write_text(json.dumps(_node_red_flow(sink)))
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
    with (
        _peer("the sink", ["node", "-e", _SINK, str(sink)], sink, folder),
        _peer(NODE_RED, command, port, folder) as target,
    ):
        yield target


def _node_red_flow(sink: int) -> list[Mapping[str, Any]]:
    """Return a flow that verifies webhooks and forwards them to the port ``sink``."""
    receive = {"url": "/hooks/rentfeed", "method": "post", "skipBodyParsing": True}
    verify = {"func": _VERIFY, "outputs": 2}
    forward = {"url": f"http://127.0.0.1:{sink}/", "method": "POST", "ret": "txt", "persist": True}
    return [
        {"id": "tab", "type": "tab", "label": "bench"},
        _node("in", "http in", ["verify"], **receive),
        _node("verify", "function", ["answer"], ["pass on"], **verify),
        _node("answer", "http response"),
        _node("pass on", "http request", [], **forward),
    ]


def _node(name: str, kind: str, *wires: list[str], **more: object) -> Mapping[str, Any]:
    return {"id": name, "type": kind, "z": "tab", "wires": list(wires), **more}


@contextlib.contextmanager
def _peer(name: str, command: list[str], port: int, folder: Path) -> Iterator[Target]:
    log = folder / f"{name}.log"
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with servers.started(command, kept, log) as process:
        servers.wait_for(f"http://127.0.0.1:{port}/", process, log)
        yield Target(port=port, pid=process.pid)
