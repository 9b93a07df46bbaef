"""A gateway's rate limit: each key has a bucket of tokens, which fills again at a steady pace."""

import time


class TokenBuckets:
    def __init__(self, clock=time.monotonic):
        self._clock = clock
        self._buckets = {}

    def admits(self, key, requests_per_second, burst):
        """Take a token of the key, if there is one; a full bucket holds `burst` of them."""
        now = self._clock()
        tokens, as_of = self._buckets.get(key, (burst, now))
        tokens = min(burst, tokens + (now - as_of) * requests_per_second)
        admitted = tokens >= 1
        self._buckets[key] = (tokens - 1 if admitted else tokens, now)
        return admitted
