# servers.sh - a PostgreSQL and a simulated Clari, for the demonstration and the benchmarks
# shellcheck shell=bash

# shellcheck source=test/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

database=
clari=

build()
{
	run make --silent --jobs="$(nproc)" all install
}

# Start a PostgreSQL with the extension preloaded, and create a database in it.
start_postgresql()
{
	database=$1
	run mkdir --mode=0700 "$work/socket"
	run initdb --pgdata="$work/data" --username="$(id -un)" --auth=trust --encoding=UTF8 --no-sync
	run tee -a "$work/data/postgresql.conf" <<-END
		listen_addresses = ''
		unix_socket_directories = '$work/socket'
		shared_preload_libraries = 'clari_export'
		clari_export.databases = '$database'
	END
	run pg_ctl start --pgdata="$work/data" --log="$work/log/server.log"
	run createdb --host="$work/socket" --username="$(id -un)" "$database"
}

# Start the simulated Clari with the given arguments. Sets $clari to its address.
start_clari()
{
	local greeting

	exec {greeting}< <(become python3 "$work/src/test/clari_sim" "$@")
	echo $! >"$work/clari.pid"
	read -r _ _ clari <&"$greeting"
}

stop_clari()
{
	local pid

	pid=$(cat "$work/clari.pid" 2>/dev/null) || return 0
	if grep --quiet --no-messages "$work" "/proc/$pid/cmdline"; then
		kill -TERM "$pid"
	fi
}

# Have the simulated Clari follow the rules in a file.
rule_clari()
{
	run python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], sys.stdin.buffer.read())' \
		"http://$clari/_sim/rules" <"$1"
}

# Run psql with the given arguments; :base_url is that of the simulated Clari.
query()
{
	run psql --no-psqlrc --set=base_url="http://$clari/v4" \
		--host="$work/socket" --username="$(id -un)" "$@" "$database"
}

trap 'stop_clari; clean_up' EXIT
