/*
 * account_options.h
 *		The options of a Clari server and of a user mapping: types, ranges, defaults.
 *
 * A catalog is pg_foreign_server or pg_user_mapping, by its OID.
 */
#ifndef CLARI_ACCOUNT_OPTIONS_H
#define CLARI_ACCOUNT_OPTIONS_H

#include "nodes/pg_list.h"

#include "core/lane_rules.h"

#define FDW_NAME			"clari_export"
#define API_KEY_MAX_LENGTH	4096

/* Texts are NULL where they are not set. */
typedef struct AccountOptions
{
	/* server options */
	char	   *base_url;
	char	   *ca_file;
	char	   *proxy;
	Duration	connect_timeout;
	Duration	request_timeout;
	Backoff		poll_backoff;
	int			poll_max_attempts;
	bool		adaptive_polling;
	Duration	submit_interval;
	int			max_requests_per_second;
	int			max_concurrent_exports;
	Duration	submission_grace;
	int			quota_reserve;
	bool		paused;
	int64		max_result_size;
	bool		keeps_history;

	/* user mapping options */
	char	   *api_key_file;
	char	   *api_key;		/* the account wipes it out */
} AccountOptions;

typedef enum OptionType
{
	OPTION_TEXT,
	OPTION_FILE,				/* read by the server: superusers only */
	OPTION_URL,
	OPTION_INTERVAL,			/* limits in microseconds */
	OPTION_INTEGER,
	OPTION_NUMBER,
	OPTION_SIZE,				/* limits in bytes */
	OPTION_BOOLEAN,
	OPTION_POLLING,
	OPTION_API_KEY,
} OptionType;

typedef struct OptionRule
{
	const char *name;
	Oid			catalog;		/* pg_foreign_server or pg_user_mapping */
	OptionType	type;
	size_t		offset;			/* in AccountOptions */
	const char *default_value;	/* NULL: not set */
	double		min;
	double		max;
	const char *valid_values;	/* completes "Valid values are ..." */
} OptionRule;

/* The rule of an option; NULL where the catalog has no such option. */
extern const OptionRule *account_option_find(const char *name, Oid catalog);

/* "base_url, ca_file, ..." */
extern char *account_option_names(Oid catalog);

/*
 * Check a value and store it, in the current memory context. Returns false if
 * it is not valid.
 */
extern bool account_option_store(const OptionRule *rule, const char *value, AccountOptions *options);

/* Whether a text can be a key: printable ASCII without spaces. */
extern bool api_key_is_valid(const char *value);

/* What an option is where it is not set; for as long as the process lives. */
extern const AccountOptions *account_options_default(void);

/*
 * Store a list of catalogued options (DefElem), which have passed the validator,
 * of a server or of a mapping on it. Error: HV00D for one of another version.
 */
extern void account_options_load(AccountOptions *options, List *catalogued, Oid catalog, const char *server_name);

/*
 * What goes to a loopback host in clear would go to a proxy in clear, too.
 * Error: 22023 if it would.
 */
extern void account_options_check_proxy(const AccountOptions *options);

#endif							/* CLARI_ACCOUNT_OPTIONS_H */
