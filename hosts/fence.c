/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fence: all tasks but those of our containers are kept off the secondary CPUs.
 *
 * A partition: the kernel takes its CPUs from everybody else at one write, kernel threads that it
 * does not bind included, and gives them back at another. Before Linux 6.2 it does not remember
 * masks that were set by hand: both writes replace them by all that the thread's group then has.
 * So they are put back around each write as far as they go, and the journal has them as they were.
 *
 * Format: cpuset.cpus.partition in Documentation/admin-guide/cgroup-v2.rst; proc_pid_stat(5).
 */
#include "lib.h"
#include "linux.h"
#include "threads_proc.h"

#include "bpf/clock_shared.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>

#define NAMES_MAX 64u

/* ---- all threads ---- */

struct task {
	struct cl_tid id;
	int32_t process;
	struct cl_stat stat;
	struct cl_cpuset mask;
	char path[CL_PATH_MAX]; /* "" if it is in no group that is seen from here */
	struct cl_cpuset room;  /* its group's CPUs; all of them where that is not known */
};

struct walk {
	const struct cl_cgroup *cgroup;
	int (*fn)(void *ctx, const struct task *task);
	void *ctx;
	struct task task;
	char last[CL_PATH_MAX]; /* the group that task.room is of */
};

/* The room of the task's group: mostly it is that of the one before. */
static void look_up_room(struct walk *w)
{
	struct task *t = &w->task;

	t->path[0] = '\0';
	if (w->cgroup->version)
		(void)cl_cgroup_of(w->cgroup, t->id.tid, t->path, NULL);
	if (strcmp(t->path, w->last) == 0)
		return;
	snprintf(w->last, sizeof(w->last), "%s", t->path);
	if (t->path[0] == '\0' || cl_cgroup_cpus(w->cgroup, t->path, &t->room, NULL) < 0)
		memset(&t->room, 0xff, sizeof(t->room));
}

/* Threads that end meanwhile are passed over. */
static int walk_thread(void *ctx, int32_t tid)
{
	struct walk *w = ctx;
	struct task *t = &w->task;
	char name[64], text[CL_PROC_TEXT];

	snprintf(name, sizeof(name), "/proc/%d/task/%d/stat", t->process, tid);
	if (cl_read_file(AT_FDCWD, name, text, sizeof(text)) < 0 ||
	    !cl_stat_parse(text, &t->stat) || t->stat.state == 'Z' || t->stat.state == 'X' ||
	    cl_proc_mask(tid, &t->mask) < 0)
		return 0;
	t->id = (struct cl_tid){ tid, t->stat.start };
	look_up_room(w);
	return w->fn(w->ctx, t);
}

static int walk_process(void *ctx, int32_t pid)
{
	struct walk *w = ctx;
	char name[32];

	snprintf(name, sizeof(name), "/proc/%d/task", pid);
	cl_autoclose int dir = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return 0;
	w->task.process = pid;
	int r = cl_proc_each(dir, walk_thread, w);

	return r == -ENOENT || r == -ESRCH ? 0 : r;
}

static int each_task(const struct cl_cgroup *cgroup, int (*fn)(void *ctx, const struct task *task),
		     void *ctx, struct cl_error *reterr)
{
	struct walk w = { .cgroup = cgroup, .fn = fn, .ctx = ctx };
	cl_autoclose int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	memset(&w.task.room, 0xff, sizeof(w.task.room));
	int r = proc < 0 ? -errno : cl_proc_each(proc, walk_process, &w);

	return r < 0 ? cl_fail(reterr, -r, "looking at all threads: %s", strerror(-r)) : 0;
}

static bool is_ours(const struct task *t)
{
	return strncmp(t->path, "/closer", 7) == 0 && (t->path[7] == '/' || t->path[7] == '\0');
}

/* Has somebody set its mask, of those that can be set? */
static bool is_by_hand(const struct task *t)
{
	if (is_ours(t) || t->stat.flags & CL_PF_NO_SETAFFINITY)
		return false;
	return t->path[0] && !cl_cpuset_subset(&t->room, &t->mask);
}

/* ---- what the partition does to masks that were set by hand ---- */

struct kept {
	struct cl_tid id;
	struct cl_cpuset mask;
	char path[CL_PATH_MAX];
};

struct kept_list {
	struct kept *at;
	size_t n, room;
};

static int keep(void *ctx, const struct task *t)
{
	struct kept_list *list = ctx;

	if (!is_by_hand(t))
		return 0;
	if (list->n == list->room) {
		size_t room = list->room ? list->room * 2 : 64;
		struct kept *more = realloc(list->at, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		list->at = more;
		list->room = room;
	}
	struct kept *k = &list->at[list->n++];

	k->id = t->id;
	k->mask = t->mask;
	memcpy(k->path, t->path, sizeof(k->path));
	return 0;
}

static bool still_there(struct cl_tid id)
{
	char name[64], text[CL_PROC_TEXT];
	struct cl_stat stat;

	snprintf(name, sizeof(name), "/proc/%d/task/%d/stat", id.tid, id.tid);
	return cl_read_file(AT_FDCWD, name, text, sizeof(text)) >= 0 &&
	       cl_stat_parse(text, &stat) && stat.start == id.start;
}

/* Only where the kernel did not remember it, and gave the thread all that there is. */
static void put_back(const struct cl_cgroup *cgroup, const struct kept *k)
{
	struct cl_cpuset room, now, want = k->mask;

	if (!still_there(k->id) || cl_proc_mask(k->id.tid, &now) < 0 ||
	    cl_cgroup_cpus(cgroup, k->path, &room, NULL) < 0 || !cl_cpuset_subset(&room, &now))
		return;
	cl_cpuset_and(&want, &room);
	if (!cl_cpuset_empty(&want) && !cl_cpuset_equal(&want, &now))
		(void)sched_setaffinity(k->id.tid, sizeof(want.w),
					(const cpu_set_t *)(const void *)want.w);
}

/* ---- the fence itself ---- */

static bool is_partition(const struct cl_change *change)
{
	return strcmp(change->path, "/") != 0;
}

int cl_linux_fence_read(const struct cl_cgroup *cgroup, const struct cl_change *change,
			struct cl_setting *ret_setting, struct cl_error *reterr)
{
	char text[256];
	struct cl_error err;

	*ret_setting = (struct cl_setting){ .present = true };
	/* Where there is none, all are members. */
	if (!is_partition(change) || cgroup->version != 2)
		return 0;
	int r = cl_cgroup_partition(cgroup, change->path, text, sizeof(text), &err);

	if (r == -ENOENT || r == -ENODEV)
		return 0;
	if (r < 0) {
		if (reterr)
			*reterr = err;
		return r;
	}
	/* An invalid one is still what was asked for, and valid again when its CPUs are. */
	if (strncmp(text, "root", 4) == 0)
		ret_setting->number = 1;
	else if (strcmp(text, "member") != 0)
		ret_setting->number = 2; /* isolated: nothing that closer sets */
	return 0;
}

int cl_linux_fence_apply(const struct cl_cgroup *cgroup, const struct cl_change *change,
			 struct cl_error *reterr)
{
	struct kept_list list = { 0 };
	struct cl_setting is;
	int r = cl_linux_fence_read(cgroup, change, &is, reterr);

	if (r < 0 || is.number == change->to.number || !is_partition(change))
		return r;
	if (is.number != change->from.number)
		return cl_fail(reterr, ESTALE,
			       "cgroup %.200s is a partition of another kind: somebody else has "
			       "set it; left alone",
			       change->path);
	r = each_task(cgroup, keep, &list, reterr);
	if (r == 0)
		r = cl_cgroup_set_partition(cgroup, change->path, change->to.number == 1, reterr);
	for (size_t i = 0; i < list.n; i++)
		put_back(cgroup, &list.at[i]);
	free(list.at);
	return r;
}

/* ---- what goes along with it ---- */

struct along {
	const struct cl_change *fence;
	struct cl_cpuset online;
	int (*fn)(void *ctx, const struct cl_change *along);
	void *ctx;
};

/* Under masks alone: what may be moved, and has been set by nobody. Never the first process, of
 * which everything that is started later is born. */
static bool is_loose(const struct along *a, const struct task *t)
{
	return t->process != 1 && !is_ours(t) && !(t->stat.flags & CL_PF_NO_SETAFFINITY) &&
	       cl_cpuset_subset(&a->online, &t->mask);
}

static int go_along(void *ctx, const struct task *t)
{
	const struct along *a = ctx;
	const struct cl_cpuset *rest = &a->fence->to.cpus;
	struct cl_change c = { .kind = CL_CHANGE_THREAD, .thread = t->id, .process = t->process };

	if (is_partition(a->fence) ? !is_by_hand(t) : !is_loose(a, t))
		return 0;
	c.from.present = c.to.present = true;
	c.from.cpus = c.to.cpus = t->mask;
	cl_cpuset_and(&c.to.cpus, rest);
	if (cl_cpuset_empty(&c.to.cpus))
		c.to.cpus = *rest;
	return a->fn(a->ctx, &c);
}

int cl_linux_along(const struct cl_cgroup *cgroup, const struct cl_change *change,
		   int (*fn)(void *ctx, const struct cl_change *along), void *ctx,
		   struct cl_error *reterr)
{
	struct along a = { .fence = change, .fn = fn, .ctx = ctx };
	char text[16384];

	if (change->kind != CL_CHANGE_FENCE || change->to.number != 1)
		return 0;
	ssize_t len = cl_read_file(AT_FDCWD, "/sys/devices/system/cpu/online", text, sizeof(text));

	if (len < 0 || !cl_cpuset_parse(text, (size_t)len, &a.online))
		return cl_fail(reterr, len < 0 ? (int)-len : EBADMSG,
			       "reading which CPUs are online: %s",
			       strerror(len < 0 ? (int)-len : EBADMSG));
	return each_task(cgroup, go_along, &a, reterr);
}

/* ---- what no fence moves ---- */

struct bound {
	uint32_t threads, n;
	char names[NAMES_MAX][16];
};

/* By the first part of its name: "kworker/0:1H" and "migration/3" are of one kind each. */
static int count_bound(void *ctx, const struct task *t)
{
	struct bound *b = ctx;
	char name[16];

	if (!(t->stat.flags & CL_PF_NO_SETAFFINITY))
		return 0;
	b->threads++;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(t->stat.comm, "/:"), t->stat.comm);
	for (uint32_t i = 0; i < b->n; i++)
		if (strcmp(b->names[i], name) == 0)
			return 0;
	if (b->n < NAMES_MAX)
		memcpy(b->names[b->n++], name, sizeof(name));
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

uint32_t cl_linux_bound(char *ret_names, size_t size)
{
	const struct cl_cgroup none = { 0 };
	struct bound b = { 0 };
	size_t at = 0;
	char shown[64];

	assert(size > 0);
	ret_names[0] = '\0';
	if (each_task(&none, count_bound, &b, NULL) < 0)
		return 0;
	qsort(b.names, b.n, sizeof(b.names[0]), by_name);
	for (uint32_t i = 0; i < b.n && at < size; i++)
		at += (size_t)snprintf(ret_names + at, size - at, "%s%s", i ? ", " : "",
				       cl_escape(b.names[i], shown, sizeof(shown)));
	return b.threads;
}
