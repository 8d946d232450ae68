#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# journal_bad.sh BUILD_DIR: with a journal that is truncated, corrupt, foreign, another boot's, not ours, or that does not fit on
# the disk, closer says what to do and changes nothing; threadstate.sh, which knows nothing of closer, is the judge.
set -u
build=${1:?usage: journal_bad.sh BUILD_DIR}
here=$(cd "$(dirname "$0")" && pwd)
apply=$(find "$build" -name engine_apply -type f | head -n 1)
victim=$(find "$build" -name victim -type f | head -n 1)
closer=$(find "$build" -name closer -type f -perm -u+x | head -n 1)
dir=$(mktemp -d /run/closer-bad.XXXXXX) || exit 1
state=$dir/state
target= mounted= bad=0

cleanup() {
	trap - EXIT INT TERM HUP
	for s in "$state" "$dir/good"; do
		[ ! -e "$s/journal" ] || "$apply" undo "$s" >/dev/null 2>&1
	done
	[ -z "$mounted" ] || umount "$mounted" 2>/dev/null
	[ -z "$target" ] || kill -9 "$target" 2>/dev/null
	rm -rf "$dir"
}
trap 'cleanup' EXIT
trap 'cleanup; exit 1' INT TERM HUP
ok() { echo "ok journal_bad: $*"; }
not_ok() { echo "not ok journal_bad: $*"; bad=1; }
die() { not_ok "$*"; exit 1; }
look() { sh "$here/threadstate.sh" "$target"; }

[ "$(id -u)" = 0 ] || die "needs root"
[ -x "$apply" ] && [ -x "$victim" ] || die "engine_apply or victim is not in $build: build the tests first"
mkdir -m 0700 "$state"
"$victim" 8 2 >"$dir/ready" &
target=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do grep -qs ready "$dir/ready" && break; sleep 0.2; done
uri=template:$target
before=$(look)

# A journal that is in force, as a model for bad ones.
"$apply" apply "$uri" "$state" >"$dir/out" 2>&1 || die "apply: $(cat "$dir/out")"
cp -p "$state/journal" "$dir/whole"
placed=$(look)
[ "$placed" != "$before" ] || die "applying a plan changed nothing"
"$apply" undo "$state" >/dev/null 2>&1
[ "$(look)" = "$before" ] || die "undo does not come back to the start"

# refused NAME WORDS: neither apply nor undo touches anything, and both say WORDS
refused() {
	for verb in "apply $uri" undo; do
		# shellcheck disable=SC2086 # two words
		if "$apply" $verb "$state" >"$dir/out" 2>&1; then
			not_ok "$1: $verb went on"
		elif ! grep -q "$2" "$dir/out"; then
			not_ok "$1: $verb does not say '$2': $(cat "$dir/out")"
		elif [ "$(look)" != "$before" ]; then
			not_ok "$1: $verb changed something"
		else
			ok "$1: $verb: $(head -n 1 "$dir/out" | cut -c 1-180)"
		fi
	done
	rm -f "$state"/journal*
}

sed '6s/cpus/cpuz/' "$dir/whole" >"$state/journal"
chmod 600 "$state/journal"
refused "corrupt line 6" "line 6 .*--skip-corrupt"
sed 7d "$dir/whole" >"$state/journal"
refused "a line is missing" "line 7 .*lines are missing"
echo "#!/bin/sh" >"$state/journal"
refused "somebody else's file" "line 1 .*not a journal"
head -c 4096 /dev/urandom >"$state/journal"
refused "random bytes" "line 1 "
: >"$state/journal"
refused "an empty file" "line 1 .*empty"
cp "$dir/whole" "$dir/elsewhere"
ln -s "$dir/elsewhere" "$state/journal"
refused "a symbolic link" "symbolic link"
cp "$dir/whole" "$state/journal"
chmod 666 "$state/journal"
refused "a file that others may write" "written to by others"
cp "$dir/whole" "$state/journal"
chown 65534 "$state/journal"
refused "a file of somebody else" "somebody else"
chmod 777 "$state"
cp "$dir/whole" "$state/journal"
refused "a directory that others may write to" "written to by others"
chmod 700 "$state"

# Corrupt while it is in force: refused, and --skip-corrupt takes back what the sound lines say.
"$apply" apply "$uri" "$state" >/dev/null 2>&1
sed -i '8s/cpus/cpuz/' "$state/journal"
if "$apply" undo "$state" >"$dir/out" 2>&1 || [ "$(look)" != "$placed" ]; then
	not_ok "corrupt while in force: undo went on"
elif [ -x "${closer:-}" ]; then
	"$closer" undo --skip-corrupt --state-dir "$state" >"$dir/out" 2>&1
	if [ "$(look)" = "$before" ]; then
		ok "corrupt while in force: refused; --skip-corrupt gave everything back"
	else
		not_ok "--skip-corrupt: not as before: $(cat "$dir/out")"
	fi
fi
rm -f "$state"/journal*

# The end is torn: those lines were never acted on, the others are undone.
cp "$dir/whole" "$state/journal"
truncate -s -7 "$state/journal"
if "$apply" undo "$state" >"$dir/out" 2>&1 && [ "$(look)" = "$before" ] && [ ! -e "$state/journal" ]; then
	ok "a torn end: $(cat "$dir/out")"
else
	not_ok "a torn end: $(cat "$dir/out")"
fi

# Another boot's: put aside, not applied; apply starts its own.
other=01234567-89ab-cdef-0123-456789abcdef
printf 'closer-journal 1 #030fcff2\nboot %s #00000000\nwhatever\n' $other >"$state/journal"
if "$apply" undo "$state" >"$dir/out" 2>&1; then
	not_ok "another boot's journal was undone"
elif [ -e "$state/journal.$other" ] && [ ! -e "$state/journal" ] && [ "$(look)" = "$before" ]; then
	ok "another boot's: $(cat "$dir/out")"
else
	not_ok "another boot's: $(cat "$dir/out")"
fi
rm -f "$state"/journal*

# A full disk.
if mount -t tmpfs -o size=16k,mode=0700 none "$state" 2>/dev/null; then
	mounted=$state
	dd if=/dev/zero of="$state/fill" bs=4k count=4 2>/dev/null
	if "$apply" apply "$uri" "$state" >"$dir/out" 2>&1; then
		not_ok "a full disk: it went on"
	elif [ "$(look)" != "$before" ]; then
		not_ok "a full disk: something was applied"
	elif [ -e "$state/journal" ]; then
		not_ok "a full disk: half a journal stayed"
	else
		ok "a full disk: $(head -n 1 "$dir/out")"
	fi
	rm -f "$state/fill"
	if "$apply" apply "$uri" "$state" >"$dir/out" 2>&1 && [ "$(look)" = "$placed" ]; then
		# full again, with a journal in force: what is there can still be undone
		dd if=/dev/zero of="$state/fill" bs=1k 2>/dev/null
		if "$apply" undo "$state" >"$dir/out" 2>&1 && [ "$(look)" = "$before" ]; then
			ok "a full disk does not hinder undo: $(cat "$dir/out")"
		else
			not_ok "undo on a full disk: $(cat "$dir/out")"
		fi
	else
		not_ok "apply when there is space again: $(cat "$dir/out")"
	fi
else
	not_ok "a full disk: a small tmpfs could not be mounted"
fi
exit $bad
