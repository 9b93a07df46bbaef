"""The simulator's calendar: real time plus what a test moved it forward, and HTTP dates.

Two clocks must not be confused. `now()` is the calendar on which jobs run and the quota window slides.
`clari_now()` is the same calendar as Clari shows it to clients, shifted by the configured clock offset.
Logs and rate limits use time.monotonic() and are moved by neither.
"""

import time
from email.utils import formatdate
from functools import lru_cache

SECONDS_A_DAY = 86400


class CalendarClock:
    """Follows the monotonic clock from its start, so that a step of the host's clock does not show."""

    def __init__(self, offset_seconds=0.0):
        self.offset_seconds = offset_seconds
        self._origin = time.time() - time.monotonic()

    def now(self):
        return self._origin + time.monotonic()

    def clari_now(self):
        return self.now() + self.offset_seconds

    def shown(self, moment):
        """A moment of now()'s calendar as Clari reports it: epoch milliseconds."""
        return int((moment + self.offset_seconds) * 1000)

    def advance(self, seconds):
        self._origin += seconds


@lru_cache(maxsize=64)
def http_date(epoch_second):
    return formatdate(epoch_second, usegmt=True)
