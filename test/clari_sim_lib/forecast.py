"""The numbers of a forecast: who called what in which week.

Every representative has a quota and an amount the quarter will end with; closed business grows towards it,
the commit call converges on it from above or below, the best-case call stays over the commit. Everybody
else's number is the sum of the people below, so each level of the hierarchy adds up. All numbers follow from
seed, forecast, period, week and person, so an export can be repeated; `export_drift` moves the latest calls
of some representatives from one export to the next.
"""

import random
from typing import NamedTuple

from .config import CURRENCIES
from .periods import WEEKS_A_QUARTER, last_week_number, quarter_of
from .sales_hierarchy import DEFAULT_REPS, below, sales_hierarchy

DEFAULT_TYPES = ("forecast", "forecast_updated")
MAX_REPS = 4000
SHARE_OF_MOVED_CALLS = 0.35


class Field(NamedTuple):
    field_id: str
    name: str
    kind: str                    # the export type it comes with
    field_type: str
    value_key: str               # of form 1
    data_type: str               # of form 2


FIELDS = (
    Field("commit", "Commit", "forecast", "FORECAST", "forecastValue", "Forecast"),
    Field("best_case", "Best Case", "forecast", "FORECAST", "forecastValue", "Forecast"),
    Field("closed", "Closed", "forecast", "FORECAST", "forecastValue", "Forecast"),
    Field("quota", "Quota", "quota", "QUOTA", "quotaValue", "Quota"),
    Field("adjustment", "Manager Adjustment", "adjustment", "ADJUSTMENT", "adjustmentValue", "Adjustment"),
    Field("crm_total", "CRM Total", "crm_total", "CRM_TOTAL", "crmTotalValue", "CRM Total"),
    Field("crm_closed", "CRM Closed", "crm_closed", "CRM_CLOSED", "crmClosedValue", "CRM Closed"),
)


class Call(NamedTuple):
    """One number: a person's, of a field, in a week."""

    person: object
    field: Field
    week: object
    value: int
    updated: bool


class Forecast:
    def __init__(self, job, config):
        asked = job.parameters
        self.forecast_id = job.forecast_id
        self.quarter = quarter_of(job.plan["period"] or job.period, config["current_period"])
        self.currency = asked.get("currency", "USD")
        self.symbol, self._exchange_rate = CURRENCIES[self.currency]
        self.types = frozenset(asked.get("typesToExport") or DEFAULT_TYPES)
        self.exported_at = int(job.accepted_at)
        self._seed = config["seed"]
        self._drift = config["export_drift"]
        self._export_number = job.export_number
        self.weeks = self._exported_weeks(asked.get("includeHistorical", False), config)
        self.latest_week = max(self.weeks)
        self.fields = [field for field in FIELDS if field.kind in self.types]
        self._everybody = sales_hierarchy(self._seed, DEFAULT_REPS)
        if job.plan["result_entries"] is not None and self.fields:
            self._scale(int(job.plan["result_entries"]))
        self.people = below(self._everybody, asked.get("scopeId"))

    def _exported_weeks(self, historical, config):
        latest = last_week_number(self.quarter.period_id, config["current_period"], config["current_week"])
        numbers = list(range(latest + 1)) if historical else [latest]
        random.Random(self._name("weeks")).shuffle(numbers)
        return [self.quarter.week(number, config["first_week_number"]) for number in numbers]

    def _scale(self, entries):
        """Approach that number of entries with more representatives, then with more fields."""
        people = entries // (len(self.weeks) * len(self.fields))
        self._everybody = sales_hierarchy(self._seed, max(1, min(int(people * 0.8), MAX_REPS)))
        a_field = len(self.weeks) * len(self._everybody)
        for number in range(len(self.fields), entries // a_field):
            self.fields.append(Field(f"custom_{number}", f"Custom {number}", "forecast", "FORECAST",
                                     "forecastValue", "Forecast"))

    def entry_count(self):
        return len(self.people) * len(self.fields) * len(self.weeks)

    def time_periods(self):
        quarter = self.quarter
        return [{"timePeriodId": quarter.period_id, "type": "QUARTER", "label": f"Q{quarter.number} {quarter.year}",
                 "year": quarter.year, "startDate": quarter.start.isoformat(), "endDate": quarter.end.isoformat(),
                 "crmId": f"0265f00000{quarter.year}{quarter.number}AAA"}]

    def calls(self):
        """All the calls of the export, week by week, field by field."""
        for week in self.weeks:
            for field in self.fields:
                values = self._values(field, week)
                updates = random.Random(self._name("updated", field.field_id, week.number))
                for person in self.people:
                    yield Call(person, field, week, values[person.index], updates.random() < 0.5)

    def _values(self, field, week):
        """A value for every person's index: the representatives' own, and sums for the others."""
        values = [0] * len(self._everybody)
        own = self._rep_values(field, week)
        for person in reversed(self._everybody):
            if person.level == "REP":
                values[person.index] = next(own)
            if person.parent is not None:
                values[person.parent] += values[person.index]
        return values

    def _rep_values(self, field, week):
        field_id = field.field_id if field in FIELDS else "commit"
        outlook = random.Random(self._name("reps", "" if field in FIELDS else field.field_id))
        weekly = random.Random(self._name("week", week.number, "" if field in FIELDS else field.field_id))
        moved = self._moves(field_id, week)
        while True:
            value = rep_value(field_id, outlook, weekly, (week.number + 1) / WEEKS_A_QUARTER)
            yield round(value * self._exchange_rate * (1 + next(moved)))

    def _moves(self, field_id, week):
        """How far each representative's call has moved since the first export, as a fraction."""
        still = not self._drift or field_id not in ("commit", "best_case") or week != self.latest_week
        steps = [] if still else [random.Random(self._name("drift", field_id, export))
                                  for export in range(1, self._export_number + 1)]
        while True:
            yield sum(self._step(step) for step in steps)

    def _step(self, chance):
        size, moves = chance.uniform(-self._drift, self._drift), chance.random()
        return size if moves < SHARE_OF_MOVED_CALLS else 0

    def _name(self, *parts):
        return "/".join(map(str, (self._seed, self.forecast_id, self.quarter.period_id, *parts)))


def rep_value(field_id, outlook, weekly, progress):
    """A representative's number when that share of the quarter is over."""
    quota = 5000 * outlook.randint(40, 130)
    final = quota * outlook.uniform(0.55, 1.25)
    optimism = outlook.uniform(-0.15, 0.35)
    upside = outlook.uniform(0.1, 0.5)
    noise = weekly.uniform(-0.06, 0.06)
    left = 1 - progress
    closed = final * progress ** 1.7
    commit = max(closed, final * (1 + (optimism + noise) * left))
    return {
        "quota": quota,
        "closed": closed,
        "crm_closed": closed,
        "commit": commit,
        "best_case": commit + final * upside * left,
        "adjustment": final * noise * left,
        "crm_total": commit + final * 2.5 * left,
    }[field_id]
