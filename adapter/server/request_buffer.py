"""Buffer an HTTP request until it is complete, so that no thread waits for its sender.

This module only finds where the request ends. Gunicorn's parser still decides whether it is valid.
"""

import re

#: The blank line after the header section, or a bare line feed, which gunicorn's parser rejects.
_HEAD_END = re.compile(rb"\r\n\r\n|[^\r]\n")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r\n]*chunked[ \t]*\r\n", re.IGNORECASE)
_CONTINUE = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*\r\n", re.IGNORECASE)
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,8})(?:[ \t;][^\r\n]*)?\r\n")

#: A longer header section is rejected. A webhook's has less than 8 kB.
MAX_HEAD_BYTES = 64 * 1024
#: Maximum length of the line before a chunk, and of all trailers together.
_MAX_CHUNK_LINE = 8 * 1024


class RequestBuffer:
    """The bytes received for one HTTP request, and any bytes that follow it."""

    def __init__(self, max_body_bytes: int) -> None:
        self.data = bytearray()
        #: False if the request is longer than allowed or does not end properly.
        self.is_whole = False
        #: True if the sender waits for ``100 Continue``.
        self.awaits_continue = False
        self._max_body = max_body_bytes
        self._head_bytes = 0
        #: Length of the body, or None if it is chunked.
        self._length: int | None = 0
        #: Where to continue searching for the end of the header section or of the next chunk.
        self._position = 0
        self._body_bytes = 0

    @property
    def is_head_too_long(self) -> bool:
        """True if the request's header section is larger than allowed."""
        return not self._head_bytes and len(self.data) > MAX_HEAD_BYTES

    def feed(self, data: bytes) -> bool:
        """Add received bytes. Return True if the request is complete, too long or malformed."""
        self.data += data
        if not self._head_bytes and not self._has_head():
            return self.is_head_too_long
        if self._length is None:
            return self._has_chunks()
        return self._length > self._max_body or self._ends_at(self._head_bytes + self._length)

    def take(self) -> tuple[bytes, bytes]:
        """Return the request's bytes, and any bytes received after it."""
        end = self._position if self.is_whole else len(self.data)
        return bytes(self.data[:end]), bytes(self.data[end:])

    def _has_head(self) -> bool:
        match = _HEAD_END.search(self.data, max(0, self._position - 3))
        self._position = match.end() if match else len(self.data)
        if match is None:
            return False
        self._head_bytes = self._position
        if match[0] != b"\r\n\r\n":
            return True
        if _CHUNKED.search(self.data, 0, self._position):
            self._length = None
        elif length := _LENGTH.search(self.data, 0, self._position):
            self._length = int(length[1])
        has_body = self._length is None or 0 < self._length <= self._max_body
        self.awaits_continue = has_body and bool(_CONTINUE.search(self.data, 0, self._position))
        return True

    def _has_chunks(self) -> bool:
        while size := _CHUNK_SIZE.match(self.data, self._position):
            if not int(size[1], 16):
                return self._has_trailers(size.end() - 2)
            self._body_bytes += int(size[1], 16)
            self._position = size.end() + int(size[1], 16) + 2
        missing = max(0, self._position - 2 - len(self.data))
        line = self.data[self._position : self._position + _MAX_CHUNK_LINE]
        is_wrong = b"\r\n" in line or len(line) == _MAX_CHUNK_LINE
        is_long = len(self.data) - self._head_bytes > 2 * self._max_body + _MAX_CHUNK_LINE
        return is_wrong or is_long or self._body_bytes - missing > self._max_body

    def _has_trailers(self, start: int) -> bool:
        end = self.data.find(b"\r\n\r\n", start, start + _MAX_CHUNK_LINE)
        if end < 0:
            return len(self.data) - start > _MAX_CHUNK_LINE
        return self._body_bytes > self._max_body or self._ends_at(end + 4)

    def _ends_at(self, end: int) -> bool:
        self._position = end
        self.is_whole = len(self.data) >= end
        return self.is_whole


class Discarded:
    """Discards data received on a connection that is being closed."""

    data = b""
    awaits_continue = False

    def __init__(self, max_bytes: int) -> None:
        self._left = max_bytes

    def feed(self, data: bytes) -> bool:
        """Count the discarded bytes. Return True if the connection should be closed now."""
        self._left -= len(data)
        return self._left < 0
