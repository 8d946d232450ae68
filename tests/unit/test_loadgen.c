// SPDX-License-Identifier: GPL-2.0-or-later
/* The lab's load generator: what its commands mean, when operations are due, what its histogram
 * says, and one job. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "loadgen.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static uint32_t parse(const char *text, struct lg_load loads[LG_LOADS_MAX], char error[256])
{
	char copy[LG_LINE_MAX];

	snprintf(copy, sizeof(copy), "%s", text);
	error[0] = '\0';
	return lg_parse(copy, loads, error, 256);
}

static void test_parse(void **state)
{
	struct lg_load loads[LG_LOADS_MAX];
	char error[256];

	assert_int_equal(
		parse("udp-out to=10.99.77.1:7077 rate=300 size=1k for=5s + disk-read dev=/dev/vda depth=4 span=1m"
		      " + cpu",
		      loads, error),
		3);
	assert_int_equal(loads[0].kind, LG_UDP_OUT);
	assert_int_equal(loads[0].rate, 300);
	assert_int_equal(loads[0].size, 1024);
	assert_int_equal(loads[0].for_ns, 5 * LG_NS_PER_S);
	assert_int_equal(ntohs(loads[0].to.sin_port), 7077);
	assert_int_equal(loads[1].kind, LG_DISK_READ);
	assert_string_equal(loads[1].dev, "/dev/vda");
	assert_int_equal(loads[1].depth, 4);
	assert_int_equal(loads[1].size, 4096);
	assert_int_equal(loads[1].span, 1 << 20);
	assert_int_equal(loads[2].kind, LG_CPU);
	assert_int_equal(loads[2].rate, 0);
	assert_int_equal(loads[2].for_ns, 0);
}

static void test_parse_refuses(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{ "", "load 1: there is no kind of load here" },
		{ "cpu +", "load 2: there is no kind of load here" },
		{ "CPU", "load 1: 'CPU' is no kind of load" },
		{ "cpu rate", "load 1: 'rate' is not KEY=VALUE" },
		{ "cpu rate=", "load 1: rate= is not a number with a unit that is known" },
		{ "cpu rate=-1", "load 1: rate=-1 is not a number with a unit that is known" },
		{ "cpu rate=18446744073709551616",
		  "load 1: rate=18446744073709551616 is not a number with a unit that is known" },
		{ "cpu rate=1 rate=2", "load 1: rate= is given twice" },
		{ "cpu size=1", "load 1: cpu has no key 'size'; it has: for rate depth work" },
		{ "cpu depth=65", "load 1: depth=65 is outside 1 to 64" },
		{ "udp-in to=1.2.3.4:0", "load 1: to=1.2.3.4:0 is not IP:PORT" },
		{ "udp-in to=1.2.3.4:80 size=39",
		  "load 1: size=39 does not fit a UDP packet of 40 to 1472 bytes" },
		{ "disk-read dev=vda",
		  "load 1: dev=vda is not an absolute path of at most 63 bytes" },
		{ "disk-write dev=/dev/vda size=1000", "load 1: size=1000 is no multiple of 512" },
		{ "disk-write", "load 1: dev= is missing: the block device or file" },
		{ "cpu + cpu + cpu + cpu + cpu + cpu + cpu + cpu + cpu", "more than 8 loads" },
	};
	struct lg_load loads[LG_LOADS_MAX];
	char error[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse(cases[i].text, loads, error), 0);
		assert_string_equal(error, cases[i].error);
	}
}

/* Words that nearly make sense, in any order: never more loads than there are, never a value
 * outside its range. */
static void test_parse_anything(void **state)
{
	static const char *const words[] = {
		"cpu",
		"udp-in",
		"disk-read",
		"+",
		"rate=5",
		"rate==",
		"for=1s",
		"for=99999999999999999999s",
		"to=1.1.1.1:1",
		"to=:",
		"dev=/",
		"dev=",
		"size=4k",
		"size=18014398509481984k",
		"=",
		"depth=2",
		"span=4096",
		"\x01\xff",
		"work=1",
	};
	struct lg_load loads[LG_LOADS_MAX];
	char error[256];
	uint64_t seed = 1;
	uint32_t good = 0;

	for (int i = 0; i < 50000; i++) {
		char text[512] = "";

		for (uint64_t n = lg_random(&seed) % 12; n > 0; n--) {
			strcat(text, words[lg_random(&seed) % (sizeof(words) / sizeof(words[0]))]);
			strcat(text, lg_random(&seed) % 8 ? " " : "");
		}
		uint32_t n = parse(text, loads, error);

		assert_true(n <= LG_LOADS_MAX);
		assert_int_equal(n == 0, error[0] != '\0');
		for (uint32_t k = 0; k < n; k++) {
			assert_true(loads[k].kind < LG_KIND_COUNT);
			assert_true(loads[k].depth >= 1 && loads[k].depth <= LG_DEPTH_MAX);
			assert_true(loads[k].size >= 1 && loads[k].size <= 1 << 20);
		}
		good += n > 0;
	}
	assert_true(good > 100);
}

static void test_due(void **state)
{
	static const uint64_t rates[] = { 1, 3, 7, 300, 44100, 999983, 10000000 };

	for (size_t r = 0; r < sizeof(rates) / sizeof(rates[0]); r++)
		for (uint64_t i = 0; i < 100000; i += 1 + i / 7) {
			uint64_t due = lg_due(rates[r], i);

			/* Exactly i operations are due before the one numbered i. */
			assert_int_equal(lg_due_count(rates[r], due), i);
			assert_int_equal(lg_due_count(rates[r], due + 1), i + 1);
		}
	assert_int_equal(lg_due_count(300, 5 * LG_NS_PER_S), 1500);
	/* A year at the highest rate does not overflow. */
	assert_int_equal(lg_due(10000000, UINT64_C(315360000000000)),
			 UINT64_C(31536000) * LG_NS_PER_S);
}

static void test_histogram(void **state)
{
	uint32_t hist[LG_HIST_COUNT] = { 0 };
	uint64_t seed = 7;

	assert_int_equal(lg_hist_quantile(hist, 500000), 0);
	assert_true(lg_hist_bucket(UINT64_MAX) < LG_HIST_COUNT);
	for (int i = 0; i < 100000; i++) {
		uint64_t ns = lg_random(&seed) >> (lg_random(&seed) % 64);
		uint64_t back = lg_hist_value(lg_hist_bucket(ns)),
			 off = back > ns ? back - ns : ns - back;

		assert_true(off <= ns / 16);
		assert_true(ns == 0 || lg_hist_bucket(ns) >= lg_hist_bucket(ns - 1));
	}
	for (uint64_t us = 1; us <= 1000; us++)
		hist[lg_hist_bucket(us * 1000)]++;
	assert_in_range(lg_hist_quantile(hist, 500000), 470000, 530000);
	assert_in_range(lg_hist_quantile(hist, 990000), 930000, 1050000);
}

/* A job ends by itself, offers exactly what it was told to, and never claims more than that. */
static void test_job(void **state)
{
	struct lg_load loads[LG_LOADS_MAX];
	char error[256], *text = NULL;
	size_t len = 0;
	uint32_t n =
		parse("cpu rate=500 work=10 for=500ms depth=2 + dirty rate=200 span=1m for=500ms",
		      loads, error);
	struct lg_job *job = lg_job_start(loads, n, error, sizeof(error));
	FILE *out = open_memstream(&text, &len);
	unsigned long long offered, achieved;

	assert_non_null(job);
	assert_non_null(out);
	while (!lg_job_over(job))
		lg_sleep_until(lg_now() + LG_NS_PER_MS);
	lg_job_stop(job);
	lg_job_report(job, out);
	fclose(out);
	const char *first = strstr(text, "\"kind\":\"cpu\""),
		   *second = strstr(text, "\"kind\":\"dirty\"");

	assert_non_null(first);
	assert_non_null(second);
	assert_int_equal(sscanf(strstr(first, "\"offered\""), "\"offered\":%llu", &offered), 1);
	assert_int_equal(sscanf(strstr(first, "\"achieved\""), "\"achieved\":%llu", &achieved), 1);
	assert_int_equal(offered, 250);
	assert_in_range(achieved, 1, 250);
	assert_int_equal(sscanf(strstr(second, "\"offered\""), "\"offered\":%llu", &offered), 1);
	assert_int_equal(offered, 100);
	lg_job_free(job);
	free(text);
}

/* A job whose second load cannot start does not run the first. */
static void test_job_whole_or_not(void **state)
{
	struct lg_load loads[LG_LOADS_MAX];
	char error[256];
	uint32_t n = parse("cpu for=1s + disk-read dev=/nowhere/at/all for=1s", loads, error);

	assert_int_equal(n, 2);
	assert_null(lg_job_start(loads, n, error, sizeof(error)));
	assert_string_equal(
		error,
		"load 2 (disk-read): opening /nowhere/at/all past the cache: No such file or directory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_parse_anything),
		cmocka_unit_test(test_due),
		cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_job),
		cmocka_unit_test(test_job_whole_or_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
