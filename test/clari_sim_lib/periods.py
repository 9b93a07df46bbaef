"""Quarters and their thirteen weeks. Week numbers count from 0 within a quarter."""

import re
from datetime import date, timedelta
from typing import NamedTuple

WEEKS_A_QUARTER = 13
PERIOD_PATTERN = re.compile(r"(\d{4})_Q([1-4])")


class Week(NamedTuple):
    number: int
    time_frame_id: str
    start: date
    end: date


class Quarter(NamedTuple):
    period_id: str
    year: int
    number: int

    @property
    def start(self):
        return date(self.year, 3 * self.number - 2, 1)

    @property
    def end(self):
        following = (date(self.year + 1, 1, 1) if self.number == 4
                     else date(self.year, 3 * self.number + 1, 1))
        return following - timedelta(days=1)

    def week(self, number, first_number=0):
        """The week of that number, whose id counts from `first_number`."""
        start = self.start + timedelta(weeks=number)
        end = self.end if number == WEEKS_A_QUARTER - 1 else start + timedelta(days=6)
        return Week(number, f"W_{number + first_number:02d}", start, end)


def quarter_of(period_id, fallback_id):
    """The quarter of that id; an id that is none (a test's deliberately wrong one) has the fallback's dates."""
    match = PERIOD_PATTERN.fullmatch(period_id) or PERIOD_PATTERN.fullmatch(fallback_id)
    return Quarter(period_id, int(match[1]), int(match[2]))


def last_week_number(period_id, current_period, current_week):
    """A past quarter has all its weeks, the current one those begun, a coming one its first."""
    if period_id < current_period:
        return WEEKS_A_QUARTER - 1
    if period_id == current_period:
        return min(max(int(current_week), 0), WEEKS_A_QUARTER - 1)
    return 0
