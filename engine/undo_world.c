/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine that undo works on: Linux itself, and for domains' vCPUs the hypervisor. Giving these
 * back needs no guest, no monitor, no host: nothing that may be gone, busy or hostile by then. The
 * hypervisor is asked for only if the journal has something of it.
 */
#include "internal.h"

#include "linux.h"
#include "xen/rate.h"
#include "xen/xen.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct cl_undo_linux {
	struct cl_cgroup cgroup;
	const struct cl_xen_vcpus *vcpus;
	struct cl_hyper *hyper; /* NULL until it is needed */
	struct cl_store store;  /* fd -1: likewise */
};

int cl_undo_linux_new(struct cl_undo_linux **ret, struct cl_error *reterr)
{
	struct cl_undo_linux *ctx = calloc(1, sizeof(*ctx));

	if (!ctx)
		return cl_fail(reterr, ENOMEM, "undoing: no memory");
	cl_cgroup_find(&ctx->cgroup);
	ctx->store.fd = -1;
	*ret = ctx;
	return 0;
}

void cl_undo_linux_free(struct cl_undo_linux *ctx)
{
	if (ctx->hyper)
		ctx->vcpus->close(ctx->hyper);
	cl_store_close(&ctx->store);
	free(ctx);
}

static int need_hypervisor(struct cl_undo_linux *u, struct cl_error *reterr)
{
	int r = u->vcpus ? 0 : cl_xen_vcpus_load(&u->vcpus, reterr);

	return r < 0 || u->hyper ? r : u->vcpus->open(&u->hyper, reterr);
}

static void no_event(void *ctx, const char *path) {}

static int need_store(struct cl_undo_linux *u, struct cl_error *reterr)
{
	return u->store.fd >= 0 ? 0 : cl_store_open(&u->store, no_event, NULL, reterr);
}

static int world_read(void *ctx, const struct cl_change *change, struct cl_setting *ret,
		      struct cl_error *reterr)
{
	struct cl_undo_linux *u = ctx;

	if (change->kind == CL_CHANGE_VCPU || cl_change_entitles(change->kind)) {
		int r = need_hypervisor(u, reterr);

		return r < 0 ? r : u->vcpus->read(u->hyper, change, ret, reterr);
	}
	if (change->kind == CL_CHANGE_RATE) {
		int r = need_store(u, reterr);

		return r < 0 ? r : cl_xen_rate_read(&u->store, change, ret, reterr);
	}
	return cl_linux_read(&u->cgroup, change, ret, reterr);
}

static int world_apply(void *ctx, const struct cl_change *change, struct cl_error *reterr)
{
	struct cl_undo_linux *u = ctx;

	if (change->kind == CL_CHANGE_VCPU || cl_change_entitles(change->kind)) {
		int r = need_hypervisor(u, reterr);

		return r < 0 ? r : u->vcpus->apply(u->hyper, change, reterr);
	}
	if (change->kind == CL_CHANGE_RATE) {
		int r = need_store(u, reterr);

		return r < 0 ? r : cl_xen_rate_apply(&u->store, change, reterr);
	}
	return cl_linux_apply(&u->cgroup, change, reterr);
}

static int world_group_cpus(void *ctx, const char *path, struct cl_cpuset *ret,
			    struct cl_error *reterr)
{
	struct cl_undo_linux *u = ctx;

	if (u->cgroup.version == 0)
		return cl_fail(reterr, ENOENT, "the CPUs of cgroup %.200s: %s", path,
			       u->cgroup.why_not);
	return cl_cgroup_cpus(&u->cgroup, path, ret, reterr);
}

/* The fields of stat behind the name; the name may hold anything, so the last ')' ends it
 * (proc(5)). */
static bool stat_fields(const char *text, int32_t *ret_parent, uint64_t *ret_start)
{
	const char *p = strrchr(text, ')');
	uint64_t parent = 0;

	for (int field = 2; p && field < 22; field++) {
		p = strchr(p + 1, ' ');
		if (p && field == 3 && (!cl_parse_u64(p + 1, &parent, NULL) || parent > INT32_MAX))
			return false;
	}
	*ret_parent = (int32_t)parent;
	return p && cl_parse_u64(p + 1, ret_start, NULL);
}

static int world_identify(void *ctx, int32_t tid, struct cl_tid *ret_id, int32_t *ret_process,
			  int32_t *ret_parent)
{
	char path[64], text[4096];
	uint64_t process;
	const char *p;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", tid, tid);
	if (cl_read_file(AT_FDCWD, path, text, sizeof(text)) < 0 ||
	    !stat_fields(text, ret_parent, &ret_id->start))
		return -ESRCH;
	ret_id->tid = tid;
	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	if (cl_read_file(AT_FDCWD, path, text, sizeof(text)) < 0)
		return -ESRCH;
	/* The name on the first line is escaped by the kernel: no newline in it. */
	p = strstr(text, "\nTgid:\t");
	if (!p || !cl_parse_u64(p + 7, &process, NULL) || process > INT32_MAX)
		return -ESRCH;
	*ret_process = (int32_t)process;
	return 0;
}

/* Lists first, acts after: what acts moves threads about. */
struct list {
	int32_t *tids;
	uint32_t n, cap;
};

static int keep(void *arg, int32_t tid)
{
	struct list *list = arg;

	if (list->n == CL_UNDO_THREADS_MAX)
		return -E2BIG;
	if (list->n == list->cap) {
		uint32_t cap = list->cap ? list->cap * 2 : 256;
		int32_t *tids = realloc(list->tids, cap * sizeof(*tids));

		if (!tids)
			return -ENOMEM;
		list->tids = tids;
		list->cap = cap;
	}
	list->tids[list->n++] = tid;
	return 0;
}

static int hand_out(struct list *list, int r, int (*fn)(void *arg, int32_t tid), void *arg)
{
	for (uint32_t i = 0; r == 0 && i < list->n; i++)
		r = fn(arg, list->tids[i]);
	free(list->tids);
	return r;
}

/* The entries of a folder that are numbers. */
static int keep_all(const char *path, struct list *list)
{
	struct dirent *entry;
	int r = 0;
	DIR *dir;

	dir = opendir(path);
	if (!dir)
		return -ESRCH;
	while (r == 0 && (entry = readdir(dir))) {
		const char *end;
		uint64_t tid;

		if (cl_parse_u64(entry->d_name, &tid, &end) && *end == '\0' && tid <= INT32_MAX)
			r = keep(list, (int32_t)tid);
	}
	closedir(dir);
	return r;
}

static int keep_threads(int32_t process, struct list *list)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/task", process);
	return keep_all(path, list);
}

static int world_each_thread(void *ctx, int32_t process, int (*fn)(void *arg, int32_t tid),
			     void *arg)
{
	struct list list = { 0 }, processes = { 0 };
	int r = process ? keep_threads(process, &list) : keep_all("/proc", &processes);

	for (uint32_t i = 0; r == 0 && i < processes.n; i++) {
		r = keep_threads(processes.tids[i], &list);
		r = r == -ESRCH ? 0 : r; /* it has ended */
	}
	free(processes.tids);
	return hand_out(&list, r, fn, arg);
}

static int world_each_member(void *ctx, const char *path, int (*fn)(void *arg, int32_t tid),
			     void *arg)
{
	struct cl_undo_linux *u = ctx;
	struct list list = { 0 };
	int r = cl_cgroup_each(&u->cgroup, path, keep, &list, NULL);

	return hand_out(&list, r, fn, arg);
}

struct children {
	const char *path;
	uint32_t n;
	char *one;
	size_t size;
};

static int count_child(void *arg, const char *path)
{
	struct children *c = arg;
	size_t len = strlen(c->path);

	if (strncmp(path, c->path, len) == 0 && path[len] == '/' && c->n++ == 0)
		snprintf(c->one, c->size, "%s", path);
	return 0;
}

static uint32_t world_children(void *ctx, const char *path, char *ret_one, size_t size)
{
	struct cl_undo_linux *u = ctx;
	struct children c = { .path = path, .one = ret_one, .size = size };

	(void)cl_cgroup_each_ours(&u->cgroup, count_child, &c, NULL);
	return c.n;
}

const struct cl_undo_world cl_undo_linux = {
	.read = world_read,
	.apply = world_apply,
	.group_cpus = world_group_cpus,
	.identify = world_identify,
	.each_thread = world_each_thread,
	.each_member = world_each_member,
	.children = world_children,
};
