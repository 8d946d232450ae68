# SPDX-License-Identifier: GPL-2.0-or-later
# The comparison of lab/model_compare.jq as rows for lab/table.awk.
def cpu: . / 1e4 | round | . / 1000 | tostring;
["run", "guest, kind", "lab", "least", "most", "model", "deviation", ""],
(.rows[] | select(.lab_ns > 0 or .model_ns > 0) |
	[.run, "\(.guest) \(.kind)", (.lab_ns | cpu), (.lab_least_ns | cpu), (.lab_most_ns | cpu), (.model_ns | cpu),
	 (if .deviation == null then "-" else "\(.deviation * 1000 | round / 10) %" end),
	 (if .judged | not then "little" elif .within then "" else "MISSED" end)]) | @tsv
