# lib.sh - what test/check and test/demo share
#
# Both work in a directory of their own, $work: a copy of the checkout, a private copy of PostgreSQL with
# the extension in it, every server and every temporary file. It goes away at the end. The checkout, the
# installed PostgreSQL and its clusters stay as they are. Root only installs packages and makes the
# directory; the rest runs as an unprivileged user, as PostgreSQL demands.
# shellcheck shell=bash

set -euo pipefail

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
work=
job=

fail()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

is_root()
{
	[ "$(id -u)" -eq 0 ]
}

# ----------
# The machine
# ----------

# The newest supported PostgreSQL that is installed; nothing if there is none.
installed_major()
{
	local major

	for major in 18 17 16 15; do
		if [ -x "/usr/lib/postgresql/$major/bin/postgres" ]; then
			echo "$major"
			return
		fi
	done
}

# The PostgreSQL of the distribution; nothing as long as there are no package lists.
distribution_major()
{
	apt-cache depends postgresql 2>/dev/null | sed -n 's/.*Depends: postgresql-\([0-9][0-9]*\)$/\1/p'
}

# What of the packages is not installed; the % in a name stands for PostgreSQL's major version.
missing_packages()
{
	local package

	for package in "${@//%/$major}"; do
		dpkg-query --show --showformat '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
			echo "$package"
	done
}

# Install packages and create no cluster: a drop-in says so to Debian's scripts for that long.
apt_install()
{
	local no_cluster=/etc/postgresql-common/createcluster.d/clari_export_test.conf

	mkdir -p "${no_cluster%/*}"
	trap 'rm -f "$no_cluster"' EXIT
	echo 'create_main_cluster = false' >"$no_cluster"
	DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends --no-remove "$@"
}

# Install what is missing of the packages (% as above) and set $major: PG_MAJOR, what is installed, or what
# the distribution has. Only one at a time: a second caller waits, and finds nothing left to do.
install_missing()
{
	local missing lock=/var/lib/dpkg

	[ -d "$lock" ] || fail 'this is for Debian and its derivatives'
	major=${PG_MAJOR:-$(installed_major)}
	if [ -n "$major" ] && [ -z "$(missing_packages "$@")" ]; then
		return
	fi
	is_root || fail "run it as root, so that it can install what is missing: $(missing_packages "$@" | paste -sd ' ')"

	exec {lock_fd}<"$lock"
	flock "$lock_fd"
	apt-get update --quiet
	major=${major:-$(distribution_major)}
	[ -n "$major" ] || fail 'no PostgreSQL among the packages of this distribution'
	mapfile -t missing < <(missing_packages "$@")
	if [ "${#missing[@]}" -gt 0 ]; then
		(apt_install "${missing[@]}")
	fi
	exec {lock_fd}<&-
}

# ----------
# The directory and the unprivileged user
# ----------

# Run a command as the unprivileged user, in a session of its own and with nothing of the caller's
# environment. It starts in the copy of the checkout.
as_test_user()
{
	local become=()

	if is_root; then
		become=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
	fi
	setsid --wait "${become[@]}" env --ignore-environment --default-signal --chdir="$work/src" \
		PATH="$work/pg/usr/lib/postgresql/$major/bin:/usr/local/bin:/usr/bin:/bin" \
		HOME="$work" TMPDIR="$work/tmp" LC_ALL=C.UTF-8 "$@" </dev/null
}

# The same in a way that a signal can interrupt: the shell waits instead of running it.
run()
{
	local status=0

	as_test_user "$@" &
	job=$!
	wait "$job" || status=$?
	job=
	return "$status"
}

# PostgreSQL finds its files relative to its binaries, so a copy of Debian's directories is an installation.
copy_postgresql()
{
	local directory

	for directory in lib share; do
		mkdir -p "$work/pg/usr/$directory/postgresql"
		cp -a "/usr/$directory/postgresql/$major" "$work/pg/usr/$directory/postgresql/"
	done
	ln -s /usr/include "$work/pg/usr/include"
}

# Make $work, and all in it the test user's.
make_work_directory()
{
	work=$(mktemp -d /tmp/clari_export.XXXXXX)
	mkdir "$work/src" "$work/tmp" "$work/log"
	tar -C "$checkout" --exclude=./.git --exclude=./build -c . | tar -C "$work/src" -x --no-same-owner
	copy_postgresql
	if is_root; then
		chown -R nobody:nogroup "$work"
	fi
	run make --silent clean
}

# ----------
# The end
# ----------

# End what is running and every server of the directory, however it came to this.
stop_everything()
{
	local pid_file

	if [ -n "$job" ]; then
		kill -TERM -- "-$job" 2>/dev/null || true
		wait "$job" || true
	fi
	find "$work" -name postmaster.pid | while read -r pid_file; do
		as_test_user pg_ctl stop --silent --mode=immediate --pgdata="${pid_file%/*}" || true
	done
}

# The default for EXIT.
clean_up()
{
	[ -n "$work" ] || return 0
	stop_everything
	rm -rf "$work"
}

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
