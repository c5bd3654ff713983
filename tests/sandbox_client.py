"""Run the sandbox over real HTTP, and servers with canned or blocked responses."""

import contextlib
import datetime as dt
import socket
import threading
from collections.abc import Iterator
from typing import Any

import requests

from adapter import sandbox
from adapter.models import Kind
from adapter.propexo.client import AVAILABILITY_PATH, CREATE_PATHS


class SandboxClient:
    """A client of a running sandbox's control API."""

    def __init__(self, url: str) -> None:
        self.url = url

    def appointments(self) -> list[dict[str, Any]]:
        """Return the appointments in Knock, including canceled ones."""
        found: list[dict[str, Any]] = self._get("appointments")["appointments"]
        return found

    def prospects(self) -> list[dict[str, Any]]:
        """Return the guest cards in Knock."""
        found: list[dict[str, Any]] = self._get("prospects")["prospects"]
        return found

    def notes(self) -> list[dict[str, Any]]:
        """Return the requests that added notes to guest cards, in order."""
        return [note["request"] for note in self._get("notes")["notes"]]

    def calls(self) -> list[dict[str, Any]]:
        """Return all requests to Propexo's API, in order."""
        found: list[dict[str, Any]] = self._get("requests")["requests"]
        return found

    def posts(self) -> list[dict[str, Any]]:
        """Return the bodies of all requests for tours, in order."""
        return self._bodies(CREATE_PATHS[Kind.APPOINTMENT])

    def cards(self) -> list[dict[str, Any]]:
        """Return the bodies of all requests for guest cards, in order."""
        return self._bodies(CREATE_PATHS[Kind.PROSPECT])

    def creates(self) -> list[dict[str, Any]]:
        """Return the bodies of all requests for tours and guest cards, in order."""
        return self._bodies(*CREATE_PATHS.values())

    def _bodies(self, *paths: str) -> list[dict[str, Any]]:
        return [call["body"] for call in self.calls() if call["path"] in paths]

    def book(self, body: dict[str, Any], kind: Kind = Kind.APPOINTMENT) -> None:
        """Book a tour, or create a guest card, without the adapter."""
        answer = requests.post(
            self.url + CREATE_PATHS[kind],
            json=body,
            headers={"Authorization": "Bearer sandbox"},
            timeout=5,
        )
        assert answer.ok, answer.text

    def fault(self, *faults: dict[str, Any]) -> None:
        """Inject faults into the next requests."""
        answer = requests.post(self.url + "/_sandbox/faults", json={"next": faults}, timeout=5)
        assert answer.ok, answer.text

    def clear_faults(self) -> None:
        """Delete the faults that have not been applied to a request yet."""
        answer = requests.delete(self.url + "/_sandbox/faults", timeout=5)
        assert answer.ok, answer.text

    def set_free_times(self, community_id: str, times: list[dt.datetime] | None) -> None:
        """Set a community's available times in Knock, or restore its opening hours."""
        texts = None if times is None else [one.isoformat() for one in times]
        body = {"community_id": community_id, "times": texts}
        answer = requests.put(self.url + "/_sandbox/free-times", json=body, timeout=5)
        assert answer.ok, answer.text

    def questions(self) -> list[dict[str, Any]]:
        """Return the bodies of all requests for available times, in order."""
        return self._bodies(AVAILABILITY_PATH)

    def sync(self, **changes: Any) -> Any:
        """Change how the sandbox syncs and sends webhooks. Return the settings and all webhooks."""
        answer = requests.post(self.url + "/_sandbox/sync", json=changes, timeout=5)
        assert answer.ok, answer.text
        return answer.json()

    def act(self, tour: dict[str, Any], action: str) -> None:
        """Change a tour as a person would in Knock, for example ``cancel`` it."""
        path = f"/_sandbox/appointments/{tour['id']}/{action}"
        answer = requests.post(self.url + path, timeout=5)
        assert answer.ok, answer.text

    def _get(self, what: str) -> Any:
        answer = requests.get(f"{self.url}/_sandbox/{what}", timeout=5)
        answer.raise_for_status()
        return answer.json()


@contextlib.contextmanager
def running_sandbox(**options: Any) -> Iterator[SandboxClient]:
    """Run another sandbox on a free port."""
    app = sandbox.create_app(**{"job_seconds": 0.0} | options)
    with sandbox.Server(app) as server:
        yield SandboxClient(server.url)


@contextlib.contextmanager
def canned_server(answer: bytes, *, drip: bytes = b"") -> Iterator[str]:
    """Run a server that reads a request, writes ``answer``, and then closes.

    After that, ``drip`` is written five times a second for ten seconds.
    """
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)
                    for _ in range(50 if drip else 0):
                        ended.wait(0.2)
                        connection.sendall(drip)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        ended.set()
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
    thread.join()


class FullBacklogServer:
    """A server whose backlog is full until it is opened. After that, it responds with 503.

    So a client blocks while it connects, after it has decided to send and before it sends.
    """

    NO = b"HTTP/1.1 503 No\r\nRetry-After: 600\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.port: int = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._plugs = [socket.socket() for _ in range(4)]
        for plug in self._plugs:
            plug.setblocking(False)
            plug.connect_ex(("127.0.0.1", self.port))
        #: The bytes from each connection that sent any: a complete request, or a truncated one.
        self.received: list[bytes] = []

    def __enter__(self) -> "FullBacklogServer":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def open(self) -> None:
        """Accept the waiting connections and all later ones."""
        for plug in self._plugs:
            plug.close()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._answer, args=[connection], daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        data = b""
        with connection, contextlib.suppress(OSError):
            while not _is_whole(data) and (chunk := connection.recv(65536)):
                data += chunk
            if data:
                self.received.append(data)
            connection.sendall(self.NO)


def _is_whole(request: bytes) -> bool:
    head, end, body = request.partition(b"\r\n\r\n")
    return bool(end) and (b"POST" not in head or body.endswith(b"}"))
