/*
 * polling.c
 *		When to ask for a job the next time, going by what earlier ones took.
 *
 * Source: J. B. Keller, Optimum checking schedules for systems subject to
 * random failure, Management Science 21 (1974). Of all schedules with as many
 * polls, the end is found soonest if the polls a second are in proportion to
 * the square root of the hazard rate; that is, the gap between two polls is a
 * price divided by it, the higher the price the fewer the polls.
 *
 * How long jobs take is estimated on the scale of logarithms. Where few are
 * known they are taken as lognormal, with a usual spread; the more are known,
 * the more they are taken as they were: each known duration stands for a small
 * bell around it, moved towards the mean so that the spread of all stays.
 */
#include "core/polling.h"

#include <math.h>

/* The cells reach so many standard deviations to either side of the mean. */
#define REACH			4.0

/* An export counts so much less than the next one. */
#define MEMORY			0.95

/* The standard deviation before anything is known, worth so many exports. */
#define USUAL_SPREAD	0.9
#define USUAL_WEIGHT	8.0

/*
 * Clari's pace may have changed for good between any two exports. How likely
 * that is, and by about how many standard deviations.
 */
#define CHANGE_RATE		0.02
#define CHANGE_SIZE		1.5

/* The width of a bell, in standard deviations: Scott's rule, made smoother. */
#define BELL_WIDTH		1.8
#define BELL_EXPONENT	(-0.2)

/*
 * So many of the backoff's polls are spent. Not all, since after jobs became
 * slower those on the way get too many.
 */
#define POLLS_SHARE		0.96

/* The first poll waits for a little more to be due than each later one. */
#define FIRST_POLL		1.25

/* When no more than this share lasts, gaps grow in proportion to the time. */
#define TAIL			0.05

/* The logarithm of the price (root of microseconds) is sought in this range. */
#define LEAST_PRICE		(-7.0)
#define GREATEST_PRICE	14.0
#define BISECTIONS		14

/* Bounds for what would be zero, or without end. */
#define LEAST_SHARE		1e-30
#define MOST_POLLS		1000

/* What is known of jobs: the logarithms of their durations in microseconds. */
typedef struct Sample
{
	int			n;
	double		x[POLLING_HISTORY]; /* the latest first */
	double		weight[POLLING_HISTORY];	/* in all 1 */
	double		size;			/* so many of equal weight would tell as much */
	double		mean;
	double		spread;			/* standard deviation of the next one */
} Sample;

/* The sum of squared distances of n values from their mean. */
static double
scatter(double n, double sum, double sum_of_squares)
{
	return sum_of_squares - sum * sum / n;
}

/*
 * How likely it is that the latest k exports were the first of a new pace,
 * relative to no change at all: the likelihood ratio of two means to one, with
 * the usual spread as the prior, times the prior odds.
 */
static double
odds_of_change(int k, int n, double one_mean, double two_means)
{
	double		prior = USUAL_WEIGHT * USUAL_SPREAD * USUAL_SPREAD;
	double		ratio = (prior + one_mean) / (prior + two_means);
	double		room = 1 + CHANGE_SIZE * CHANGE_SIZE * k * (n - k) / n;

	return CHANGE_RATE * pow(ratio, (n + USUAL_WEIGHT - 1) / 2) / sqrt(room);
}

/*
 * An export weighs as much as it is likely that its pace still holds, and less
 * the older it is.
 */
static void
weigh(Sample *s)
{
	double		odds[POLLING_HISTORY] = {0};
	double		sum = 0;
	double		squares = 0;
	double		new_sum = 0;
	double		new_squares = 0;
	double		all_odds = 1;	/* no change */
	double		changed = 0;

	for (int i = 0; i < s->n; i++)
	{
		sum += s->x[i];
		squares += s->x[i] * s->x[i];
	}
	for (int k = 1; k < s->n; k++)
	{
		new_sum += s->x[k - 1];
		new_squares += s->x[k - 1] * s->x[k - 1];
		odds[k] = odds_of_change(k, s->n, scatter(s->n, sum, squares),
								 scatter(k, new_sum, new_squares) +
								 scatter(s->n - k, sum - new_sum, squares - new_squares));
		all_odds += odds[k];
	}
	for (int i = 0; i < s->n; i++)
	{
		changed += odds[i] / all_odds;
		s->weight[i] = pow(MEMORY, i) * fmax(1 - changed, 0);
	}
}

static void
summarize(Sample *s)
{
	double		all = 0;
	double		squares = 0;
	double		variance = 0;

	for (int i = 0; i < s->n; i++)
		all += s->weight[i];
	s->mean = 0;
	for (int i = 0; i < s->n; i++)
	{
		s->weight[i] /= all;
		squares += s->weight[i] * s->weight[i];
		s->mean += s->weight[i] * s->x[i];
	}
	for (int i = 0; i < s->n; i++)
		variance += s->weight[i] * (s->x[i] - s->mean) * (s->x[i] - s->mean);

	s->size = 1 / squares;
	variance = (USUAL_WEIGHT * USUAL_SPREAD * USUAL_SPREAD + s->size * variance) /
		(USUAL_WEIGHT + s->size - 1);
	s->spread = sqrt(variance * (1 + 1 / s->size));
}

/* Where a time lies among the bounds: 0 at the first, POLLING_CELLS at the last. */
static double
position(const PollingPlan *plan, double time)
{
	double		at = time > plan->first ? log(time / plan->first) / plan->step : 0;

	return fmin(at, POLLING_CELLS);
}

static double
value_at(const float *values, double at)
{
	int			i = at < POLLING_CELLS ? (int) at : POLLING_CELLS - 1;

	return values[i] + (values[i + 1] - values[i]) * (at - i);
}

/* The position at which rising (or, with sign -1, falling) values reach one. */
static double
position_of(const float *values, double value, int sign)
{
	int			low = 0;
	int			high = POLLING_CELLS;

	while (high - low > 1)
	{
		int			middle = (low + high) / 2;

		if ((values[middle] - value) * sign <= 0)
			low = middle;
		else
			high = middle;
	}
	if (values[high] == values[low])
		return high;
	return low + (value - values[low]) / (values[high] - values[low]);
}

/* How jobs' durations are spread over the cells. */
typedef struct Shape
{
	double		bounds[POLLING_CELLS + 1];
	double		share[POLLING_CELLS];	/* of jobs that end in a cell */
	double		gap[POLLING_CELLS]; /* between polls, at a price of 1 */
} Shape;

/* Where the middle of a cell lies, in standard deviations from the mean. */
static double
middle_of(int cell)
{
	return (cell + 0.5) * 2 * REACH / POLLING_CELLS - REACH;
}

static double
bell(double distance, double width)
{
	return exp(-0.5 * (distance / width) * (distance / width));
}

static void
fill_lognormal(double *share)
{
	for (int i = 0; i < POLLING_CELLS; i++)
		share[i] = bell(middle_of(i), 1);
}

static void
fill_from_sample(const Sample *s, double *share)
{
	double		width = fmin(1, BELL_WIDTH * pow(s->size, BELL_EXPONENT));
	double		pull = sqrt(1 - width * width) / s->spread;

	for (int i = 0; i < POLLING_CELLS; i++)
	{
		share[i] = 0;
		for (int j = 0; j < s->n; j++)
			share[i] += s->weight[j] * bell(middle_of(i) - (s->x[j] - s->mean) * pull, width);
	}
}

/* Scale the shares to 1 in all, and see how many jobs last to each bound. */
static void
set_lasting(PollingPlan *plan, double *share)
{
	double		all = 0;
	double		lasting = 0;

	for (int i = 0; i < POLLING_CELLS; i++)
		all += share[i];
	plan->lasting[POLLING_CELLS] = 0;
	for (int i = POLLING_CELLS; i-- > 0;)
	{
		share[i] /= all;
		lasting += share[i];
		plan->lasting[i] = (float) lasting;
	}
}

/* Divide the time around a mean into the cells; the shares are given. */
static void
lay_out(PollingPlan *plan, Shape *shape, double mean, double spread)
{
	plan->first = exp(mean - REACH * spread);
	plan->step = 2 * REACH * spread / POLLING_CELLS;
	set_lasting(plan, shape->share);

	for (int i = 0; i <= POLLING_CELLS; i++)
		shape->bounds[i] = plan->first * exp(plan->step * i);
	for (int i = 0; i < POLLING_CELLS; i++)
	{
		double		length = shape->bounds[i + 1] - shape->bounds[i];
		double		running = (plan->lasting[i] + plan->lasting[i + 1]) / 2.0;

		shape->gap[i] = sqrt(running * length / fmax(shape->share[i], LEAST_SHARE));
	}
}

/* Count at each bound how many polls are due by then, at a price. */
static void
place_polls(PollingPlan *plan, const Shape *shape, double price)
{
	double		slope = 0;		/* of the gap, in the tail */
	double		gap = 0;
	double		polls = 0;

	for (int i = 0; i < POLLING_CELLS; i++)
	{
		double		from = shape->bounds[i];

		plan->polls[i] = (float) polls;
		if (slope == 0 && i > 0 && plan->lasting[i] < TAIL)
			slope = gap / from;
		gap = slope > 0 ? slope * from : price * shape->gap[i];
		gap = fmax(fmin(gap, (double) plan->backoff.max), (double) plan->backoff.base);
		polls += (shape->bounds[i + 1] - from) / gap;
	}
	plan->polls[POLLING_CELLS] = (float) polls;
}

/* How many polls an export needs on average: one, and what is due after the first. */
static double
expected_polls(const PollingPlan *plan, const Shape *shape)
{
	double		sum = 1;

	for (int i = 0; i < POLLING_CELLS; i++)
		sum += shape->share[i] * fmax((plan->polls[i] + plan->polls[i + 1]) / 2.0 - FIRST_POLL + 0.5, 0);
	return sum;
}

static double
expected_polls_of_backoff(const PollingPlan *plan, const Shape *shape)
{
	double		sum = 1;
	double		time = 0;

	for (int n = 0; time < shape->bounds[POLLING_CELLS] && n < MOST_POLLS; n++)
	{
		time += (double) backoff_delay(&plan->backoff, n);
		sum += value_at(plan->lasting, position(plan, time));
	}
	return sum;
}

/* The price at which no more polls are needed than may be spent. */
static double
find_price(PollingPlan *plan, const Shape *shape)
{
	double		budget = POLLS_SHARE * expected_polls_of_backoff(plan, shape);
	double		low = LEAST_PRICE;
	double		high = GREATEST_PRICE;

	for (int i = 0; i < BISECTIONS; i++)
	{
		double		middle = (low + high) / 2;

		place_polls(plan, shape, exp(middle));
		if (expected_polls(plan, shape) > budget)
			low = middle;
		else
			high = middle;
	}
	return exp(high);
}

/*
 * A poll's price is what the budget says for a lognormal of the usual spread.
 * So it depends on the mean alone: what the shape of a few durations seems to
 * say would make it waver, and more polls at one time do not make up for fewer
 * at another. It is higher where such jobs would take more than the budget.
 */
void
polling_plan(PollingPlan *plan, const Backoff *backoff, const Duration *durations, int n)
{
	Sample		s;
	Shape		shape;
	double		price;

	plan->backoff = *backoff;
	plan->has_learned = n >= POLLING_LEAST_HISTORY;
	if (!plan->has_learned)
		return;

	s.n = n < POLLING_HISTORY ? n : POLLING_HISTORY;
	for (int i = 0; i < s.n; i++)
		s.x[i] = log(durations[i] > 1 ? (double) durations[i] : 1);
	weigh(&s);
	summarize(&s);

	fill_lognormal(shape.share);
	lay_out(plan, &shape, s.mean, USUAL_SPREAD);
	price = find_price(plan, &shape);

	fill_from_sample(&s, shape.share);
	lay_out(plan, &shape, s.mean, s.spread);
	place_polls(plan, &shape, fmax(price, find_price(plan, &shape)));
}

Duration
polling_delay(const PollingPlan *plan, int n, Duration elapsed)
{
	double		time = elapsed > 0 ? (double) elapsed : 0;
	double		due;
	double		delay = (double) plan->backoff.max;

	if (!plan->has_learned)
		return backoff_delay(&plan->backoff, n);

	due = value_at(plan->polls, position(plan, time)) + (n == 0 ? FIRST_POLL : 1);
	if (due < plan->polls[POLLING_CELLS])
		delay = plan->first * exp(plan->step * position_of(plan->polls, due, 1)) - time;
	delay = fmax(delay, (double) plan->backoff.base);
	return delay < (double) plan->backoff.max ? (Duration) delay : plan->backoff.max;
}

bool
polling_expected_end(const PollingPlan *plan, double share, Duration elapsed, Duration *end)
{
	double		lasting;

	if (!plan->has_learned)
		return false;
	lasting = value_at(plan->lasting, position(plan, (double) elapsed)) * (1 - share);
	*end = (Duration) (plan->first * exp(plan->step * position_of(plan->lasting, lasting, -1)));
	*end = instant_later(*end, elapsed);
	return true;
}
