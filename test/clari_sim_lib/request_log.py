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
    __slots__ = ("n", "t", "t_end", "connection", "key", "method", "path", "body", "status", "job_id",
                 "rule", "in_hold")

    def shown(self):
        return {name: getattr(self, name) for name in self.__slots__}


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

    def arrived(self, request, path, key, owner, rule_index):
        entry = LogEntry()
        self._last_number += 1
        entry.n = self._last_number
        entry.t = round(request.arrived, 6)
        entry.t_end = entry.status = entry.job_id = None
        entry.connection = request.connection.id
        entry.key = key
        entry.method, entry.path = request.method, path
        entry.body = readable(request.body)
        entry.rule = rule_index
        entry.in_hold = request.arrived < self._hold_until.get(counted_name(key, owner), 0)
        self._entries.append(entry)
        self._count_connection(request.connection)
        self._count(key, owner, requests=1, in_hold=entry.in_hold)
        return entry

    def accepted(self, key, owner):
        """A submission was accepted."""
        self._count(key, owner, accepted=1)

    def replied(self, entry, owner, status, hold_seconds):
        entry.status = status
        if status != 429:
            return
        self._count(entry.key, owner, rate_limited=1)
        if hold_seconds > 0:
            name, until = counted_name(entry.key, owner), time.monotonic() + hold_seconds
            self._hold_until[name] = max(self._hold_until.get(name, 0), until)

    def ended(self, entry, sent_at):
        """The exchange is over; the reply was written to its end at `sent_at`, if that is not None."""
        if sent_at is not None:
            entry.t_end = round(sent_at, 6)
        if self._file is not None:
            self._file.write(json.dumps(entry.shown()) + "\n")

    def entries(self, since, equal):
        """The entries with a number above `since` whose attributes equal those given."""
        return [entry.shown() for entry in self._entries
                if entry.n > since and all(getattr(entry, name) == value for name, value in equal.items())]

    def stats(self, organizations):
        """The counts, with the high-water marks of the organizations' states."""
        by_organization = {name: shown_counts(self._by_organization[name], state.most_running)
                           for name, state in organizations}
        most_running = Counter()
        for _, state in organizations:
            most_running.update(state.most_running_by_key)
        by_key = {key: shown_counts(self._by_key[key], most_running[key])
                  for key in self._by_key.keys() | most_running.keys()}
        return {"connections": self._connections, "keys": by_key, "organizations": by_organization}

    def _count_connection(self, connection):
        if connection.counted_by is not self:
            connection.counted_by = self
            self._connections += 1

    def _count(self, key, owner, **counts):
        self._by_key[counted_name(key, owner)].update(counts)
        if owner is not None:
            self._by_organization[owner["organization"]].update(counts)


def counted_name(key, owner):
    return NO_KEY if owner is None else key


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


def retry_after_seconds(values, date_values, clari_now):
    """How long a reply's Retry-After headers hold its key; the longest counts, what cannot be read not at all.

    A date is taken against the reply's own Date header, or Clari's clock without one.
    """
    reference = next(filter(None, map(epoch_of, date_values)), clari_now)
    return max((hold_seconds(str(value).strip(), reference) for value in values), default=0)


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
