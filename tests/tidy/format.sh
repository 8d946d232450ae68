#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Everything is as clang-format (Debian 12's) leaves it with .clang-format.
set -u
cd "$(dirname "$0")/../.."
git ls-files '*.c' '*.h' | while read -r f; do
	if [ -f "$f" ]; then echo "$f"; fi
done | xargs clang-format --dry-run -Werror 2>&1
