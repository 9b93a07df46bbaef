"""The endpoints of Clari's export API, as Clari behaves without faults."""

import json
import re
import time
from collections import defaultdict, deque
from datetime import datetime
from typing import NamedTuple
from urllib.parse import unquote

from .config import CURRENCIES
from .replies import Reply, error_reply, json_reply
from .results import result_reply
from .token_bucket import TokenBuckets

EXPORT_TYPES = frozenset(("forecast", "quota", "forecast_updated", "adjustment", "crm_total", "crm_closed"))
ACTIVITY_TYPES = frozenset(("MEETING", "EMAIL_SENT", "EMAIL_RECEIVED", "ATTACHMENT_SENT", "ATTACHMENT_RECEIVED"))
FORECAST_PARAMETERS = frozenset(("timePeriod", "typesToExport", "scopeId", "currency", "schedule",
                                 "includeHistorical", "exportFormat"))
SCHEDULES = ("NONE", "ONCE", "MAX")
SESSION_TYPES = ("WEB", "IOS", "ANDROID")
DATE_RETRY_SECONDS = 2
QUOTA_CODE = "export_monthly_quota_reached"
NO_ROUTE = "no Route matched with those values"


class Refusal(Exception):
    """A request that Clari refuses."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Caller(NamedTuple):
    """Who sent a request."""

    key: str
    owner: dict
    limits: dict

    @property
    def organization(self):
        return self.owner["organization"]


class RateLimiter:
    """Admits a number of requests of each key in any one second."""

    def __init__(self):
        self._admitted = defaultdict(deque)

    def admits(self, key, requests_per_second):
        now = time.monotonic()
        admitted = self._admitted[key]
        while admitted and admitted[0] <= now - 1:
            admitted.popleft()
        if len(admitted) >= requests_per_second:
            return False
        admitted.append(now)
        return True


class ClariApi:
    def __init__(self, config, clock, state):
        self.config = config
        self._clock = clock
        self._state = state
        self._limiter = RateLimiter()
        self._buckets = TokenBuckets()
        self._routes = [
            ("POST", re.compile(r"/export/forecast/?"), self._refuse_missing_forecast),
            ("POST", re.compile(r"/export/forecast/([^/]+)"), self._export_forecast),
            ("POST", re.compile(r"/export/activity"), self._export_activity),
            ("POST", re.compile(r"/export/audit/events"), self._export_audit_events),
            ("GET", re.compile(r"/export/jobs/([^/]+)"), self._show_job),
            ("GET", re.compile(r"/export/jobs"), self._list_jobs),
            ("PATCH", re.compile(r"/export/jobs/([^/]+)"), self._change_job),
            ("GET", re.compile(r"/export/jobs/([^/]+)/results"), self._fetch_results),
            ("GET", re.compile(r"/admin/limits"), self._show_limits),
        ]

    def answer(self, visit):
        """The reply to a request."""
        if not visit.inside:
            return error_reply(404, None, NO_ROUTE)
        if visit.owner is None:
            return error_reply(401, None, "Invalid authentication credentials")
        caller = Caller(visit.key, visit.owner, self.config["organizations"][visit.owner["organization"]])
        try:
            return self._limit_rate(visit.key) or self._route(visit, caller)
        except Refusal as refusal:
            return error_reply(refusal.status, refusal.code, refusal.message, caller.limits["org_id"],
                               self.config["error_form"])

    def _limit_rate(self, key):
        limit = self.config["rate_limit"]
        if limit is None or self._is_admitted(key, limit):
            return None
        reply = error_reply(429, None, "API rate limit exceeded")
        retry_after = str(limit.get("retry_after", "none"))
        if retry_after == "date":
            reply.headers["Retry-After"] = {"date_in": DATE_RETRY_SECONDS}
        elif retry_after != "none":
            reply.headers["Retry-After"] = retry_after
        return reply

    def _is_admitted(self, key, limit):
        if "burst" in limit:
            return self._buckets.admits(key, limit["requests_per_second"], limit["burst"])
        return self._limiter.admits(key, limit["requests_per_second"])

    def _route(self, visit, caller):
        for method, pattern, endpoint in self._routes:
            match = pattern.fullmatch(visit.path) if method == visit.request.method else None
            if match:
                return endpoint(caller, visit.request, *map(unquote, match.groups()))
        raise Refusal(404, None, NO_ROUTE)

    # Submissions.

    def _refuse_missing_forecast(self, caller, request):
        raise Refusal(400, "missing_forecast_id", "The forecast id is missing")

    def _export_forecast(self, caller, request, forecast_id):
        parameters = object_in(request.body)
        if forecast_id not in self.config["forecasts"]:
            raise Refusal(400, "no_such_forecast_config", f"No such forecast: {forecast_id}")
        visible = caller.owner["forecasts"]
        if visible is not None and forecast_id not in visible:
            raise Refusal(401, "no_optin", "The user is not opted in to this forecast")
        check_forecast_parameters(parameters)
        return self._submit(200, caller, "FORECAST", forecast_id=forecast_id,
                            period=self.exported_period(parameters), parameters=parameters)

    def _export_activity(self, caller, request):
        parameters = object_in(request.body)
        check_items(parameters, "activityTypes", ACTIVITY_TYPES)
        check_choice(parameters, "exportFormat", ("JSON",))
        check_dates(parameters, "startDate", "endDate")
        return self._submit(202, caller, "ACTIVITY", parameters=parameters)

    def _export_audit_events(self, caller, request):
        parameters = object_in(request.body)
        check_choice(parameters, "sessionType", SESSION_TYPES)
        check_dates(parameters, "dateFrom", "dateTo")
        return self._submit(202, caller, "AUDIT", parameters=parameters)

    def exported_period(self, parameters):
        """The trap of this API: what Clari does not know makes it export the current quarter."""
        period = parameters.get("timePeriod")
        understood = period in self.config["known_periods"] and parameters.keys() <= FORECAST_PARAMETERS
        return period if understood else self.config["current_period"]

    def _submit(self, status, caller, module, **subject):
        organization = self._state.organization(caller.organization)
        if (organization.running_count() >= caller.limits["concurrent_limit"]
                or organization.charged_count() >= caller.limits["monthly_quota"]):
            raise Refusal(400, QUOTA_CODE, "The export quota has been reached")
        plan = self._state.next_plan(self.config["job"])
        job = self._state.accept(caller.key, caller.owner, caller.limits["org_id"], module, plan, **subject)
        reply = json_reply(status, {"jobId": job.job_id}, job.job_id)
        reply.accepted = True
        return reply

    # Jobs.

    def _visible_job(self, caller, job_id):
        job = self._state.job(job_id)
        if job is None:
            raise Refusal(400, "invalid_jobId", f"Invalid job id: {job_id}")
        if (job.user, job.organization) != (caller.owner["user"], caller.organization):
            raise Refusal(403, "forbidden", "Not allowed to see this job")
        return job

    def _show_job(self, caller, request, job_id):
        job = self._visible_job(caller, job_id)
        shown = job.shown(self._clock)
        return json_reply(200, {"job": shown} if job.plan["wrapped"] else shown, job_id)

    def _list_jobs(self, caller, request):
        visible_before = self._clock.now() - self.config["job_list_delay_ms"] / 1000
        jobs = self._state.jobs_of(caller.owner["user"], caller.organization, visible_before)
        return json_reply(200, [
            {"job": job.shown(self._clock)} if job.plan["wrapped_in_list"] else job.shown(self._clock)
            for job in jobs])

    def _change_job(self, caller, request, job_id):
        change = object_in(request.body)
        job = self._visible_job(caller, job_id)
        if change.get("type") != "CANCEL":
            raise Refusal(400, "bad_request", "The type of the change must be CANCEL")
        if job.has_ended(self._clock.now()):
            raise Refusal(400, "export_failed_to_cancel", "The export has already finished")
        status = self._state.cancel_job(job)
        return json_reply(200, {"status": status, "successful": True}, job_id)

    def _fetch_results(self, caller, request, job_id):
        job = self._visible_job(caller, job_id)
        if not job.result_available(self._clock.now()):
            raise Refusal(400, "invalid_jobId", f"The job {job_id} has not finished executing")
        job.downloads += 1
        reply = result_reply(job, self.config)
        reply.job_id = job_id
        return reply

    def _show_limits(self, caller, request):
        organization = self._state.organization(caller.organization)
        limit, quota = caller.limits["concurrent_limit"], caller.limits["monthly_quota"]
        jobs = {
            "concurrentLimit": limit,
            "monthlyQuota": quota,
            "submittedJobIds": organization.charged_ids(),
            "availableConcurrentLimit": max(limit - organization.running_count(), 0),
            "availableMonthlyQuota": max(quota - organization.charged_count(), 0),
        }
        if organization.running_count():
            jobs["runningJobIds"] = organization.running_ids()
        return json_reply(200, {"jobs": jobs})


def object_in(body):
    """The JSON object of a request body; an absent body is an empty one."""
    if not body.strip():
        return {}
    try:
        value = json.loads(body)
    except ValueError:
        raise Refusal(400, "bad_request", "The request body is not JSON") from None
    if not isinstance(value, dict):
        raise Refusal(400, "bad_request", "The request body is not a JSON object")
    return value


def check_forecast_parameters(parameters):
    check_items(parameters, "typesToExport", EXPORT_TYPES)
    check_choice(parameters, "exportFormat", ("JSON", "CSV"))
    check_choice(parameters, "schedule", SCHEDULES)
    check_choice(parameters, "currency", tuple(CURRENCIES))
    check_boolean(parameters, "includeHistorical")
    check_string(parameters, "timePeriod")
    check_string(parameters, "scopeId")


def check_items(parameters, name, known):
    items = parameters.get(name, [])
    if not isinstance(items, list):
        raise Refusal(400, "bad_request", f"{name} must be an array")
    for item in items:
        if not isinstance(item, str) or item not in known:
            raise Refusal(400, "type_not_supported", f"{name}: type not supported: {item}")


def check_choice(parameters, name, known):
    if name in parameters and parameters[name] not in known:
        raise Refusal(400, "bad_request", f"Invalid value of {name}")


def check_boolean(parameters, name):
    if not isinstance(parameters.get(name, False), bool):
        raise Refusal(400, "bad_request", f"{name} must be true or false")


def check_string(parameters, name):
    if not isinstance(parameters.get(name, ""), str):
        raise Refusal(400, "bad_request", f"{name} must be a string")


def check_dates(parameters, *names):
    for name in names:
        if name in parameters and not is_date(parameters[name]):
            raise Refusal(400, "bad_request", f"{name} must be an ISO 8601 date with an offset")


def is_date(text):
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except (TypeError, ValueError):
        return False
