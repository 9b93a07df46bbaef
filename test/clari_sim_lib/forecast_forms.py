"""A forecast in the two forms of an export: five arrays, or rows (as JSON or CSV). All in chunks of bytes."""

import csv
import io
import json

CHUNK_ITEMS = 500
ROW_COLUMNS = ("User", "Email", "CRM User ID", "Role", "Parent Role", "Timeframe", "Field", "Week",
               "Start Day", "End Day", "Data Type", "Data Value")


def arrays(forecast):
    """Form 1."""
    yield b'{"entries":['
    yield from joined(entries(forecast))
    yield b'],"users":['
    yield from joined(compact(user) for user in users(forecast))
    yield b'],"fields":' + compact(fields(forecast)).encode()
    yield b',"timePeriods":' + compact(forecast.time_periods()).encode()
    yield b',"timeFrames":' + compact(time_frames(forecast)).encode() + b"}"


def entries(forecast):
    """Each entry as JSON text: by hand, as there may be millions."""
    period = forecast.quarter.period_id
    currency = compact({"code": forecast.currency, "symbol": forecast.symbol})
    with_update = "forecast_updated" in forecast.types
    updated_on = (forecast.exported_at - 3600) * 1000
    for call in forecast.calls():
        user = call.person.user_id
        update = "" if not with_update else (
            f',"isUpdated":true,"updatedBy":"{user}","updatedOn":{updated_on}' if call.updated
            else ',"isUpdated":false')
        yield (f'{{"userId":"{user}","fieldId":"{call.field.field_id}","timePeriodId":"{period}",'
               f'"timeFrameId":"{call.week.time_frame_id}","{call.field.value_key}":{call.value},'
               f'"currency":{currency}{update}}}')


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


def time_frames(forecast):
    return [{"timeFrameId": week.time_frame_id, "startDate": week.start.isoformat(),
             "endDate": week.end.isoformat()} for week in forecast.weeks]


def rows(forecast):
    """Form 2: one row for each value, and one more to say whether it was updated."""
    everybody = {person.index: person for person in forecast.people}
    with_update = "forecast_updated" in forecast.types
    for call in forecast.calls():
        parent = everybody.get(call.person.parent)
        place = (call.person.name, call.person.email, call.person.crm_id, call.person.role,
                 parent.role if parent else "", forecast.quarter.period_id, call.field.name, call.week.number,
                 f"{call.week.start:%m/%d/%Y}", f"{call.week.end:%m/%d/%Y}")
        yield (*place, call.field.data_type, money(call.value, forecast.symbol))
        if with_update and call.field.kind == "forecast":
            yield (*place, "Forecast Updated", "Yes" if call.updated else "No")


def money(amount, symbol):
    return f"{'-' if amount < 0 else ''}{symbol}{abs(amount):,.2f}"


def as_json_array(row_values):
    yield b"["
    yield from joined(compact(dict(zip(ROW_COLUMNS, values))) for values in row_values)
    yield b"]"


def as_csv(row_values):
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(ROW_COLUMNS)
    for number, values in enumerate(row_values, start=1):
        writer.writerow(values)
        if number % CHUNK_ITEMS == 0:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def joined(texts):
    """The texts with commas between them, some hundred to a chunk."""
    pending, separator = [], ""
    for text in texts:
        pending.append(text)
        if len(pending) == CHUNK_ITEMS:
            yield (separator + ",".join(pending)).encode()
            pending, separator = [], ","
    if pending:
        yield (separator + ",".join(pending)).encode()


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
