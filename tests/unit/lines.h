/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lines: a host made of lines, and an engine on it in a place of its own, for the engine's test. */
#ifndef CLOSER_TESTS_LINES_H
#define CLOSER_TESTS_LINES_H

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
	bool domain; /* a hypervisor is below, with two physical CPUs */
	struct cl_cpuset pins[2];
	uint64_t cap, ran_ns; /* of the guest, which uses it whole; 0: it has none */
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

static void add_pins(const struct fake *f, struct cl_snapshot *snap)
{
	for (uint32_t c = 0; c < 2; c++) {
		snap->cpus[c].pcpu = c;
		snap->cpus[c].pins = cl_snapshot_mask(snap, &f->pins[c]);
	}
	snap->pool = snap->allowed;
	snap->can |= 1u << CL_CAN_PIN;
}

static void add_cap(struct fake *f, struct cl_snapshot *snap, struct cl_guest *guest)
{
	struct cl_vcpu *vcpu = cl_snapshot_add_vcpus(snap);

	f->ran_ns += f->cap * 1000;
	snap->can |= 1u << CL_CAN_CLOCK | 1u << CL_CAN_ENTITLEMENT;
	guest->domid = 5;
	guest->cap = f->cap;
	vcpu->guest.v = 0;
	vcpu->index = 0;
	vcpu->thread = (struct cl_tid){ 0, 0 };
	vcpu->cpu_ns = f->ran_ns;
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
	if (f->domain)
		add_pins(f, snap);
	struct cl_guest *guest = cl_snapshot_add_guests(snap);

	guest->id = uuid;
	guest->process = (struct cl_tid){ TID, 7 };
	guest->home = 1;
	guest->read_ns = f->now_ns;
	if (f->cap)
		add_cap(f, snap, guest);
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
	if (c->kind == CL_CHANGE_VCPU) {
		assert_true(c->domid == 0 && c->vcpu < 2);
		if (f->fail)
			return cl_fail(reterr, f->fail, "no pin today");
		assert_true(cl_cpuset_equal(&f->pins[c->vcpu], &c->from.cpus));
		f->pins[c->vcpu] = c->to.cpus;
		return 0;
	}
	if (c->kind == CL_CHANGE_CAP) {
		assert_true(c->domid == 5 && cl_uuid_compare(&c->domain, &uuid) == 0);
		assert_int_equal(c->from.number, f->cap);
		f->cap = (uint64_t)c->to.number;
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
	char dir[64], ledger[80]; /* ledger: guests are charged if there is one */
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
		p->fake.pins[i % 2] = cpus("0-1");
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
	if (p->ledger[0]) {
		options.params.charge = CL_CHARGE_CLOSER;
		options.ledger = p->ledger;
	}
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

#endif
