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
major=
drop_in=
around=()
job=
step_log=
exec {messages}>&2 </dev/null

# What everything needs; the % stands for PostgreSQL's major version.
packages=(
	gcc libc6-dev make pkg-config libcurl4-openssl-dev python3
	postgresql-% postgresql-server-dev-%
)

fail()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# Print the comment that the script begins with.
usage()
{
	sed -n '3,/^$/s/^# \{0,1\}//p' "$0"
}

is_root()
{
	[ "$(id -u)" -eq 0 ]
}

# Run one step of the preparation. Its output goes to a log, and is shown if the script ends in it.
step()
{
	step_log=$work/log/$1.log
	shift
	"$@" >"$step_log" 2>&1
	step_log=
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
	apt-cache depends postgresql | sed -n 's/.*Depends: postgresql-\([0-9][0-9]*\)$/\1/p'
}

# Which of the packages are not installed.
missing_packages()
{
	local package

	for package in "${packages[@]//%/$major}"; do
		dpkg-query --show --showformat '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
			echo "$package"
	done
}

# Install packages. For that long a drop-in keeps Debian's scripts from creating a cluster.
apt_install()
{
	drop_in=/etc/postgresql-common/createcluster.d/clari_export_test.conf
	mkdir -p "${drop_in%/*}"
	echo 'create_main_cluster = false' >"$drop_in"
	DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends --no-remove "$@"
	remove_drop_in
}

remove_drop_in()
{
	if [ -n "$drop_in" ]; then
		rm "$drop_in"
		drop_in=
	fi
}

# Install what is missing of the packages and set $major: PG_MAJOR, what is installed, or what
# the distribution has. One at a time: a second caller waits, and finds nothing left to do.
install_missing()
{
	local missing lock

	major=${PG_MAJOR:-$(installed_major)}
	if [ -n "$major" ] && [ -z "$(missing_packages)" ]; then
		return
	fi
	is_root || fail "packages are missing; root can install them: $(missing_packages | paste -sd ' ')"

	exec {lock}</var/lib/dpkg
	flock "$lock"
	apt-get update --quiet || echo 'Going on with the package lists of before.'
	major=${major:-$(distribution_major)}
	mapfile -t missing < <(missing_packages)
	if [ "${#missing[@]}" -gt 0 ]; then
		apt_install "${missing[@]}"
	fi
	exec {lock}<&-
}

# ----------
# The unprivileged user
# ----------

# Become a command of the unprivileged user, in a session of its own, in the copy of the checkout, with
# nothing of the caller's environment. $around is a command that comes before, as the caller.
become()
{
	local user=()

	if is_root; then
		user=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
	fi
	exec setsid "${around[@]}" "${user[@]}" env --ignore-environment --default-signal --chdir="$work/src" \
		PATH="$work/pg/usr/lib/postgresql/$major/bin:/usr/local/bin:/usr/bin:/bin" \
		HOME="$work" TMPDIR="$work/tmp" LC_ALL=C.UTF-8 "$@"
}

# Run a command so. The shell waits for it instead of being busy with it, so it hears a signal at once.
run()
{
	local status=0

	become "$@" <&0 &
	job=$!
	wait "$job" || status=$?
	job=
	return "$status"
}

# ----------
# The directory
# ----------

copy_checkout()
{
	tar -C "$checkout" --exclude=./.git --exclude=./build -c . | tar -C "$work/src" -x --no-same-owner
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

# Make $work, the sources in it not built yet.
prepare()
{
	[ -d /var/lib/dpkg ] || fail 'this is for Debian and its derivatives'
	work=$(mktemp -d /tmp/clari_export.XXXXXX)
	mkdir "$work/src" "$work/tmp" "$work/log"
	step install install_missing
	step copy copy_checkout
	copy_postgresql
	if is_root; then
		chown -R nobody:nogroup "$work"
	fi
	step clean run make clean
}

# ----------
# The end
# ----------

# End the running command, and each server of the directory however it came to it.
stop_everything()
{
	local pid_file pid_files

	if [ -n "$job" ]; then
		kill -TERM -- "-$job" || true
		wait "$job" || true
	fi
	mapfile -t pid_files < <(find "$work" -name postmaster.pid)
	for pid_file in "${pid_files[@]}"; do
		run pg_ctl stop --silent --mode=immediate --pgdata="${pid_file%/*}" || true
	done
}

clean_up()
{
	remove_drop_in
	[ -n "$work" ] || return 0
	if [ -n "$step_log" ]; then
		cat "$step_log" >&"$messages"
	fi
	stop_everything
	rm -rf "$work"
}

trap clean_up EXIT
trap 'step_log=; exit 130' INT
trap 'step_log=; exit 143' TERM HUP
