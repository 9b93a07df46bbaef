# report.sh - how the benchmarks tell their figures
# shellcheck shell=bash
#
# Less is better in every one. A figure is a line for who reads along and, where the environment names a file as
# FIGURES, a line of tab-separated columns there: what, value, unit, beside what, its value, ratio, limit, reached.

failures=0

machine()
{
	echo "$(uname -srm), $(nproc) cores, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)," \
		"PostgreSQL $major, libcurl $(pkg-config --modversion libcurl)"
}

smallest()
{
	printf '%s\n' "$@" | sort --numeric-sort | head -n 1
}

divide()
{
	awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", a / b }'
}

# Whether a value is at most its limit. Counts those that are not in $failures.
judge()
{
	if awk -v value="$1" -v limit="$2" 'BEGIN { exit !(value <= limit) }'; then
		verdict=reached
	else
		verdict='NOT REACHED'
		failures=$((failures + 1))
	fi
}

note_figure()
{
	if [ -n "${FIGURES:-}" ]; then
		(IFS=$'\t' && echo "$*") >>"$FIGURES"
	fi
}

# bound WHAT VALUE UNIT LIMIT
bound()
{
	judge "$2" "$4"
	printf '  %-42s %9s %-5s %45s at most %-6s %s\n' "$1" "$2" "$3" '' "$4" "$verdict"
	note_figure "$1" "$2" "$3" '' '' '' "$4 $3" "$verdict"
}

# compare WHAT VALUE UNIT BESIDE_WHAT VALUE LIMIT: the ratio is at most that
compare()
{
	local ratio

	ratio=$(divide "$2" "$5")
	judge "$ratio" "$6"
	printf '  %-42s %9s %-5s %-28s %9s %6s at most %-6s %s\n' "$1" "$2" "$3" "$4" "$5" "$ratio" "$6" "$verdict"
	note_figure "$1" "$2" "$3" "$4" "$5" "$ratio" "$6" "$verdict"
}

# The end of a benchmark: it fails if a limit was not kept.
conclude()
{
	[ "$failures" -eq 0 ]
}
