/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include <closer/params.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void defaults_are_sound(void **state)
{
	struct cl_params p;
	const char *name = NULL;

	cl_params_default(&p);
	assert_true(cl_params_check(&p, &name));
	assert_int_equal(p.interval, CL_NS_PER_S);
}

static void text_round_trip(void **state)
{
	struct cl_params p, q;
	char buf[64];

	cl_params_default(&p);
	memset(&q, 0, sizeof(q));
	for (size_t i = 0; i < cl_param_count; i++) {
		assert_true(cl_param_get(&p, cl_param_infos[i].name, buf, sizeof(buf)));
		assert_int_equal(cl_param_set(&q, cl_param_infos[i].name, buf), 0);
	}
	assert_memory_equal(&p, &q, sizeof(p));
}

static void units(void **state)
{
	struct cl_params p;
	char buf[64];

	cl_params_default(&p);
	assert_int_equal(cl_param_set(&p, "interval", "250ms"), 0);
	assert_int_equal(p.interval, 250 * CL_NS_PER_MS);
	assert_int_equal(cl_param_set(&p, "interval", "1.5"), 0);
	assert_int_equal(p.interval, 1500 * CL_NS_PER_MS);
	cl_param_get(&p, "interval", buf, sizeof(buf));
	assert_string_equal(buf, "1500ms");
	assert_int_equal(cl_param_set(&p, "place-floor", "0.5%"), 0);
	assert_int_equal(p.place_floor, 5000);
	assert_int_equal(cl_param_set(&p, "place_floor", "0.25"), 0);
	assert_int_equal(p.place_floor, 250000);
	assert_int_equal(cl_param_set(&p, "containers", "off"), 0);
	assert_int_equal(p.containers, 0);
	assert_int_equal(cl_param_set(&p, "main-cpus", "0-1,4"), 0);
	cl_param_get(&p, "main_cpus", buf, sizeof(buf));
	assert_string_equal(buf, "0-1,4");
	assert_int_equal(cl_param_set(&p, "main-cpus", "auto"), 0);
	cl_param_get(&p, "main_cpus", buf, sizeof(buf));
	assert_string_equal(buf, "auto");
}

static void refused_and_unchanged(void **state)
{
	static const struct {
		const char *name, *value;
		int code;
	} bad[] = {
		{ "intervall", "1s", -ENOENT },
		{ "interval", "", -EINVAL },
		{ "interval", "fast", -EINVAL },
		{ "interval", "1 s", -EINVAL },
		{ "interval", "-1s", -EINVAL },
		{ "interval", "1s2", -EINVAL },
		{ "interval", "1ns", -ERANGE },
		{ "interval", "2h", -ERANGE },
		{ "interval", "0.0000000001s", -EINVAL },
		{ "interval", "99999999999999999999999h", -ERANGE },
		{ "moves", "0", -ERANGE },
		{ "moves", "1.5", -EINVAL },
		{ "place_floor", "101%", -ERANGE },
		{ "containers", "maybe", -EINVAL },
		{ "main_cpus", "", -EINVAL },
		{ "main_cpus", "3-1", -EINVAL },
		{ "main_cpus", "9999", -EINVAL },
	};
	struct cl_params p, before;

	cl_params_default(&p);
	before = p;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(cl_param_set(&p, bad[i].name, bad[i].value), bad[i].code);
		assert_memory_equal(&p, &before, sizeof(p));
	}
	assert_string_equal(cl_param_nearest("intervall"), "interval");
	assert_string_equal(cl_param_nearest("main-cpu"), "main_cpus");
	assert_null(cl_param_nearest("something-else-entirely"));
	assert_null(cl_param_nearest("foo"));
	assert_null(cl_param_nearest("x"));
	assert_string_equal(cl_param_nearest("hodl"), "hold");
}

static void relations(void **state)
{
	struct cl_params p;
	const char *name = NULL;

	cl_params_default(&p);
	p.follow_set = p.follow_cpu + 1;
	assert_false(cl_params_check(&p, &name));
	assert_string_equal(name, "follow_set");
	cl_params_default(&p);
	p.interval_min = p.interval + 1;
	assert_false(cl_params_check(&p, &name));
	assert_string_equal(name, "interval_min");
}

/* uuid, then name, then the longest beginning; "none" takes out of a wider one. */
static void limits_find_their_guest(void **state)
{
	static const char *const set[] = { "*=50%",
					   "acme-*=10%",
					   "acme-web*=20%/cpu",
					   "acme-web=5%",
					   "00000000-0000-0000-0000-0000000000AB=1%",
					   "free*=none" };
	static const struct {
		const char *name;
		uint8_t id;
		uint64_t share;
	} guests[] = { { "other", 1, 500000 },      { "acme-db", 1, 100000 },
		       { "acme-web", 1, 50000 },    { "acme-web2", 1, 200000 },
		       { "acme-web", 0xab, 10000 }, { "", 1, 500000 },
		       { "freedom", 1, 0 } };
	struct cl_params p, q;
	struct cl_uuid id = { { 0 } };
	const char *name;
	char text[256];

	cl_params_default(&p);
	assert_null(cl_limit_of(&p, &id, "any"));
	for (size_t i = 0; i < sizeof(set) / sizeof(set[0]); i++)
		assert_int_equal(cl_param_set(&p, "limit", set[i]), 0);
	assert_true(cl_params_check(&p, &name));
	for (size_t i = 0; i < sizeof(guests) / sizeof(guests[0]); i++) {
		const struct cl_guard *g;

		id.b[15] = guests[i].id;
		g = cl_limit_of(&p, &id, guests[i].name);
		assert_int_equal(g ? g->share : 0, guests[i].share);
	}
	/* Its text is taken back, one by one. */
	cl_params_default(&q);
	for (uint64_t i = p.guard_count; i-- > 0;) {
		cl_limit_format(&p.guards[i], text, sizeof(text));
		assert_int_equal(cl_param_set(&q, "limit", text), 0);
	}
	assert_memory_equal(&p, &q, sizeof(p));
	assert_true(cl_param_get(&p, "limit", text, sizeof(text)));
	assert_non_null(strstr(text, "acme-web=5%,acme-web*=20%/cpu"));
	assert_true(cl_param_get(&p, "limit", text, 8)); /* cut */
	assert_int_equal(strlen(text), 7);
	/* Set again: changed, not added. */
	assert_int_equal(cl_param_set(&p, "limit", "acme-web=7%"), 0);
	assert_int_equal(p.guard_count, q.guard_count);
}

static void limits_refused(void **state)
{
	static const struct {
		const char *text;
		int code;
	} bad[] = { { "", -EINVAL },
		    { "web", -EINVAL },
		    { "=5%", -EINVAL },
		    { "web=", -EINVAL },
		    { "web=x", -EINVAL },
		    { "web=5%/gpu", -EINVAL },
		    { "web=/cpu", -EINVAL },
		    { "web=0", -ERANGE },
		    { "web=101%", -ERANGE },
		    { "web=-1", -EINVAL },
		    { "web=409601%/cpu", -ERANGE } };
	struct cl_params p, before;
	char text[CL_NAME_MAX + 8];
	const char *name;

	cl_params_default(&p);
	before = p;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(cl_param_set(&p, "limit", bad[i].text), bad[i].code);
	memset(text, 'a', sizeof(text));
	memcpy(text + CL_NAME_MAX, "=5%", 4);
	assert_int_equal(cl_param_set(&p, "limit", text), -EINVAL);
	assert_memory_equal(&p, &before, sizeof(p));
	assert_int_equal(cl_param_set(&p, "limit", "a=b=400%/cpu"), 0); /* a name may have one */
	for (unsigned i = 1; i < CL_GUARDS_MAX; i++) {
		snprintf(text, sizeof(text), "guest%u=5%%", i);
		assert_int_equal(cl_param_set(&p, "limit", text), 0);
	}
	assert_int_equal(cl_param_set(&p, "limit", "more=5%"), -ENOSPC);
	/* What a file may hold. */
	assert_true(cl_params_check(&p, &name));
	before = p;
	p.guards[3].share = 0;
	assert_false(cl_params_check(&p, &name));
	assert_string_equal(name, "limit");
	p = before;
	memset(p.guards[3].who, 'b', sizeof(p.guards[3].who));
	assert_false(cl_params_check(&p, &name));
	p = before;
	p.guards[3] = p.guards[4];
	assert_false(cl_params_check(&p, &name));
	p = before;
	p.guard_count = UINT64_MAX;
	assert_false(cl_params_check(&p, &name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_sound),
		cmocka_unit_test(text_round_trip),
		cmocka_unit_test(limits_find_their_guest),
		cmocka_unit_test(limits_refused),
		cmocka_unit_test(units),
		cmocka_unit_test(refused_and_unchanged),
		cmocka_unit_test(relations),
	};

	return cmocka_run_group_tests_name("params", tests, NULL, NULL);
}
