/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A snapshot's payload: whatever it is, decoding is bounded; what decodes encodes to the same
 * bytes; what passes cl_snapshot_check can be decided on and shown.
 */
#include <encode.h>
#include <json.h>
#include <record.h>

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool what)
{
	if (!what)
		abort();
}

static void decide(const struct cl_snapshot *snap)
{
	struct cl_state *state = cl_state_new(&cl_limits_small);
	struct cl_plan *plan = cl_plan_new(&cl_limits_small);
	struct cl_params params;

	must(state && plan);
	cl_params_default(&params);
	cl_decide(NULL, snap, &params, state, plan);
	cl_autofree char *plan_text = cl_json_text(cl_json_plan(snap, plan), 0);
	cl_autofree char *books_text = cl_json_text(cl_json_books("fuzz:", snap, plan), 0);
	cl_autofree char *snapshot_text = cl_json_text(cl_json_snapshot(snap), 0);

	must(plan_text && books_text && snapshot_text);
	cl_state_free(state);
	cl_plan_free(plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cl_snapshot *snap = cl_snapshot_new(&cl_limits_small);
	struct cl_error error;

	must(snap);
	if (cl_snapshot_decode(data, size, snap, &error) == 0) {
		cl_autofree uint8_t *again = malloc(size);

		must(again && cl_snapshot_encode(snap, again, size) == size &&
		     memcmp(again, data, size) == 0);
		if (cl_snapshot_check(NULL, snap) == CL_SNAPSHOT_NONE)
			decide(snap);
	}
	cl_snapshot_free(snap);
	return 0;
}
