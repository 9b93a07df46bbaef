/*
 * polling.c
 *		What polling costs and how late it finds a job's end, by simulation.
 *
 * Draws durations of jobs, asks the core when it would poll, and counts. Each
 * scenario says how long the jobs take and what was seen before them; each
 * policy meets the same jobs. The optimum knows the true distribution: it is
 * the schedule that dynamic programming finds at a price a poll at which it
 * takes as many polls as the adaptive policy.
 *
 *		test_bench_polling EXPORTS
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/polling.h"

#define MAX_EXPORTS		1000000

/* After a shift so many exports count, each with what it could have seen. */
#define AFTER_SHIFT		20

static const Backoff reference = {SECONDS(5), 1.5, SECONDS(60)};

/* ----------
 * Jobs
 * ----------
 */

static uint64_t random_state;

/* xorshift64: a number between 0 and 1, neither included. */
static double
draw(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return ((double) (random_state >> 11) + 0.5) / 9007199254740992.0;
}

static double
draw_normal(void)
{
	return sqrt(-2 * log(draw())) * cos(2 * M_PI * draw());
}

/* A mixture of two lognormals, or with sigma 0 Pareto's law with index 1.5. */
typedef struct Jobs
{
	double		median;			/* seconds; Pareto's least value */
	double		sigma;
	double		others;			/* share of the second kind */
	double		others_median;
} Jobs;

static const Jobs usual = {45, 0.8, 0, 1};
static const Jobs slower = {135, 0.8, 0, 1};
static const Jobs faster = {15, 0.8, 0, 1};
static const Jobs two_kinds = {20, 0.25, 0.3, 150};
static const Jobs heavy_tailed = {20, 0, 0, 1};

static double
draw_job(const Jobs *jobs)
{
	bool		is_other = jobs->others > 0 && draw() < jobs->others;

	if (jobs->sigma == 0)
		return jobs->median * pow(draw(), -1 / 1.5);
	return (is_other ? jobs->others_median : jobs->median) * exp(jobs->sigma * draw_normal());
}

static double
lognormal_survival(double time, double median, double sigma)
{
	return 0.5 * erfc(log(time / median) / sigma / M_SQRT2);
}

/* The share of jobs that take longer. */
static double
survival(const Jobs *jobs, double time)
{
	if (time <= 0)
		return 1;
	if (jobs->sigma == 0)
		return time < jobs->median ? 1 : pow(time / jobs->median, -1.5);
	return (1 - jobs->others) * lognormal_survival(time, jobs->median, jobs->sigma) +
		jobs->others * lognormal_survival(time, jobs->others_median, jobs->sigma);
}

/* ----------
 * The optimum
 * ----------
 */

#define GRID			0.25	/* seconds */
#define GRID_POINTS		16000
#define LEAST_GAP		20		/* 5 s */
#define GREATEST_GAP	240		/* 60 s */

typedef struct Optimum
{
	double		survival[GRID_POINTS + GREATEST_GAP];
	double		area[GRID_POINTS + GREATEST_GAP];	/* its integral */
	double		cost[GRID_POINTS + GREATEST_GAP];	/* from here on, times survival */
	int			gap[GRID_POINTS];
} Optimum;

static Optimum optimum;

static void
optimum_know(const Jobs *jobs)
{
	for (int i = 0; i < GRID_POINTS + GREATEST_GAP; i++)
		optimum.survival[i] = survival(jobs, i * GRID);
	optimum.area[0] = 0;
	for (int i = 1; i < GRID_POINTS + GREATEST_GAP; i++)
		optimum.area[i] = optimum.area[i - 1] + GRID * (optimum.survival[i - 1] + optimum.survival[i]) / 2;
}

/*
 * The best gaps at a price in seconds of delay a poll. An interval's delay is
 * what its jobs would need to its end.
 */
static void
optimum_solve(double price)
{
	memset(optimum.cost, 0, sizeof(optimum.cost));
	for (int i = GRID_POINTS - 1; i >= 0; i--)
	{
		double		best = INFINITY;

		for (int gap = LEAST_GAP; gap <= GREATEST_GAP; gap++)
		{
			double		late = optimum.survival[i] * gap * GRID - (optimum.area[i + gap] - optimum.area[i]);
			double		cost = price * optimum.survival[i] + late + optimum.cost[i + gap];

			if (cost < best)
			{
				best = cost;
				optimum.gap[i] = gap;
			}
		}
		optimum.cost[i] = best;
	}
}

static double
optimum_polls(void)
{
	double		polls = 0;

	for (int i = 0; i < GRID_POINTS; i += optimum.gap[i])
		polls += optimum.survival[i];
	return polls;
}

/* The cheapest price at which the optimum takes no more polls. */
static void
optimum_with_polls(double polls)
{
	double		low = log(0.01);
	double		high = log(1000);

	for (int i = 0; i < 16; i++)
	{
		double		middle = (low + high) / 2;

		optimum_solve(exp(middle));
		if (optimum_polls() > polls)
			low = middle;
		else
			high = middle;
	}
	optimum_solve(exp(high));
}

/* ----------
 * Policies
 * ----------
 */

typedef enum Policy
{
	FIXED_5, FIXED_10, FIXED_15, BACKOFF, ADAPTIVE, OPTIMUM, N_POLICIES
} Policy;

static const char *const policy_names[] = {
	"fixed 5 s", "fixed 10 s", "fixed 15 s", "reference", "adaptive", "optimum",
};

static double
next_delay(Policy policy, const PollingPlan *plan, int n, double elapsed)
{
	static const double fixed[] = {5, 10, 15};
	int			i = (int) (elapsed / GRID + 0.5);

	switch (policy)
	{
		case BACKOFF:
			return (double) backoff_delay(&reference, n) / 1e6;
		case ADAPTIVE:
			return (double) polling_delay(plan, n, (Duration) (elapsed * 1e6)) / 1e6;
		case OPTIMUM:
			return i < GRID_POINTS ? optimum.gap[i] * GRID : GREATEST_GAP * GRID;
		default:
			return fixed[policy];
	}
}

typedef struct Score
{
	double		late[MAX_EXPORTS];	/* seconds from a job's end to the poll that saw it */
	double		polls;
	double		mean;
	double		p95;
} Score;

static Score scores[N_POLICIES];

static int
compare(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

static void
run_export(Policy policy, const PollingPlan *plan, double duration, int i)
{
	double		time = 0;
	int			n = 0;

	while (time < duration)
		time += next_delay(policy, plan, n++, time);
	scores[policy].late[i] = time - duration;
	scores[policy].polls += n;
}

static void
sum_up(Score *score, int exports)
{
	score->mean = 0;
	for (int i = 0; i < exports; i++)
		score->mean += score->late[i] / exports;
	score->polls /= exports;
	qsort(score->late, (size_t) exports, sizeof(double), compare);
	score->p95 = score->late[(int) (0.95 * exports)];
}

/* ----------
 * Scenarios
 * ----------
 */

typedef struct Scenario
{
	const char *name;
	const Jobs *before;
	int			n_before;
	const Jobs *jobs;
	int			in_a_row;		/* exports that see those before them as well */
	bool		must_be_near_optimum;
} Scenario;

static const Scenario scenarios[] = {
	{"lognormal, no earlier exports", &usual, 0, &usual, 1, false},
	{"lognormal, 3 earlier exports", &usual, 3, &usual, 1, false},
	{"lognormal, 10 earlier exports", &usual, 10, &usual, 1, true},
	{"lognormal, 50 earlier exports", &usual, 50, &usual, 1, true},
	{"20 exports after 10, three times slower", &usual, 10, &slower, AFTER_SHIFT, false},
	{"20 exports after 50, three times slower", &usual, 50, &slower, AFTER_SHIFT, false},
	{"20 exports after 10, three times faster", &usual, 10, &faster, AFTER_SHIFT, false},
	{"20 exports after 50, three times faster", &usual, 50, &faster, AFTER_SHIFT, false},
	{"bimodal, 3 earlier exports", &two_kinds, 3, &two_kinds, 1, false},
	{"bimodal, 10 earlier exports", &two_kinds, 10, &two_kinds, 1, false},
	{"bimodal, 50 earlier exports", &two_kinds, 50, &two_kinds, 1, false},
	{"heavy-tailed, 3 earlier exports", &heavy_tailed, 3, &heavy_tailed, 1, false},
	{"heavy-tailed, 10 earlier exports", &heavy_tailed, 10, &heavy_tailed, 1, false},
	{"heavy-tailed, 50 earlier exports", &heavy_tailed, 50, &heavy_tailed, 1, false},
};

static int	not_reached = 0;

static void
demand(const char *what, double value, double limit)
{
	printf("  %-46s %6.3f  at most %.2f  %s\n", what, value, limit, value <= limit ? "reached" : "NOT REACHED");
	if (value > limit)
		not_reached++;
}

static void
draw_jobs(const Scenario *scenario, int exports, double *durations)
{
	Duration	known[POLLING_HISTORY];
	int			n = 0;

	for (int i = 0; i < exports; i++)
	{
		PollingPlan plan;

		if (i % scenario->in_a_row == 0)
			for (n = 0; n < scenario->n_before; n++)
				known[n] = (Duration) (draw_job(scenario->before) * 1e6);
		durations[i] = draw_job(scenario->jobs);
		polling_plan(&plan, &reference, known, n);
		for (Policy policy = 0; policy < OPTIMUM; policy++)
			run_export(policy, &plan, durations[i], i);

		if (scenario->in_a_row > 1)
		{
			n = n < POLLING_HISTORY ? n + 1 : n;
			memmove(known + 1, known, sizeof(Duration) * (size_t) (n - 1));
			known[0] = (Duration) (durations[i] * 1e6);
		}
	}
}

static void
run_scenario(const Scenario *scenario, int exports)
{
	static double durations[MAX_EXPORTS];
	const Score *adaptive = &scores[ADAPTIVE];
	const Score *backoff = &scores[BACKOFF];

	memset(scores, 0, sizeof(scores));
	random_state = UINT64_C(88172645463325252);
	draw_jobs(scenario, exports, durations);
	for (Policy policy = 0; policy < OPTIMUM; policy++)
		sum_up(&scores[policy], exports);

	optimum_know(scenario->jobs);
	optimum_with_polls(scores[ADAPTIVE].polls);
	for (int i = 0; i < exports; i++)
		run_export(OPTIMUM, NULL, durations[i], i);
	sum_up(&scores[OPTIMUM], exports);

	printf("%s\n", scenario->name);
	for (Policy policy = 0; policy < N_POLICIES; policy++)
		printf("  %-12s late by %6.2f s, p95 %6.2f s, polls %5.2f\n", policy_names[policy],
			   scores[policy].mean, scores[policy].p95, scores[policy].polls);
	demand("late, adaptive to reference", adaptive->mean / backoff->mean, 1.10);
	demand("polls, adaptive to reference", adaptive->polls / backoff->polls,
		   scenario->must_be_near_optimum ? 1.00 : 1.10);
	if (scenario->must_be_near_optimum)
		demand("late, adaptive to optimum", adaptive->mean / scores[OPTIMUM].mean, 1.05);
	printf("\n");
}

int
main(int argc, char **argv)
{
	int			exports = argc > 1 ? atoi(argv[1]) : 0;

	if (exports < 1 || exports > MAX_EXPORTS)
	{
		fprintf(stderr, "usage: %s EXPORTS (1 to %d)\n", argv[0], MAX_EXPORTS);
		return 2;
	}
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
		run_scenario(&scenarios[i], exports);
	return not_reached > 0;
}
