# fast_clari.sh - starting the simulated Clari that costs little, fast_clari.c
# shellcheck shell=bash

compile_fast_clari()
{
	run gcc -O2 -Wall -Wextra -Werror -o tmp_fast_clari test/bench/fast_clari.c
}

# Start it with its arguments: the shortest and longest time of a job, the backoff's base, multiplier and most, all in
# milliseconds, and how many jobs it lists. Sets $clari and $base_url.
start_fast_clari()
{
	local greeting

	exec {greeting}< <(become "$work/src/tmp_fast_clari" "$@")
	echo $! >"$work/clari.pid"
	read -r _ _ clari <&"$greeting"
	exec {greeting}<&-
	base_url=http://$clari/v4
}
