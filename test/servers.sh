# servers.sh - a PostgreSQL and a simulated Clari, for the demonstration and the benchmarks
# shellcheck shell=bash

# shellcheck source=test/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

database=
clari=
base_url=
preload=
role=$(id -un)

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
	run env ${preload:+LD_PRELOAD="$preload"} pg_ctl start --pgdata="$work/data" --log="$work/log/server.log"
	run createdb --host="$work/socket" --username="$(id -un)" "$database"
}

# Start the simulated Clari with the given arguments. Sets $clari to its address, and $base_url.
start_clari()
{
	local greeting

	exec {greeting}< <(become python3 "$work/src/test/clari_sim" "$@")
	echo $! >"$work/clari.pid"
	read -r _ _ clari <&"$greeting"
	base_url=http://$clari/v4
}

# The same where users are: TLS, with a certificate of an authority of its own, at a name that takes a while
# to resolve. Needs "make stage". PostgreSQL, started after $preload is set, resolves it.
start_clari_with_tls()
{
	local stage=$work/src/build/stage

	start_clari --tls-cert "$stage/server.pem" --tls-key "$stage/server.key" \
		--control-port-file "$work/tmp/control_port" "$@"
	base_url=https://clari.test:${clari##*:}/v4
	clari=127.0.0.1:$(cat "$work/tmp/control_port")
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

# Run psql as $role with the given arguments; :base_url is that of the simulated Clari, :ca_file its authority.
query()
{
	run psql --no-psqlrc --set=base_url="$base_url" --set=ca_file="$work/src/build/stage/ca.pem" \
		--host="$work/socket" --username="$role" "$@" "$database"
}

trap 'stop_clari; clean_up' EXIT
