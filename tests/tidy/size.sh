#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Files under 600 lines, functions under 70, lines under 100 columns (a tab is 8) but for rows of tables and lines with text, no trailing white
# space, a licence on top.
set -u
cd "$(dirname "$0")/../.."
bad=0
for f in $(git ls-files '*.c' '*.h' '*.sh' run .ci/run); do
	[ -f "$f" ] || continue
	head -n 2 "$f" | grep -q 'SPDX-License-Identifier: GPL-2.0-or-later' || { echo "$f: no SPDX line on top"; bad=1; }
	grep -nE '[ 	]+$' "$f" /dev/null && { echo "$f: trailing white space"; bad=1; }
	case $f in
	*.c | *.h) ;;
	*) continue ;;
	esac
	[ "$(wc -l <"$f")" -le 600 ] || { echo "$f: $(wc -l <"$f") lines: more than 600"; bad=1; }
	expand -t 8 "$f" | awk -v f="$f" '
		length($0) > 100 && !/^ *[A-Z]+\(.*\\?$/ && !/"/ { printf "%s:%d: %d columns\n", f, NR, length($0); bad = 1 }
		/^{/ { start = NR }
		/^}/ && start { if (NR - start > 70) { printf "%s:%d: a function of %d lines\n", f, start, NR - start; bad = 1 } start = 0 }
		END { exit bad }' || bad=1
done
exit $bad
