/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fence_host: a host whose guests are processes of one thread, and have no vCPUs here: so others
 * can be fenced off, as in a Xen dom0, on any kernel. For fence.sh.
 *
 *   fence_host apply|hold DIR masks|containers PID..
 *   fence_host undo DIR
 */
#include "build.h"
#include "engine.h"
#include "internal.h"
#include "linux.h"
#include "topology.h"

#include <errno.h>
#include <string.h>

#define GUESTS_MAX 8u

struct fence_host {
	struct cl_host host;
	struct cl_cgroup cgroup;
	struct cl_topology *topology;
	struct cl_threads *threads;
	struct cl_build *build;
	int32_t pids[GUESTS_MAX];
	uint32_t n;
};

static void role(void *ctx, const struct cl_thread *thread, struct cl_build_role *ret_role)
{
	ret_role->as = CL_BUILD_WORK;
	ret_role->guest.v = thread->tag;
	ret_role->kind = CL_WORK_BLKBACK;
	ret_role->alone = true;
}

static int host_observe(struct cl_host *host, uint64_t deadline_ns, struct cl_snapshot *snap,
			struct cl_error *reterr)
{
	struct fence_host *h = (struct fence_host *)host;
	bool changed;
	int r;

	cl_snapshot_reset(snap);
	snap->taken_ns = cl_clock_ns();
	r = cl_topology_observe(h->topology, snap, reterr);
	if (r == 0)
		r = cl_build_refresh(h->build, h->threads, &changed, reterr);
	for (uint32_t i = 0; r == 0 && i < h->n; i++) {
		struct cl_guest *guest = cl_snapshot_add_guests(snap);

		guest->id.b[15] = (uint8_t)(i + 1);
		guest->home = 1;
		guest->read_ns = snap->taken_ns;
	}
	snap->part_ns[CL_PART_GUESTS] = snap->part_ns[CL_PART_MEMORY] = snap->taken_ns;
	if (r == 0)
		r = cl_build_threads(h->build, h->threads, snap, role, h, reterr);
	if (r == 0)
		cl_build_finish(h->build, h->threads, snap);
	return r;
}

static int host_read(struct cl_host *host, const struct cl_change *change, struct cl_setting *ret,
		     struct cl_error *reterr)
{
	return cl_linux_read(&((struct fence_host *)host)->cgroup, change, ret, reterr);
}

static int host_apply(struct cl_host *host, const struct cl_change *change, struct cl_error *reterr)
{
	struct fence_host *h = (struct fence_host *)host;

	cl_build_recheck(h->build, h->threads);
	return cl_linux_apply(&h->cgroup, change, reterr);
}

static int host_along(struct cl_host *host, const struct cl_change *change,
		      int (*fn)(void *ctx, const struct cl_change *along), void *ctx,
		      struct cl_error *reterr)
{
	return cl_linux_along(&((struct fence_host *)host)->cgroup, change, fn, ctx, reterr);
}

static uint64_t host_now_ns(struct cl_host *host)
{
	return cl_clock_ns();
}

static void host_close(struct cl_host *host)
{
	struct fence_host *h = (struct fence_host *)host;

	cl_build_free(h->build);
	cl_threads_free(h->threads);
	cl_topology_free(h->topology);
	free(h);
}

static const struct cl_host_ops ops = {
	.name = "fence",
	.observe = host_observe,
	.read = host_read,
	.apply = host_apply,
	.along = host_along,
	.now_ns = host_now_ns,
	.close = host_close,
};

static struct cl_host *host_new(char **pids, struct cl_error *reterr)
{
	struct fence_host *h = calloc(1, sizeof(*h));
	int r = h ? 0 : cl_fail(reterr, ENOMEM, "no memory");

	if (r < 0)
		return NULL;
	h->host.ops = &ops;
	cl_cgroup_find(&h->cgroup);
	r = cl_topology_new(&h->topology, reterr);
	if (r == 0)
		r = cl_threads_new(64, CL_THREADS_SCHEDSTAT, h->cgroup.version ? &h->cgroup : NULL,
				   &h->threads, reterr);
	if (r == 0)
		r = cl_build_new(&cl_limits_small, &h->cgroup, &h->build, reterr);
	if (r == 0) {
		cl_build_moves_alone(h->build);
		cl_build_fences(h->build);
	}
	for (; r == 0 && *pids && h->n < GUESTS_MAX; pids++)
		r = cl_threads_follow(h->threads, atoi(*pids), h->n++, reterr);
	if (r == 0)
		return &h->host;
	host_close(&h->host);
	return NULL;
}

static void say(void *ctx, const struct cl_action *action, int code, const char *text)
{
	printf("%s%s%s\n", cl_action_kind_name(action->kind), code ? ": " : "", code ? text : "");
}

static int failed(const struct cl_error *err)
{
	fprintf(stderr, "fence_host: %s\n", err->text);
	return 1;
}

static int apply(char **argv)
{
	struct cl_engine_options options = { .state_dir = argv[2],
					     .act = true,
					     .limits = &cl_limits_small };
	struct cl_engine *engine;
	struct cl_tick tick = { 0 };
	struct cl_error err;
	struct cl_host *host = host_new(argv + 4, &err);

	if (!host)
		return failed(&err);
	cl_params_default(&options.params);
	options.params.containers = strcmp(argv[3], "containers") == 0;
	if (cl_engine_open_host(&options, host, "fence:", &engine, &err) < 0)
		return failed(&err);
	for (int i = 0; i < 2; i++) { /* the second has nothing left to do */
		if (cl_engine_observe(engine, NULL, &err) < 0 ||
		    cl_engine_apply(engine, say, NULL, &tick, &err) < 0)
			return failed(&err);
		printf("done %u failed %u skipped %u\n", tick.done, tick.failed, tick.skipped);
	}
	fflush(stdout);
	while (strcmp(argv[1], "hold") == 0)
		pause();
	return cl_engine_close(engine, CL_END_KEEP, 0, NULL, &err) < 0 ? failed(&err) : 0;
}

static void say_left(void *ctx, const struct cl_change *change, const char *text)
{
	fprintf(stderr, "fence_host: %s\n", text);
}

static int undo(const char *dir)
{
	struct cl_undo_report r;
	struct cl_error err;
	int fd;

	if (cl_lock(dir, &fd, &err) < 0 || cl_undo(dir, false, say_left, NULL, &r, &err) < 0)
		return failed(&err);
	printf("objects %u restored %u already %u gone %u left %u failed %u verified %d\n",
	       r.objects, r.restored, r.already, r.gone, r.left, r.failed, r.verified);
	return r.verified ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc >= 5 && (strcmp(argv[1], "apply") == 0 || strcmp(argv[1], "hold") == 0))
		return apply(argv);
	if (argc == 3 && strcmp(argv[1], "undo") == 0)
		return undo(argv[2]);
	fprintf(stderr, "usage: fence_host apply|hold DIR masks|containers PID.. | undo DIR\n");
	return 2;
}
