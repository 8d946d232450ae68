/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The operations of the Xen host; see guests.h for what it keeps. */
#include "xen/guests.h"
#include "xen/rate.h"

#include "lib.h"
#include "nic.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

/* Xenstore gets this share of the time that an observation has, in quarters. */
#define STORE_QUARTERS 2
#define OPEN_NS        (2 * CL_NS_PER_S)    /* to learn of all guests at the start */
#define ANSWER_NS      (200 * CL_NS_PER_MS) /* for one answer of xenstored, later */

static const struct cl_host_ops xen_ops;

static void xen_close(struct cl_host *host)
{
	struct cl_xen *xen = (struct cl_xen *)host;

	if (!xen)
		return;
	if (xen->guests)
		cl_xen_drop_guests(xen);
	cl_store_close(&xen->store);
	cl_irqs_free(xen->irqs);
	cl_build_free(xen->build);
	cl_threads_free(xen->threads);
	cl_topology_free(xen->topology);
	cl_hyper_close(xen->hyper);
	if (xen->proc)
		closedir(xen->proc);
	if (xen->loadavg >= 0)
		close(xen->loadavg);
	free(xen->guests);
	free(xen->guests_next);
	free(xen->works);
	free(xen);
}

static int make_tables(struct cl_xen *xen, struct cl_error *reterr)
{
	uint32_t guests = cl_limits_default.guests;

	xen->guests = calloc(guests, sizeof(xen->guests[0]));
	xen->guests_next = calloc(guests, sizeof(xen->guests[0]));
	xen->works = calloc(CL_XEN_WORKS_MAX, sizeof(xen->works[0]));
	if (!xen->guests || !xen->guests_next || !xen->works)
		return cl_fail(reterr, ENOMEM, "opening xen: no memory");
	xen->proc = opendir("/proc");
	if (!xen->proc)
		return cl_fail(reterr, errno, "opening /proc: %s", strerror(errno));
	xen->loadavg = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
	return 0;
}

static int xen_open(const char *arg, struct cl_host **ret_host, struct cl_error *reterr)
{
	struct cl_xen *xen = calloc(1, sizeof(*xen));
	const struct cl_limits *limits = &cl_limits_default;
	struct cl_error err;
	int r;

	if (!xen)
		return cl_fail(reterr, ENOMEM, "opening xen: no memory");
	xen->host.ops = &xen_ops;
	xen->store.fd = xen->loadavg = -1;
	xen->dom0_target_bytes = CL_UNKNOWN;
	cl_scale_begin(&xen->scale);
	cl_cgroup_find(&xen->cgroup);
	xen->pages = strcmp(arg, "pages") == 0;
	r = *arg && !xen->pages
		    ? cl_fail(reterr, EINVAL,
			      "xen:%.64s: there is one Xen here, so it is xen:, or xen:pages to have "
			      "it say on which nodes guests' pages lie",
			      arg)
		    : make_tables(xen, reterr);
	if (r == 0)
		r = cl_hyper_open(&xen->hyper, reterr);
	if (r == 0)
		r = cl_hyper_machine(xen->hyper, &xen->machine, reterr);
	if (r == 0)
		r = cl_xen_list_guests(xen, reterr);
	if (r == 0)
		r = cl_topology_new(&xen->topology, reterr);
	if (r == 0)
		r = cl_threads_new(limits->works, CL_THREADS_AUTO,
				   xen->cgroup.version ? &xen->cgroup : NULL, &xen->threads,
				   reterr);
	if (r == 0)
		r = cl_build_new(limits, &xen->cgroup, &xen->build, reterr);
	if (r < 0) {
		xen_close(&xen->host);
		return r;
	}
	cl_build_moves_alone(xen->build);
	cl_build_fences(xen->build);
	cl_build_shows_top(xen->build);
	cl_build_may(xen->build, CL_CAN_RATE);
	if (cl_nic_can())
		cl_build_may(xen->build, CL_CAN_NAPI_THREAD);
	else
		cl_build_cannot(xen->build, CL_CAN_NAPI_THREAD,
				"this kernel cannot run a device's NAPI in threads (Linux 5.12)");
	if (!cl_threads_honest(xen->threads))
		cl_build_cannot(xen->build, CL_CAN_CLOCK,
				"without BPF only dom0's kernel says what ran, and it counts time "
				"that Xen gave to guests as work");
	if (cl_irqs_new(&xen->irqs, &err) < 0)
		snprintf(xen->irq_problem, sizeof(xen->irq_problem), "%s", err.text);
	/* The first observation is to show all guests, slow as xenstored may be: a plan may be made
	 * of it. */
	cl_xen_describe(xen, cl_clock_ns() + OPEN_NS, OPEN_NS);
	*ret_host = &xen->host;
	return 0;
}

static int xen_observe(struct cl_host *host, uint64_t deadline_ns, struct cl_snapshot *snap,
		       struct cl_error *reterr)
{
	struct cl_xen *xen = (struct cl_xen *)host;
	uint64_t now_ns = cl_clock_ns(), left = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
	int r;

	cl_snapshot_reset(snap);
	r = cl_xen_list_guests(xen, reterr);
	if (r < 0)
		return r;
	cl_xen_describe(xen, now_ns + left / 4 * STORE_QUARTERS, ANSWER_NS);
	cl_xen_read_pages(xen);
	cl_xen_read_targets(xen, now_ns + left / 4 * STORE_QUARTERS);
	cl_xen_scan(xen);
	r = cl_xen_fill(xen, snap, reterr);
	xen->stirred = false;
	return r;
}

static int xen_read(struct cl_host *host, const struct cl_change *change,
		    struct cl_setting *ret_setting, struct cl_error *reterr)
{
	struct cl_xen *xen = (struct cl_xen *)host;

	if (change->kind == CL_CHANGE_RATE)
		return cl_xen_rate_read(&xen->store, change, ret_setting, reterr);
	if (change->kind == CL_CHANGE_VCPU || cl_change_entitles(change->kind))
		return cl_xen_vcpu_read(xen->hyper, change, ret_setting, reterr);
	return cl_linux_read(&xen->cgroup, change, ret_setting, reterr);
}

static int xen_apply(struct cl_host *host, const struct cl_change *change, struct cl_error *reterr)
{
	struct cl_xen *xen = (struct cl_xen *)host;

	if (change->kind == CL_CHANGE_RATE)
		return cl_xen_rate_apply(&xen->store, change, reterr);
	if (change->kind == CL_CHANGE_VCPU || cl_change_entitles(change->kind)) {
		int r = cl_xen_vcpu_apply(xen->hyper, change, reterr);

		if (r < 0) /* perhaps its pool is another by now */
			xen->machine_ns = 0;
		if (change->kind == CL_CHANGE_MEMORY)
			cl_xen_targeted(xen, change);
		return r;
	}
	/* Whatever comes of it: what was read before is not to be believed any more. */
	cl_build_recheck(xen->build, xen->threads);
	xen->rescan |= change->kind == CL_CHANGE_NIC; /* its threads come or go */
	return cl_linux_apply(&xen->cgroup, change, reterr);
}

static int xen_along(struct cl_host *host, const struct cl_change *change,
		     int (*fn)(void *ctx, const struct cl_change *along), void *ctx,
		     struct cl_error *reterr)
{
	return cl_linux_along(&((struct cl_xen *)host)->cgroup, change, fn, ctx, reterr);
}

static int xen_wait(struct cl_host *host, uint64_t until_ns, int fd, enum cl_wake *ret_why,
		    struct cl_error *reterr)
{
	struct cl_xen *xen = (struct cl_xen *)host;

	for (;;) {
		uint64_t now = cl_clock_ns(), left = until_ns > now ? until_ns - now : 0;
		struct timespec ts = { (time_t)(left / CL_NS_PER_S), (long)(left % CL_NS_PER_S) };
		struct pollfd polls[2] = { { fd, POLLIN, 0 }, { xen->store.fd, POLLIN, 0 } };
		struct cl_error err;
		int r = ppoll(polls, 2, &ts, NULL);

		if (r < 0 && errno != EINTR)
			return cl_fail(reterr, errno, "waiting for Xen: %s", strerror(errno));
		/* A connection that is lost is closed there, and poll passes over it. */
		if (r > 0 && polls[1].revents && cl_store_drain(&xen->store, &err) < 0)
			snprintf(xen->store_problem, sizeof(xen->store_problem), "%s", err.text);
		if (r > 0 && polls[0].revents)
			*ret_why = CL_WAKE_SIGNAL;
		else if (xen->stirred)
			*ret_why = CL_WAKE_EVENT;
		else if (cl_clock_ns() >= until_ns)
			*ret_why = CL_WAKE_TIMER;
		else
			continue;
		return 0;
	}
}

static uint64_t xen_now_ns(struct cl_host *host)
{
	return cl_clock_ns();
}

static void xen_check(struct cl_host *host,
		      void (*say)(void *ctx, const char *level, const char *text), void *ctx)
{
	cl_xen_check((struct cl_xen *)host, say, ctx);
}

static const struct cl_host_ops xen_ops = {
	.name = "xen",
	.doc = CL_XEN_DOC,
	.uri = "[pages]",
	.open = xen_open,
	.observe = xen_observe,
	.read = xen_read,
	.apply = xen_apply,
	.along = xen_along,
	.wait = xen_wait,
	.now_ns = xen_now_ns,
	.check = xen_check,
	.close = xen_close,
};

__attribute__((visibility("default"))) extern const struct cl_xen_module cl_xen_module;

const struct cl_xen_module cl_xen_module = {
	.abi = CL_XEN_MODULE_ABI,
	.snapshot_bytes = sizeof(struct cl_snapshot),
	.ops_bytes = sizeof(struct cl_host_ops),
	.change_bytes = sizeof(struct cl_change),
	.version = CLOSER_VERSION,
	.ops = &xen_ops,
	.vcpus = { cl_hyper_open, cl_xen_vcpu_read, cl_xen_vcpu_apply, cl_hyper_close },
	.tbuf = &cl_xen_tbuf,
};
