"""Rules: which requests go wrong, and how. The command test/clari_sim documents the format."""

import base64
import binascii
import re

from .config import ConfigError, check_names, require_kind, require_number, require_object
from .replies import (Ending, Reply, error_reply, gateway_page, gzip_bomb, json_reply, padding, pieces_of_file,
                      raw_pieces, reason)

MAX_RULES = 10_000
RULE_PARTS = ("match", "skip", "times", "do")
MATCH_PARTS = ("method", "path", "key")

# With one of these the request does not take effect unless `process` says so.
REPLACEMENTS = ("status", "body", "body_text", "body_base64", "body_file", "raw", "html", "empty", "oversize", "gzip_bomb",
                "redirect", "hang", "reset", "close")
ALTERATIONS = ("headers", "drop_headers", "delay_ms", "hang_after_bytes", "truncate", "content_encoding_lie", "drip_ms")
ACTIONS = REPLACEMENTS + ALTERATIONS + ("process",)
NUMBERS = ("status", "delay_ms", "hang_after_bytes", "truncate", "oversize", "gzip_bomb", "drip_ms")

ERRORS = {
    400: ("bad_request", "Bad request"),
    401: (None, "Invalid authentication credentials"),
    403: ("forbidden", "Not allowed to see this job"),
    429: (None, "API rate limit exceeded"),
    500: ("SWW", "Something went wrong"),
}


class Rule:
    def __init__(self, index, definition):
        check_names("part of a rule", definition, RULE_PARTS)
        match = definition.get("match", {})
        check_names("part of match", match, MATCH_PARTS)
        self.index = index
        self._method = match.get("method")
        self._key = match.get("key")
        self._path = compiled(match.get("path", ""))
        self._skip = count(definition, "skip", 0)
        self._times = count(definition, "times", 1)
        self.fault = Fault(definition.get("do", {}))

    def takes(self, visit):
        """Whether this rule applies to the request; if so it is used up by one."""
        if self._times == 0 or not self._matches(visit):
            return False
        if self._skip > 0:
            self._skip -= 1
            return False
        if self._times > 0:
            self._times -= 1
        return True


    def _matches(self, visit):
        return (self._method in (None, visit.request.method) and self._key in (None, visit.key)
                and self._path.search(visit.path))


class Rules:
    def __init__(self):
        self._rules = []

    def add(self, definitions):
        if len(self._rules) + len(definitions) > MAX_RULES:
            raise ConfigError(f"more than {MAX_RULES} rules")
        first = len(self._rules)
        self._rules += [Rule(first + n, definition) for n, definition in enumerate(definitions)]

    def for_visit(self, visit):
        """The first rule that applies, None if there is none."""
        return next((rule for rule in self._rules if rule.takes(visit)), None)


class Fault:
    """What a rule does to a request: the `do` of the rule."""

    def __init__(self, do):
        check_names("action", do, ACTIONS)
        for names, kind in ((NUMBERS, (int, float)), (("body_text", "body_file", "redirect"), str),
                            (("drop_headers", "raw"), list)):
            for name in do.keys() & set(names):
                require_kind(name, do[name], kind)
        check_headers(do.get("headers", {}))
        check_raw(do.get("raw", []))
        self._do = do
        self._payload = payload(do)
        self.delay_seconds = do.get("delay_ms", 0) / 1000
        self.processes = do.get("process", not any(name in do for name in REPLACEMENTS))

    def reply(self, natural):
        """The reply to send, given what Clari would have replied (None if the request took no effect)."""
        reply = self._replacement(natural)
        if natural is not None:
            reply.job_id, reply.accepted = natural.job_id, natural.accepted
        for name, value in self._do.get("headers", {}).items():
            reply.set_header(name, value)
        reply.dropped_headers = self._do.get("drop_headers", ())
        if self._do.get("content_encoding_lie"):
            reply.encoding = "lie"
        self._set_ending(reply)
        return reply

    def _replacement(self, natural):
        do = self._do
        if "raw" in do:
            reply = Reply(200, chunks=raw_pieces(do["raw"], one_by_one="drip_ms" in do))
            reply.raw, reply.encoding, reply.drip_seconds = True, "plain", do.get("drip_ms", 0) / 1000
            return reply
        if "body_file" in do:
            return Reply(do.get("status", 200), chunks=pieces_of_file(do["body_file"]))
        if "gzip_bomb" in do:
            return gzip_bomb(do.get("status", 200), int(do["gzip_bomb"]))
        if "oversize" in do:
            return Reply(do.get("status", 200), chunks=padding(int(do["oversize"])))
        if do.get("html"):
            return gateway_page(do.get("status", 502))
        if "redirect" in do:
            reply = Reply(do.get("status", 302))
            reply.headers["Location"] = do["redirect"]
            return reply
        if self._payload is not None:
            return self._with_payload(natural)
        return status_reply(do.get("status"), natural)

    def _with_payload(self, natural):
        status = self._do.get("status", natural.status if natural is not None else 200)
        reply = Reply(status, self._payload)
        if "body_base64" in self._do:
            reply.encoding = "plain"
        return reply

    def _set_ending(self, reply):
        do = self._do
        if do.get("reset") or do.get("close") or do.get("hang"):
            reply.silent = True
            reply.ending = (Ending.RESET if do.get("reset") else
                            Ending.CLOSE if do.get("close") else Ending.HANG)
        elif "truncate" in do:
            reply.body_limit, reply.ending = int(do["truncate"]), Ending.CLOSE
        elif "hang_after_bytes" in do:
            reply.body_limit, reply.ending = int(do["hang_after_bytes"]), Ending.HANG


def payload(do):
    """The bytes of a body given in the rule, None if it gives none."""
    if "body" in do:
        return json_reply(200, do["body"]).body
    if "body_text" in do:
        return do["body_text"].encode("utf-8", "surrogatepass")
    if "body_base64" in do:
        try:
            return base64.b64decode(do["body_base64"], validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise ConfigError("body_base64 is not base64") from None
    return b"" if do.get("empty") else None


def status_reply(status, natural):
    """The natural reply, under another status if one is given; or Clari's usual body for an error."""
    if natural is not None and (status is None or status < 400):
        natural.status = status or natural.status
        return natural
    if status is None:
        return gateway_page(503)
    if status < 400:
        return json_reply(status, {})
    return error_reply(status, *ERRORS.get(status, (None, reason(status))))


def check_headers(headers):
    require_object("headers", headers)
    for name, value in headers.items():
        if isinstance(value, dict):
            check_names(f"attribute of header {name}", value, ("date_in",))
            require_number(f"date_in of header {name}", value.get("date_in"))


def check_raw(raw):
    for item in raw:
        text, times = item if isinstance(item, list) and len(item) == 2 else (item, 1)
        require_kind("text in raw", text, str)
        require_number("times in raw", times)


def compiled(pattern):
    try:
        return re.compile(pattern)
    except (re.error, TypeError):
        raise ConfigError(f"not a regular expression: {pattern}") from None


def count(definition, name, default):
    number = definition.get(name, default)
    require_number(name, number)
    return int(number)


NO_FAULT = Fault({})
