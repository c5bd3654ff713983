"""Catch the messages that Apprise sends to ``json://127.0.0.1``."""

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any


class MessageCatcher:
    """Keeps the messages that it receives, and rejects them while ``status`` is not 200."""

    def __init__(self, port: int) -> None:
        self.url = f"json://127.0.0.1:{port}/a-secret"
        self.messages: list[dict[str, Any]] = []
        #: Number of requests, including rejected and waiting ones.
        self.requests = 0
        self.status = 200
        #: Requests wait until it is set. Clearing it makes the service hang.
        self.answers = threading.Event()
        self.answers.set()

    def titles(self) -> list[str]:
        """Return the messages' titles without the host name."""
        return [str(one["title"]).rpartition(" (")[0] for one in self.messages]

    def about(self, code: str) -> list[str]:
        """Return the level and the code of each message about a problem."""
        return [title for title in self.titles() if code in title]


@contextlib.contextmanager
def running_catcher() -> Iterator[MessageCatcher]:
    """Run an HTTP server that catches messages."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            catcher.requests += 1
            catcher.answers.wait(30)
            if catcher.status == 200:
                catcher.messages.append(body)
            with contextlib.suppress(OSError):
                self.send_response(catcher.status)
                self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        catcher = MessageCatcher(server.server_address[1])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield catcher
        finally:
            catcher.answers.set()
            server.shutdown()
