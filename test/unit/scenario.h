/*
 * scenario.h
 *		One export against a virtual Clari, and what is asked about it then.
 */
#ifndef SCENARIO_H
#define SCENARIO_H

#include "unit.h"

#include "core/export.h"
#include "virtual_clari.h"

/* A job of the export under test as Clari's list shows it, and its neighbours. */
#define OUR_FILE	"clari_export_forecast_net_arr_2026_Q3915_20260407_212737.json"
#define OTHER_FILE	"clari_export_forecast_net_arr_2026_Q2915_20260407_212737.json"

static inline int
start_clari(void **state)
{
	VirtualClari *clari = malloc(sizeof(*clari));

	virtual_clari_init(clari);
	*state = clari;
	return 0;
}

static inline int
stop_clari(void **state)
{
	virtual_clari_free(*state);
	free(*state);
	return 0;
}

/* Run one machine to its end and compare its outcome. */
static inline void
run(VirtualClari *clari, ExportGoal goal, const char *job_id, ExportOutcome expected)
{
	virtual_clari_prepare(clari, goal, job_id);
	assert_int_equal(virtual_clari_run(clari), expected);
	assert_false(clari->stuck);
	assert_false(clari->overran);
}

static inline void
run_export(VirtualClari *clari, ExportOutcome expected)
{
	run(clari, GOAL_EXPORT, NULL, expected);
}

/* The kinds of the requests that were sent, one letter each. */
static inline void
check_sequence(const VirtualClari *clari, const char *expected)
{
	static const char letters[] = {
		[REQUEST_SUBMIT] = 'S',[REQUEST_STATUS] = 'p',[REQUEST_JOBS] = 'j',
		[REQUEST_CANCEL] = 'c',[REQUEST_RESULT] = 'r',[REQUEST_LIMITS] = 'l',
	};
	char		sequence[512] = "";

	for (int i = 0; i < clari->n_sent && i < (int) sizeof(sequence) - 1; i++)
		sequence[i] = letters[clari->sent[i].kind];
	assert_string_equal(sequence, expected);
}

static inline Duration
gap(const VirtualClari *clari, RequestKind kind, int n)
{
	return virtual_clari_sent_at(clari, kind, n) - virtual_clari_sent_at(clari, kind, n - 1);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, start_clari, stop_clari)

#endif							/* SCENARIO_H */
