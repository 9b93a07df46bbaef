/*
 * backoff.c
 *		How long to wait after the n-th try.
 */
#include "core/backoff.h"

#define JITTER_SHARE	4		/* jitter is at most a quarter of the delay */

Duration
backoff_delay(const Backoff *backoff, int n)
{
	double		delay = (double) backoff->base;

	while (n-- > 0 && delay < (double) backoff->max && backoff->multiplier > 1)
		delay *= backoff->multiplier;

	return delay < (double) backoff->max ? (Duration) delay : backoff->max;
}

Duration
backoff_delay_with_jitter(const Backoff *backoff, int n, uint32_t random)
{
	Duration	delay = backoff_delay(backoff, n);
	double		share = (double) random / UINT32_MAX;
	Duration	jitter = (Duration) (share * (double) (delay / JITTER_SHARE));

	return instant_earlier(delay + jitter, backoff->max);
}
