"""The output file of a finished job."""

import hashlib
import random
from datetime import datetime, timedelta, timezone
from functools import lru_cache

from .forecast import DEFAULT_TYPES, Forecast, ForecastSpec
from .forecast_forms import arrays, csv_rows, joined, json_rows
from .replies import Reply, pieces_of_file, to_json

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
    if job.plan["result_file"] is not None:
        return Reply(200, chunks=pieces_of_file(job.plan["result_file"]))
    if job.module == "ACTIVITY":
        return list_reply(b"activities", activities(job, config), item_count(job))
    if job.module == "AUDIT":
        return list_reply(b"items", audit_items(job, config), item_count(job))
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


def list_reply(name, items, count):
    chunks = framed(b'{"%b":[' % name, joined(map(to_json, items)), b"]}")
    return Reply(200, chunks=chunks) if count >= STREAM_FROM_ENTRIES else Reply(200, b"".join(chunks))


def framed(opening, chunks, closing):
    yield opening
    yield from chunks
    yield closing


def activities(job, config):
    """Activities of the types asked for, spread evenly over the dates asked for."""
    chance = random.Random(f"{config['seed']}/activities")
    types = job.parameters.get("activityTypes") or ["MEETING", "EMAIL_SENT", "EMAIL_RECEIVED"]
    for n, moment in enumerate(moments(job, "startDate", "endDate")):
        yield {"activityId": stable_id("activity", n), "activityType": types[n % len(types)],
               "subject": chance.choice(SUBJECTS), "date": int(moment.timestamp() * 1000),
               "activityOwnerId": job.user, "activityOrganiserId": job.user,
               "participants": [{"email": f"buyer{n % 7}@example.com"}], "accounts": [{"crmId": f"0015f00000{n % 5:05d}AAC"}],
               "opportunities": [{"crmId": f"0065f00000{n % 9:05d}AAC"}]}


def audit_items(job, config):
    """Audit events that satisfy the filters of the request, spread evenly over its dates."""
    chance = random.Random(f"{config['seed']}/audit")
    asked = job.parameters
    for n, moment in enumerate(moments(job, "dateFrom", "dateTo")):
        yield {"event": asked.get("event") or chance.choice(AUDIT_EVENTS),
               "eventParameters": {"number": n},
               "actorId": asked.get("actorId", job.user),
               "impersonatingActorId": asked.get("impersonatingActorId"),
               "sessionId": asked.get("sessionId") or stable_id("session", n // 5),
               "sessionType": asked.get("sessionType", "WEB"), "eventTimestamp": int(moment.timestamp() * 1000),
               "correlationID": stable_id("event", n)}


def moments(job, start_name, end_name):
    """As many moments as the result has items, from the start to before the end; by default the last week."""
    end = moment_of(job.parameters.get(end_name)) or datetime.fromtimestamp(int(job.accepted_at), timezone.utc)
    start = moment_of(job.parameters.get(start_name)) or end - timedelta(days=7)
    count = item_count(job)
    return (start + (end - start) * n / count for n in range(count))


def moment_of(text):
    return datetime.fromisoformat(text) if text else None


def item_count(job):
    return DEFAULT_ITEMS if job.plan["result_entries"] is None else int(job.plan["result_entries"])


def stable_id(kind, number):
    return hashlib.sha256(f"{kind}/{number}".encode()).hexdigest()[:24]
