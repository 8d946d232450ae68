/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Traces: what is read, what is refused and how, what is made up, and how it is played. */
#include "load_world.h"
#include "trace.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/closer-trace-XXXXXX";
static char path[64];

static void write_file(const char *text, size_t length)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

static int make_dir(void **state)
{
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/web-0.csv", dir);
	return 0;
}

static int remove_dir(void **state)
{
	unlink(path);
	return rmdir(dir);
}

static void is_read(void **state)
{
	static const struct {
		const char *text;
		uint32_t count, ppm[3];
	} good[] = {
		{ "0\n100\n12.5\n", 3, { 0, 1000000, 125000 } },
		{ "7", 1, { 70000 } },
		{ "# a host\n# of ours\n1.001\r\n 2 \n", 2, { 10010, 20000 } },
		{ "0,50\n300,51\n600, 0.001\n", 3, { 500000, 510000, 10 } },
	};
	struct sim_trace trace;
	struct cl_error err;

	for (size_t i = 0; i < 4; i++) {
		write_file(good[i].text, strlen(good[i].text));
		assert_int_equal(sim_trace_read(path, &trace, &err), 0);
		assert_int_equal(trace.count, good[i].count);
		assert_memory_equal(trace.ppm, good[i].ppm, trace.count * sizeof(uint32_t));
		sim_trace_free(&trace);
	}
}

static void is_refused(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "", "web-0.csv:0: no values" },
		{ "# nothing\n", "web-0.csv:1: no values" },
		{ "1\n\n2\n", "web-0.csv:2: an empty line: a value is missing" },
		{ "1\n2\n# late\n", "web-0.csv:3: not a percentage" },
		{ "1\n101\n", "web-0.csv:2: more than 100 %" },
		{ "100.001\n", "web-0.csv:1: more than 100 %" },
		{ "-1\n", "web-0.csv:1: not a percentage" },
		{ "1\nnan\n", "web-0.csv:2: not a percentage" },
		{ "1e1\n", "web-0.csv:1: not a percentage" },
		{ "1.\n", "web-0.csv:1: not a percentage" },
		{ "1.2345\n", "web-0.csv:1: not a percentage" },
		{ "12345678901\n", "web-0.csv:1: not a percentage" },
		{ "0,1\n300\n", "web-0.csv:2: ragged" },
		{ "1\n2,3\n", "web-0.csv:2: ragged" },
		{ "0,1,2\n", "web-0.csv:1: more than two columns" },
		{ "0,\n", "web-0.csv:1: the value is missing" },
		{ ",1\n", "web-0.csv:1: the first column is not a time" },
		{ "0,1\n600,2\n",
		  "web-0.csv:2: 600 s, and it should be 300: an interval is missing" },
		{ "0,1\n299,2\n", "web-0.csv:2: the time does not rise by 300 s" },
		{ "1\n"
		  "                                                                               "
		  "                                                                               2\n",
		  "web-0.csv:2: too long a line" },
	};
	struct sim_trace trace = { 0 };
	struct cl_error err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write_file(bad[i].text, strlen(bad[i].text));
		assert_int_equal(sim_trace_read(path, &trace, &err), -EINVAL);
		assert_null(trace.ppm);
		if (!strstr(err.text, bad[i].says))
			fail_msg("\"%s\": %s", bad[i].text, err.text);
	}
	write_file("1\n\0\n2\n", 6);
	assert_int_equal(sim_trace_read(path, &trace, &err), -EINVAL);
	assert_non_null(strstr(err.text, "web-0.csv:2: too long a line, or not text"));
	unlink(path);
	assert_int_equal(sim_trace_read(path, &trace, &err), -ENOENT);
	assert_non_null(strstr(err.text, path));
	assert_int_equal(sim_trace_read(dir, &trace, &err), -EIO);
}

static const struct sim_trace_shape shape = {
	.days = 30,
	.mean = 300000,
	.swing = 200000,
	.noise = 50000,
	.spikes = 10000,
	.spike = 400000,
	.last = 3,
};

static void is_made_up(void **state)
{
	struct sim_trace trace, again, other;
	struct sim_random random;
	uint64_t sum = 0, of_night = 0, of_day = 0, spikes = 0;

	sim_random_init(&random, 1, 1);
	assert_true(sim_trace_generate(&shape, &random, &trace));
	assert_true(sim_trace_generate(&shape, &random, &other));
	sim_random_init(&random, 1, 1);
	assert_true(sim_trace_generate(&shape, &random, &again));
	assert_int_equal(trace.count, 30 * 288);
	assert_memory_equal(trace.ppm, again.ppm, trace.count * sizeof(uint32_t));
	assert_memory_not_equal(trace.ppm, other.ppm, trace.count * sizeof(uint32_t));
	for (uint32_t i = 0; i < trace.count; i++) {
		assert_in_range(trace.ppm[i], 0, 1000000);
		sum += trace.ppm[i];
		spikes += trace.ppm[i] > 700000; /* the day's most and four deviations */
		if (i % 288 / 12 == 4)
			of_night += trace.ppm[i];
		if (i % 288 / 12 == 16)
			of_day += trace.ppm[i];
	}
	/* A spike lasts four intervals: 4 % of the time 400,000 more. */
	near((double)sum / trace.count, 300000 + 0.038 * 400000, 0.03);
	near((double)of_night / (30 * 12), 100000 + 0.038 * 400000, 0.2);
	near((double)of_day / (30 * 12), 500000 + 0.038 * 400000, 0.06);
	assert_in_range(spikes, 30, 345);
	sim_trace_free(&trace);
	sim_trace_free(&again);
	sim_trace_free(&other);
}

/* What is written is what is read. */
static void comes_back(void **state)
{
	struct sim_trace trace, back;
	struct sim_random random;
	struct cl_error err;

	sim_random_init(&random, 2, 2);
	assert_true(sim_trace_generate(&shape, &random, &trace));
	assert_int_equal(sim_trace_write(path, &trace, &err), 0);
	assert_int_equal(sim_trace_read(path, &back, &err), 0);
	assert_int_equal(back.count, trace.count);
	for (uint32_t i = 0; i < trace.count; i++)
		assert_int_equal(back.ppm[i], trace.ppm[i] / 10 * 10);
	sim_trace_free(&trace);
	sim_trace_free(&back);
	assert_int_equal(sim_trace_write(dir, &trace, &err), -EISDIR);
}

static struct sim_load *play(struct host *host, const char *file)
{
	struct sim_load *load =
		sim_load_new(host->world, sim_load_find("trace"), host->guest, "l", 1);

	for (const struct sim_load_param *p = load->ops->params; p->name; p++)
		if (p->unit == SIM_TEXT)
			snprintf((char *)load + p->offset, CL_PATH_MAX, "%s", file);
	host_set(load, "interval", S);
	host->loads[host->load_count++] = load;
	return load;
}

/* 10, 80 and 30 % for a second each, of two vCPUs, and again; the guest's file in a directory. */
static void is_played(void **state)
{
	static struct sim_report report;
	static struct host host;
	static const double shares[] = { 0.1, 0.8, 0.3 };
	struct cl_error err;

	write_file("10\n80\n30\n", 9);
	host_begin(&host, 1, NULL);
	struct sim_load *load = play(&host, dir);

	host_start(&host, load);
	host_run(&host, 95 * MS); /* a slot's work is over, the next one begins soon */
	for (size_t i = 0; i < 3; i++) {
		host_measure(&host, load, S, &report);
		double share = 2 * (shares[i] * 9 + shares[(i + 1) % 3]) / 10;

		near(metric(&report, "asked"), share, 0.01);
		near(metric(&report, "cpu"), share, 0.01);
		near(metric(&report, "short") + 1, 1, 0);
	}
	/* Not at the place of another guest. */
	strcpy(host.guest->name, "web-1");
	assert_true(load->ops->start(play(&host, dir), &err) < 0);
	assert_non_null(strstr(err.text, "/web-1.csv"));
	host_end(&host);
}

/* Beside a task that burns it gets half of one vCPU, and says what is short. */
static void is_short(void **state)
{
	static struct sim_report report;
	static struct host host;

	write_file("100\n", 4);
	host_begin(&host, 1, NULL);
	struct sim_load *load = play(&host, path);

	host_load(&host, "hog", "tasks", UINT64_C(2), NULL);
	host_start(&host, load);
	host_run(&host, S);
	host_measure(&host, load, 10 * S, &report);
	near(metric(&report, "asked"), 2, 0.01);
	near(metric(&report, "cpu"), 1, 0.05);
	near(metric(&report, "short"), 1, 0.05);
	host_end(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_read),    cmocka_unit_test(is_refused),
		cmocka_unit_test(is_made_up), cmocka_unit_test(comes_back),
		cmocka_unit_test(is_played),  cmocka_unit_test(is_short),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
