#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# One man page: head, what a command prints, tail. page.sh SCDOC OUTPUT HEAD TAIL COMMAND...
set -eu
scdoc=$1 output=$2 head=$3 tail=$4
shift 4
made=$("$@")
{ cat "$head"; printf '%s\n\n' "$made"; cat "$tail"; } | "$scdoc" >"$output"
