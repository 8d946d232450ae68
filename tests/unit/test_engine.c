/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engine on a host made of lines: what a tick writes down before it acts, what it skips, what
 * it remembers over a restart, what it does with what it is told. (Real threads: system/kill.sh.)
 */
#include "act.h"
#include "expand.h"

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define THREADS 4
#define TID     4000000 /* above any pid_max: never a real thread, whatever undo might do */

/* ---- the host ---- */

struct fake {
	struct cl_host host;
	uint64_t now_ns;
	struct cl_cpuset mask[THREADS];
	char group[THREADS][CL_PATH_MAX];
	char made[2][CL_PATH_MAX];
	uint32_t made_count;
	int fail;    /* errno of every creation of a container */
	bool stale;  /* the next thread is found otherwise than it was seen */
	bool spoilt; /* the next snapshot is out of order */
	bool groups;
	uint32_t applied;
	int *closed;
};

static const struct cl_uuid uuid = { { 1, 2, 3 } };

static struct cl_cpuset cpus(const char *list)
{
	struct cl_cpuset set;

	assert_true(cl_cpuset_parse(list, strlen(list), &set));
	return set;
}

static struct cl_group_ix group_at(struct cl_snapshot *snap, const char *path, const char *list,
				   bool ours)
{
	struct cl_cpuset set = cpus(list);
	struct cl_group *g;

	for (uint32_t i = 0; i < snap->n.groups; i++) {
		if (strcmp(cl_snapshot_str(snap, snap->groups[i].path), path) == 0)
			return (struct cl_group_ix){ i };
	}
	g = cl_snapshot_add_groups(snap);
	g->path = cl_snapshot_text(snap, path);
	g->cpus = cl_snapshot_mask(snap, &set);
	g->ours = ours;
	if (ours && strlen(path) > 8)
		g->guest = uuid;
	return (struct cl_group_ix){ snap->n.groups - 1 };
}

static void add_threads(const struct fake *f, struct cl_snapshot *snap)
{
	for (int32_t i = 0; i < THREADS; i++) {
		struct cl_work *k = cl_snapshot_add_works(snap);

		k->guest.v = 0;
		k->kind = CL_WORK_THREAD;
		k->thread = (struct cl_tid){ TID + i, 7 };
		memcpy(k->name, "io", 3);
		k->cpu.v = 0;
		k->mask = cl_snapshot_mask(snap, &f->mask[i]);
		k->group = group_at(snap, f->group[i], f->group[i][1] ? "1" : "0-1",
				    f->group[i][1] != '\0');
		k->cpu_ns = f->now_ns / 10;
		k->wait_ns = 0;
		k->read_ns = f->now_ns;
	}
}

static int fake_observe(struct cl_host *host, uint64_t deadline_ns, struct cl_snapshot *snap,
			struct cl_error *reterr)
{
	struct fake *f = (struct fake *)host;
	struct cl_cpuset all = cpus("0-1");
	uint32_t scratch[256];

	cl_snapshot_reset(snap);
	f->now_ns += CL_NS_PER_S;
	assert_true(deadline_ns < f->now_ns);
	snap->taken_ns = f->now_ns;
	snap->can = 1u << CL_CAN_MASK | (f->groups ? 1u << CL_CAN_GROUP : 0);
	for (int i = 0; i < CL_PART_COUNT; i++)
		snap->part_ns[i] = f->now_ns;
	cl_snapshot_add_nodes(snap)->distance[0] = 10;
	for (uint32_t c = 0; c < 2; c++) {
		struct cl_cpu *cpu = cl_snapshot_add_cpus(snap);

		cpu->online = true;
		cpu->node.v = 0;
		cpu->core = c;
		cpu->busy_ns = 0;
	}
	snap->allowed = cl_snapshot_mask(snap, &all);
	struct cl_guest *guest = cl_snapshot_add_guests(snap);

	guest->id = uuid;
	guest->process = (struct cl_tid){ TID, 7 };
	guest->home = 1;
	guest->read_ns = f->now_ns;
	group_at(snap, "/", "0-1", false);
	for (uint32_t i = 0; i < f->made_count; i++)
		group_at(snap, f->made[i], "1", true);
	add_threads(f, snap);
	cl_snapshot_sort(snap, scratch);
	if (f->spoilt)
		snap->works[1].thread = snap->works[0].thread;
	f->spoilt = false;
	return 0;
}

static int fake_apply(struct cl_host *host, const struct cl_change *c, struct cl_error *reterr)
{
	struct fake *f = (struct fake *)host;

	f->applied++;
	if (c->kind == CL_CHANGE_GROUP) {
		if (f->fail)
			return cl_fail(reterr, f->fail, "no container today");
		snprintf(f->made[f->made_count++], CL_PATH_MAX, "%s", c->path);
		return 0;
	}
	int32_t i = c->thread.tid - TID;

	assert_true(i >= 0 && i < THREADS);
	if (f->stale || !cl_cpuset_equal(&f->mask[i], &c->from.cpus)) {
		f->stale = false;
		return cl_fail(reterr, ESTALE, "somebody has set it");
	}
	f->mask[i] = c->to.cpus;
	if (c->to.has_path)
		snprintf(f->group[i], CL_PATH_MAX, "%s", c->to.path);
	return 0;
}

static int fake_wait(struct cl_host *host, uint64_t until_ns, int fd, enum cl_wake *ret_why,
		     struct cl_error *reterr)
{
	*ret_why = CL_WAKE_TIMER;
	return 0;
}

static uint64_t fake_now(struct cl_host *host)
{
	return ((struct fake *)host)->now_ns;
}

static void fake_close(struct cl_host *host)
{
	(*((struct fake *)host)->closed)++;
}

static const struct cl_host_ops fake_ops = {
	.name = "fake",
	.observe = fake_observe,
	.apply = fake_apply,
	.wait = fake_wait,
	.now_ns = fake_now,
	.close = fake_close,
};

/* ---- a place to work in ---- */

struct place {
	char dir[64];
	struct fake fake;
	int closed;
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	snprintf(p->dir, sizeof(p->dir), "%s/closer-engine-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	*state = p;
	if (!mkdtemp(p->dir))
		return -1;
	p->fake = (struct fake){ .host.ops = &fake_ops,
				 .now_ns = 1000 * CL_NS_PER_S,
				 .groups = true,
				 .closed = &p->closed };
	for (int i = 0; i < THREADS; i++) {
		p->fake.mask[i] = cpus("0-1");
		snprintf(p->fake.group[i], CL_PATH_MAX, "/");
	}
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	char command[128];

	umount2(p->dir, MNT_DETACH);
	snprintf(command, sizeof(command), "rm -rf %s", p->dir);
	(void)!system(command);
	free(p);
	return 0;
}

static struct cl_engine *open_engine(struct place *p)
{
	struct cl_engine_options options = { .state_dir = p->dir,
					     .act = true,
					     .limits = &cl_limits_small };
	struct cl_engine *e = NULL;
	struct cl_error err;

	cl_params_default(&options.params);
	if (cl_engine_open_host(&options, &p->fake.host, "fake:", &e, &err) < 0)
		fail_msg("%s", err.text);
	return e;
}

static void observe(struct cl_engine *e)
{
	struct cl_tick tick;
	struct cl_error err;

	if (cl_engine_observe(e, &tick, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(tick.fault, CL_SNAPSHOT_NONE);
}

static struct cl_tick apply(struct cl_engine *e)
{
	struct cl_tick tick;
	struct cl_error err;

	if (cl_engine_apply(e, NULL, NULL, &tick, &err) < 0)
		fail_msg("%s", err.text);
	return tick;
}

/* Never UNDO here: that is done to the real machine, which these threads are not of. */
static void keep(struct cl_engine *e)
{
	assert_int_equal(cl_engine_close(e, CL_END_KEEP, 0, NULL, NULL), 0);
}

static void threads_on(const struct fake *f, const char *list)
{
	struct cl_cpuset want = cpus(list);

	for (int i = 0; i < THREADS; i++)
		assert_true(cl_cpuset_equal(&f->mask[i], &want));
}

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
