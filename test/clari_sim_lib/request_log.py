"""What was requested and when, and the counts that tests assert on."""

import json
import re
import time
from collections import Counter, defaultdict, deque
from datetime import timezone
from email.utils import parsedate_to_datetime

MAX_ENTRIES = 200_000
NO_KEY = "(unknown)"
FILTERS = ("key", "method", "path", "job_id")
SECONDS_PATTERN = re.compile(r"\d{1,12}(\.\d+)?")


class LogEntry:
    """`visit` is the request that the entry is about, until its exchange is over; all the rest is shown."""

    SHOWN = ("n", "t", "t_end", "connection", "key", "method", "path", "body", "status", "job_id", "rule",
             "in_hold")
    __slots__ = (*SHOWN, "visit")

    def __init__(self, number, visit, rule_index, in_hold):
        request = visit.request
        self.visit = visit
        self.n = number
        self.t, self.t_end = round(request.arrived, 6), None
        self.connection = request.connection.id
        self.key, self.method, self.path = visit.key, request.method, visit.path
        self.body = readable(request.body)
        self.status, self.job_id = None, visit.job_id
        self.rule = rule_index
        self.in_hold = in_hold

    def shown(self):
        return {name: getattr(self, name) for name in self.SHOWN}


class RequestLog:
    """Entries from one reset to the next. A key is counted under its name only if it is a known one."""

    def __init__(self, file=None):
        self._file = file
        self._entries = deque(maxlen=MAX_ENTRIES)
        self._last_number = 0
        self._hold_until = {}
        self._connections = 0
        self._by_key = defaultdict(Counter)
        self._by_organization = defaultdict(Counter)

    def arrived(self, visit, rule_index):
        self._last_number += 1
        in_hold = visit.request.arrived < self._hold_until.get(counted_name(visit), 0)
        entry = LogEntry(self._last_number, visit, rule_index, in_hold)
        self._entries.append(entry)
        self._count_connection(visit.request.connection)
        self._count(visit, requests=1, in_hold=in_hold)
        return entry

    def answered(self, entry, reply):
        """This is what comes of the request, though the reply may be sent later or never."""
        entry.job_id = reply.job_id or entry.job_id
        if reply.accepted:
            self._count(entry.visit, accepted=1)

    def replied(self, entry, status, hold_seconds):
        """The reply is being sent; with it a 429 holds its key for so long."""
        entry.status = status
        if status == 429:
            self._count(entry.visit, rate_limited=1)
            name, until = counted_name(entry.visit), time.monotonic() + hold_seconds
            self._hold_until[name] = max(self._hold_until.get(name, 0), until)

    def ended(self, entry, sent_at):
        """The exchange is over; the reply was written to its end at `sent_at`, if that is not None."""
        if sent_at is not None:
            entry.t_end = round(sent_at, 6)
        entry.visit = None
        if self._file is not None:
            self._file.write(json.dumps(entry.shown()) + "\n")

    def entries(self, since, equal):
        """The entries with a number above `since` whose attributes equal those given."""
        return [entry.shown() for entry in self._entries
                if entry.n > since and all(getattr(entry, name) == value for name, value in equal.items())]

    def stats(self, organizations):
        """The counts, with the high-water marks of the organizations' states."""
        organizations = dict(organizations)
        most_running = Counter()
        for state in organizations.values():
            most_running.update(state.most_running_by_key)
        by_key = {key: shown_counts(self._by_key[key], most_running[key])
                  for key in self._by_key.keys() | most_running.keys()}
        by_organization = {
            name: shown_counts(self._by_organization[name],
                               organizations[name].most_running if name in organizations else 0)
            for name in self._by_organization.keys() | organizations.keys()}
        return {"connections": self._connections, "keys": by_key, "organizations": by_organization}

    def _count_connection(self, connection):
        if connection.counted_by is not self:
            connection.counted_by = self
            self._connections += 1

    def _count(self, visit, **counts):
        self._by_key[counted_name(visit)].update(counts)
        if visit.owner is not None:
            self._by_organization[visit.owner["organization"]].update(counts)


def counted_name(visit):
    return NO_KEY if visit.owner is None else visit.key


def shown_counts(counts, most_running):
    shown = {name: int(counts[name]) for name in ("requests", "accepted", "rate_limited", "in_hold")}
    return {**shown, "max_running": most_running}


def readable(body):
    """A request body as the JSON it is, or as text, or None if there is none."""
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")


def retry_after_seconds(headers, clari_now):
    """How long Retry-After headers hold a key; the longest counts, what cannot be read does not.

    A date is taken against the reply's own Date header, or Clari's clock without one.
    """
    values = [value.strip() for name, value in headers if name.lower() == "retry-after"]
    dates = [epoch_of(value) for name, value in headers if name.lower() == "date"] if values else []
    reference = next((date for date in dates if date is not None), clari_now)
    return max((hold_seconds(value, reference) for value in values), default=0)


def hold_seconds(value, reference):
    if SECONDS_PATTERN.fullmatch(value):
        return float(value)
    moment = epoch_of(value)
    return moment - reference if moment is not None else 0


def epoch_of(date_text):
    try:
        return parsedate_to_datetime(date_text).replace(tzinfo=timezone.utc).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
