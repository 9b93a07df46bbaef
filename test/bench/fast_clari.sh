# fast_clari.sh - starting the simulated Clari that costs little, fast_clari.c
# shellcheck shell=bash

compile_fast_clari()
{
	run gcc -O2 -Wall -Wextra -Werror -o tmp_fast_clari test/bench/fast_clari.c -lm
}

# Start it with its arguments: how long jobs take, the backoff's base, multiplier and most, all in milliseconds, and how
# many jobs it lists. Sets $clari and $base_url.
start_fast_clari()
{
	local greeting

	exec {greeting}< <(become "$work/src/tmp_fast_clari" "$@")
	echo $! >"$work/clari.pid"
	read -r _ _ clari <&"$greeting"
	exec {greeting}<&-
	base_url=http://$clari/v4
}

# Its counters since the last time: "name value" lines.
report()
{
	run python3 -c 'import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())' \
		"http://$clari/report"
}

field()
{
	awk -v name="$2" '$1 == name { print $2 }' <<<"$1"
}
