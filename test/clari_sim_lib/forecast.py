"""The numbers of a forecast: who called what in which week.

Every representative has a quota and an amount the quarter will end with; closed business grows towards it,
the commit call converges on it from above or below, the best-case call stays over the commit. Everybody
else's number is the sum of the people below, so each level of the hierarchy adds up. All numbers follow from
the ForecastSpec alone, so an export can be repeated; `drift` moves the latest calls of some representatives
from one export to the next.
"""

import random
from datetime import datetime, time, timezone
from typing import NamedTuple, Optional

from .config import CURRENCIES
from .periods import WEEKS_A_QUARTER, Week, last_week_number, quarter_of
from .sales_hierarchy import DEFAULT_REPS, Person, below, sales_hierarchy

DEFAULT_TYPES = ("forecast", "forecast_updated")
MAX_REPS = 4000
REPS_AMONG_PEOPLE = 0.8
SHARE_OF_MOVED_CALLS = 0.35
SHARE_OF_UPDATED_CALLS = 0.5
CALLS_THAT_MOVE = ("commit", "best_case")


class ForecastSpec(NamedTuple):
    """Everything that the numbers depend on; the names are those of the settings and of Clari's parameters."""

    seed: str
    forecast_id: str
    period: str
    current_period: str
    current_week: int
    first_week_number: int
    historical: bool
    types: frozenset
    currency: str
    scope: Optional[str]
    entries: Optional[int]
    drift: float
    export_number: int


class Field(NamedTuple):
    field_id: str
    name: str
    export_type: str
    field_type: str
    value_key: str               # in form 1
    data_type: str               # in form 2
    number: str                  # how a representative's number comes about: one of NUMBERS


class Call(NamedTuple):
    """One number: a person's, of a field, in a week. `updated_on` is None or in epoch milliseconds."""

    person: Person
    field: Field
    week: Week
    value: int
    updated_on: Optional[int]


class Outlook(NamedTuple):
    """What a representative's quarter will come to."""

    quota: int
    final: float
    optimism: float
    upside: float


FIELDS = (
    Field("commit", "Commit", "forecast", "FORECAST", "forecastValue", "Forecast", "commit"),
    Field("best_case", "Best Case", "forecast", "FORECAST", "forecastValue", "Forecast", "best_case"),
    Field("closed", "Closed", "forecast", "FORECAST", "forecastValue", "Forecast", "closed"),
    Field("quota", "Quota", "quota", "QUOTA", "quotaValue", "Quota", "quota"),
    Field("adjustment", "Adjustment", "adjustment", "ADJUSTMENT", "adjustmentValue", "Adjustment", "adjustment"),
    Field("crm_total", "CRM Total", "crm_total", "CRM_TOTAL", "crmTotalValue", "CRM Total", "pipeline"),
    Field("crm_closed", "CRM Closed", "crm_closed", "CRM_CLOSED", "crmClosedValue", "CRM Closed", "closed"),
)


def closed(outlook, noise, progress):
    return outlook.final * progress ** 1.7


def commit(outlook, noise, progress):
    expected = outlook.final * (1 + (outlook.optimism + noise) * (1 - progress))
    return max(expected, closed(outlook, noise, progress))


def best_case(outlook, noise, progress):
    return commit(outlook, noise, progress) + outlook.final * outlook.upside * (1 - progress)


def pipeline(outlook, noise, progress):
    return best_case(outlook, noise, progress) + outlook.final * 2 * (1 - progress)


def adjustment(outlook, noise, progress):
    return outlook.final * noise * (1 - progress)


def quota(outlook, noise, progress):
    return outlook.quota


NUMBERS = {number.__name__: number for number in (closed, commit, best_case, pipeline, adjustment, quota)}


class Forecast:
    def __init__(self, spec):
        self.spec = spec
        self.quarter = quarter_of(spec.period, spec.current_period)
        self.symbol, self._exchange_rate = CURRENCIES[spec.currency]
        self.weeks = self._exported_weeks()
        self.fields = [field for field in FIELDS if field.export_type in spec.types]
        self._latest_week = max(self.weeks)
        self._everybody = sales_hierarchy(spec.seed, DEFAULT_REPS)
        if spec.entries is not None and self.fields:
            self._scale(spec.entries)
        self.people = below(self._everybody, spec.scope)

    def _exported_weeks(self):
        """All weeks so far, in no order, or the latest."""
        spec = self.spec
        latest = last_week_number(spec.period, spec.current_period, spec.current_week)
        numbers = list(range(latest + 1)) if spec.historical else [latest]
        self._chance("weeks").shuffle(numbers)
        return [self.quarter.week(number, spec.first_week_number) for number in numbers]

    def _scale(self, entries):
        """Approach that number of entries with another number of people, then with more fields."""
        people = entries // (len(self.weeks) * len(self.fields))
        reps = max(1, min(int(people * REPS_AMONG_PEOPLE), MAX_REPS))
        self._everybody = sales_hierarchy(self.spec.seed, reps)
        entries_a_field = len(self.weeks) * len(self._everybody)
        for number in range(len(self.fields), entries // entries_a_field):
            self.fields.append(Field(f"custom_{number}", f"Custom {number}", "forecast", "FORECAST",
                                     "forecastValue", "Forecast", "commit"))

    def entry_count(self):
        return len(self.people) * len(self.fields) * len(self.weeks)

    def calls(self):
        """All the calls of the export, week by week, field by field."""
        for week in self.weeks:
            opening = datetime.combine(week.start, time(9), timezone.utc).timestamp() * 1000
            for field in self.fields:
                values = self._values(field, week)
                chance = self._chance("updated", field.field_id, week.number)
                for person in self.people:
                    dice = chance.random()
                    updated_on = int(opening + dice * 6e8) if dice < SHARE_OF_UPDATED_CALLS else None
                    yield Call(person, field, week, values[person.index], updated_on)

    def _values(self, field, week):
        """A value for every person's index: the representatives' own, and sums for the others."""
        values = [0] * len(self._everybody)
        own_values = self._own_values(field, week)
        for person in reversed(self._everybody):
            if person.level == "REP":
                values[person.index] = next(own_values)
            if person.parent is not None:
                values[person.parent] += values[person.index]
        return values

    def _own_values(self, field, week):
        """The representatives' numbers, without end. Fields of the same business share their chances."""
        business = "custom" + field.field_id if field not in FIELDS else ""
        outlooks, noises = self._chance("outlook", business), self._chance("noise", business, week.number)
        number, progress = NUMBERS[field.number], (week.number + 1) / WEEKS_A_QUARTER
        moves = self._moves(field, week)
        while True:
            value = number(draw_outlook(outlooks), noises.uniform(-0.06, 0.06), progress)
            yield round(value * self._exchange_rate * (1 + next(moves)))

    def _moves(self, field, week):
        """How far each representative's call has moved since the first export, as a fraction."""
        chances = []
        if self.spec.drift and field.number in CALLS_THAT_MOVE and week == self._latest_week:
            chances = [self._chance("move", number) for number in range(1, self.spec.export_number + 1)]
        while True:
            yield sum(self._move(chance) for chance in chances)

    def _move(self, chance):
        size, dice = chance.uniform(-self.spec.drift, self.spec.drift), chance.random()
        return size if dice < SHARE_OF_MOVED_CALLS else 0

    def _chance(self, *names):
        return random.Random("/".join(map(str, (self.spec.seed, self.spec.forecast_id, self.spec.period, *names))))


def draw_outlook(chance):
    target = 5000 * chance.randint(40, 130)
    return Outlook(target, target * chance.uniform(0.55, 1.25), chance.uniform(-0.15, 0.35), chance.uniform(0.1, 0.5))
