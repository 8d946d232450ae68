/* SPDX-License-Identifier: GPL-2.0-or-later */
/* weights: what was calibrated is kept, read back, and never overrules what was set by hand. */
#include "unit.h"
#include "weights.h"

#include <errno.h>
#include <string.h>

static const struct cl_weights all = { { { 12345, 678 }, { 900, 9 }, { 55000, 0 } } };

static void test_kept(void **state)
{
	char dir[] = "/tmp/closer-weights-XXXXXX", path[64];
	struct cl_weights some = { .of[CL_WEIGHT_REQUEST] = { 7, 1 } }, is = { 0 };
	struct cl_error error = { 0 };

	assert_non_null(mkdtemp(dir));
	assert_int_equal(cl_weights_read(dir, &is, &error), -ENOENT);
	assert_int_equal(cl_weights_write(dir, &all, &error), 0);
	assert_int_equal(cl_weights_read(dir, &is, &error), 0);
	assert_memory_equal(&is, &all, sizeof(all));
	assert_int_equal(cl_weights_write(dir, &some, &error), 0);
	assert_int_equal(cl_weights_read(dir, &is, &error), 0);
	assert_memory_equal(&is, &some, sizeof(some));
	snprintf(path, sizeof(path), "%s/" CL_WEIGHTS_FILE, dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0); /* and nothing else was left there */
	assert_int_equal(cl_weights_write(dir, &all, &error), -ENOENT);
	assert_non_null(strstr(error.text, dir));
}

static void test_into(void **state)
{
	struct cl_params params;

	cl_params_default(&params);
	cl_weights_into(&all, &params);
	assert_int_equal(params.weigh_send, 12345);
	assert_int_equal(params.weigh_request, 55000);
	cl_params_default(&params);
	params.weigh_receive = 5;
	cl_weights_into(&all, &params);
	assert_int_equal(params.weigh_receive, 5);
	assert_int_equal(params.weigh_send, 0); /* all by hand, or none */
}

static void test_wrong(void **state)
{
	static const char *const wrong[] = {
		"send",
		"send 5",
		"send 5 ",
		"send 0 1",
		"send -1 0",
		"send 5 6 7",
		"sender 5 6",
		"send 5 6\nsend 5 6",
		"receive 1000000001 0",
		"request 18446744073709551616 0",
		" send 5 6",
		"weights",
	};

	for (size_t i = 0; i < CL_COUNT(wrong); i++) {
		struct cl_weights is = all;
		struct cl_error error = { 0 };
		char text[64];

		snprintf(text, sizeof(text), "%s", wrong[i]);
		if (cl_weights_parse(text, &is, &error) != -EBADMSG)
			fail_msg("taken for right: %s", wrong[i]);
		assert_memory_equal(&is, &all, sizeof(all)); /* untouched */
		assert_non_null(strstr(error.text, "line "));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_into),
		cmocka_unit_test(test_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
