/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * template: the skeleton for a new host. Copy this folder, and change what the numbered comments
 * name.
 *
 * It is a real host too: each process that it is told of is a guest, and it acts on their threads.
 * A new host differs in (1) where its guests come from, (2) what is known of each, (3) which thread
 * does what and (4) what wakes it. The rest is shared: threads.h follows threads, topology.h knows
 * the machine, build.h turns both into a snapshot, linux.h compares and sets. include/closer/host.h
 * is the contract.
 */
#include "template/template.h"

#include "build.h"
#include "lib.h"
#include "linux.h"
#include "numa.h"
#include "template/told.h"
#include "topology.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#define LOOK_NS (100 * CL_NS_PER_MS) /* how often the list's file is looked at while waiting */

/* Everything that the host holds. No globals: a program may have several hosts open. */
struct template
{
	struct cl_host host;     /* first, so that a struct cl_host * is one of these */
	struct cl_cgroup cgroup; /* where threads are placed; version 0 where there is none */
	struct cl_topology *topology;
	struct cl_threads *threads; /* of all guests, each process with a tag of ours */
	struct cl_build *build;
	char no_nodes[CL_ERROR_MAX]; /* why the memory's nodes are not known; "" if they are */
	struct cl_told told; /* (1) a list of processes. QEMU's is a folder of sockets, Xen's the
				hypervisor */
	bool met;            /* one of those listed was there once */
	struct pollfd polls[CL_TOLD_MAX + 1];
};

/*
 * (2) What is known of a guest: its identity, its name as its owner wrote it (hostile; whoever
 * prints it escapes it), its home. What was not read stays as cl_snapshot_add made it, which says
 * so: CL_UNKNOWN, CL_NONE.
 */
static void add_guest(struct cl_told_process *process, struct cl_snapshot *snap)
{
	struct cl_guest *guest = cl_snapshot_add_guests(snap);
	uint64_t pages, most = 0;
	const char *resident;
	char text[128];

	process->ix.v = CL_NONE;
	if (!guest)
		return; /* over capacity: counted, and its threads are left out */
	process->ix.v = (uint32_t)(guest - snap->guests);
	guest->id = process->uuid;
	guest->name = cl_snapshot_text(snap, process->listed.name);
	guest->process = process->id;
	guest->home = cl_numa_nodes(process->node_bytes);
	for (uint32_t i = 0; i < CL_NODES_MAX; i++) {
		if (i >= snap->n.nodes) {
			guest->home &= ~(UINT64_C(1)
					 << i); /* a node that came after the topology was read */
		} else if (process->node_bytes[i] > most) {
			most = process->node_bytes[i];
			guest->home_most.v = i;
		}
	}
	/* proc_pid_statm(5): "size resident ...", in pages. A kept descriptor: this is asked at
	 * each tick. */
	if (process->statm >= 0 && cl_read_fd(process->statm, text, sizeof(text)) > 0 &&
	    (resident = strchr(text, ' ')) && cl_parse_u64(resident + 1, &pages, NULL))
		guest->mem_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
	guest->read_ns = snap->taken_ns;
	guest->described = true;
}

/* "CPU 3" or "CPU 3/TCG", as QEMU names its vCPU threads with debug-threads=on. */
static bool is_vcpu(const char *comm, uint32_t *ret_index)
{
	const char *end;
	uint64_t index;

	if (strncmp(comm, "CPU ", 4) != 0 || !cl_parse_u64(comm + 4, &index, &end) ||
	    index >= CL_NONE)
		return false;
	*ret_index = (uint32_t)index;
	return *end == '\0' || *end == '/';
}

/*
 * (3) Which thread does what: asked by build.c for each thread at each tick, so it must be cheap.
 * Names are the guest's own, and may lie; a host that can ask somebody better (QMP) does. The kind
 * decides by whose rule a work is placed: see CL_WORK_KINDS.
 */
static void role(void *ctx, const struct cl_thread *thread, struct cl_build_role *ret_role)
{
	const struct template *t = ctx;
	const struct cl_told_process *process = &t->told.processes[thread->tag];

	if (process->id.tid != thread->process || process->ix.v == CL_NONE)
		return; /* not in this snapshot */
	ret_role->as = is_vcpu(thread->comm, &ret_role->vcpu) ? CL_BUILD_VCPU : CL_BUILD_WORK;
	ret_role->kind = CL_WORK_THREAD;
	ret_role->guest = process->ix;
}

/* A list without one that lives is a mistake at first; later it only says that all have ended. Not
 * asked at open: undo opens this host long after. */
static int meet(struct template *t, struct cl_error *reterr)
{
	for (uint32_t i = 0; i < t->told.top && !t->met; i++)
		t->met = t->told.processes[i].id.tid != 0;
	if (t->met || t->told.file[0] || t->told.listed_next < t->told.listed_count)
		return 0;
	return cl_fail(reterr, ESRCH, "template: there is no process %d%s", t->told.listed[0].pid,
		       t->told.listed_count > 1 ? ", nor any other of those named" : "");
}

/* The order is fixed: the machine first, since CPU and node numbers are checked against it. */
static int template_observe(struct cl_host *host, uint64_t deadline_ns, struct cl_snapshot *snap,
			    struct cl_error *reterr)
{
	struct template *t = (struct template *)host;
	bool changed;
	int r;

	cl_snapshot_reset(snap);
	snap->taken_ns = cl_clock_ns();
	cl_told_follow(&t->told, t->threads, deadline_ns);
	r = meet(t, reterr);
	if (r == 0)
		r = cl_topology_observe(t->topology, snap, reterr);
	if (r == 0)
		r = cl_build_refresh(t->build, t->threads, &changed, reterr);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < t->told.top; i++)
		if (t->told.processes[i].id.tid)
			add_guest(&t->told.processes[i], snap);
	/* Each part says when it was read; core does not act on what is stale. */
	snap->part_ns[CL_PART_GUESTS] = snap->part_ns[CL_PART_MEMORY] = snap->taken_ns;
	r = cl_build_threads(t->build, t->threads, snap, role, t, reterr);
	if (r < 0)
		return r;
	/* What cannot be done here is a fact in the snapshot, never an `if` in a policy. */
	if (!t->no_nodes[0])
		snap->can |= UINT32_C(1) << CL_CAN_MEMORY_NODES;
	snap->why_not[CL_CAN_MEMORY_NODES] = cl_snapshot_text(snap, t->no_nodes);
	cl_build_finish(t->build, t->threads, snap);
	return 0;
}

static int template_read(struct cl_host *host, const struct cl_change *change,
			 struct cl_setting *ret_setting, struct cl_error *reterr)
{
	return cl_linux_read(&((struct template *)host)->cgroup, change, ret_setting, reterr);
}

static int template_apply(struct cl_host *host, const struct cl_change *change,
			  struct cl_error *reterr)
{
	struct template *t = (struct template *)host;

	/* Whatever comes of it: what was read before is not to be believed any more. */
	cl_build_recheck(t->build, t->threads);
	return cl_linux_apply(&t->cgroup, change, reterr);
}

/*
 * (4) What wakes it: the caller's descriptor, the end of a process, another list. A guest that came
 * or went brings the next tick forward; the engine sees to it that events cannot make it spin.
 */
static int template_wait(struct cl_host *host, uint64_t until_ns, int fd, enum cl_wake *ret_why,
			 struct cl_error *reterr)
{
	struct template *t = (struct template *)host;
	nfds_t n = 1;

	t->polls[0] = (struct pollfd){ .fd = fd, .events = POLLIN }; /* poll passes over -1 */
	for (uint32_t i = 0; i < t->told.top; i++)
		if (t->told.processes[i].id.tid)
			t->polls[n++] = (struct pollfd){ t->told.processes[i].pidfd, POLLIN, 0 };
	for (;;) {
		uint64_t now = cl_clock_ns(), left = until_ns > now ? until_ns - now : 0;
		uint64_t nap = t->told.file[0] && left > LOOK_NS ? LOOK_NS : left;
		struct timespec ts = { (time_t)(nap / CL_NS_PER_S), (long)(nap % CL_NS_PER_S) };
		int r = ppoll(t->polls, n, &ts, NULL);

		if (r < 0 && errno != EINTR)
			return cl_fail(reterr, errno, "waiting for %u processes: %s",
				       (unsigned int)n - 1, strerror(errno));
		if (r > 0)
			*ret_why = t->polls[0].revents ? CL_WAKE_SIGNAL : CL_WAKE_EVENT;
		else if (cl_told_changed(&t->told))
			*ret_why = CL_WAKE_EVENT;
		else if (r == 0 && nap == left)
			*ret_why = CL_WAKE_TIMER;
		else
			continue;
		return 0;
	}
}

static uint64_t template_now_ns(struct cl_host *host)
{
	return cl_clock_ns();
}

/* What an operator should know: one line a fact, 'lost' with what would bring it. */
static void template_check(struct cl_host *host,
			   void (*say)(void *ctx, const char *level, const char *text), void *ctx)
{
	struct template *t = (struct template *)host;
	const char *no_bpf = cl_threads_why_not_bpf(t->threads), *no_group = t->cgroup.why_not;
	char text[CL_ERROR_MAX];
	uint32_t there = 0;

	cl_told_follow(&t->told, t->threads, UINT64_MAX);
	for (uint32_t i = 0; i < t->told.top; i++)
		there += t->told.processes[i].id.tid != 0;
	snprintf(text, sizeof(text), "%u of the %u listed processes are there", there,
		 t->told.listed_count);
	say(ctx, there == t->told.listed_count ? "ok" : "note", text);
	if (t->told.problem[0])
		say(ctx, "bad", t->told.problem);
	snprintf(text, sizeof(text), "containers are cgroups v%d at %.300s%s", t->cgroup.version,
		 t->cgroup.mount,
		 t->cgroup.version == 2 ? "; single threads are placed by mask alone" : "");
	say(ctx, no_group[0] ? "lost" : "ok", no_group[0] ? no_group : text);
	say(ctx, no_bpf[0] ? "lost" : "ok", no_bpf[0] ? no_bpf : "BPF measures where threads ran");
	say(ctx, t->no_nodes[0] ? "lost" : "ok",
	    t->no_nodes[0] ? t->no_nodes : "memory per node is known");
}

static void template_close(struct cl_host *host)
{
	struct template *t = (struct template *)host;

	if (!t)
		return;
	cl_told_close(&t->told, t->threads);
	cl_build_free(t->build);
	cl_threads_free(t->threads);
	cl_topology_free(t->topology);
	free(t);
}

static int template_open(const char *arg, struct cl_host **ret_host, struct cl_error *reterr)
{
	struct template *t = calloc(1, sizeof(*t));
	const struct cl_limits *limits = &cl_limits_default;
	uint64_t bytes[CL_NODES_MAX];
	struct cl_error why;
	int r;

	if (!t)
		return cl_fail(reterr, ENOMEM, "opening template:%.200s: no memory", arg);
	t->host.ops = &cl_host_template;
	/* What this machine cannot do costs precision and is said by check; it is no reason to
	 * refuse. */
	cl_cgroup_find(&t->cgroup);
	if (cl_numa_home(getpid(), bytes, &why) < 0)
		snprintf(t->no_nodes, sizeof(t->no_nodes), "%s", why.text);
	r = cl_told_open(&t->told, arg, reterr);
	if (r == 0)
		r = cl_topology_new(&t->topology, reterr);
	if (r == 0)
		r = cl_threads_new(limits->works, CL_THREADS_AUTO,
				   t->cgroup.version ? &t->cgroup : NULL, &t->threads, reterr);
	if (r == 0)
		r = cl_build_new(limits, &t->cgroup, &t->build, reterr);
	if (r < 0) {
		template_close(&t->host);
		return r;
	}
	*ret_host = &t->host;
	return 0;
}

/* The table of hosts in engine/hosts.c points here. No detect: it has to be told of its guests. */
const struct cl_host_ops cl_host_template = {
	.name = "template",
	.doc = "processes as guests, by pid: the skeleton for new hosts, and for trying closer out",
	.uri = "PID[=NAME],... or @FILE",
	.open = template_open,
	.observe = template_observe,
	.read = template_read,
	.apply = template_apply,
	.wait = template_wait,
	.now_ns = template_now_ns,
	.check = template_check,
	.close = template_close,
};
