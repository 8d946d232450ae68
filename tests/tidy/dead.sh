#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# No dead file: each source is built, each header included, each script called from somewhere.
set -u
cd "$(dirname "$0")/../.."
bad=0
for f in $(git ls-files '*.c'); do
	[ -f "$f" ] || continue
	dir=$(dirname "$f")
	base=$(basename "$f")
	stem=$(echo "$base" | sed 's/^test_//; s/^fuzz_//; s/^bench_//; s/\.bpf\.c$//; s/\.c$//')
	found=no
	git grep -qE "include \"([^\"]*/)?$base\"" -- '*.c' && found=yes	# shared by including it
	while :; do
		[ -f "$dir/meson.build" ] && grep -qE "['/]($base|$stem)'" "$dir/meson.build" && found=yes
		[ "$dir" = . ] && break
		dir=$(dirname "$dir")
	done
	[ $found = yes ] || { echo "$f: no meson.build names it"; bad=1; }
done
for f in $(git ls-files '*.h'); do
	[ -f "$f" ] || continue
	git grep -qE "include [<\"]([^>\"]*/)?$(basename "$f")[>\"]" -- '*.c' '*.h' || { echo "$f: nothing includes it"; bad=1; }
done
for f in $(git ls-files '*.sh' '*.awk' '*.jq'); do
	case $f in
	tests/system/*.sh | tests/tidy/*.sh | tests/xen/*.sh) continue ;;	# run by their folder
	esac
	[ -f "$f" ] || continue
	git grep -qF "$(basename "$f")" -- run '*.sh' '*.build' .ci || { echo "$f: nothing calls it"; bad=1; }
done
exit $bad
