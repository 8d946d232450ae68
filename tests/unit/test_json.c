/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The texts and the JSON that are made of plans: lib/why.c, lib/json.c, lib/json_snapshot.c. */
#include "unit.h"

#include "../golden/scene_list.h"

#include <json.h>
#include <why.h>

static void test_why(void **ctx)
{
	struct cl_why why = { CL_REASON_BESIDE_QUEUE_VCPU, { 2, CL_NONE, 951234 } };
	char text[CL_WHY_MAX], tiny[8];

	assert_string_equal(cl_why_text(&why, text, sizeof(text)),
			    "beside vCPU 2, whose queue it serves, on CPU ? (residency 95.1%)");
	assert_string_equal(cl_why_text(&why, tiny, sizeof(tiny)), "beside ");
	for (enum cl_reason code = CL_REASON_NONE; code < CL_REASON_COUNT; code++) {
		why = (struct cl_why){ code, { CL_UNKNOWN - 1, CL_UNKNOWN - 1, CL_UNKNOWN - 1 } };
		cl_why_text(&why, text, sizeof(text));
		assert_null(strchr(text, ':') ? strstr(text, "%0:") : NULL);
		assert_true(strlen(text) < sizeof(text) - 1); /* CL_WHY_MAX holds the longest */
	}
	assert_string_equal(cl_share_text(0, text, sizeof(text)), "0%");
	assert_string_equal(cl_share_text(1, text, sizeof(text)), "<0.1%");
	assert_string_equal(cl_share_text(999999, text, sizeof(text)), "99.9%");
	assert_string_equal(cl_share_text(1000000, text, sizeof(text)), "100%");
	assert_string_equal(cl_time_text(0, text, sizeof(text)), "0s");
	assert_string_equal(cl_time_text(999, text, sizeof(text)), "999ns");
	assert_string_equal(cl_time_text(12340, text, sizeof(text)), "12.3us");
	assert_string_equal(cl_time_text(999600, text, sizeof(text)), "1.00ms");
	assert_string_equal(cl_time_text(1500000000, text, sizeof(text)), "1.50s");
	assert_string_equal(cl_time_text(725 * CL_NS_PER_S, text, sizeof(text)), "12m 5s");
	assert_string_equal(cl_time_text(CL_UNKNOWN, text, sizeof(text)), "-");
	assert_true(cl_share(1, 0) == 0.0 && cl_share(1, 3) == 0.333333 &&
		    cl_share(2, 3) == 0.666667);
}

static void test_json(void **ctx)
{
	struct scene_world *world = calloc(1, sizeof(*world));
	struct cl_state *state = cl_state_new(&cl_limits_small);
	struct cl_plan *plan = cl_plan_new(&cl_limits_small);
	struct cl_params params;
	json_error_t error;

	world->snap = cl_snapshot_new(&cl_limits_small);
	cl_params_default(&params);
	scene_fill(scene_named("foreign"), world, 1);
	cl_decide(NULL, world->snap, &params, state, plan);
	json_t *made[] = { cl_json_snapshot(world->snap), cl_json_plan(world->snap, plan),
			   cl_json_books("qemu:\xff\n", world->snap, plan),
			   cl_json_params(&params) };

	for (size_t i = 0; i < CL_COUNT(made); i++) {
		assert_non_null(made[i]);
		cl_autofree char *text = cl_json_text(json_incref(made[i]), 0);
		json_t *back = json_loads(text, 0, &error);

		assert_non_null(back); /* valid UTF-8 and JSON, whatever a guest calls itself */
		assert_true(json_equal(back, made[i]));
		json_decref(back);
	}
	assert_string_equal(json_string_value(json_object_get(
				    json_array_get(json_object_get(made[2], "guests"), 1), "name")),
			    "libvirt\\x1b[31m\\xff");
	assert_int_equal(json_array_size(json_object_get(made[1], "verdicts")),
			 world->snap->n.works);
	for (size_t i = 0; i < CL_COUNT(made); i++)
		json_decref(made[i]);
	assert_null(cl_json_text(NULL, 2));
	cl_snapshot_free(world->snap);
	cl_state_free(state);
	cl_plan_free(plan);
	free(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_why),
		cmocka_unit_test(test_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
