"""The control endpoints: how a test scripts the simulator and reads what happened."""

import json

from .config import ConfigError, check_names, merge_plan, require_number, require_object
from .jobs import TERMINAL_STATUSES
from .replies import json_reply
from .request_log import FILTERS

CONTROL_PREFIX = "/_sim/"
START_JOB_PARTS = ("key", "forecast_id", "time_period", "plan")


class Control:
    def __init__(self, simulator):
        self._simulator = simulator
        self._endpoints = {
            ("POST", "reset"): self._reset,
            ("POST", "configure"): self._configure,
            ("POST", "rules"): self._add_rules,
            ("POST", "jobs"): self._add_plans,
            ("POST", "start_job"): self._start_job,
            ("POST", "advance"): self._advance,
            ("POST", "finish_job"): self._finish_job,
            ("GET", "job"): self._show_job,
            ("GET", "log"): self._show_log,
            ("GET", "stats"): self._show_stats,
        }

    def answer(self, request):
        name, _, argument = request.path[len(CONTROL_PREFIX):].partition("/")
        endpoint = self._endpoints.get((request.method, name))
        if endpoint is None:
            return json_reply(404, {"error": f"no such control endpoint: {request.method} {request.path}"})
        try:
            given = json.loads(request.body) if request.body else {}
            return json_reply(200, endpoint(request, argument, given))
        except (ValueError, TypeError) as error:
            return json_reply(400, {"error": str(error)})

    def _reset(self, request, argument, changes):
        self._simulator.reset(changes)
        return {}

    def _configure(self, request, argument, changes):
        self._simulator.configure(changes)
        return {}

    def _add_rules(self, request, argument, rules):
        require_array("rules", rules)
        self._simulator.rules.add(rules)
        return {}

    def _add_plans(self, request, argument, plans):
        require_array("job plans", plans)
        self._simulator.state.add_plans(plans, self._simulator.config["job"])
        return {}

    def _start_job(self, request, argument, start):
        check_names("part of start_job", start, START_JOB_PARTS)
        config = self._simulator.config
        key = start.get("key", "colleague-key")
        owner = config["keys"].get(key)
        if owner is None:
            raise ConfigError(f"no such key: {key}")
        parameters = {"timePeriod": start["time_period"]} if start.get("time_period") else {}
        job = self._simulator.state.accept(
            key, owner, config["organizations"][owner["organization"]]["org_id"], "FORECAST",
            merge_plan(config["job"], start.get("plan", {})),
            forecast_id=start.get("forecast_id", config["forecasts"][0]),
            period=self._simulator.api.exported_period(parameters), parameters=parameters)
        return {"jobId": job.job_id}

    def _advance(self, request, argument, step):
        check_names("part of advance", step, ("seconds",))
        require_number("seconds", step.get("seconds"))
        if step["seconds"] < 0:
            raise ConfigError("the calendar moves forward only")
        self._simulator.clock.advance(step["seconds"])
        return {}

    def _finish_job(self, request, job_id, end):
        check_names("part of finish_job", end, ("status",))
        status = end.get("status", "DONE")
        if status not in TERMINAL_STATUSES:
            raise ConfigError(f"not a terminal status: {status}")
        self._simulator.state.end_job(self._job(job_id), status)
        return self._show_job(request, job_id, None)

    def _show_job(self, request, job_id, nothing):
        job = self._job(job_id)
        return {"job": job.shown(self._simulator.clock), "key": job.key, "organization": job.organization,
                "forecast_id": job.forecast_id, "period": job.period, "parameters": job.parameters}

    def _job(self, job_id):
        job = self._simulator.state.job(job_id)
        if job is None:
            raise ConfigError(f"no such job: {job_id}")
        return job

    def _show_log(self, request, argument, nothing):
        equal = {name: request.parameter(name) for name in FILTERS}
        return self._simulator.log.entries(int(request.parameter("since") or 0),
                                           {name: value for name, value in equal.items() if value is not None})

    def _show_stats(self, request, argument, nothing):
        return self._simulator.log.stats(self._simulator.state.organizations())


def require_array(what, value):
    if not isinstance(value, list):
        raise ConfigError(f"{what}: expected a JSON array")
    for item in value:
        require_object(what, item)
