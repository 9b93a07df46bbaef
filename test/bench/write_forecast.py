#!/usr/bin/env python3
"""Write a forecast's result of about so many bytes to a file: write_forecast.py FILE BYTES [compact]

It is in form 1, and one member a line; compact leaves the white space out. jsonb needs more bytes than compact
JSON, for it stores the names of members as well as their places, and holds 256 MB at most.
"""

import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from clari_sim_lib.forecast import DEFAULT_TYPES, Forecast, ForecastSpec
from clari_sim_lib.forecast_forms import entries, fields, time_frames, time_periods, users
from clari_sim_lib.replies import to_json

ENTRIES_AT_MOST = 4_000_000
MEMBER = b',"'
MEMBER_ON_ITS_LINE = b',\n      "'


def main(name, size, compact=""):
    forecast = Forecast(ForecastSpec(
        seed="clari", forecast_id="net_arr", period="2026_Q2", current_period="2026_Q2", current_week=12,
        first_week_number=0, historical=True, types=frozenset(DEFAULT_TYPES), currency="USD", scope=None,
        entries=ENTRIES_AT_MOST, drift=0, export_number=0))
    with open(name, "wb") as file:
        write(file, forecast, int(size), (lambda entry: entry) if compact else on_lines)


def write(file, forecast, size, form):
    file.write(b'{"users":' + to_json(list(users(forecast))))
    file.write(b',"fields":' + to_json(fields(forecast)))
    file.write(b',"timePeriods":' + to_json(time_periods(forecast.quarter)))
    file.write(b',"timeFrames":' + to_json(time_frames(forecast.weeks)))
    file.write(b',"entries":[')
    separator = b""
    for entry in entries(forecast):
        file.write(separator + form(entry))
        separator = b",\n"
        if file.tell() >= size:
            break
    file.write(b"]}")


def on_lines(entry):
    return entry.replace(MEMBER, MEMBER_ON_ITS_LINE)


main(*sys.argv[1:])
