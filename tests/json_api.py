"""Run a real HTTP server that returns JSON documents, like a sender's API."""

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class JsonApi:
    """The API's documents by path, and the responses to return once before the documents.

    A response is a status, "hang" to wait until the end, "text" for a page that is not JSON, or
    "long" for an endless body.
    """

    def __init__(self) -> None:
        self.documents: dict[str, Any] = {}
        self.answers: list[int | str] = []
        #: The path and the Authorization header of each request.
        self.requests: list[tuple[str, str]] = []
        self.headers: Mapping[str, str] = {}
        self.released = threading.Event()
        self.url = ""

    def answer_to(self, path: str, authorization: str) -> int | str:
        self.requests.append((path, authorization))
        if self.answers:
            return self.answers.pop(0)
        return 200 if path in self.documents else 404


@contextlib.contextmanager
def running_json_api() -> Iterator[JsonApi]:
    api = JsonApi()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = api.answer_to(self.path, self.headers.get("Authorization", ""))
            if answer == "hang":
                api.released.wait(60)
                return
            self.send_response(answer if isinstance(answer, int) else 200)
            for name, value in api.headers.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(self._body(answer))

        def _body(self, answer: int | str) -> bytes:
            if answer == "text":
                return b"<p>Please sign in</p>"
            if answer == "long":
                return b'{"a": "' + b"a" * 2 * 1024 * 1024 + b'"}'
            return json.dumps(api.documents.get(self.path, {})).encode()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield api
    finally:
        api.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
