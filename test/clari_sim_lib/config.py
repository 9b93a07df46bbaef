"""The simulator's settings: defaults, and merging a test's settings over them.

Every unknown name and every value of the wrong kind is refused: a misspelled setting would otherwise
make a test pass without testing anything.
"""

import copy

from .periods import PERIOD_PATTERN

CURRENCIES = {"USD": ("$", 1.0), "EUR": ("€", 0.9), "GBP": ("£", 0.8), "JPY": ("¥", 150.0)}
JOB_OUTCOMES = ("DONE", "COMPLETED", "FAILED", "CANCELLED", "ABORTED")
ERROR_FORMS = ("full", "message", "errors")
RETRY_AFTER_FORMS = ("date", "none")

DEFAULT_PLAN = {
    "scheduled_ms": 0,
    "duration_ms": 0,
    "outcome": "DONE",
    "statuses": None,
    "wrapped": False,
    "wrapped_in_list": False,
    "form": 1,
    "period": None,
    "result": None,
    "result_text": None,
    "result_file": None,
    "result_entries": None,
    "truncated": False,
    "file_name": None,
}

DEFAULT_CONFIG = {
    "organizations": {
        "acme": {"concurrent_limit": 3, "monthly_quota": 1000, "org_id": 2915},
        "globex": {"concurrent_limit": 1, "monthly_quota": 30, "org_id": 3106},
    },
    "keys": {
        "demo-key": {"organization": "acme", "user": "u1", "forecasts": None},
        "second-key": {"organization": "globex", "user": "u2", "forecasts": None},
        "colleague-key": {"organization": "acme", "user": "u1", "forecasts": None},
    },
    "forecasts": ["net_arr", "new_summary", "renewals", "services"],
    "current_period": "2026_Q3",
    "current_week": 8,
    "first_week_number": 0,
    "known_periods": [f"{year}_Q{quarter}" for year in (2024, 2025, 2026) for quarter in (1, 2, 3, 4)],
    "job": DEFAULT_PLAN,
    "rate_limit": None,
    "clock_offset_seconds": 0,
    "gzip": True,
    "job_list_delay_ms": 0,
    "export_drift": 0,
    "error_form": "full",
    "seed": "clari",
}

KIND_NAMES = {(int, float): "a number", str: "a string", list: "an array"}
NEW_ORGANIZATION = {"concurrent_limit": 3, "monthly_quota": 1000, "org_id": 1}
NEW_KEY = {"organization": None, "user": None, "forecasts": None}


class ConfigError(ValueError):
    """What a control request asked for cannot be: answered with 400 and this message."""


def default_config():
    return copy.deepcopy(DEFAULT_CONFIG)


def merge_config(config, changes):
    """A new configuration: `changes` over `config`."""
    check_names("setting", changes, DEFAULT_CONFIG)
    merged = copy.deepcopy(config)
    for name, value in changes.items():
        if name == "job":
            merged["job"] = merge_plan(merged["job"], value)
        elif name == "organizations":
            merge_members(merged[name], value, "organization", NEW_ORGANIZATION)
        elif name == "keys":
            merge_members(merged[name], value, "key", NEW_KEY)
        else:
            merged[name] = value
    check_config(merged)
    return merged


def merge_members(members, changes, what, template):
    """Merge by name; null removes a member, attributes left out keep their value."""
    require_object(what + "s", changes)
    for name, attributes in changes.items():
        if attributes is None:
            members.pop(name, None)
            continue
        check_names(f"attribute of {what} {name}", attributes, template)
        members[name] = {**members.get(name, template), **attributes}


def merge_plan(plan, changes):
    check_names("job plan attribute", changes, DEFAULT_PLAN)
    merged = {**plan, **changes}
    check_plan(merged)
    return merged


def check_config(config):
    for name, organization in config["organizations"].items():
        for limit in ("concurrent_limit", "monthly_quota", "org_id"):
            require_number(f"{limit} of organization {name}", organization[limit])
    for key, owner in config["keys"].items():
        if owner["organization"] not in config["organizations"]:
            raise ConfigError(f"key {key}: no such organization: {owner['organization']}")
        require_kind(f"user of key {key}", owner["user"], str)
    for name in ("clock_offset_seconds", "job_list_delay_ms", "export_drift", "current_week",
                 "first_week_number"):
        require_number(name, config[name])
    for name in ("forecasts", "known_periods"):
        require_kind(name, config[name], list)
    if not PERIOD_PATTERN.fullmatch(config["current_period"]):
        raise ConfigError("current_period must be like 2026_Q3")
    require_one_of("error_form", config["error_form"], ERROR_FORMS)
    check_rate_limit(config["rate_limit"])


def check_rate_limit(limit):
    if limit is None:
        return
    check_names("attribute of rate_limit", limit, ("requests_per_second", "burst", "retry_after"))
    require_number("requests_per_second", limit.get("requests_per_second"))
    require_number("burst", limit.get("burst", 1))
    retry_after = str(limit.get("retry_after", "none"))
    if not retry_after.isdigit():
        require_one_of("retry_after", retry_after, RETRY_AFTER_FORMS)


def check_plan(plan):
    require_number("scheduled_ms", plan["scheduled_ms"])
    require_number("duration_ms", plan["duration_ms"])
    require_one_of("outcome", plan["outcome"], JOB_OUTCOMES)
    require_one_of("form", plan["form"], (1, 2))
    if plan["result_entries"] is not None:
        require_number("result_entries", plan["result_entries"])
    for name in ("period", "result_text", "result_file", "file_name"):
        if plan[name] is not None:
            require_kind(name, plan[name], str)
    if plan["statuses"] is not None:
        check_statuses(plan["statuses"])


def check_statuses(statuses):
    try:
        moments = [moment for moment, status in statuses if isinstance(status, str)]
        valid = len(moments) == len(statuses) > 0 and moments == sorted(moments)
    except (TypeError, ValueError):
        valid = False
    if not valid:
        raise ConfigError("statuses must be [[milliseconds, status], ...] in order of time")


def check_names(what, given, known):
    require_object(what, given)
    for name in given:
        if name not in known:
            raise ConfigError(f"unknown {what}: {name} (known: {', '.join(known)})")


def require_object(what, value):
    if not isinstance(value, dict):
        raise ConfigError(f"{what}: expected a JSON object")


def require_number(what, value):
    require_kind(what, value, (int, float))


def require_kind(what, value, kind):
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ConfigError(f"{what} must be {KIND_NAMES[kind]}")


def require_one_of(what, value, allowed):
    if value not in allowed:
        raise ConfigError(f"{what} must be one of {', '.join(map(str, allowed))}")
