"""Brings the parts together: a request is logged, meets a rule or none, and is answered in time."""

import asyncio

from .calendar_clock import CalendarClock
from .clari_api import ClariApi
from .clari_state import ClariState
from .config import merge_config
from .control import CONTROL_PREFIX, Control
from .replies import prepare
from .request_log import RequestLog, retry_after_seconds
from .rules import NO_FAULT, Rules
from .visits import visit_of


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
            exchange.send(reply, self._prepare(reply, request))
        else:
            self._receive_as_clari(visit_of(request, self.config["keys"]), exchange)

    def _receive_as_clari(self, visit, exchange):
        log = self.log
        rule = self.rules.for_visit(visit)
        fault = rule.fault if rule else NO_FAULT
        entry = log.arrived(visit, rule.index if rule else None)
        exchange.on_end = lambda sent_at: log.ended(entry, sent_at)
        reply = fault.reply(self.api.answer(visit) if fault.processes else None)
        log.answered(entry, reply)
        if fault.delay_seconds:
            asyncio.get_running_loop().call_later(
                fault.delay_seconds, self._deliver, visit, exchange, reply, entry, log)
        else:
            self._deliver(visit, exchange, reply, entry, log)

    def _deliver(self, visit, exchange, reply, entry, log):
        if not exchange.open:
            return
        headers = self._prepare(reply, visit.request)
        if not reply.silent:
            log.replied(entry, reply.status, retry_after_seconds(headers, self.clock.clari_now()))
        exchange.send(reply, headers)

    def _prepare(self, reply, request):
        gzip = self.config["gzip"] and "gzip" in request.headers.get("accept-encoding", "")
        return prepare(reply, gzip, int(self.clock.clari_now()))
