/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engine on a host made of lines: what a tick writes down before it acts, what it skips, what
 * it remembers over a restart, what it does with what it is told. (Real threads: system/kill.sh.)
 */
#include "lines.h"

/* ---- tests ---- */

static void test_tick(void **state)
{
	struct place *p = *state;
	struct cl_engine *e = open_engine(p);
	struct cl_journal j;
	struct cl_tick tick;

	observe(e);
	assert_null(cl_engine_prev(e));
	assert_int_equal(cl_journal_read(p->dir, &j, NULL), -ENOENT); /* deciding writes nothing */
	tick = apply(e);
	assert_int_equal(tick.done, 2 + THREADS);
	assert_int_equal(tick.failed + tick.skipped, 0);
	threads_on(&p->fake, "1");
	assert_int_equal(cl_journal_read(p->dir, &j, NULL), 0);
	assert_string_equal(j.host, "fake:");
	assert_int_equal(j.entry_count, 2 + THREADS);
	assert_false(j.entries[0].change.from.present);
	for (uint32_t i = 2; i < j.entry_count; i++) {
		assert_string_equal(j.entries[i].change.from.path, "/");
		assert_int_equal(cl_cpuset_count(&j.entries[i].change.from.cpus), 2);
		/* no such process: then it is one of its own */
		assert_int_equal(j.entries[i].change.process, 0);
	}
	cl_journal_done(&j);
	tick = apply(e); /* the same plan is not applied twice */
	assert_int_equal(tick.done, 0);
	assert_int_equal(p->fake.applied, 2 + THREADS);
	observe(e);
	assert_non_null(cl_engine_prev(e));
	assert_int_equal(cl_engine_plan(e)->n.actions, 0);
	keep(e);
	assert_int_equal(p->closed, 1);
}

static void test_predecessor_failed(void **state)
{
	struct place *p = *state;
	struct cl_engine *e = open_engine(p);
	struct cl_tick tick;

	p->fake.fail = EACCES;
	observe(e);
	tick = apply(e);
	assert_int_equal(tick.failed, 1); /* the container of all containers */
	assert_int_equal(tick.skipped, 1 + THREADS);
	assert_int_equal(p->fake.applied, 1);
	threads_on(&p->fake, "0-1");
	keep(e);
}

static void test_bad_snapshot_is_refused(void **state)
{
	struct place *p = *state;
	struct cl_engine *e = open_engine(p);
	const struct cl_snapshot *before;
	struct cl_tick tick;

	observe(e);
	before = cl_engine_now(e);
	p->fake.spoilt = true;
	assert_int_equal(cl_engine_observe(e, &tick, NULL), 0);
	assert_int_equal(tick.fault, CL_SNAPSHOT_ORDER);
	assert_ptr_equal(cl_engine_now(e), before); /* the sound one is kept */
	tick = apply(e);
	assert_int_equal(tick.done + tick.failed, 0);
	assert_int_equal(p->fake.applied, 0);
	observe(e); /* and it goes on */
	assert_int_equal(apply(e).done, 2 + THREADS);
	keep(e);
}

static void test_full_disk_applies_nothing(void **state)
{
	struct place *p = *state;
	char path[96], fill[4096] = { 0 };
	struct cl_engine *e;
	struct cl_error err;
	struct cl_tick tick;
	int fd;

	if (mount("none", p->dir, "tmpfs", 0, "size=16k,mode=0700") < 0)
		skip(); /* needs root */
	e = open_engine(p);
	observe(e);
	snprintf(path, sizeof(path), "%s/fill", p->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write(fd, fill, sizeof(fill)) > 0)
		;
	close(fd);
	assert_int_equal(cl_engine_apply(e, NULL, NULL, &tick, &err), -ENOSPC);
	assert_int_equal(p->fake.applied, 0);
	threads_on(&p->fake, "0-1");
	unlink(path);
	observe(e);
	assert_int_equal(apply(e).done, 2 + THREADS); /* and goes on when there is space */
	keep(e);
}

/* Another closer takes over what a killed one left: its values are ours, the first `from` stays. */
static void test_restart_owns_what_was_set(void **state)
{
	struct place *p = *state;
	struct cl_engine *e = open_engine(p);
	struct cl_journal j;

	p->fake.groups = false; /* by masks alone: nothing but the journal tells whose they are */
	observe(e);
	assert_int_equal(apply(e).done, THREADS);
	keep(e);
	e = open_engine(p);
	observe(e);
	for (uint32_t i = 0; i < THREADS; i++)
		assert_int_not_equal(cl_engine_plan(e)->verdicts[i].left.code, CL_REASON_FOREIGN);
	assert_int_equal(cl_engine_plan(e)->n.actions, 0);
	/* and may go on changing them */
	keep(e);
	assert_int_equal(cl_journal_read(p->dir, &j, NULL), 0);
	assert_int_equal(j.entry_count, THREADS);
	assert_int_equal(cl_cpuset_count(&j.entries[0].change.from.cpus), 2);
	cl_journal_done(&j);
}

/* Pins first; a restart knows which are ours, and which were never made, though written down. */
static void test_restart_owns_pins(void **state)
{
	struct place *p = *state;
	struct cl_engine *e = open_engine(p);
	struct cl_journal j;

	p->fake.groups = false;
	p->fake.domain = true;
	p->fake.fail = EIO;
	observe(e);
	assert_true(cl_plan_goes_on(cl_engine_plan(e)));
	assert_int_equal(apply(e).failed, 2);
	assert_int_equal(cl_cpuset_count(&p->fake.pins[1]), 2);
	keep(e);
	p->fake.fail = 0;
	e = open_engine(p);
	observe(e);
	assert_int_equal(cl_engine_state(e)->cpus[1].pins_hash, 0);
	assert_int_equal(apply(e).done, 2);
	assert_int_equal(cl_cpuset_next(&p->fake.pins[1], 0), 1);
	observe(e);
	assert_false(cl_plan_goes_on(cl_engine_plan(e)));
	assert_int_equal(apply(e).done, THREADS);
	keep(e);
	e = open_engine(p);
	observe(e);
	assert_int_equal(cl_engine_state(e)->cpus[1].pins_hash, cl_cpuset_hash(&p->fake.pins[1]));
	assert_int_equal(cl_engine_plan(e)->n.actions, 0);
	p->fake.pins[1] = cpus("0"); /* somebody */
	observe(e);
	assert_int_equal(cl_engine_plan(e)->n.actions, 1);
	assert_int_equal(apply(e).done, 1);
	keep(e);
	assert_int_equal(cl_journal_read(p->dir, &j, NULL), 0);
	for (uint32_t i = 0; i < j.entry_count; i++) {
		const struct cl_change *c = &j.entries[i].change;

		assert_int_equal(j.entries[i].dropped, c->kind == CL_CHANGE_VCPU && c->vcpu == 1);
		if (c->kind == CL_CHANGE_VCPU)
			assert_int_equal(cl_cpuset_count(&c->from.cpus), 2);
	}
	cl_journal_done(&j);
}

/* Started again, closer knows by the journal what the operator's cap is, and by the ledger who owes
 * what. */
static void test_charged_again(void **state)
{
	struct place *p = *state;
	struct cl_engine *e;
	const struct cl_charge_books *c;
	struct cl_ledger was;

	snprintf(p->ledger, sizeof(p->ledger), "%s/ledger", p->dir);
	p->fake.groups = false;
	p->fake.cap = 900000;
	e = open_engine(p);
	for (int i = 0; i < 6; i++) {
		observe(e);
		apply(e);
	}
	c = &cl_engine_plan(e)->guest_books[0].charge;
	was = c->ledger;
	assert_int_equal(c->charged_ns, THREADS * 100 * CL_NS_PER_MS);
	assert_true(p->fake.cap < 900000 && was.owed_ns > 0);
	keep(e);
	e = open_engine(p);
	observe(e);
	c = &cl_engine_plan(e)->guest_books[0].charge;
	assert_int_equal(c->contract, 900000);
	assert_memory_equal(&c->ledger, &was, sizeof(was));
	apply(e);
	observe(e);
	assert_int_equal(cl_engine_plan(e)->guest_books[0].charge.ledger.charged_ns,
			 was.charged_ns + THREADS * 100 * CL_NS_PER_MS);
	p->fake.cap = 300000; /* the operator's, by now */
	observe(e);
	assert_int_equal(cl_engine_plan(e)->guest_books[0].charge.contract, 300000);
	apply(e);
	keep(e);
}

static void all_left_as(const struct cl_engine *e, enum cl_reason reason)
{
	for (uint32_t i = 0; i < THREADS; i++)
		assert_int_equal(cl_engine_plan(e)->verdicts[i].left.code, reason);
}

/* Who looks on beside a closer that acts does not take what that one has set for somebody's. */
static void test_onlooker_knows_what_is_set(void **state)
{
	struct place *p = *state;
	struct cl_engine *e = open_engine(p), *looks = NULL;
	struct cl_engine_options options = { .state_dir = p->dir, .limits = &cl_limits_small };
	char path[96];

	p->fake.groups = false;
	cl_params_default(&options.params);
	assert_int_equal(cl_engine_open_host(&options, &p->fake.host, "fake:", &looks, NULL), 0);
	observe(looks); /* before there is a journal: it is met later */
	observe(e);
	assert_int_equal(apply(e).done, THREADS);
	observe(looks);
	all_left_as(looks, CL_REASON_IN_PLACE);
	keep(looks);
	keep(e);
	/* Without the journal nothing says whose they are. */
	snprintf(path, sizeof(path), "%s/journal", p->dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(cl_engine_open_host(&options, &p->fake.host, "fake:", &looks, NULL), 0);
	observe(looks);
	all_left_as(looks, CL_REASON_FOREIGN);
	keep(looks);
}

/* Set by hand: reported and dropped; taken over only when it is adopted. */
static void test_foreign_then_adopted(void **state)
{
	struct place *p = *state;
	struct cl_engine *e = open_engine(p);
	const struct cl_object object = { .thread = { TID + 2, 7 } };
	struct cl_cpuset by_hand = cpus("0"), ours = cpus("1");
	struct cl_journal j;

	p->fake.groups = false;
	observe(e);
	assert_int_equal(apply(e).done, THREADS);
	p->fake.mask[2] = by_hand;
	for (int i = 0; i < 3; i++) {
		observe(e);
		apply(e);
	}
	assert_true(cl_cpuset_equal(&p->fake.mask[2], &by_hand));
	assert_int_equal(cl_engine_plan(e)->verdicts[2].left.code, CL_REASON_FOREIGN);
	assert_int_equal(cl_journal_read(p->dir, &j, NULL), 0);
	assert_int_equal(j.entry_count, THREADS);
	assert_true(j.entries[2].dropped);
	cl_journal_done(&j);

	assert_int_equal(cl_adopt_request(p->dir, &object, false, NULL), 0);
	p->fake.stale = true; /* which costs a tick, not the request */
	for (int i = 0; i < 8 && !cl_cpuset_equal(&p->fake.mask[2], &ours); i++) {
		observe(e);
		apply(e);
	}
	assert_true(cl_cpuset_equal(&p->fake.mask[2], &ours));
	assert_false(p->fake.stale);
	assert_int_equal(cl_journal_read(p->dir, &j, NULL), 0);
	assert_false(j.entries[2].dropped);
	assert_true(cl_cpuset_equal(&j.entries[2].change.from.cpus,
				    &by_hand)); /* undo gives him that back */
	cl_journal_done(&j);

	/* so it does where he hands it over before closer has seen it */
	p->fake.mask[1] = by_hand;
	assert_int_equal(cl_adopt_request(p->dir, &(struct cl_object){ .thread = { TID + 1, 7 } },
					  false, NULL),
			 0);
	observe(e);
	assert_int_equal(apply(e).done, 1);
	assert_int_equal(cl_journal_read(p->dir, &j, NULL), 0);
	assert_true(cl_cpuset_equal(&j.entries[1].change.from.cpus, &by_hand));
	cl_journal_done(&j);
	keep(e);
}

/* A request for a thread that is not in sight waits a little, then for the next closer. */
static void test_adopt_waits(void **state)
{
	struct place *p = *state;
	struct cl_engine *e = open_engine(p);
	const struct cl_object object = { .thread = { TID + 99, 7 } };
	char path[96];

	snprintf(path, sizeof(path), "%s/adopt", p->dir);
	assert_int_equal(cl_adopt_request(p->dir, &object, false, NULL), 0);
	observe(e);
	assert_int_equal(access(path, F_OK), -1);
	keep(e);
	assert_int_equal(access(path, F_OK), 0);
	e = open_engine(p);
	for (int i = 0; i < 10; i++)
		observe(e);
	keep(e);
	assert_int_equal(access(path, F_OK), -1);
}

static void test_one_at_a_time(void **state)
{
	struct place *p = *state;
	struct cl_engine *e = open_engine(p), *second;
	struct cl_engine_options options = { .state_dir = p->dir,
					     .act = true,
					     .limits = &cl_limits_small };
	struct cl_error err;
	char pid[32];

	cl_params_default(&options.params);
	assert_int_equal(cl_engine_open_host(&options, &p->fake.host, "fake:", &second, &err),
			 -EBUSY);
	snprintf(pid, sizeof(pid), "(pid %d)", getpid());
	assert_non_null(strstr(err.text, pid));
	assert_int_equal(p->closed, 1); /* it was the second one's to close */
	options.act = false;            /* looking on is always possible */
	assert_int_equal(cl_engine_open_host(&options, &p->fake.host, "fake:", &second, &err), 0);
	observe(second);
	assert_int_equal(cl_engine_apply(second, NULL, NULL, NULL, &err), -EPERM);
	keep(second);
	keep(e);
	keep(open_engine(p));
}

static void test_supervisor_is_replaced(void **state)
{
	struct place *p = *state;
	struct cl_engine *e = open_engine(p);
	char path[96], text[64];
	const char *rest;
	struct cl_tick tick;
	uint64_t pid, superv;

	snprintf(path, sizeof(path), "%s/lock", p->dir);
	if (geteuid() == 0)
		snprintf(path, sizeof(path), "%s", CL_MACHINE_LOCK);
	assert_true(cl_read_file(AT_FDCWD, path, text, sizeof(text)) > 0);
	assert_true(cl_parse_u64(text, &pid, &rest) && cl_parse_u64(rest + 1, &superv, NULL));
	assert_int_equal(pid, getpid());
	assert_int_equal(kill((pid_t)superv, SIGTERM), 0); /* which it does not mind */
	assert_int_equal(kill((pid_t)superv, SIGKILL), 0);
	siginfo_t info;

	assert_int_equal(waitid(P_PID, (id_t)superv, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(info.si_status, SIGKILL);
	assert_int_equal(cl_engine_observe(e, &tick, NULL), 0);
	assert_true(tick.supervisor_restarted);
	assert_int_equal(cl_engine_observe(e, &tick, NULL), 0);
	assert_false(tick.supervisor_restarted);
	keep(e);
}

/* A path that could not be read back is not written down, and so not done. */
static void test_unsound_is_not_done(void **state)
{
	struct place *p = *state;
	struct cl_engine *e = open_engine(p);
	struct cl_tick tick;
	struct cl_journal_writer *w;

	snprintf(p->fake.group[1], CL_PATH_MAX, "/../outside");
	observe(e);
	tick = apply(e);
	assert_int_equal(tick.failed, cl_engine_plan(e)->n.actions == 2 + THREADS ? 1 : 0);
	assert_true(tick.done >= 2 + THREADS - 1);
	assert_string_equal(p->fake.group[1], "/../outside");
	keep(e);
	assert_int_equal(cl_journal_open(p->dir, "fake:", &w, NULL), 0);
	cl_journal_close(w);
}

static void test_hosts(void **state)
{
	struct cl_host *host;
	struct cl_error err;

	assert_int_equal(cl_host_open("nosuch:x", &host, NULL, 0, &err), -EINVAL);
	assert_non_null(strstr(err.text, "template:"));
	assert_non_null(strstr(err.text, "qemu:"));
	assert_int_equal(cl_host_open("template", &host, NULL, 0, &err), -EINVAL);
	assert_int_equal(cl_host_open("temp:1", &host, NULL, 0, &err), -EINVAL);
	cl_host_close(NULL);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_tick),
		T(test_predecessor_failed),
		T(test_bad_snapshot_is_refused),
		T(test_full_disk_applies_nothing),
		T(test_restart_owns_what_was_set),
		T(test_restart_owns_pins),
		T(test_charged_again),
		T(test_onlooker_knows_what_is_set),
		T(test_foreign_then_adopted),
		T(test_adopt_waits),
		T(test_one_at_a_time),
		T(test_supervisor_is_replaced),
		T(test_unsound_is_not_done),
		T(test_hosts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
