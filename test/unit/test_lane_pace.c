/*
 * test_lane_pace.c
 *		A lane finds the pace of a gateway: hours of virtual time.
 *
 * The gateway is a token bucket, as most are. Against it works what a lane's
 * clients do: as fast as the lane lets them, or in bursts; with latency, so
 * that requests are under way when the first of them is refused.
 */
#include "unit.h"

#include "core/lane_rules.h"
#include "core/retry_after.h"

#define NOW			SECONDS(1000000)
#define MOST_IN_FLIGHT 64

static const LaneLimits limits = {
	.backoff = {SECONDS(5), 1.5, SECONDS(60)},
	.submit_interval = SECONDS(10),
	.max_requests_per_second = 1000,
	.max_concurrent_exports = 1,
};

typedef struct Gateway
{
	double		per_second;		/* 0: no limit */
	double		burst;
	double		tokens;
	Instant		as_of;
	enum
	{
		NAMES_NO_TIME,
		ROUNDS_UP,
		ROUNDS_DOWN,			/* its Retry-After is too early, or 0 */
	}			names_time;
} Gateway;

/* How much the clients want to send, and how long a reply takes. */
typedef struct Demand
{
	int			at_once;		/* requests that may be under way together */
	int			burst;			/* 0: without end */
	Duration	pause;			/* between two bursts */
	Duration	latency;
} Demand;

typedef struct Tally
{
	int			answered;
	int			refused;
} Tally;

static uint32_t
random_bits(void)
{
	static uint64_t state = 20260703;

	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t) (state >> 32);
}

static bool
gateway_admits(Gateway *gateway, Instant now)
{
	if (gateway->per_second == 0)
		return true;
	gateway->tokens += (double) (now - gateway->as_of) / SECONDS(1) * gateway->per_second;
	if (gateway->tokens > gateway->burst)
		gateway->tokens = gateway->burst;
	gateway->as_of = now;
	if (gateway->tokens < 1)
		return false;
	gateway->tokens -= 1;
	return true;
}

/* As gateways say it: in whole seconds. */
static Duration
retry_after(const Gateway *gateway)
{
	double		wait = (1 - gateway->tokens) / gateway->per_second;
	int			whole = (int) wait;

	if (gateway->names_time == NAMES_NO_TIME)
		return RETRY_AFTER_NONE;
	return SECONDS(gateway->names_time == ROUNDS_UP && whole < wait ? whole + 1 : whole);
}

/* Requests under way, in the order in which they were sent. */
typedef struct Flight
{
	Instant		arrives;		/* when its reply does */
	bool		refused;
	Duration	retry_after;
} Flight;

typedef struct Traffic
{
	LaneState	lane;
	Gateway    *gateway;
	const Demand *demand;
	Flight		flights[MOST_IN_FLIGHT];
	int			in_flight;
	int			left_of_burst;
	Instant		next_burst;
} Traffic;

static void
land(Traffic *traffic, Tally *tally, Instant now)
{
	Flight		flight = traffic->flights[0];

	traffic->in_flight--;
	memmove(&traffic->flights[0], &traffic->flights[1], (size_t) traffic->in_flight * sizeof(Flight));
	if (flight.refused)
	{
		tally->refused++;
		traffic->left_of_burst++;	/* it is sent again */
		lane_rate_limited(&traffic->lane, &limits, flight.retry_after, random_bits(), now);
	}
	else
	{
		tally->answered++;
		lane_answered(&traffic->lane, now);
	}
}

/* Send if there is something to send and the lane lets it. Returns when to ask again. */
static Instant
send_next(Traffic *traffic, Instant now)
{
	const Demand *demand = traffic->demand;
	LaneVerdict verdict;
	Flight	   *flight;

	if (traffic->in_flight >= demand->at_once)
		return INSTANT_NEVER;
	if (demand->burst > 0 && traffic->left_of_burst == 0)
	{
		if (traffic->next_burst > now)
			return traffic->next_burst;
		traffic->left_of_burst = demand->burst;
		traffic->next_burst = now + demand->pause;
	}
	verdict = lane_admit_request(&traffic->lane, &limits, false, NULL, now);
	if (verdict.reason != HOLD_NONE)
		return verdict.until;

	traffic->left_of_burst--;
	flight = &traffic->flights[traffic->in_flight++];
	flight->refused = !gateway_admits(traffic->gateway, now);
	flight->retry_after = flight->refused ? retry_after(traffic->gateway) : 0;
	flight->arrives = now + demand->latency;
	return now;
}

/* Send for so long. */
static Tally
send_for(Traffic *traffic, Instant *now, Duration duration)
{
	Tally		tally = {0, 0};
	Instant		end = *now + duration;

	while (*now < end)
	{
		Instant		next = send_next(traffic, *now);

		if (next == *now)
			continue;
		if (traffic->in_flight > 0 && traffic->flights[0].arrives <= next)
		{
			*now = instant_later(*now, traffic->flights[0].arrives);
			land(traffic, &tally, *now);
		}
		else
			*now = next;
	}
	return tally;
}

static double
share_refused(Tally tally)
{
	return (double) tally.refused / (tally.answered + tally.refused);
}

static const double rates[] = {0.5, 1, 3, 20};
static const double bursts[] = {1, 5, 20};

/* ----------
 * Tests
 * ----------
 */

/* Unbounded demand: few refusals, most of what the gateway admits. */
static void
check_steady(double per_second, double burst, int names_time, int at_once)
{
	Gateway		gateway = {per_second, burst, burst, NOW, names_time};
	Demand		demand = {.at_once = at_once, .latency = MILLISECONDS(150)};
	Traffic		traffic = {.gateway = &gateway, .demand = &demand};
	Instant		now = NOW;
	Tally		tally;

	send_for(&traffic, &now, SECONDS(900));
	tally = send_for(&traffic, &now, SECONDS(3600));
	assert_true(share_refused(tally) < 0.1);
	/* One at a time cannot be faster than its replies. */
	if (at_once > 1 || per_second < 5)
		assert_true(tally.answered > 0.7 * 3600 * per_second);
}

static void
finds_the_pace_of_any_gateway(void **state)
{
	(void) state;
	for (size_t r = 0; r < sizeof(rates) / sizeof(rates[0]); r++)
		for (size_t b = 0; b < sizeof(bursts) / sizeof(bursts[0]); b++)
			for (int names_time = 0; names_time <= ROUNDS_DOWN; names_time++)
			{
				check_steady(rates[r], bursts[b], names_time, 1);
				check_steady(rates[r], bursts[b], names_time, 10);
				check_steady(rates[r], bursts[b], names_time, MOST_IN_FLIGHT);
			}
}

/* Bursts with pauses: an export is a list and a POST at once, then polls. */
static void
check_bursts(double per_second, double gateway_burst, int names_time, int burst, Duration pause)
{
	Gateway		gateway = {per_second, gateway_burst, gateway_burst, NOW, names_time};
	Demand		demand = {.at_once = 4, .burst = burst, .pause = pause, .latency = MILLISECONDS(50)};
	Traffic		traffic = {.gateway = &gateway, .demand = &demand};
	Instant		now = NOW;
	Tally		tally;

	send_for(&traffic, &now, SECONDS(3600));
	tally = send_for(&traffic, &now, SECONDS(12 * 3600));
	assert_true(tally.answered > 0);
	assert_true(share_refused(tally) < 0.1);
}

static void
learns_from_bursts(void **state)
{
	static const Duration pauses[] = {SECONDS(5), SECONDS(60), SECONDS(900)};

	(void) state;
	for (size_t r = 0; r < sizeof(rates) / sizeof(rates[0]); r++)
		for (size_t b = 0; b < sizeof(bursts) / sizeof(bursts[0]); b++)
			for (size_t p = 0; p < sizeof(pauses) / sizeof(pauses[0]); p++)
				for (int burst = 2; burst <= 128; burst *= 4)
					for (int names_time = 0; names_time <= ROUNDS_DOWN; names_time++)
						check_bursts(rates[r], bursts[b], names_time, burst, pauses[p]);
}

static void
holds_nobody_back_without_a_limit(void **state)
{
	LaneState	lane = {0};

	(void) state;
	for (int i = 0; i < 100000; i++)
	{
		Instant		now = NOW + MILLISECONDS(1) * i;

		assert_int_equal(lane_admit_request(&lane, &limits, false, NULL, now).reason, HOLD_NONE);
		lane_answered(&lane, now);
		assert_int_equal(lane.pace, 0);
	}
}

/* The limit is lifted: within minutes the lane is as free as a new one. */
static void
recovers_when_the_limit_goes(void **state)
{
	Gateway		gateway = {1, 1, 1, NOW, ROUNDS_UP};
	Demand		demand = {.at_once = 10, .latency = MILLISECONDS(10)};
	Traffic		traffic = {.gateway = &gateway, .demand = &demand};
	Instant		now = NOW;

	(void) state;
	send_for(&traffic, &now, SECONDS(900));
	assert_true(traffic.lane.pace >= MILLISECONDS(500));
	gateway.per_second = 0;
	send_for(&traffic, &now, SECONDS(600));
	assert_int_equal(traffic.lane.pace, 0);
}

/* Ten requests answered in a second, and one refused: no reason to crawl. */
static void
begins_with_what_clari_answered_in_the_last_second(void **state)
{
	LaneState	lane = {0};

	(void) state;
	for (int i = 0; i < 10; i++)
		lane_answered(&lane, NOW + MILLISECONDS(50) * i);
	lane_rate_limited(&lane, &limits, 0, 0, NOW + MILLISECONDS(500));
	assert_int_equal(lane.pace, MILLISECONDS(100));
}

static void
slows_down_once_for_what_was_under_way_together(void **state)
{
	LaneState	lane = {0};

	(void) state;
	for (int i = 0; i < 10; i++)
		lane_rate_limited(&lane, &limits, 0, 0, NOW + i);
	assert_int_equal(lane.pace, SECONDS(1));
	lane_answered(&lane, NOW + SECONDS(2));
	lane_answered(&lane, NOW + SECONDS(2));
	lane.pace = SECONDS(1);
	for (int i = 0; i < 10; i++)
		lane_rate_limited(&lane, &limits, SECONDS(30), 0, NOW + SECONDS(2) + i);
	assert_int_equal(lane.pace, MILLISECONDS(1250));
}

/* A gateway that is closed for an hour: afterwards the lane is hardly slower. */
static void
takes_refusals_in_a_row_for_one(void **state)
{
	LaneState	lane = {0};
	Instant		now = NOW;

	(void) state;
	for (int i = 0; i < 100; i++)
		now = lane_rate_limited(&lane, &limits, RETRY_AFTER_NONE, 0, now);
	assert_int_equal(lane.pace, SECONDS(1));
	for (int i = 0; i < 300; i++)
		lane_answered(&lane, now += lane.pace);
	assert_int_equal(lane.pace, 0);
}

static void
never_goes_slower_than_the_slowest_pace(void **state)
{
	LaneState	lane = {0};
	Instant		now = NOW;

	(void) state;
	for (int i = 0; i < 100; i++)
	{
		lane_answered(&lane, now);
		now = lane_rate_limited(&lane, &limits, RETRY_AFTER_NONE, 0, now);
	}
	assert_int_equal(lane.pace, LANE_SLOWEST_PACE);
	assert_int_equal(lane_admit_request(&lane, &limits, false, NULL, now).reason, HOLD_NONE);
}

int
main(void)
{
	const struct CMUnitTest lane_pace[] = {
		cmocka_unit_test(finds_the_pace_of_any_gateway),
		cmocka_unit_test(learns_from_bursts),
		cmocka_unit_test(holds_nobody_back_without_a_limit),
		cmocka_unit_test(recovers_when_the_limit_goes),
		cmocka_unit_test(begins_with_what_clari_answered_in_the_last_second),
		cmocka_unit_test(slows_down_once_for_what_was_under_way_together),
		cmocka_unit_test(takes_refusals_in_a_row_for_one),
		cmocka_unit_test(never_goes_slower_than_the_slowest_pace),
	};

	return cmocka_run_group_tests(lane_pace, NULL, NULL);
}
