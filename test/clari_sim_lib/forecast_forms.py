"""A forecast in the forms of an export: five arrays, or rows, as JSON or CSV. All in chunks of bytes."""

import csv
import io

from .replies import to_json

CHUNK_ITEMS = 400
ROW_COLUMNS = ("User", "Email", "CRM User ID", "Role", "Parent Role", "Timeframe", "Field", "Week",
               "Start Day", "End Day", "Data Type", "Data Value")


def arrays(forecast):
    """Form 1."""
    yield b'{"entries":['
    yield from joined(entries(forecast))
    yield b'],"users":['
    yield from joined(map(to_json, users(forecast)))
    yield b'],"fields":' + to_json(fields(forecast))
    yield b',"timePeriods":' + to_json(time_periods(forecast.quarter))
    yield b',"timeFrames":' + to_json(time_frames(forecast.weeks)) + b"}"


def json_rows(forecast):
    """Form 2."""
    yield b"["
    yield from joined(to_json(dict(zip(ROW_COLUMNS, row))) for row in rows(forecast))
    yield b"]"


def csv_rows(forecast):
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(ROW_COLUMNS)
    for number, row in enumerate(rows(forecast), start=1):
        writer.writerow(row)
        if number % CHUNK_ITEMS == 0:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def entries(forecast):
    """Each entry as JSON, composed by hand as there may be millions."""
    period = forecast.quarter.period_id
    currency = to_json({"code": forecast.spec.currency, "symbol": forecast.symbol}).decode()
    with_update = "forecast_updated" in forecast.spec.types
    for call in forecast.calls():
        user, update = call.person.user_id, ""
        if with_update and call.updated_on is None:
            update = ',"isUpdated":false'
        elif with_update:
            update = f',"isUpdated":true,"updatedBy":"{user}","updatedOn":{call.updated_on}'
        yield (f'{{"userId":"{user}","fieldId":"{call.field.field_id}","timePeriodId":"{period}",'
               f'"timeFrameId":"{call.week.time_frame_id}","{call.field.value_key}":{call.value},'
               f'"currency":{currency}{update}}}').encode()


def users(forecast):
    everybody = {person.index: person for person in forecast.people}
    for person in forecast.people:
        user = {"userId": person.user_id, "name": person.name, "email": person.email, "crmId": person.crm_id,
                "scopeId": scope_id(person), "hierarchyId": person.role_id, "hierarchyName": person.role}
        parent = everybody.get(person.parent)
        if parent is not None:
            user.update(parentHierarchyId=parent.role_id, parentHierarchyName=parent.role)
        yield user


def scope_id(person):
    """Clari gives a string or an object; here representatives have the object."""
    if person.level == "REP":
        return {"type": "REP", "id": person.role_id}
    return person.scope


def fields(forecast):
    return [{"fieldId": field.field_id, "fieldName": field.name, "fieldType": field.field_type}
            for field in forecast.fields]


def time_periods(quarter):
    return [{"timePeriodId": quarter.period_id, "type": "QUARTER", "label": f"Q{quarter.number} {quarter.year}",
             "year": quarter.year, "startDate": quarter.start.isoformat(), "endDate": quarter.end.isoformat(),
             "crmId": f"0265f00000{quarter.year}{quarter.number}AAA"}]


def time_frames(weeks):
    return [{"timeFrameId": week.time_frame_id, "startDate": week.start.isoformat(),
             "endDate": week.end.isoformat()} for week in weeks]


def rows(forecast):
    """One row for each value, and one more for each forecast value to say whether it was updated."""
    everybody = {person.index: person for person in forecast.people}
    with_update = "forecast_updated" in forecast.spec.types
    for call in forecast.calls():
        person, week = call.person, call.week
        parent = everybody.get(person.parent)
        what = (person.name, person.email, person.crm_id, person.role, parent.role if parent else "",
                forecast.quarter.period_id, call.field.name, week.number,
                f"{week.start:%m/%d/%Y}", f"{week.end:%m/%d/%Y}")
        yield (*what, call.field.data_type, money(call.value, forecast.symbol))
        if with_update and call.field.export_type == "forecast":
            yield (*what, "Forecast Updated", "No" if call.updated_on is None else "Yes")


def money(amount, symbol):
    return f"{'-' if amount < 0 else ''}{symbol}{abs(amount):,.2f}"


def joined(items):
    """The items with commas between them, many to a chunk."""
    pending, separator = [], b""
    for item in items:
        pending.append(item)
        if len(pending) == CHUNK_ITEMS:
            yield separator + b",".join(pending)
            pending, separator = [], b","
    if pending:
        yield separator + b",".join(pending)
