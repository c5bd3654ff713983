"""Run a real HTTP server that receives webhooks and responds as a test specifies."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Received(NamedTuple):
    """A request that the receiver got."""

    headers: dict[str, str]
    body: bytes


class Receiver:
    """The requests, in order, and the responses: each of ``answers`` once, and then 204.

    A response is a status, "drop" to close the connection, or "hang" to wait until the end.
    """

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.answers: list[int | str] = []
        self.released = threading.Event()
        self.url = ""
        #: The response to a HEAD request, which delivers nothing.
        self.head_status = 405

    def answer_to(self, request: Received) -> int | str:
        self.requests.append(request)
        return self.answers.pop(0) if self.answers else 204


@contextlib.contextmanager
def running_receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = receiver.answer_to(Received(headers, body))
            if answer == "hang":
                receiver.released.wait(60)
            if not isinstance(answer, int):
                return
            self.send_response(answer)
            if 300 <= answer < 400:
                self.send_header("Location", receiver.url + "/elsewhere")
            self.end_headers()

        do_GET = do_POST  # noqa: N815 - http.server's

        def do_HEAD(self) -> None:
            self.send_response(receiver.head_status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.shutdown()
        server.server_close()
