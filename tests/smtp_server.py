"""Run a small SMTP server that keeps the emails it accepts."""

import contextlib
import email.policy
import socketserver
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from email.parser import BytesParser


class SmtpCatcher:
    """Keeps emails. ``responses`` contains the next responses to a command instead of 250."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.messages: list[EmailMessage] = []
        #: For example, ``{"RCPT": ["451 later"]}``. ``""`` closes the connection.
        self.responses: dict[str, list[str]] = {}
        #: The SMTP extensions that the server offers.
        self.extensions: list[str] = []
        #: The commands that it received.
        self.commands: list[str] = []

    @property
    def url(self) -> str:
        """The setting ADAPTER_SMTP_URL for this server."""
        return f"smtp://127.0.0.1:{self.port}?from=tours@example.com"

    def response_to(self, command: str, default: str) -> str:
        """Return the next response to a command."""
        waiting = self.responses.get(command)
        if waiting:
            return waiting.pop(0)
        if command != "EHLO":
            return default
        return "\r\n".join([*(f"250-{one}" for one in ("hello", *self.extensions)), "250 HELP"])


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    catcher: SmtpCatcher


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        self._say("220 ready")
        while line := self.rfile.readline().decode().strip():
            self.server.catcher.commands.append(line)
            command = line.split()[0].upper()
            default = {"DATA": "354 go on", "QUIT": "221 bye", "AUTH": "235 ok"}.get(
                command, "250 ok"
            )
            response = self.server.catcher.response_to(command, default)
            self._say(response)
            is_over = not response or command == "QUIT"
            if is_over or (response.startswith("354") and not self._read_data()):
                return

    def _read_data(self) -> bool:
        body = b""
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            body += line
        response = self.server.catcher.response_to("END", "250 accepted")
        if response.startswith("250"):
            parser = BytesParser(EmailMessage, policy=email.policy.SMTPUTF8)
            self.server.catcher.messages.append(parser.parsebytes(body))
        self._say(response)
        return bool(response)

    def _say(self, text: str) -> None:
        if text:
            self.wfile.write(f"{text}\r\n".encode())


@contextlib.contextmanager
def running_smtp_server() -> Iterator[SmtpCatcher]:
    """Run an SMTP server that catches emails."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.catcher = SmtpCatcher(server.server_address[1])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.catcher
        finally:
            server.shutdown()
