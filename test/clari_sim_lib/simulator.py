"""Brings the parts together: a request is logged, meets a rule or none, and is answered in time."""

import asyncio

from .calendar_clock import CalendarClock, http_date
from .clari_api import ClariApi
from .clari_state import ClariState
from .config import merge_config
from .control import CONTROL_PREFIX, Control
from .replies import error_reply
from .request_log import RequestLog, retry_after_seconds
from .rules import Rules, gzipped

BASE_PATH = "/v4"
GZIP_FROM_BYTES = 1024


class Simulator:
    """The application behind the HTTP server. `base_config` is what a reset returns to."""

    def __init__(self, base_config, log_file=None):
        self._base_config = base_config
        self._log_file = log_file
        self._control = Control(self)
        self.reset({})

    def reset(self, changes):
        self.config = merge_config(self._base_config, changes)
        self.clock = CalendarClock(self.config["clock_offset_seconds"])
        self.state = ClariState(self.clock)
        self.api = ClariApi(self.config, self.clock, self.state)
        self.rules = Rules()
        self.log = RequestLog(self._log_file)

    def configure(self, changes):
        self.config = merge_config(self.config, changes)
        self.clock.offset_seconds = self.config["clock_offset_seconds"]
        self.api.config = self.config

    def receive(self, request, exchange):
        if request.path.startswith(CONTROL_PREFIX):
            reply = self._control.answer(request)
            exchange.send(reply, self._prepare(request, reply))
        else:
            self._receive_as_clari(request, exchange)

    def _receive_as_clari(self, request, exchange):
        log, key = self.log, request.headers.get("apikey")
        inside = request.path.startswith(BASE_PATH + "/")
        path = request.path[len(BASE_PATH):] if inside else request.path
        owner = self.config["keys"].get(key)
        rule = self.rules.for_request(request, path, key)
        entry = log.arrived(request, path, key, owner, rule.index if rule else None)
        exchange.on_end = lambda sent_at: log.ended(entry, sent_at)
        reply = self._natural_reply(request, path, key, inside) if not rule or rule.fault.processes else None
        if rule:
            reply = rule.fault.reply(reply)
        entry.job_id = reply.job_id or addressed_job(path)
        if reply.accepted_job is not None:
            log.accepted(key, owner)
        self._deliver(request, exchange, reply, entry, owner, log, rule.fault.delay_seconds if rule else 0)

    def _natural_reply(self, request, path, key, inside):
        if not inside:
            return error_reply(404, None, "no Route matched with those values")
        return self.api.answer(request, path, key)

    def _deliver(self, request, exchange, reply, entry, owner, log, delay_seconds):
        def deliver():
            if exchange.open:
                headers = self._prepare(request, reply)
                if not reply.silent:
                    log.replied(entry, owner, reply.status, self._hold_seconds(reply, headers))
                exchange.send(reply, headers)

        if delay_seconds:
            asyncio.get_running_loop().call_later(delay_seconds, deliver)
        else:
            deliver()

    def _hold_seconds(self, reply, headers):
        if reply.status != 429:
            return 0
        values = [value for name, value in headers if name.lower() == "retry-after"]
        dates = [value for name, value in headers if name.lower() == "date"]
        return retry_after_seconds(values, dates, self.clock.clari_now())

    def _prepare(self, request, reply):
        """Encode the reply for the client; its headers."""
        self._encode(reply, request)
        return self._headers(reply)

    def _encode(self, reply, request):
        large = reply.chunks is not None or len(reply.body) > GZIP_FROM_BYTES
        accepted = "gzip" in request.headers.get("accept-encoding", "")
        if reply.encoding == "auto" and large and accepted and self.config["gzip"]:
            reply.headers["Content-Encoding"] = "gzip"
            if reply.chunks is not None:
                reply.chunks = gzipped(reply.chunks)
            else:
                reply.body = b"".join(gzipped([reply.body]))
        elif reply.encoding == "lie":
            reply.headers["Content-Encoding"] = "gzip"

    def _headers(self, reply):
        """The reply's headers as (name, value), with the Date of this moment and the framing."""
        now = int(self.clock.clari_now())
        framing = (("Transfer-Encoding", "chunked") if reply.chunks is not None
                   else ("Content-Length", len(reply.body)))
        excluded = {name.lower() for name in (*reply.headers, *reply.dropped_headers)}
        added = [header for header in (("Date", http_date(now)), framing) if header[0].lower() not in excluded]
        dropped = {name.lower() for name in reply.dropped_headers}
        kept = [(name, value) for name, values in reply.headers.items() if name.lower() not in dropped
                for value in (values if isinstance(values, list) else [values])]
        return [(name, header_value(value, now)) for name, value in added + kept]


def header_value(value, now):
    if isinstance(value, dict):
        return http_date(now + int(value["date_in"]))
    return str(value)


def addressed_job(path):
    parts = path.split("/")
    return parts[3] if path.startswith("/export/jobs/") else None
