/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The threads that work for guests. All of /proc is walked when domains or back ends changed, and
 * every ten seconds, since a NAPI thread comes without a word to xenstore.
 *
 * A name convinces nobody: any process may call itself vif1.0-q0-guest-rx. It has to be a thread of
 * the kernel's, its device one that xenstore has for a domain that lives. A device model is the
 * process that the toolstack wrote down, and its arguments have to agree. The toolstack's own
 * processes are tools.c's.
 */
#include "xen/guests.h"

#include "lib.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define EVERY_NS   (10 * CL_NS_PER_S)
#define SETTLE_NS  (2 * CL_NS_PER_S) /* after a change: threads follow their device by a moment */
#define COST_SHARE 20u               /* walking takes a twentieth of the time at most, */
#define NEWS_SHARE 4u                /* and a quarter while there is news */
#define ARGS_READ  8192u

static struct cl_xen_device *find_in(struct cl_xen_guest *guest, const struct cl_xen_named *named)
{
	for (uint32_t i = 0; guest && i < guest->device_count; i++) {
		struct cl_xen_device *device = &guest->devices[i];

		if ((device->kind != CL_XEN_VIF) == named->is_disk &&
		    device->kind != CL_XEN_QDISK && cl_xen_is_device(named, device->name))
			return device;
	}
	return NULL;
}

/* The number in "vif1.0" or "1.xvda" leads to its guest; renamed devices are looked for in all. */
static struct cl_xen_device *find_device(struct cl_xen *xen, const struct cl_xen_named *named,
					 struct cl_xen_guest **ret_guest)
{
	const char *digits = named->device;
	struct cl_xen_device *device = NULL;
	const char *end;
	uint64_t domid;

	if (!named->is_disk && strncmp(digits, "vif", 3) == 0)
		digits += 3;
	if (cl_parse_u64(digits, &domid, &end) && *end == '.' && domid < CL_XEN_DOMIDS) {
		*ret_guest = cl_xen_find(xen, (uint32_t)domid);
		device = find_in(*ret_guest, named);
	}
	for (uint32_t i = 0; i < xen->guest_count && !device && !named->is_disk; i++) {
		*ret_guest = &xen->guests[i];
		device = find_in(*ret_guest, named);
	}
	return device;
}

/* The guest's vCPU that is told of events on the queue. */
static uint32_t queue_vcpu(struct cl_xen *xen, const struct cl_xen_work *work)
{
	struct cl_xen_guest *guest = cl_xen_find(xen, work->domid);
	uint32_t vcpu;

	if (!guest || work->device >= guest->device_count || work->queue >= CL_XEN_QUEUES_MAX)
		return CL_NONE;
	const struct cl_xen_device *device = &guest->devices[work->device];

	if (work->queue >= device->port_count)
		return CL_NONE;
	const struct cl_xen_port *port = &device->ports[work->queue];
	uint32_t number = work->kind == CL_WORK_NETBACK_RX ? port->rx : port->tx;

	if (!number || cl_hyper_port(xen->hyper, work->domid, number, &vcpu) < 0 ||
	    vcpu >= guest->domain.vcpu_count)
		return CL_NONE;
	return vcpu;
}

/* ---- the table ---- */

static void drop_work(struct cl_xen *xen, struct cl_xen_work *work)
{
	cl_threads_unfollow(xen->threads, work->pid);
	work->pid = 0;
}

static struct cl_xen_work *slot_for(struct cl_xen *xen, int32_t pid)
{
	struct cl_xen_work *spare = NULL;

	for (uint32_t i = 0; i < xen->work_top; i++) {
		if (xen->works[i].pid == pid)
			return &xen->works[i];
		if (!spare && xen->works[i].pid == 0)
			spare = &xen->works[i];
	}
	if (!spare && xen->work_top < CL_XEN_WORKS_MAX)
		spare = &xen->works[xen->work_top++];
	return spare;
}

void cl_xen_keep(struct cl_xen *xen, const struct cl_xen_work *seen)
{
	struct cl_xen_work *work = slot_for(xen, seen->pid);

	if (!work)
		return;
	if (work->pid && work->start != seen->start)
		drop_work(xen, work); /* another thread has its number now */
	bool is_new = work->pid == 0;

	*work = *seen;
	work->found = true;
	work->vcpu = queue_vcpu(xen, work);
	if (is_new &&
	    cl_threads_follow(xen->threads, work->pid, (uint32_t)(work - xen->works), NULL) < 0)
		work->pid = 0; /* gone again, or too many: the latter counts as dropped there */
	cl_threads_own(xen->threads, seen->pid, seen->domid);
}

/* ---- the walk ---- */

static void look_at_kernel_thread(struct cl_xen *xen, int32_t pid, const struct cl_xen_stat *stat)
{
	struct cl_xen_guest *guest = NULL;
	struct cl_xen_named named;

	if (!cl_xen_parse_thread(stat->comm, &named))
		return;
	struct cl_xen_device *device = find_device(xen, &named, &guest);

	if (!device)
		return;
	struct cl_xen_work work = {
		.pid = pid,
		.start = stat->start,
		.domid = guest->domain.domid,
		.kind = named.kind,
		.is_kernel = true,
		.device = (uint32_t)(device - guest->devices),
		.queue = named.queue,
	};
	cl_xen_keep(xen, &work);
}

bool cl_xen_read_stat(const struct cl_xen *xen, int32_t pid, struct cl_xen_stat *ret_stat)
{
	char name[32], text[1024];

	snprintf(name, sizeof(name), "%d/stat", pid);
	return cl_read_file(dirfd(xen->proc), name, text, sizeof(text)) > 0 &&
	       cl_xen_parse_stat(text, ret_stat);
}

void cl_xen_look_at_kernel(struct cl_xen *xen, int32_t pid)
{
	struct cl_xen_stat stat;

	if (cl_xen_read_stat(xen, pid, &stat) && cl_xen_is_kernel_thread(&stat))
		look_at_kernel_thread(xen, pid, &stat);
}

static void look_at_model(struct cl_xen *xen, struct cl_xen_guest *guest)
{
	struct cl_xen_stat stat;
	char name[32], args[ARGS_READ];
	uint32_t domid;

	if (!guest->model || !cl_xen_read_stat(xen, guest->model, &stat) ||
	    cl_xen_is_kernel_thread(&stat))
		return;
	snprintf(name, sizeof(name), "%d/cmdline", guest->model);
	cl_autoclose int fd = openat(dirfd(xen->proc), name, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, args, sizeof(args));

	if (len <= 0 || !cl_xen_parse_model(args, (size_t)len, &domid) ||
	    domid != guest->domain.domid)
		return;
	struct cl_xen_work work = {
		.pid = guest->model,
		.start = stat.start,
		.domid = domid,
		.kind = guest->domain.hvm ? CL_WORK_DEVICE_MODEL : CL_WORK_DISK_PROCESS,
		.device = CL_NONE,
		.queue = CL_NONE,
	};
	cl_xen_keep(xen, &work);
}

static void walk(struct cl_xen *xen)
{
	const struct dirent *entry;

	for (uint32_t i = 0; i < xen->work_top; i++)
		xen->works[i].found = false;
	xen->manager[0] = '\0';
	rewinddir(xen->proc);
	while ((entry = readdir(xen->proc))) {
		struct cl_xen_stat stat;
		const char *end;
		uint64_t pid;

		if (!cl_parse_u64(entry->d_name, &pid, &end) || *end || pid > INT32_MAX ||
		    !cl_xen_read_stat(xen, (int32_t)pid, &stat))
			continue;
		if (cl_xen_is_kernel_thread(&stat))
			look_at_kernel_thread(xen, (int32_t)pid, &stat);
		else
			cl_xen_look_at_process(xen, (int32_t)pid, &stat);
		if (!cl_xen_is_kernel_thread(&stat) && cl_xen_moves_memory(stat.comm))
			snprintf(xen->manager, sizeof(xen->manager), "%s", stat.comm);
	}
	for (uint32_t i = 0; i < xen->guest_count; i++)
		look_at_model(xen, &xen->guests[i]);
	cl_xen_settle_tools(xen, true);
	for (uint32_t i = 0; i < xen->work_top; i++)
		if (xen->works[i].pid && !xen->works[i].found)
			drop_work(xen, &xen->works[i]);
	while (xen->work_top > 0 && xen->works[xen->work_top - 1].pid == 0)
		xen->work_top--;
}

static bool is_time(struct cl_xen *xen, uint64_t now_ns)
{
	bool settling = now_ns < xen->settle_ns;
	uint64_t share = xen->rescan ? NEWS_SHARE : COST_SHARE;

	if (xen->rescan)
		xen->settle_ns = now_ns + SETTLE_NS;
	if (xen->scan_ns == 0)
		return true;
	if (!xen->rescan && !settling && now_ns < xen->scan_ns + EVERY_NS)
		return false;
	return now_ns >= xen->scan_ns + xen->scan_cost_ns * share;
}

void cl_xen_scan(struct cl_xen *xen)
{
	uint64_t now_ns = cl_clock_ns();

	cl_xen_look_at_born(xen);
	if (!is_time(xen, now_ns)) {
		cl_xen_settle_tools(xen, false);
		return;
	}
	walk(xen);
	xen->rescan = false;
	xen->scan_ns = cl_clock_ns();
	xen->scan_cost_ns = xen->scan_ns - now_ns;
}

/* ---- what the snapshot asks ---- */

void cl_xen_role(void *ctx, const struct cl_thread *thread, struct cl_build_role *ret_role)
{
	struct cl_xen *xen = ctx;
	const struct cl_xen_work *work =
		thread->tag < xen->work_top ? &xen->works[thread->tag] : NULL;
	const struct cl_xen_guest *guest =
		work && work->pid == thread->process ? cl_xen_find(xen, work->domid) : NULL;

	if (!guest || guest->ix.v == CL_NONE)
		return;
	/* On v2 a command moves as a whole, with its first thread: the others wait for xenstore. */
	if (work->is_tool && xen->cgroup.version == 2 && thread->id.tid != thread->process)
		return;
	ret_role->as = CL_BUILD_WORK;
	ret_role->guest = guest->ix;
	ret_role->kind = work->kind;
	ret_role->vcpu = work->vcpu;
	ret_role->alone = work->is_kernel || work->is_tool;
}

uint32_t cl_xen_irq_vcpu(struct cl_xen *xen, const char *name)
{
	struct cl_xen_guest *guest = NULL;
	struct cl_xen_named named;
	const char *dash = strrchr(name, '-');
	const struct cl_xen_device *device =
		cl_xen_parse_irq(name, &named) ? find_device(xen, &named, &guest) : NULL;

	if (!device)
		return CL_NONE;
	struct cl_xen_work work = {
		.domid = guest->domain.domid,
		/* which of its ends */
		.kind = dash && strcmp(dash, "-rx") == 0 ? CL_WORK_NETBACK_RX
							 : CL_WORK_NETBACK_DEALLOC,
		.device = (uint32_t)(device - guest->devices),
		.queue = named.queue == CL_NONE && device->port_count == 1 ? 0 : named.queue,
	};
	return queue_vcpu(xen, &work);
}

struct cl_guest_ix cl_xen_irq_owner(void *ctx, const char *name)
{
	struct cl_xen *xen = ctx;
	struct cl_xen_guest *guest = NULL;
	struct cl_xen_named named;

	/* Whose it is cl_xen_fill finds out. */
	if (strcmp(name, CL_XEN_BLKBACK_IRQ) == 0)
		return (struct cl_guest_ix){ xen->guest_count && cl_threads_honest(xen->threads)
						     ? xen->guests[0].ix.v
						     : CL_NONE };
	if (cl_xen_parse_irq(name, &named) && find_device(xen, &named, &guest))
		return guest->ix;
	return (struct cl_guest_ix){ CL_NONE };
}
