/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The operations of the QEMU host; see qemu.h for how it sees its guests. */
#include "qemu.h"

#include "guests.h"
#include "lib.h"

#include <errno.h>
#include <glob.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>

/* Conversations get this share of the time that an observation has, in quarters; the rest is for
 * threads. */
#define TALK_QUARTERS 3

static void qemu_close(struct cl_host *host)
{
	struct cl_qemu *q = (struct cl_qemu *)host;

	if (!q)
		return;
	cl_qemu_drop_all(q);
	cl_irqs_free(q->irqs);
	cl_build_free(q->build);
	cl_threads_free(q->threads);
	cl_topology_free(q->topology);
	cl_qemu_procs_free(q->procs);
	cl_cleanup_close(&q->inotify);
	cl_cleanup_close(&q->epoll);
	free(q);
}

static int open_events(struct cl_qemu *q, struct cl_error *reterr)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = &q->inotify_source };

	q->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (q->epoll < 0)
		return cl_fail(reterr, errno, "qemu: making an epoll set: %s", strerror(errno));
	q->inotify_source = CL_QEMU_SOURCE_INOTIFY;
	/* Without it (their number is limited) new sockets are seen by the scan every 10 s. */
	q->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (q->inotify >= 0 && epoll_ctl(q->epoll, EPOLL_CTL_ADD, q->inotify, &event) < 0)
		cl_cleanup_close(&q->inotify);
	return 0;
}

static int qemu_open(const char *arg, struct cl_host **ret_host, struct cl_error *reterr)
{
	struct cl_qemu *q = calloc(1, sizeof(*q));
	struct cl_error err;
	int r;

	if (!q)
		return cl_fail(reterr, ENOMEM, "opening qemu:%.200s: no memory", arg);
	q->host.ops = &cl_host_qemu;
	q->epoll = q->inotify = -1;
	q->limits = cl_limits_default;
	cl_cgroup_find(&q->cgroup);
	r = cl_qemu_place_parse(arg, &q->place, reterr);
	if (r == 0)
		r = open_events(q, reterr);
	if (r == 0)
		r = cl_qemu_procs_new(&q->procs, reterr);
	if (r == 0)
		r = cl_topology_new(&q->topology, reterr);
	if (r == 0)
		r = cl_threads_new(q->limits.works + q->limits.vcpus, CL_THREADS_AUTO,
				   q->cgroup.version ? &q->cgroup : NULL, &q->threads, reterr);
	if (r == 0)
		r = cl_build_new(&q->limits, &q->cgroup, &q->build, reterr);
	if (r < 0) {
		qemu_close(&q->host);
		return r;
	}
	if (cl_irqs_new(&q->irqs, &err) < 0)
		snprintf(q->irq_problem, sizeof(q->irq_problem), "%s", err.text);
	*ret_host = &q->host;
	return 0;
}

static int qemu_observe(struct cl_host *host, uint64_t deadline_ns, struct cl_snapshot *snap,
			struct cl_error *reterr)
{
	struct cl_qemu *q = (struct cl_qemu *)host;
	uint64_t now_ns = cl_clock_ns(), left = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
	int r;

	cl_snapshot_reset(snap);
	q->dropped_guests = 0;
	r = cl_qemu_scan(q, now_ns, reterr);
	if (r < 0)
		return r;
	/* First who is who, then the times: these should be of one moment. */
	cl_qemu_pump(q, now_ns + left / 4 * TALK_QUARTERS);
	cl_qemu_drop_gone(q);
	cl_qemu_settle_ids(q);
	cl_qemu_read_homes(q, deadline_ns);
	r = cl_qemu_fill(q, snap, reterr);
	q->stirred = false;
	return r;
}

static int qemu_read(struct cl_host *host, const struct cl_change *change,
		     struct cl_setting *ret_setting, struct cl_error *reterr)
{
	return cl_linux_read(&((struct cl_qemu *)host)->cgroup, change, ret_setting, reterr);
}

static int qemu_apply(struct cl_host *host, const struct cl_change *change, struct cl_error *reterr)
{
	struct cl_qemu *q = (struct cl_qemu *)host;

	/* Whatever comes of it: what was read before is not to be believed any more. */
	cl_build_recheck(q->build, q->threads);
	return cl_linux_apply(&q->cgroup, change, reterr);
}

static int qemu_wait(struct cl_host *host, uint64_t until_ns, int fd, enum cl_wake *ret_why,
		     struct cl_error *reterr)
{
	struct cl_qemu *q = (struct cl_qemu *)host;
	bool ready = false;
	uint64_t now_ns;

	for (;;) {
		cl_qemu_round(q, until_ns, fd, &ready);
		now_ns = cl_clock_ns();
		if (q->dirty) {
			int r = cl_qemu_scan(q, now_ns, reterr);

			if (r < 0)
				return r;
		}
		if (ready || q->stirred || now_ns >= until_ns)
			break;
	}
	*ret_why = ready ? CL_WAKE_SIGNAL : q->stirred ? CL_WAKE_EVENT : CL_WAKE_TIMER;
	return 0;
}

static uint64_t qemu_now_ns(struct cl_host *host)
{
	return cl_clock_ns();
}

static void qemu_check(struct cl_host *host,
		       void (*say)(void *ctx, const char *level, const char *text), void *ctx)
{
	cl_qemu_check((struct cl_qemu *)host, say, ctx);
}

/* A folder or pattern where something keeps QMP sockets; the lab's is closer's own. */
static const char *const known_places[] = {
	"/run/qemu-server/[0-9]*.qmp", /* Proxmox VE; there are sockets of other kinds beside them
					*/
	"/run/closer-lab/*.qmp",
};

static bool qemu_detect(char *ret_uri, size_t size)
{
	struct cl_qemu_procs *procs = NULL;
	bool found = false;

	if (cl_qemu_procs_new(&procs, NULL) == 0) {
		cl_qemu_procs_scan(procs, true);
		found = cl_qemu_procs_count(procs) > 0;
		if (found)
			snprintf(ret_uri, size, "qemu:auto");
	}
	cl_qemu_procs_free(procs);
	for (size_t i = 0; !found && i < CL_COUNT(known_places); i++) {
		glob_t sockets = { 0 };

		found = glob(known_places[i], GLOB_NOSORT, NULL, &sockets) == 0 &&
			sockets.gl_pathc > 0;
		if (found)
			snprintf(ret_uri, size, "qemu:%s", known_places[i]);
		globfree(&sockets);
	}
	return found;
}

const struct cl_host_ops cl_host_qemu = {
	.name = "qemu",
	.doc = "QEMU guests, by their monitors (QMP) and their processes",
	.uri = "DIR, PATTERN or auto",
	.detect = qemu_detect,
	.open = qemu_open,
	.observe = qemu_observe,
	.read = qemu_read,
	.apply = qemu_apply,
	.wait = qemu_wait,
	.now_ns = qemu_now_ns,
	.check = qemu_check,
	.close = qemu_close,
};
