/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPU lists and uuids as text: what the kernel writes is read, what it would not is refused. */
#include "unit.h"

#include <closer/base.h>

static void round_trip(void **state)
{
	static const char *const lists[] = { "",     "0",      "0-1",  "1,3", "0-3,8,10-11",
					     "4095", "0-4095", "63-64" };

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct cl_cpuset set;
		char buf[64];

		assert_true(cl_cpuset_parse(lists[i], strlen(lists[i]), &set));
		assert_int_equal(cl_cpuset_format(&set, buf, sizeof(buf)), strlen(lists[i]));
		assert_string_equal(buf, lists[i]);
	}
}

static void odd_spellings(void **state)
{
	struct cl_cpuset a, b;

	assert_true(cl_cpuset_parse("1-2,2,3\n", 8, &a));
	assert_true(cl_cpuset_parse("1-3", 3, &b));
	assert_true(cl_cpuset_equal(&a, &b));
	assert_int_equal(cl_cpuset_hash(&a), cl_cpuset_hash(&b));
	assert_int_equal(cl_cpuset_count(&a), 3);
}

static void refused(void **state)
{
	static const char *const lists[] = { "a",
					     "1-",
					     "-1",
					     "3-1",
					     "4096",
					     "0-4096",
					     "1,,2",
					     "1,",
					     ",1",
					     "1 2",
					     "99999999999999999999",
					     "0x1",
					     "1-2-3" };
	struct cl_cpuset set;

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		assert_false(cl_cpuset_parse(lists[i], strlen(lists[i]), &set));
}

static void short_buffer(void **state)
{
	struct cl_cpuset set;
	char buf[5];

	cl_cpuset_parse("10-11,20", 8, &set);
	assert_int_equal(cl_cpuset_format(&set, buf, sizeof(buf)), 8);
	assert_string_equal(buf, "10-1");
	assert_int_equal(cl_cpuset_format(&set, NULL, 0), 8);
}

static void algebra(void **state)
{
	struct cl_cpuset a, b, c;

	cl_cpuset_parse("0-100", 5, &a);
	cl_cpuset_parse("90-110", 6, &b);
	c = a;
	cl_cpuset_and(&c, &b);
	assert_int_equal(cl_cpuset_count(&c), 11);
	assert_true(cl_cpuset_subset(&c, &a) && cl_cpuset_subset(&c, &b) &&
		    cl_cpuset_meets(&a, &b));
	cl_cpuset_andnot(&a, &b);
	assert_false(cl_cpuset_meets(&a, &b));
	cl_cpuset_or(&a, &b);
	assert_int_equal(cl_cpuset_count(&a), 111);
	assert_int_equal(cl_cpuset_next(&b, 0), 90);
	assert_int_equal(cl_cpuset_next(&b, 111), CL_NONE);
	assert_int_equal(cl_cpuset_next(&b, CL_CPUS_MAX), CL_NONE);
	cl_cpuset_zero(&a);
	assert_true(cl_cpuset_empty(&a));
	assert_int_not_equal(cl_cpuset_hash(&a), 0);
}

static void uuids(void **state)
{
	struct cl_uuid uuid;
	char buf[CL_UUID_TEXT];

	assert_true(cl_uuid_parse("0A1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9", &uuid));
	cl_uuid_format(&uuid, buf);
	assert_string_equal(buf, "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9");
	assert_false(cl_uuid_parse("", &uuid));
	assert_false(cl_uuid_parse("0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f", &uuid));
	assert_false(cl_uuid_parse("0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f90", &uuid));
	assert_false(cl_uuid_parse("0a1b2c3d04e5f-6071-8293-a4b5c6d7e8f9", &uuid));
	assert_false(cl_uuid_parse("0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8fg", &uuid));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip), cmocka_unit_test(odd_spellings),
		cmocka_unit_test(refused),    cmocka_unit_test(short_buffer),
		cmocka_unit_test(algebra),    cmocka_unit_test(uuids),
	};

	return cmocka_run_group_tests_name("cpuset", tests, NULL, NULL);
}
