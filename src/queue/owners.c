/*
 * owners.c
 *		Whose the rows of all tables are: roles, and servers by their names.
 */
#include "postgres.h"

#include "queue/owners.h"
#include "queue/transaction.h"

static List *
oid_column(uint64 n)
{
	List	   *oids = NIL;
	bool		is_null;

	for (uint64 row = 0; row < n; row++)
		oids = lappend_oid(oids, DatumGetObjectId(query_column(row, 1, &is_null)));
	return oids;
}

List *
owners_on(const char *server)
{
	SqlQuery	query = {0};
	uint64		n;

	query_add_text(&query, server);
	n = queue_execute(&query, "owners on",
			"SELECT requested_by::oid FROM @request@ WHERE server = $1"
			" UNION SELECT requested_by::oid FROM @snapshot@ WHERE server = $1"
			" UNION SELECT requested_by::oid FROM @schema@.clari_export_history_forecast WHERE server = $1");
	return oid_column(n);
}

/* From each role to the next one, since an index has them, and few have many rows. */
#define OWNERS_IN(table) \
	"(WITH RECURSIVE owner AS (" \
	"  SELECT min(" OWNER_OF_ROW ") AS role FROM " table " WHERE " OWNER_OF_ROW " > 0::oid" \
	"  UNION ALL SELECT (SELECT min(" OWNER_OF_ROW ") FROM " table " WHERE " OWNER_OF_ROW " > owner.role)" \
	"  FROM owner WHERE owner.role IS NOT NULL)" \
	" SELECT role FROM owner WHERE role IS NOT NULL)"

List *
owners(void)
{
	SqlQuery	query = {0};

	return oid_column(queue_execute(&query, "owners",
									OWNERS_IN("@request@") " UNION ALL " OWNERS_IN("@snapshot@")
									" UNION ALL SELECT requested_by::oid FROM @schema@.clari_export_history_forecast"
									" WHERE requested_by <> 0::oid"));
}

static void
disown_rows(Oid role, const char *name, const char *text)
{
	SqlQuery	query = {0};

	query_add_role(&query, role);
	queue_execute(&query, name, text);
}

#define DISOWN(table, owner)	"UPDATE " table " SET requested_by = 0::oid WHERE " owner " = $1"

void
owners_forget(Oid role)
{
	disown_rows(role, "disown requests", DISOWN("@request@", OWNER_OF_ROW));
	disown_rows(role, "disown snapshots", DISOWN("@snapshot@", OWNER_OF_ROW));
	disown_rows(role, "disown forecasts", DISOWN("@schema@.clari_export_history_forecast", "requested_by"));
	disown_rows(role, "disown parts", DISOWN("@schema@.clari_export_history_part", "requested_by"));
	disown_rows(role, "disown history", DISOWN("@schema@.clari_export_history", "requested_by"));
}

void
owners_rename_server(const char *old_name, const char *new_name)
{
	SqlQuery	query = {0};

	query_add_text(&query, old_name);
	query_add_text(&query, new_name);
	queue_execute(&query, "rename in requests", "UPDATE @request@ SET server = $2 WHERE server = $1");
	queue_execute(&query, "rename in snapshots", "UPDATE @snapshot@ SET server = $2 WHERE server = $1");
	queue_execute(&query, "rename in forecasts",
			"UPDATE @schema@.clari_export_history_forecast SET server = $2 WHERE server = $1");
	queue_execute(&query, "rename in history",
			"UPDATE @schema@.clari_export_history SET server = $2 WHERE server = $1");
	queue_execute(&query, "rename in durations",
			"UPDATE @schema@.clari_export_duration SET server = $2 WHERE server = $1");
}
