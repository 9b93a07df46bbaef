"""What the simulator answers, and how that is put into HTTP."""

import json
import secrets
import zlib
from enum import Enum
from http.client import responses as REASONS

from .calendar_clock import http_date

GATEWAY_PAGE = (
    "<html>\r\n<head><title>{status} {reason}</title></head>\r\n<body>\r\n"
    "<center><h1>{status} {reason}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
FILL = b"x" * 65536
GZIP_FROM_BYTES = 1024
PIECE_BYTES = 262_144
GZIP_WINDOW = 31
STATUSES_WITHOUT_BODY = (204, 304)


class Ending(Enum):
    COMPLETE = "the whole reply, the connection stays open"
    HANG = "nothing more is sent; the connection stays open until the client closes it"
    CLOSE = "the connection is closed with FIN"
    RESET = "the connection is closed with RST"


class Reply:
    """A reply: either `body` (bytes) or `chunks` (an iterator of bytes, sent with chunked encoding).

    A header's value may be a list (a header for each item) or {"date_in": seconds} (an HTTP date so much
    after the reply's Date). `encoding` is "auto" (gzip if the client accepts it), "plain", or "lie"
    (announced as gzip, sent plain). Where it is `raw` its chunks are all that is sent, `drip_seconds` apart. `job_id` is the job that the reply is about, which `accepted` says the
    request started. `silent` sends no byte at all; `body_limit` only so many of the body; then `ending`.
    """

    __slots__ = ("status", "headers", "dropped_headers", "body", "chunks", "encoding", "job_id", "accepted",
                 "silent", "body_limit", "ending", "raw", "drip_seconds")

    def __init__(self, status, body=b"", content_type="application/json", chunks=None, job_id=None):
        self.status = status
        self.headers = {"Content-Type": content_type}
        self.dropped_headers = ()
        self.body = body
        self.chunks = chunks
        self.encoding = "auto"
        self.job_id = job_id
        self.accepted = False
        self.silent = False
        self.raw = False
        self.drip_seconds = 0
        self.body_limit = None
        self.ending = Ending.COMPLETE

    def set_header(self, name, value):
        """Set a header, whatever the case of its name so far."""
        self.headers = {known: kept for known, kept in self.headers.items() if known.lower() != name.lower()}
        self.headers[name] = value


def to_json(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def json_reply(status, value, job_id=None):
    return Reply(status, to_json(value), job_id=job_id)


def gateway_page(status):
    page = GATEWAY_PAGE.format(status=status, reason=reason(status))
    return Reply(status, page.encode(), "text/html")


def reason(status):
    return REASONS.get(status, "Unknown")


def error_reply(status, code, message, org_id=None, form="full"):
    """One of the three forms in which Clari reports an error; without a code it is the gateway that speaks."""
    if form == "message" or code is None:
        return json_reply(status, {"message": message})
    if form == "errors":
        return json_reply(status, {"errors": [
            {"status": status, "code": code, "message": message, "details": None}]})
    return json_reply(status, {"code": code, "namespace": "export", "errorId": secrets.token_hex(8),
                               "message": message, "orgId": org_id})


def gzip_bomb(status, size):
    reply = Reply(status, chunks=gzipped(padding(size), level=9))
    reply.headers["Content-Encoding"] = "gzip"
    reply.encoding = "plain"
    return reply


def padding(size):
    """A valid JSON document of `size` bytes (at least the empty one), in chunks."""
    opening, closing = b'{"padding":"', b'"}'
    yield opening
    missing = size - len(opening) - len(closing)
    while missing > 0:
        piece = FILL[:missing]
        missing -= len(piece)
        yield piece
    yield closing


def pieces_of_file(name):
    with open(name, "rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


def raw_pieces(raw, one_by_one):
    """The texts as often as each says, in pieces of a handy size or one by one."""
    for item in raw:
        text, times = item if isinstance(item, list) else (item, 1)
        text, times = text.encode("latin-1"), int(times)
        at_once = 1 if one_by_one else max(len(FILL) // max(len(text), 1), 1)
        while times > 0:
            yield text * min(times, at_once)
            times -= at_once


def gzipped(chunks, level=1):
    compressor = zlib.compressobj(level, zlib.DEFLATED, GZIP_WINDOW)
    for chunk in chunks:
        compressed = compressor.compress(chunk)
        if compressed:
            yield compressed
    yield compressor.flush()


def prepare(reply, gzip_accepted, epoch_second):
    """Make the reply ready to be sent at that second; its headers as a list of (name, value)."""
    if reply.status in STATUSES_WITHOUT_BODY:
        reply.body, reply.chunks = b"", None
    if reply.encoding == "lie":
        reply.set_header("Content-Encoding", "gzip")
    elif reply.encoding == "auto" and gzip_accepted:
        compress(reply)
    return header_lines(reply, epoch_second)


def compress(reply):
    if reply.chunks is not None:
        reply.chunks = gzipped(reply.chunks)
    elif len(reply.body) > GZIP_FROM_BYTES:
        reply.body = b"".join(gzipped([reply.body]))
    else:
        return
    reply.set_header("Content-Encoding", "gzip")


def header_lines(reply, epoch_second):
    """The headers given, those that every reply has unless they are given, without those to be dropped."""
    given = {name.lower() for name in reply.headers}
    dropped = {name.lower() for name in reply.dropped_headers}
    framing = (("Transfer-Encoding", "chunked") if reply.chunks is not None
               else ("Content-Length", len(reply.body)))
    usual = [(name, value) for name, value in (("Date", http_date(epoch_second)), framing)
             if name.lower() not in given]
    return [(name, header_value(value, epoch_second))
            for name, values in (*usual, *reply.headers.items()) if name.lower() not in dropped
            for value in (values if isinstance(values, list) else [values])]


def header_value(value, epoch_second):
    if isinstance(value, dict):
        return http_date(epoch_second + int(value["date_in"]))
    return str(value)
