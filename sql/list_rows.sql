-- Activities and audit events as rows.
CREATE EXTENSION clari_export;
SET timezone = 'UTC';
SET datestyle = 'ISO, MDY';

-- An object in an array is its JSON; a moment is milliseconds or ISO 8601; of the same activity the first one counts.
SELECT * FROM clari_export_activity_rows('{"activities": [
	{"activityId": "a1", "activityType": "MEETING", "subject": "Kick-off", "date": 1784106775642, "activityOwnerId": "u1",
		"activityOrganiserId": "u2", "participants": ["ada@example.com", {"email": "zoe@example.com"}, null, 7],
		"accounts": [{"id": "001A", "name": "Acme"}], "opportunities": []},
	{"activityId": "a2", "activityType": "EMAIL_SENT", "subject": null, "date": "2026-07-15T11:12:55.642+02:00", "participants": "bo@example.com"},
	{"activityId": "a1", "activityType": "MEETING", "subject": "Kick-off again"},
	{"activityId": 3, "date": "2026-07-15"}, {"date": "soon"}, {"date": "soon"}, 5, null]}');
SELECT count(*) FROM clari_export_activity_rows('{"activities": []}');
SELECT count(*) FROM clari_export_activity_rows(NULL);

-- The actors are a list of their own.
SELECT * FROM clari_export_audit_rows('{"items": [
	{"eventTimestamp": 1784106775642, "event": "LOGIN", "eventParameters": {"ip": "10.0.0.1"}, "actorId": "u1", "sessionId": "s1",
		"sessionType": "WEB", "correlationID": "c1"},
	{"eventTimestamp": 1784106775642, "event": "LOGIN", "eventParameters": {"ip": "10.0.0.1"}, "actorId": "u1", "sessionId": "s1",
		"sessionType": "WEB", "correlationID": "c1"},
	{"eventTimestamp": 1784106775642, "event": "LOGIN", "eventParameters": {"ip": "10.0.0.2"}, "actorId": "u1", "sessionId": "s1",
		"sessionType": "WEB", "correlationID": "c1"},
	{"eventTimestamp": "2026-07-15T09:12:55Z", "event": "LOGOUT", "eventParameters": "none", "actorId": "gone", "impersonatingActorId": "u2"},
	{}], "actors": [{"actorId": "u1", "name": "Ada", "email": "ada@example.com"}, {"actorId": "u2"}]}');

-- Moments, as they may be written.
SELECT r.activity_at FROM clari_export_activity_rows((
	SELECT jsonb_build_object('activities', jsonb_agg(jsonb_build_object('date', date)))
	FROM unnest(ARRAY['1784106775642', '2026-07-15T09:12:55.642Z', '2026-07-15 09:12+02:00', '20260715', '2026-07-15T09:12:55.1234567-0530',
		'2026-02-30', '2026-07-15T24:00', '2026-07-15T09:12 tomorrow', '9999-12-31T23:59:59Z', '']) AS date)) AS r;

-- Results of other kinds, and of none.
SELECT * FROM clari_export_activity_rows('{"entries": []}');
SELECT * FROM clari_export_audit_rows('{"items": {}}');
SELECT * FROM clari_export_audit_rows('[]');
\set VERBOSITY sqlstate
SELECT * FROM clari_export_activity_rows('null');
\set VERBOSITY default

-- Of very many with one key one row.
SELECT count(*), count(DISTINCT activity_id) FROM clari_export_activity_rows((
	SELECT jsonb_build_object('activities', jsonb_agg(jsonb_build_object('activityId', n % 1000, 'subject', n)))
	FROM generate_series(1, 20000) AS n));

DROP EXTENSION clari_export;
