/* SPDX-License-Identifier: GPL-2.0-or-later */
/* machine: threads, groups and an interrupt as lines, which die at a write of one's choice: undo's
 * world in its test. */
#ifndef CLOSER_TESTS_MACHINE_H
#define CLOSER_TESTS_MACHINE_H

#include "internal.h"

#include "unit.h"

#include <errno.h>
#include <xxhash.h>

#define MAX 32

struct fake_thread {
	int32_t tid;
	uint64_t start;
	int32_t process, parent;
	char path[64];
	struct cl_cpuset cpus;
};
struct fake_group {
	char path[64];
	struct cl_cpuset cpus;
};

struct machine {
	struct fake_thread threads[MAX];
	int thread_count;
	struct fake_group groups[MAX];
	int group_count;
	struct cl_cpuset irq;
	struct fake_vcpu {
		uint32_t domid, number; /* domid 0: the privileged one's */
		uint8_t id;             /* last byte of its domain's uuid */
		struct cl_cpuset cpus;
		int64_t cap, memory; /* of its domain: on vCPU 0 */
	} vcpus[MAX];
	int vcpu_count;
	int64_t fence;   /* of /closer: 1, a partition */
	int writes_left; /* then it is dead */
	int births;      /* threads still to be born, one each time a process is looked at */
	int said;
};

static struct cl_cpuset cpus(const char *list)
{
	struct cl_cpuset set;

	assert_true(cl_cpuset_parse(list, strlen(list), &set));
	return set;
}

/* ---- the machine ---- */

static void add_thread(struct machine *m, int32_t tid, uint64_t start, int32_t process,
		       const char *path, const char *list)
{
	struct fake_thread *t = &m->threads[m->thread_count++];

	*t = (struct fake_thread){
		.tid = tid, .start = start, .process = process, .parent = 1, .cpus = cpus(list)
	};
	snprintf(t->path, sizeof(t->path), "%s", path);
}

static void add_group(struct machine *m, const char *path, const char *list)
{
	struct fake_group *g = &m->groups[m->group_count++];

	snprintf(g->path, sizeof(g->path), "%s", path);
	g->cpus = cpus(list);
}

static struct fake_thread *thread(struct machine *m, int32_t tid)
{
	for (int i = 0; i < m->thread_count; i++) {
		if (m->threads[i].tid == tid)
			return &m->threads[i];
	}
	return NULL;
}

static struct fake_group *group(struct machine *m, const char *path)
{
	for (int i = 0; i < m->group_count; i++) {
		if (strcmp(m->groups[i].path, path) == 0)
			return &m->groups[i];
	}
	return NULL;
}

static struct fake_vcpu *add_vcpu(struct machine *m, uint32_t domid, uint32_t number,
				  const char *list)
{
	struct fake_vcpu *v = &m->vcpus[m->vcpu_count++];

	*v = (struct fake_vcpu){ domid, number, (uint8_t)domid, cpus(list), 0, 0 };
	return v;
}

static struct fake_vcpu *vcpu(struct machine *m, const struct cl_change *c)
{
	for (int i = 0; i < m->vcpu_count; i++) {
		struct fake_vcpu *v = &m->vcpus[i];

		if (v->domid == c->domid && v->number == c->vcpu && v->id == c->domain.b[15])
			return v;
	}
	return NULL;
}

static bool write_one(struct machine *m)
{
	return m->writes_left > 0 && m->writes_left-- > 0;
}

static int fake_read(void *ctx, const struct cl_change *c, struct cl_setting *ret,
		     struct cl_error *reterr)
{
	struct machine *m = ctx;
	struct fake_thread *t = thread(m, c->thread.tid);
	struct fake_group *g = group(m, c->path);

	memset(ret, 0, sizeof(*ret));
	ret->present = true;
	if (c->kind == CL_CHANGE_IRQ) {
		ret->cpus = m->irq;
	} else if (c->kind == CL_CHANGE_GROUP) {
		ret->present = g != NULL;
		if (g)
			ret->cpus = g->cpus;
	} else if (c->kind == CL_CHANGE_VCPU || c->kind == CL_CHANGE_CAP ||
		   c->kind == CL_CHANGE_MEMORY) {
		if (!vcpu(m, c))
			return cl_fail(reterr, ESRCH, "gone");
		if (c->kind == CL_CHANGE_CAP)
			ret->number = vcpu(m, c)->cap;
		else if (c->kind == CL_CHANGE_MEMORY)
			ret->number = vcpu(m, c)->memory;
		else
			ret->cpus = vcpu(m, c)->cpus;
	} else if (c->kind == CL_CHANGE_FENCE) {
		ret->number = strcmp(c->path, "/closer") == 0 && g ? m->fence : 0;
	} else {
		if (!t || t->start != c->thread.start)
			return cl_fail(reterr, ESRCH, "gone");
		ret->has_path = c->from.has_path || c->to.has_path;
		if (ret->has_path)
			snprintf(ret->path, sizeof(ret->path), "%s", t->path);
		ret->cpus = t->cpus;
	}
	return 0;
}

static int set_thread(struct machine *m, struct fake_thread *t, const struct cl_setting *to,
		      struct cl_error *reterr)
{
	if (to->has_path) {
		struct fake_group *g = group(m, to->path);

		if (!g)
			return cl_fail(reterr, EIDRM, "no group %s", to->path);
		if (!cl_cpuset_subset(&to->cpus, &g->cpus))
			return cl_fail(reterr, EINVAL, "outside of %s", to->path);
		if (strcmp(t->path, to->path) != 0) {
			if (!write_one(m))
				return cl_fail(reterr, EIO, "killed at this write");
			snprintf(t->path, sizeof(t->path), "%.63s", to->path);
			t->cpus = g->cpus; /* as cpusets do */
		}
	}
	if (!write_one(m))
		return cl_fail(reterr, EIO, "killed at this write");
	t->cpus = to->cpus;
	return 0;
}

/* Its CPUs are taken from all other groups, or given back: there masks become what the group has,
 * as before Linux 6.2. */
static void set_fence(struct machine *m, int64_t up)
{
	struct cl_cpuset behind = group(m, "/closer")->cpus;

	m->fence = up;
	for (int i = 0; i < m->group_count; i++) {
		if (strncmp(m->groups[i].path, "/closer", 7) == 0)
			continue;
		if (up)
			cl_cpuset_andnot(&m->groups[i].cpus, &behind);
		else
			cl_cpuset_or(&m->groups[i].cpus, &behind);
	}
	for (int i = 0; i < m->thread_count; i++)
		if (strncmp(m->threads[i].path, "/closer", 7) != 0)
			m->threads[i].cpus = group(m, m->threads[i].path)->cpus;
}

static uint32_t fake_children(void *ctx, const char *path, char *ret_one, size_t size)
{
	struct machine *m = ctx;
	size_t len = strlen(path);
	uint32_t n = 0;

	for (int i = 0; i < m->group_count; i++) {
		if (strncmp(m->groups[i].path, path, len) == 0 && m->groups[i].path[len] == '/' &&
		    n++ == 0)
			snprintf(ret_one, size, "%s", m->groups[i].path);
	}
	return n;
}

static bool inside(struct machine *m, const char *path)
{
	char one[64];

	for (int i = 0; i < m->thread_count; i++) {
		if (strcmp(m->threads[i].path, path) == 0)
			return true;
	}
	return fake_children(m, path, one, sizeof(one)) > 0;
}

static int fake_apply(void *ctx, const struct cl_change *c, struct cl_error *reterr)
{
	struct machine *m = ctx;
	struct fake_group *g = group(m, c->path);
	struct cl_setting is;
	int r = fake_read(ctx, c, &is, reterr);

	if (r < 0)
		return r;
	if (is.has_path == c->to.has_path && strcmp(is.path, c->to.path) == 0 &&
	    is.present == c->to.present && is.number == c->to.number &&
	    cl_cpuset_equal(&is.cpus, &c->to.cpus))
		return 0;
	if (!cl_cpuset_equal(&is.cpus, &c->from.cpus) || is.number != c->from.number ||
	    strcmp(is.path, c->from.has_path ? c->from.path : "") != 0)
		return cl_fail(reterr, ESTALE, "it is another value");
	if (c->kind == CL_CHANGE_THREAD)
		return set_thread(m, thread(m, c->thread.tid), &c->to, reterr);
	if (c->kind == CL_CHANGE_GROUP && !c->to.present && inside(m, c->path))
		return cl_fail(reterr, EBUSY, "the group is busy");
	if (!write_one(m))
		return cl_fail(reterr, EIO, "killed at this write");
	if (c->kind == CL_CHANGE_IRQ) {
		m->irq = c->to.cpus;
	} else if (c->kind == CL_CHANGE_VCPU) {
		vcpu(m, c)->cpus = c->to.cpus;
	} else if (c->kind == CL_CHANGE_CAP) {
		vcpu(m, c)->cap = c->to.number;
	} else if (c->kind == CL_CHANGE_MEMORY) {
		vcpu(m, c)->memory = c->to.number;
	} else if (c->kind == CL_CHANGE_FENCE) {
		if (strcmp(c->path, "/closer") == 0)
			set_fence(m, c->to.number);
	} else if (!c->to.present) {
		if (m->fence && strcmp(c->path, "/closer") == 0)
			set_fence(m, 0);
		*g = m->groups[--m->group_count];
	} else if (g) {
		g->cpus = c->to.cpus;
	} else {
		g = &m->groups[m->group_count++];
		snprintf(g->path, sizeof(g->path), "%.63s", c->path);
		g->cpus = c->to.cpus;
	}
	return 0;
}

static int fake_group_cpus(void *ctx, const char *path, struct cl_cpuset *ret,
			   struct cl_error *reterr)
{
	struct fake_group *g = group(ctx, path);

	if (!g)
		return cl_fail(reterr, ENOENT, "no group %s", path);
	*ret = g->cpus;
	return 0;
}

static int fake_identify(void *ctx, int32_t tid, struct cl_tid *ret_id, int32_t *ret_process,
			 int32_t *ret_parent)
{
	struct fake_thread *t = thread(ctx, tid);

	if (!t)
		return -ESRCH;
	*ret_id = (struct cl_tid){ tid, t->start };
	*ret_process = t->process;
	*ret_parent = t->parent;
	return 0;
}

static int fake_each_thread(void *ctx, int32_t process, int (*fn)(void *arg, int32_t tid),
			    void *arg)
{
	struct machine *m = ctx;
	int n = m->thread_count;

	if (m->births > 0) { /* of a thread that is still where it was put */
		struct fake_thread *t = &m->threads[m->thread_count++];

		*t = m->threads[1];
		t->tid = 500 + m->births--;
		t->start = 900;
		snprintf(t->path, sizeof(t->path), "/closer/a");
		t->cpus = cpus("1");
		n++;
	}
	for (int i = 0; i < n; i++) {
		if (process == 0 || m->threads[i].process == process)
			fn(arg, m->threads[i].tid);
	}
	return 0;
}

static int fake_each_member(void *ctx, const char *path, int (*fn)(void *arg, int32_t tid),
			    void *arg)
{
	struct machine *m = ctx;

	for (int i = 0; i < m->thread_count; i++) {
		if (strcmp(m->threads[i].path, path) == 0)
			fn(arg, m->threads[i].tid);
	}
	return 0;
}

static const struct cl_undo_world world = {
	.read = fake_read,
	.apply = fake_apply,
	.group_cpus = fake_group_cpus,
	.identify = fake_identify,
	.each_thread = fake_each_thread,
	.each_member = fake_each_member,
	.children = fake_children,
};

/* ---- a journal, and what it describes ---- */

/* Plans at tick 100: three threads of process 10 into /closer/a, one of them twice; an interrupt.
 */
static const char *const usual[] = {
	"closer-journal 1",
	"boot 01234567-89ab-cdef-0123-456789abcdef",
	"id 00000000000000aa",
	"host x:y",
	"plan 1 2026-01-01T00:00:00Z ticks 100",
	"change 1 group /closer from absent to cpus 1-3 why container",
	"change 2 group /closer/a from absent to cpus 1-3 why container",
	"change 3 thread 10 start 50 process 10 from cgroup /vm cpus 0-3 to cgroup /closer/a cpus 1 why home",
	"change 4 thread 11 start 51 process 10 from cgroup /vm cpus 0-3 to cgroup /closer/a cpus 1 why home",
	"change 5 irq 4 from cpus 0-3 to cpus 2 why home",
	"plan 2 2026-01-01T00:00:01Z ticks 200",
	"change 6 thread 11 start 51 process 10 from cgroup /closer/a cpus 1 to cgroup /closer/a cpus 2 why home",
	NULL,
};

static struct cl_journal parse(const char *const *lines, const char *const *more)
{
	char text[8192];
	size_t len = 0;
	struct cl_journal j;
	struct cl_error err;

	for (int part = 0; part < 2; part++) {
		for (const char *const *line = part ? more : lines; line && *line; line++)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s #%08x\n", *line,
						XXH32(*line, strlen(*line), 0));
	}
	if (cl_journal_parse(text, len, &j, &err) < 0)
		fail_msg("%s", err.text);
	return j;
}

/* As it was before closer came. */
static struct machine start(void)
{
	struct machine m = { .writes_left = 1000 };

	add_group(&m, "/", "0-3");
	add_group(&m, "/vm", "0-3");
	add_thread(&m, 10, 50, 10, "/vm", "0-3");
	add_thread(&m, 11, 51, 10, "/vm", "0-3");
	add_thread(&m, 12, 52, 10, "/vm", "0-3");
	add_thread(&m, 99, 1, 99, "/", "0-3");
	m.irq = cpus("0-3");
	return m;
}

/* What the journal says, done to it; stops where the writes end. */
static void forward(struct machine *m, const struct cl_journal *j)
{
	uint32_t n =
		j->entry_count < 5 ? j->entry_count : 5; /* second values after all first ones */

	for (uint32_t round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < n; i++) {
			const struct cl_journal_entry *e = &j->entries[i];

			if (round < e->change_count &&
			    fake_apply(m, &j->changes[e->change_first + round], NULL) < 0)
				return;
		}
	}
}

static void say(void *ctx, const struct cl_change *change, const char *text)
{
	((struct machine *)ctx)->said++;
	assert_true(strlen(text) > 5);
}

static struct cl_undo_report undo(struct machine *m, const struct cl_journal *j)
{
	struct cl_undo_report r;

	m->said = 0;
	assert_int_equal(cl_undo_run(j, &world, m, say, m, &r, NULL), 0);
	assert_int_equal(r.restored + r.already + r.gone + r.left + r.failed, r.objects);
	return r;
}

static void same_machine(struct machine *a, struct machine *b)
{
	for (int i = 0; i < a->thread_count; i++) {
		struct fake_thread *t = thread(b, a->threads[i].tid);

		if (!t)
			continue;
		if (strcmp(t->path, a->threads[i].path) != 0 ||
		    !cl_cpuset_equal(&t->cpus, &a->threads[i].cpus))
			fail_msg("thread %d is in %s, not in %s", t->tid, t->path,
				 a->threads[i].path);
	}
	assert_int_equal(a->group_count, b->group_count);
	assert_true(cl_cpuset_equal(&a->irq, &b->irq));
}

static void thread_is(struct machine *m, int32_t tid, const char *path, const char *list)
{
	struct fake_thread *t = thread(m, tid);
	struct cl_cpuset want = cpus(list);

	assert_string_equal(t->path, path);
	assert_true(cl_cpuset_equal(&t->cpus, &want));
}

#endif
