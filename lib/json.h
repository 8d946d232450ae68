/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * json: the public types as jansson values, for `--json` and for golden tests. One shape for both.
 *
 *   snapshot, plan -> cl_json_*() -> json_t -> cl_json_text() -> bytes
 *
 * Each function returns a new reference that the caller owns, or NULL when there is no memory.
 * Keys are in a fixed order (jansson keeps insertion order). Text that comes from outside is
 * passed through cl_escape, so the output is ASCII whatever a guest calls itself. Shares are
 * reals rounded to 6 digits; a share of nothing is 0. Counters that were not read (CL_UNKNOWN)
 * and indices that point nowhere (CL_NONE) are null.
 */
#ifndef CLOSER_JSON_H
#define CLOSER_JSON_H

#include "lib.h"

#include <jansson.h>

/* All that was observed: what core saw. */
json_t *cl_json_snapshot(const struct cl_snapshot *snap);
/*
 * snap: the snapshot `now` that the plan was made from.
 * {"main_cpus","secondary_cpus","dropped","actions":[],"verdicts":[]}
 */
json_t *cl_json_plan(const struct cl_snapshot *snap, const struct cl_plan *plan);
/* One action of it; one verdict, of work i. */
json_t *cl_json_action(const struct cl_snapshot *snap, const struct cl_plan *plan,
		       const struct cl_action *action);
json_t *cl_json_verdict(const struct cl_snapshot *snap, const struct cl_plan *plan, uint32_t i);
/* The books with totals, guests and works; host: the URI, as it is to be shown. */
json_t *cl_json_books(const char *host, const struct cl_snapshot *snap, const struct cl_plan *plan);
/* {"code":"beside-queue-vcpu","numbers":[0,1,950000],"text":"beside vCPU 0, ..."} */
json_t *cl_json_why(const struct cl_why *why);
/* {"interval":"1s",...} and "main_cpus": as cl_param_get writes them. */
json_t *cl_json_params(const struct cl_params *params);

/* part / whole, rounded to 6 digits; 0 if whole is 0. */
double cl_share(uint64_t part, uint64_t whole);

/*
 * As text: indent 0 is one line (for JSON lines), otherwise that many spaces, with a newline at
 * the end. Takes over the reference (json may be NULL: then NULL). malloc'ed, the caller's; NULL
 * when there is no memory.
 */
char *cl_json_text(json_t *json, unsigned indent);

#endif
