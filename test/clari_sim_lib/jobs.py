"""One export job: its life follows its plan, as a function of the calendar."""

from datetime import datetime, timezone

from .calendar_clock import SECONDS_A_DAY

TERMINAL_STATUSES = frozenset(("DONE", "COMPLETED", "FAILED", "CANCELLED", "ABORTED"))
READY_STATUSES = frozenset(("DONE", "COMPLETED"))
RESULT_LIFETIME_SECONDS = 30 * SECONDS_A_DAY
TITLES = {"FORECAST": "Forecast Export", "ACTIVITY": "Activity Export", "AUDIT": "Audit Events Export"}


class Job:
    """`accepted_at` and `ended_at` are moments of the calendar; `export_number` counts the earlier exports
    of the same forecast and period, for a drift between them."""

    __slots__ = ("job_id", "key", "user", "organization", "org_id", "module", "forecast_id", "period",
                 "parameters", "plan", "accepted_at", "export_number", "downloads", "ended_at",
                 "_timeline", "_final_status")

    def __init__(self, job_id, key, user, organization, org_id, module, plan, accepted_at,
                 forecast_id=None, period=None, parameters=None, export_number=0):
        self.job_id = job_id
        self.key = key
        self.user = user
        self.organization = organization
        self.org_id = org_id
        self.module = module
        self.forecast_id = forecast_id
        self.period = period
        self.parameters = parameters or {}
        self.plan = plan
        self.accepted_at = accepted_at
        self.export_number = export_number
        self.downloads = 0
        self._timeline = planned_timeline(plan)
        self._final_status = None
        self.ended_at = self._planned_end()

    def _planned_end(self):
        for seconds, status in self._timeline:
            if status in TERMINAL_STATUSES:
                return self.accepted_at + seconds
        return None

    def status(self, now):
        if self._final_status is not None:
            return self._final_status
        elapsed = now - self.accepted_at
        current = self._timeline[0][1]
        for seconds, status in self._timeline:
            if seconds > elapsed:
                break
            current = status
        return current

    def has_ended(self, now):
        return self.ended_at is not None and self.ended_at <= now

    def end(self, status, now):
        self._final_status = status
        self.ended_at = now

    def result_available(self, now):
        return (self.status(now) in READY_STATUSES
                and (self.ended_at is None or now < self.ended_at + RESULT_LIFETIME_SECONDS))

    def file_type(self):
        return "CSV" if self.parameters.get("exportFormat") == "CSV" else "JSON"

    def file_name(self, clock):
        if self.plan["file_name"] is not None:
            return self.plan["file_name"]
        moment = datetime.fromtimestamp(clock.shown(self.accepted_at) / 1000, timezone.utc)
        subject = f"forecast_{self.forecast_id}_{self.period}" if self.module == "FORECAST" else self.module.lower()
        return f"clari_export_{subject}{self.org_id}_{moment:%Y%m%d_%H%M%S}.{self.file_type().lower()}"

    def shown(self, clock):
        """The job object of the API."""
        now = clock.now()
        shown = {
            "jobId": self.job_id,
            "userId": self.user,
            "orgId": self.org_id,
            "title": TITLES[self.module],
            "module": self.module,
            "startTime": clock.shown(self.accepted_at),
            "version": 1,
            "fileName": self.file_name(clock),
            "fileType": self.file_type(),
            "status": self.status(now),
            "viewed": self.downloads > 0,
            "cellsTruncated": self.plan["truncated"],
            "rowsTruncated": self.plan["truncated"],
            "downloads": self.downloads,
            "deliveryStatusMap": {},
            "currency": self.parameters.get("currency", "USD"),
        }
        if self.has_ended(now):
            shown["endTime"] = clock.shown(self.ended_at)
            shown["expiredTime"] = clock.shown(self.ended_at + RESULT_LIFETIME_SECONDS)
        return shown


def planned_timeline(plan):
    """The statuses of a plan as (seconds since acceptance, status), in order."""
    if plan["statuses"] is not None:
        return [(moment / 1000, status) for moment, status in plan["statuses"]]
    scheduled = plan["scheduled_ms"] / 1000
    ended = scheduled + plan["duration_ms"] / 1000
    return [(0, "SCHEDULED"), (scheduled, "STARTED"), (ended, plan["outcome"])]
