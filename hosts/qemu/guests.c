/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guests and monitors: who comes, who goes, who is who. */
#include "guests.h"

#include "lib.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/syscall.h>

#include "talk.h"

/* ---- guests ---- */

static void open_nic(struct cl_qemu_nic *nic, const char *name)
{
	static const char *const counters[] = { "rx_packets", "rx_bytes", "tx_packets",
						"tx_bytes" };
	char path[128];

	snprintf(nic->name, sizeof(nic->name), "%s", name);
	for (size_t i = 0; i < CL_COUNT(counters); i++) {
		snprintf(path, sizeof(path), "/sys/class/net/%s/statistics/%s", nic->name,
			 counters[i]);
		nic->counters[i] = open(path, O_RDONLY | O_CLOEXEC);
	}
}

static void close_nics(struct cl_qemu_guest *guest)
{
	for (uint32_t i = 0; i < guest->nic_count; i++)
		for (size_t j = 0; j < CL_COUNT(guest->nics[i].counters); j++)
			cl_cleanup_close(&guest->nics[i].counters[j]);
	guest->nic_count = 0;
}

static bool same_nics(const struct cl_qemu_guest *guest, const struct cl_qemu_held *held)
{
	if (guest->nic_count != held->tap_count)
		return false;
	for (uint32_t i = 0; i < guest->nic_count; i++)
		if (strcmp(guest->nics[i].name, held->taps[i]) != 0)
			return false;
	return true;
}

/* Interfaces and vhost threads: at first sight and with each description. */
void cl_qemu_look_inside(struct cl_qemu *q, struct cl_qemu_guest *guest)
{
	struct cl_qemu_held *held = &q->held;

	cl_qemu_held_read(guest->process.tid, held);
	if (!same_nics(guest, held)) {
		close_nics(guest);
		for (uint32_t i = 0; i < held->tap_count; i++)
			open_nic(&guest->nics[guest->nic_count++], held->taps[i]);
	}
	for (uint32_t i = 0; i < guest->vhost_count; i++) {
		bool still = false;

		for (uint32_t j = 0; j < held->vhost_count; j++)
			still |= held->vhosts[j] == guest->vhosts[i];
		if (!still)
			cl_threads_unfollow(q->threads, guest->vhosts[i]);
	}
	guest->vhost_count = 0;
	for (uint32_t i = 0; i < held->vhost_count; i++)
		if (cl_threads_follow(q->threads, held->vhosts[i], guest->slot, NULL) == 0)
			guest->vhosts[guest->vhost_count++] = held->vhosts[i];
}

static struct cl_qemu_guest **free_slot(struct cl_qemu *q)
{
	for (uint32_t i = 0; i < q->guest_count; i++)
		if (!q->guests[i])
			return &q->guests[i];
	if (q->guest_count == q->limits.guests) {
		q->dropped_guests++;
		return NULL;
	}
	if (q->guest_count == q->guest_cap) {
		uint32_t cap = q->guest_cap ? q->guest_cap * 2 : 16;
		void *guests = realloc(q->guests, cap * sizeof(*q->guests));

		if (!guests)
			return NULL;
		q->guests = guests;
		q->guest_cap = cap;
	}
	q->guests[q->guest_count] = NULL;
	return &q->guests[q->guest_count++];
}

static struct cl_qemu_guest *find_guest(const struct cl_qemu *q, struct cl_tid process)
{
	for (uint32_t i = 0; i < q->guest_count; i++)
		if (q->guests[i] && q->guests[i]->process.tid == process.tid &&
		    q->guests[i]->process.start == process.start)
			return q->guests[i];
	return NULL;
}

static void free_guest(struct cl_qemu *q, struct cl_qemu_guest *guest)
{
	for (uint32_t i = 0; i < q->monitor_count; i++)
		if (q->monitors[i]->guest == guest) {
			cl_qemu_hang_up(q, q->monitors[i]);
			q->monitors[i]->guest = NULL;
			q->monitors[i]->mood = CL_QEMU_NEW;
			q->monitors[i]->failures = 0;
			q->monitors[i]->retry_ns = 0;
		}
	cl_threads_unfollow(q->threads, guest->process.tid);
	for (uint32_t i = 0; i < guest->vhost_count; i++)
		cl_threads_unfollow(q->threads, guest->vhosts[i]);
	close_nics(guest);
	cl_cleanup_close(&guest->pidfd); /* and with it its place in the epoll set */
	cl_cleanup_close(&guest->statm);
	cl_qemu_facts_done(&guest->facts);
	q->guests[guest->slot] = NULL;
	free(guest);
}

static void take_args(struct cl_qemu_guest *guest)
{
	struct cl_qemu_args args;

	if (!cl_qemu_args_read(guest->process.tid, &args))
		return;
	memcpy(guest->name, args.name, sizeof(guest->name));
	guest->has_args_id = args.has_uuid;
	guest->args_id = args.uuid;
	guest->names_threads = args.names_threads;
	guest->vfio_count = args.vfio_count;
	memcpy(guest->vfio, args.vfio, sizeof(guest->vfio));
}

static bool watch_process(struct cl_qemu *q, struct cl_qemu_guest *guest)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = guest };
	char path[64];

	guest->pidfd = (int)syscall(SYS_pidfd_open, guest->process.tid, 0);
	snprintf(path, sizeof(path), "/proc/%d/statm", guest->process.tid);
	guest->statm = open(path, O_RDONLY | O_CLOEXEC);
	/* Without pidfds (before Linux 5.3) a death is seen at the next tick, by cl_threads_alive.
	 */
	return guest->pidfd < 0 || epoll_ctl(q->epoll, EPOLL_CTL_ADD, guest->pidfd, &event) == 0;
}

struct cl_qemu_guest *cl_qemu_guest_of(struct cl_qemu *q, int32_t pid, const char *where,
				       struct cl_error *reterr)
{
	struct cl_qemu_guest *guest, **slot;
	struct cl_tid id;
	int32_t process;

	if (cl_thread_identify(pid, &id, &process, reterr) < 0)
		return NULL;
	if (process != pid) {
		cl_fail(reterr, ESRCH, "process %d: it is a thread of %d", pid, process);
		return NULL;
	}
	guest = find_guest(q, id);
	if (guest)
		return guest;
	slot = free_slot(q);
	guest = slot ? calloc(1, sizeof(*guest)) : NULL;
	if (!guest) {
		cl_fail(reterr, ENOSPC, "process %d: no room for one more guest", pid);
		return NULL;
	}
	guest->source = CL_QEMU_SOURCE_GUEST;
	guest->slot = (uint32_t)(slot - q->guests);
	guest->process = id;
	guest->pidfd = guest->statm = -1;
	snprintf(guest->where, sizeof(guest->where), "%s", where);
	cl_qemu_facts_init(&guest->facts);
	if (cl_threads_follow(q->threads, pid, guest->slot, reterr) < 0) {
		free(guest);
		return NULL;
	}
	*slot = guest;
	if (!watch_process(q, guest)) {
		cl_fail(reterr, errno, "process %d: cannot be watched: %s", pid, strerror(errno));
		free_guest(q, guest);
		return NULL;
	}
	take_args(guest);
	cl_qemu_look_inside(q, guest);
	q->stirred = true;
	return guest;
}

void cl_qemu_drop_gone(struct cl_qemu *q)
{
	for (uint32_t i = 0; i < q->guest_count; i++) {
		struct cl_qemu_guest *guest = q->guests[i];

		if (guest && (guest->gone || !cl_threads_alive(q->threads, guest->process.tid)))
			free_guest(q, guest);
	}
}

/* ---- identities ---- */

static bool is_claimed(const struct cl_qemu *q, const struct cl_qemu_guest *by,
		       const struct cl_uuid *id)
{
	for (uint32_t i = 0; i < q->guest_count; i++)
		if (q->guests[i] && q->guests[i] != by &&
		    q->guests[i]->id_from != CL_QEMU_ID_NONE &&
		    cl_uuid_compare(&q->guests[i]->id, id) == 0)
			return true;
	return false;
}

/* Is there something better than what it has? Once the arguments or the monitor have said it, it
 * stays. */
static void settle_id(const struct cl_qemu *q, struct cl_qemu_guest *guest)
{
	struct cl_uuid id;
	enum cl_qemu_id_from from = CL_QEMU_ID_DERIVED;
	char where[CL_QEMU_PATH_MAX + 16];

	if (guest->id_from == CL_QEMU_ID_ARGS || guest->id_from == CL_QEMU_ID_MONITOR)
		return;
	if (guest->has_args_id)
		from = CL_QEMU_ID_ARGS;
	else if (guest->facts.has_uuid)
		from = CL_QEMU_ID_MONITOR;
	if (from != CL_QEMU_ID_DERIVED) {
		id = from == CL_QEMU_ID_ARGS ? guest->args_id : guest->facts.uuid;
		guest->disputed = is_claimed(q, guest, &id);
		if (!guest->disputed) {
			guest->id = id;
			guest->id_from = from;
			return;
		}
	}
	if (guest->id_from == CL_QEMU_ID_DERIVED)
		return;
	/* A claim of such a value by somebody is no accident; the pid makes another one of it. */
	snprintf(where, sizeof(where), "%s", guest->where);
	cl_qemu_derive_uuid(where, guest->process.start, &id);
	if (!guest->where[0] || is_claimed(q, guest, &id)) {
		snprintf(where, sizeof(where), "%s#%d", guest->where, guest->process.tid);
		cl_qemu_derive_uuid(where, guest->process.start, &id);
	}
	for (unsigned i = 0; is_claimed(q, guest, &id); i++) {
		assert(i <= q->guest_count);
		id.b[15]++;
	}
	guest->id = id;
	guest->id_from = CL_QEMU_ID_DERIVED;
}

static int compare_birth(const void *a, const void *b)
{
	const struct cl_qemu_guest *x = *(struct cl_qemu_guest *const *)a,
				   *y = *(struct cl_qemu_guest *const *)b;

	if (x->process.start != y->process.start)
		return x->process.start < y->process.start ? -1 : 1;
	return (x->process.tid > y->process.tid) - (x->process.tid < y->process.tid);
}

/* Its monitor may say a uuid later than its guest was first seen; whoever lost a dispute keeps what
 * it was given. */
static bool lacks_id(const struct cl_qemu_guest *guest)
{
	return guest->id_from == CL_QEMU_ID_NONE ||
	       (guest->id_from == CL_QEMU_ID_DERIVED && guest->facts.has_uuid && !guest->disputed);
}

void cl_qemu_settle_ids(struct cl_qemu *q)
{
	cl_autofree struct cl_qemu_guest **open_ids = NULL;
	uint32_t n = 0;

	/* In a steady state there is none, and nothing is allocated. */
	for (uint32_t i = 0; i < q->guest_count; i++) {
		struct cl_qemu_guest *guest = q->guests[i];

		if (!guest)
			continue;
		n += lacks_id(guest);
		guest->contradicts = guest->has_args_id && guest->facts.has_uuid &&
				     cl_uuid_compare(&guest->args_id, &guest->facts.uuid) != 0;
	}
	if (n == 0)
		return;
	open_ids = calloc(n, sizeof(*open_ids));
	if (!open_ids)
		return; /* left out of this snapshot, and tried again at the next */
	n = 0;
	for (uint32_t i = 0; i < q->guest_count; i++)
		if (q->guests[i] && lacks_id(q->guests[i]))
			open_ids[n++] = q->guests[i];
	qsort(open_ids, n, sizeof(*open_ids), compare_birth);
	for (uint32_t i = 0; i < n; i++)
		settle_id(q, open_ids[i]);
}

/* ---- monitors ---- */

static int compare_monitors(const void *a, const void *b)
{
	return strcmp((*(struct cl_qemu_monitor *const *)a)->path,
		      (*(struct cl_qemu_monitor *const *)b)->path);
}

static int compare_path(const void *path, const void *monitor)
{
	return strcmp(path, (*(struct cl_qemu_monitor *const *)monitor)->path);
}

static int add_monitor(struct cl_qemu *q, const char *path, struct cl_error *reterr)
{
	struct cl_qemu_monitor *monitor;

	if (q->monitor_count == q->monitor_cap) {
		uint32_t cap = q->monitor_cap ? q->monitor_cap * 2 : 16;
		void *monitors = realloc(q->monitors, cap * sizeof(*q->monitors));

		if (!monitors)
			return cl_fail(reterr, ENOMEM, "listing QMP sockets: no memory");
		q->monitors = monitors;
		q->monitor_cap = cap;
	}
	monitor = calloc(1, sizeof(*monitor));
	if (!monitor)
		return cl_fail(reterr, ENOMEM, "listing QMP sockets: no memory");
	monitor->source = CL_QEMU_SOURCE_MONITOR;
	monitor->present = true;
	memcpy(monitor->path, path, strlen(path) + 1);
	cl_qemu_facts_init(&monitor->facts);
	q->monitors[q->monitor_count++] = monitor;
	return 0;
}

static void sweep_monitors(struct cl_qemu *q, bool all)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < q->monitor_count; i++) {
		struct cl_qemu_monitor *monitor = q->monitors[i];

		if (monitor->present && !all) {
			q->monitors[kept++] = monitor;
			continue;
		}
		cl_qemu_hang_up(q, monitor);
		free(monitor);
	}
	q->monitor_count = kept;
	if (kept > 1)
		qsort(q->monitors, kept, sizeof(*q->monitors), compare_monitors);
}

static void watch_folders(struct cl_qemu *q, const struct cl_qemu_paths *sockets)
{
	struct cl_qemu_paths dirs;

	if (q->inotify < 0 || cl_qemu_paths_watch(&q->place, sockets, &dirs, NULL) < 0)
		return;
	/* The same folder again is the same watch; one that has gone removes itself. */
	for (uint32_t i = 0; i < dirs.n; i++)
		inotify_add_watch(q->inotify, dirs.path[i],
				  IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM | IN_ONLYDIR);
	cl_qemu_paths_done(&dirs);
}

static int scan_sockets(struct cl_qemu *q, struct cl_error *reterr)
{
	struct cl_qemu_paths sockets;
	uint32_t known = q->monitor_count; /* these are sorted, whatever is appended */
	int r = cl_qemu_paths_read(&q->place, q->procs, &sockets, reterr);

	if (r < 0)
		return r;
	watch_folders(q, &sockets);
	q->cut = sockets.cut;
	for (uint32_t i = 0; i < q->monitor_count; i++)
		q->monitors[i]->present = false;
	for (uint32_t i = 0; r == 0 && i < sockets.n; i++) {
		struct cl_qemu_monitor **monitor =
			!known ? NULL
			       : bsearch(sockets.path[i], q->monitors, known, sizeof(*q->monitors),
					 compare_path);

		if (monitor)
			(*monitor)->present = true;
		else
			r = add_monitor(q, sockets.path[i], reterr);
	}
	cl_qemu_paths_done(&sockets);
	sweep_monitors(q, false);
	return r;
}

/* With qemu:auto a process is a guest, whether it has a monitor or not. */
static void adopt_processes(struct cl_qemu *q)
{
	for (uint32_t i = 0; i < cl_qemu_procs_count(q->procs); i++) {
		const struct cl_qemu_process *process = cl_qemu_procs_at(q->procs, i);
		const char *where = process->args.socket_count ? process->args.sockets[0] : "";

		cl_qemu_guest_of(q, process->pid, where, NULL);
	}
}

int cl_qemu_scan(struct cl_qemu *q, uint64_t now_ns, struct cl_error *reterr)
{
	bool anew = q->scanned_ns == 0 || now_ns - q->scanned_ns >= CL_QEMU_SCAN_NS,
	     changed = false;
	int r = 0;

	cl_qemu_drop_gone(q);
	if (anew || q->dirty || q->place.where == CL_QEMU_AUTO)
		changed = cl_qemu_procs_scan(q->procs, anew);
	if (anew || q->dirty || changed) {
		q->dirty = false;
		r = scan_sockets(q, reterr);
		if (q->place.where == CL_QEMU_AUTO)
			adopt_processes(q);
	}
	if (anew)
		q->scanned_ns = now_ns;
	return r;
}

void cl_qemu_drop_all(struct cl_qemu *q)
{
	sweep_monitors(q, true);
	for (uint32_t i = 0; i < q->guest_count; i++)
		if (q->guests[i])
			free_guest(q, q->guests[i]);
	free(q->monitors);
	free(q->guests);
	q->monitors = NULL;
	q->guests = NULL;
	q->monitor_count = q->monitor_cap = q->guest_count = q->guest_cap = 0;
}
