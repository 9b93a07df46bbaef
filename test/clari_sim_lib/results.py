"""The output file of a finished job."""

import hashlib
import random
from datetime import datetime, timedelta, timezone
from functools import lru_cache

from .forecast import DEFAULT_TYPES, Forecast, ForecastSpec
from .forecast_forms import arrays, csv_rows, json_rows
from .replies import Reply, to_json

STREAM_FROM_ENTRIES = 20_000
CACHE_BELOW_ENTRIES = 2_000
DEFAULT_ITEMS = 25
SUBJECTS = ("Renewal call", "Pricing follow-up", "Security review", "Kick-off", "Contract draft", "Demo")
AUDIT_EVENTS = ("LOGIN", "LOGOUT", "EXPORT_STARTED", "FORECAST_SUBMITTED", "SETTINGS_CHANGED")


def result_reply(job, config):
    if job.plan["result"] is not None:
        return Reply(200, to_json(job.plan["result"]))
    if job.plan["result_text"] is not None:
        return Reply(200, job.plan["result_text"].encode())
    if job.module == "ACTIVITY":
        return Reply(200, to_json({"activities": list(activities(job, config))}))
    if job.module == "AUDIT":
        return Reply(200, to_json({"items": list(audit_items(job, config))}))
    return forecast_reply(job, config)


def forecast_reply(job, config):
    spec, form = forecast_spec(job, config), forecast_form(job)
    content_type = "text/csv" if form is csv_rows else "application/json"
    forecast = Forecast(spec)
    if forecast.entry_count() >= STREAM_FROM_ENTRIES:
        return Reply(200, content_type=content_type, chunks=form(forecast))
    if forecast.entry_count() >= CACHE_BELOW_ENTRIES:
        return Reply(200, b"".join(form(forecast)), content_type)
    return Reply(200, small_result(spec, form), content_type)


@lru_cache(maxsize=64)
def small_result(spec, form):
    return b"".join(form(Forecast(spec)))


def forecast_form(job):
    if job.file_type() == "CSV":
        return csv_rows
    return arrays if job.plan["form"] == 1 else json_rows


def forecast_spec(job, config):
    asked, plan = job.parameters, job.plan
    return ForecastSpec(
        seed=config["seed"],
        forecast_id=job.forecast_id,
        period=plan["period"] or job.period,
        current_period=config["current_period"],
        current_week=config["current_week"],
        first_week_number=config["first_week_number"],
        historical=asked.get("includeHistorical", False),
        types=frozenset(asked.get("typesToExport") or DEFAULT_TYPES),
        currency=asked.get("currency", "USD"),
        scope=asked.get("scopeId"),
        entries=plan["result_entries"] and int(plan["result_entries"]),
        drift=config["export_drift"],
        export_number=job.export_number if config["export_drift"] else 0)


def activities(job, config):
    """Activities of the types asked for, one every two hours of the dates asked for."""
    chance = random.Random(f"{config['seed']}/activities")
    types = job.parameters.get("activityTypes") or ["MEETING", "EMAIL_SENT", "EMAIL_RECEIVED"]
    start = moment_of(job.parameters.get("startDate"), job.accepted_at - 7 * 86400)
    end = moment_of(job.parameters.get("endDate"), job.accepted_at)
    for n in range(item_count(job)):
        when = start + timedelta(hours=2 * n)
        if when >= end:
            return
        yield {"activityId": stable_id("activity", n), "activityType": types[n % len(types)],
               "subject": chance.choice(SUBJECTS), "date": when.isoformat(), "userId": job.user,
               "crmId": f"00U5f00000{n:05d}AAC"}


def audit_items(job, config):
    """Audit events that satisfy the filters of the request."""
    chance = random.Random(f"{config['seed']}/audit")
    asked = job.parameters
    start = moment_of(asked.get("dateFrom"), job.accepted_at - 7 * 86400)
    end = moment_of(asked.get("dateTo"), job.accepted_at)
    for n in range(item_count(job)):
        when = start + timedelta(minutes=7 * n)
        if when >= end:
            return
        yield {"eventId": stable_id("event", n), "event": asked.get("event") or chance.choice(AUDIT_EVENTS),
               "actorId": asked.get("actorId", job.user),
               "impersonatingActorId": asked.get("impersonatingActorId"),
               "sessionId": asked.get("sessionId") or stable_id("session", n // 5),
               "sessionType": asked.get("sessionType", "WEB"), "timestamp": int(when.timestamp() * 1000)}


def item_count(job):
    return DEFAULT_ITEMS if job.plan["result_entries"] is None else int(job.plan["result_entries"])


def moment_of(text, fallback_epoch):
    return datetime.fromisoformat(text) if text else datetime.fromtimestamp(int(fallback_epoch), timezone.utc)


def stable_id(kind, number):
    return hashlib.sha256(f"{kind}/{number}".encode()).hexdigest()[:24]
