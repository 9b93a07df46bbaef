"""A small HTTP/1.1 server on asyncio: keep-alive, chunked replies, and replies that go wrong on purpose.

The application is an object with `receive(request, exchange)`. It answers through the exchange, at once
or later; requests that a client pipelines behind an unanswered one wait in the buffer.
"""

import asyncio
import itertools
import socket
import struct
import time
from urllib.parse import parse_qs

from .replies import Ending, reason

MAX_HEADER_BYTES = 64 * 1024
MAX_BODY_BYTES = 1024 * 1024
HEADER_END = b"\r\n\r\n"
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class ProtocolError(Exception):
    def __init__(self, status):
        super().__init__(status)
        self.status = status


class Request:
    __slots__ = ("method", "path", "query", "headers", "body", "arrived", "connection")

    def __init__(self, method, target, headers):
        self.method = method
        self.path, _, self.query = target.partition("?")
        self.headers = headers
        self.body = b""
        self.arrived = None
        self.connection = None

    def parameter(self, name):
        values = parse_qs(self.query).get(name)
        return values[-1] if values else None

    def content_length(self):
        if "transfer-encoding" in self.headers:
            raise ProtocolError(411)
        text = self.headers.get("content-length", "0")
        if not text.isdecimal():
            raise ProtocolError(400)
        length = int(text)
        if length > MAX_BODY_BYTES:
            raise ProtocolError(413)
        return length


def parse_head(head):
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3:
        raise ProtocolError(400)
    if words[2] != "HTTP/1.1":
        raise ProtocolError(505)
    headers = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise ProtocolError(400)
        headers[name.lower()] = value.strip()
    return Request(words[0], words[1], headers)


class Exchange:
    """One request and its answer.

    `on_end(sent_at)` is called once, with the time just before the last bytes of the reply were written
    (so that no client has seen them earlier), or None if the reply did not come to its end.
    """

    def __init__(self, connection):
        self._connection = connection
        self.on_end = None

    @property
    def open(self):
        return self._connection.exchange is self

    def send(self, reply, headers):
        """Put the reply on the wire. `headers` is the final list of (name, value), framing included."""
        if self.open:
            self._connection.send(reply, headers)

    def end(self, sent_at):
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            on_end(sent_at)


class Connection(asyncio.Protocol):
    _ids = itertools.count(1)

    def __init__(self, application):
        self._application = application
        self._transport = None
        self._buffer = bytearray()
        self._request = None          # its head is read, its body not yet
        self._chunks = None           # of the reply being sent
        self._drip_seconds = 0        # between two of them
        self._ending = Ending.COMPLETE
        self._close_after = False
        self._written_at = None
        self._writable = True
        self._closing = False
        self.exchange = None          # the request being answered
        self.id = next(self._ids)
        self.counted_by = None        # the log that has counted this connection

    # The client's side.

    def connection_made(self, transport):
        self._transport = transport

    def connection_lost(self, error):
        self._finish(sent_at=None)
        if self._chunks is not None:
            self._chunks.close()
            self._chunks = None

    def data_received(self, data):
        self._buffer += data
        if self.exchange is None:
            self._read_requests()
        elif len(self._buffer) > MAX_HEADER_BYTES + MAX_BODY_BYTES:
            self._closing = True
            self._transport.abort()

    def _read_requests(self):
        try:
            while self.exchange is None and not self._closing and self._read_request():
                pass
        except ProtocolError as error:
            self._refuse(error.status)

    def _read_request(self):
        """Take one request from the buffer and hand it over; False if it is not complete."""
        if self._request is None and not self._read_head():
            return False
        request = self._request
        length = request.content_length()
        if len(self._buffer) < length:
            return False
        request.body = bytes(self._buffer[:length])
        del self._buffer[:length]
        self._request = None
        request.arrived = time.monotonic()
        request.connection = self
        self._close_after = request.headers.get("connection", "").lower() == "close"
        self.exchange = Exchange(self)
        self._application.receive(request, self.exchange)
        return True

    def _read_head(self):
        end = self._buffer.find(HEADER_END)
        if end > MAX_HEADER_BYTES or (end < 0 and len(self._buffer) > MAX_HEADER_BYTES):
            raise ProtocolError(431)
        if end < 0:
            return False
        self._request = parse_head(self._buffer[:end])
        del self._buffer[:end + len(HEADER_END)]
        expects = self._request.headers.get("expect", "").lower() == "100-continue"
        if expects and len(self._buffer) < self._request.content_length():
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _refuse(self, status):
        self._transport.write(f"HTTP/1.1 {status} {reason(status)}\r\nContent-Length: 0\r\n"
                              "Connection: close\r\n\r\n".encode())
        self._close()

    def _close(self):
        self._closing = True
        self._transport.close()

    def _reset(self):
        self._closing = True
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._transport.abort()

    # The reply.

    def send(self, reply, headers):
        self._ending = reply.ending
        if reply.silent:
            self._end_reply()
            return
        self._drip_seconds = reply.drip_seconds
        if reply.raw:
            self._close_after, self._chunks = True, reply.chunks
            self._pump()
            return
        names = {name.lower() for name, _ in headers}
        self._close_after = self._close_after or not names & {"content-length", "transfer-encoding"}
        if reply.chunks is None:
            self._write(head_bytes(reply.status, headers) + reply.body[:reply.body_limit])
            self._end_reply()
        else:
            self._write(head_bytes(reply.status, headers))
            chunks = limited(reply.chunks, reply.body_limit)
            framed = "transfer-encoding" in names
            self._chunks = chunked(chunks, reply.ending) if framed else chunks
            self._pump()

    def _write(self, data):
        self._written_at = time.monotonic()
        self._transport.write(data)

    def _pump(self):
        """Send one piece of a streamed body, then let other connections have their turn."""
        if self._chunks is None:
            return
        chunk = next(self._chunks, None)
        if chunk is None:
            self._chunks = None
            self._end_reply()
        else:
            self._write(chunk)
            if self._writable:
                asyncio.get_running_loop().call_later(self._drip_seconds, self._pump)

    def pause_writing(self):
        self._writable = False

    def resume_writing(self):
        self._writable = True
        self._pump()

    def _end_reply(self):
        if self._ending is Ending.HANG:
            return
        if self._ending is Ending.RESET:
            self._reset()
        elif self._ending is Ending.CLOSE or self._close_after:
            self._close()
        self._finish(self._written_at if self._ending is Ending.COMPLETE else None)
        if self._buffer and not self._closing:
            asyncio.get_running_loop().call_soon(self._read_requests)

    def _finish(self, sent_at):
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.end(sent_at)


def head_bytes(status, headers):
    lines = [f"HTTP/1.1 {status} {reason(status)}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1", "replace")


def limited(chunks, limit):
    """The first `limit` bytes of the chunks; all of them if the limit is None."""
    for chunk in chunks:
        if limit is not None:
            chunk = chunk[:limit]
            limit -= len(chunk)
        if chunk:
            yield chunk
        if limit == 0:
            return


def chunked(chunks, ending):
    """HTTP's chunked encoding. The end mark is missing where the reply is to look cut short."""
    for chunk in chunks:
        yield b"%x\r\n%b\r\n" % (len(chunk), chunk)
    if ending is Ending.COMPLETE:
        yield b"0\r\n\r\n"
