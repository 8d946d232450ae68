/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A simulated host under the engine: placed like a real one, and nothing of it ever on this
 * machine. */
#include "unit.h"

#include "costs.h"
#include "host.h"
#include "internal.h"
#include "record.h"
#include "setup.h"
#include "simulate.h"

#include <errno.h>
#include <sys/stat.h>
#include <xxhash.h>

static const char text[] =
	SIM_TEST_COSTS "[scenario]\ntitle=t\nduration=5s\nwarmup=1s\n[machine]\nnodes=2\ncores=4\n"
		       "[dom0]\nvcpus=4\npcpus=0-3\n[nic eth0]\n[disk sda]\n"
		       "[guest web]\ncount=3\nvcpus=2\nmemory=256MiB\nnode=1\n"
		       "[load burn]\nguest=web\ntype=hog\n[load manage]\nguest=dom0\ntype=hog\n";

static char dir[64], path[128], uri[192], none[128];

static int setup(void **state)
{
	strcpy(dir, "/tmp/test_sim_host.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s.ini", dir);
	snprintf(uri, sizeof(uri), "sim:%s", path);
	snprintf(none, sizeof(none), "%s/state", dir);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static struct cl_engine *open_engine(const char *host, bool act, const char *record)
{
	struct cl_engine_options options = {
		.host_uri = host, .state_dir = none, .act = act, .record = record
	};
	struct cl_engine *engine = NULL;
	struct cl_error error;

	cl_params_default(&options.params);
	if (cl_engine_open(&options, &engine, &error) < 0)
		fail_msg("%s", error.text);
	return engine;
}

/* To the end of the scenario; what was done. */
static uint32_t to_the_end(struct cl_engine *engine, uint32_t *ret_ticks)
{
	enum cl_wake why = CL_WAKE_TIMER;
	struct cl_error error;
	uint32_t done = 0;

	for (*ret_ticks = 0; why != CL_WAKE_END; (*ret_ticks)++) {
		struct cl_tick tick;

		if (cl_engine_observe(engine, &tick, &error) < 0)
			fail_msg("%s", error.text);
		assert_int_equal(tick.fault, CL_SNAPSHOT_NONE);
		if (cl_engine_apply(engine, NULL, NULL, &tick, &error) < 0)
			fail_msg("%s", error.text);
		assert_int_equal(tick.failed, 0);
		done += tick.done;
		assert_int_equal(cl_engine_wait(engine, CL_NS_PER_S, -1, &why, &error), 0);
	}
	return done;
}

/* Threads are moved in the simulated dom0; here there is neither lock nor journal, and the state
 * directory is not even made. */
static void acts_without_a_trace(void **state)
{
	struct cl_undo_report report = { .restored = 7 };
	struct cl_engine *engine = open_engine(uri, true, NULL);
	struct cl_error error;
	uint32_t ticks, moved = 0;
	struct stat st;

	assert_true(to_the_end(engine, &ticks) > 0);
	assert_int_equal(ticks, 5);
	assert_int_equal(cl_engine_clock_ns(engine), 5 * CL_NS_PER_S);
	const struct cl_snapshot *snap = cl_engine_now(engine);

	for (uint32_t i = 0; i < snap->n.works; i++)
		moved += strncmp(cl_snapshot_str(snap, snap->groups[snap->works[i].group.v].path),
				 "/closer/", 8) == 0;
	assert_int_equal(moved, snap->n.works);
	assert_true(moved >= 3);
	assert_int_equal(cl_engine_close(engine, CL_END_UNDO, 0, &report, &error), 0);
	assert_int_equal(report.objects + report.restored, 0);
	assert_true(report.verified);
	assert_int_equal(stat(none, &st), -1);
	assert_int_equal(errno, ENOENT);
}

/* An engine that only looks does not take this machine's journal for the simulated host's. */
static void looks_without_a_journal(void **state)
{
	struct cl_engine *engine = open_engine(uri, false, NULL);
	struct cl_error error;

	assert_int_equal(cl_engine_observe(engine, NULL, &error), 0);
	assert_true(cl_engine_now(engine)->taken_ns > 0);
	assert_int_equal(cl_engine_apply(engine, NULL, NULL, NULL, &error), -EPERM);
	cl_engine_close(engine, CL_END_KEEP, 0, NULL, NULL);
}

static void replays(void **state)
{
	struct cl_replay *replay = NULL;
	struct cl_error error;
	uint32_t ticks, n = 0;
	char file[160];
	int r;

	snprintf(file, sizeof(file), "%s/recording", dir);
	struct cl_engine *engine = open_engine(uri, true, file);

	to_the_end(engine, &ticks);
	assert_int_equal(cl_engine_close(engine, CL_END_KEEP, 0, NULL, &error), 0);
	assert_int_equal(cl_replay_open(file, &replay, &error), 0);
	while ((r = cl_replay_next(replay, &error)) == 0) {
		assert_true(cl_replay_same(replay));
		n++;
	}
	assert_int_equal(r, -ENODATA);
	assert_int_equal(n, ticks);
	cl_replay_close(replay);
}

static void uris(void **state)
{
	static const char *const wrong[] = { "sim:", "sim:no-such-scenario", "sim:x:seed=y",
					     "sim::seed=3" };
	char with_seed[256];
	struct cl_host *host = NULL;
	struct cl_error error;

	assert_true(cl_host_simulated(uri) && cl_host_simulated("sim:x") &&
		    cl_host_simulated("sim"));
	assert_false(cl_host_simulated("qemu:/x") || cl_host_simulated(NULL) ||
		     cl_host_simulated("simx:y") || cl_host_simulated(""));
	for (size_t i = 0; i < CL_COUNT(wrong); i++) {
		error.text[0] = '\0';
		assert_true(cl_host_open(wrong[i], &host, NULL, 0, &error) < 0);
		assert_true(error.text[0]);
	}
	snprintf(with_seed, sizeof(with_seed), "%s:seed=12", uri);
	assert_int_equal(cl_host_open(with_seed, &host, NULL, 0, &error), 0);
	cl_host_close(host);
}

/* Even if somebody made such a journal: none of its numbers is touched, and it is not used. */
static void undo_refuses(void **state)
{
	struct cl_change change = { .kind = CL_CHANGE_THREAD, .thread = { getpid(), 1 } };
	const enum cl_reason why = CL_REASON_NONE;
	struct cl_journal_writer *writer = NULL;
	char file[160], line[] = "host sim:two-nodes", all[4096] = "", *at, *end;
	struct cl_undo_report report;
	struct cl_error error;
	uint32_t id;

	assert_int_equal(mkdir(none, 0700), 0);
	assert_int_equal(cl_journal_open(none, "sim:two-nodes", &writer, &error), -EINVAL);
	assert_int_equal(cl_journal_open(none, "qemu:/x", &writer, &error), 0);
	change.from.present = change.to.present = true;
	cl_cpuset_add(&change.from.cpus, 0);
	cl_cpuset_add(&change.to.cpus, 1);
	assert_int_equal(cl_journal_plan(writer, &change, &why, 1, &id, &error), 0);
	cl_journal_close(writer);
	snprintf(file, sizeof(file), "%s/" CL_JOURNAL_FILE, none);
	assert_true(cl_read_file(-1, file, all, sizeof(all)) > 0);
	at = strstr(all, "host qemu:/x");
	assert_non_null(at);
	end = strchr(at, '\n');
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	fprintf(f, "%.*s%s #%08x%s", (int)(at - all), all, line,
		(unsigned)XXH32(line, strlen(line), 0), end);
	fclose(f);
	assert_int_equal(cl_undo(none, false, NULL, NULL, &report, &error), -EINVAL);
	assert_non_null(strstr(error.text, "simulated host"));
	assert_int_equal(access(file, F_OK), 0);
}

static const struct cl_sim_policy *policy(const char *name)
{
	const struct cl_sim_policy *found = cl_sim_policy_find(name);

	assert_non_null(found);
	return found;
}

static void policies(void **state)
{
	static struct cl_sim_outcome one, two;
	struct sim_scenario *scenario = NULL;
	struct cl_error error;

	assert_int_equal(sim_scenario_read(path, NULL, 0, &scenario, &error), 0);
	for (const struct cl_sim_policy *p = cl_sim_policies; p->name; p++) {
		bool acts = strcmp(p->name, "closer") == 0;

		assert_int_equal(cl_simulate(scenario, 3, p, &one, &error), 0);
		assert_int_equal(cl_simulate(scenario, 3, p, &two, &error), 0);
		assert_int_equal(one.digest, two.digest);
		assert_int_equal(one.events, two.events);
		assert_int_equal(one.report.count, two.report.count);
		assert_true(one.report.count > 4);
		for (uint32_t i = 0; i < one.report.count; i++)
			assert_true(one.report.metrics[i].value == two.report.metrics[i].value);
		assert_int_equal(one.done > 0, acts);
	}
	assert_int_equal(cl_simulate(scenario, 3, policy("native"), &one, &error), 0);
	assert_int_equal(cl_simulate(scenario, 3, policy("pinned"), &two, &error), 0);
	assert_int_not_equal(one.digest, two.digest);
	sim_scenario_free(scenario);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(acts_without_a_trace),
		cmocka_unit_test(looks_without_a_journal),
		cmocka_unit_test(replays),
		cmocka_unit_test(uris),
		cmocka_unit_test(undo_refuses),
		cmocka_unit_test(policies),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
