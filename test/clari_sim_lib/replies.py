"""What the simulator answers, before it is put on the wire."""

import json
import secrets
from enum import Enum
from http.client import responses as REASONS

GATEWAY_PAGE = (
    "<html>\r\n<head><title>{status} {reason}</title></head>\r\n<body>\r\n"
    "<center><h1>{status} {reason}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
FILL = b"x" * 65536


class Ending(Enum):
    COMPLETE = "the whole reply, the connection stays open"
    HANG = "nothing more is sent; the connection stays open until the client closes it"
    CLOSE = "the connection is closed with FIN"
    RESET = "the connection is closed with RST"


class Reply:
    """A reply: either `body` (bytes) or `chunks` (an iterator of bytes, sent with chunked encoding).

    `encoding` is "auto" (gzip if client and settings agree), "plain", or "lie" (announced as gzip, sent
    plain). `accepted_job` is the job that the request started. `silent` sends no byte at all; `body_limit` only so many bytes of the body; then `ending`.
    """

    __slots__ = ("status", "headers", "dropped_headers", "body", "chunks", "encoding", "job_id",
                 "accepted_job", "silent", "body_limit", "ending")

    def __init__(self, status, body=b"", content_type="application/json", chunks=None, job_id=None):
        self.status = status
        self.headers = {"Content-Type": content_type}
        self.dropped_headers = ()
        self.body = body
        self.chunks = chunks
        self.encoding = "auto"
        self.job_id = job_id
        self.accepted_job = None
        self.silent = False
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
