/* SPDX-License-Identifier: GPL-2.0-or-later */
/* scene_list: the hosts of the golden tests. */
#ifndef CLOSER_SCENE_LIST_H
#define CLOSER_SCENE_LIST_H

#include "scenes.h"

#include <errno.h>

#define NOBODY ((struct cl_guest_ix){ CL_NONE })

/* Two CPUs, one node: CPU 0 is the main container's, all guests' work goes to CPU 1. */
static void fill_one_node(struct scene_world *w, unsigned tick)
{
	scene_host(w, 2, 1, false);
	struct cl_guest_ix g = scene_guest(w, 1, "web", 1);

	scene_vcpu(w, g, 0, tick & 1, "0-1", 300000);
	scene_vcpu(w, g, 1, 1, "0-1", 200000);
	scene_work(w, g, CL_WORK_MAIN_LOOP, 0, "qemu-system-x86", 0, "0-1", "/", 80000);
	scene_work(w, g, CL_WORK_IOTHREAD, 1, "IO io0", 0, "0-1", "/", 120000);
	scene_work(w, g, CL_WORK_WORKER, 2, "worker", 1, "0-1", "/", 300);
	scene_work(w, NOBODY, CL_WORK_THREAD, 900, "kworker/0:1", 0, "0-1", "/", 5000);
	scene_end(w, 0, 50000, 10000);
}

/*
 * Two nodes, SMT: pinned vCPUs at home, helpers that started on the wrong node; one guest
 * migrates from tick 8 on.
 */
static void fill_two_nodes(struct scene_world *w, unsigned tick)
{
	scene_host(w, 8, 2, true);
	struct cl_guest_ix a = scene_guest(w, 1, "db", 1), b = scene_guest(w, 2, "cache", 2);
	struct cl_work *vhost;

	scene_vcpu(w, a, 0, 1, "1", 700000);
	scene_vcpu(w, a, 1, 5, "5", 200000);
	scene_work(w, a, CL_WORK_MAIN_LOOP, 0, "qemu-system-x86", 0, "0-7", "/", 30000);
	scene_work(w, a, CL_WORK_IOTHREAD, 1, "IO io0", 3, "0-7", "/", 250000);
	vhost = scene_work(w, a, CL_WORK_VHOST, 2, "vhost-1000-1", 6, "0-7", "/", 150000);
	vhost->queue_vcpu = 1;
	scene_vcpu(w, b, 0, 2, "2", 400000);
	scene_vcpu(w, b, 1, 3, "3", 400000);
	scene_work(w, b, CL_WORK_MAIN_LOOP, 0, "qemu-system-x86", 4, "0-7", "/", 60000);
	scene_work(w, b, CL_WORK_IOTHREAD, 1, "IO io0", 1, "0-7", "/", 100000);
	w->born = 8;
	if (tick >= 8)
		scene_work(w, b, CL_WORK_MIGRATION, 9, "live_migration", 0, "0-7", "/", 500000);
	scene_irq(w, a, 40, "tap0-rx");
	scene_irq(w, NOBODY, 41, "eth0");
	scene_end(w, 0, 200000, 20000);
}

/*
 * A guest over both nodes whose vCPUs come to rest after a while: its work follows ever more
 * tightly.
 */
static void fill_spans(struct scene_world *w, unsigned tick)
{
	static const uint32_t wander[] = { 1, 3, 6, 2, 7, 5 };
	struct cl_work *queue;

	scene_host(w, 8, 2, false);
	struct cl_guest_ix g = scene_guest(w, 1, "big", 3);

	scene_vcpu(w, g, 0, tick < 6 ? wander[tick % CL_COUNT(wander)] : 2, "0-7", 600000);
	scene_vcpu(w, g, 1, tick < 6 ? wander[(tick + 3) % CL_COUNT(wander)] : 6, "0-7", 500000);
	scene_work(w, g, CL_WORK_MAIN_LOOP, 0, "qemu-system-x86", 0, "0-7", "/", 40000);
	queue = scene_work(w, g, CL_WORK_IOTHREAD, 1, "IO io0", 0, "0-7", "/", 90000);
	queue->queue_vcpu = 0;
	queue = scene_work(w, g, CL_WORK_IOTHREAD, 2, "IO io1", 1, "0-7", "/", 90000);
	queue->queue_vcpu = 1;
	scene_end(w, 0, 100000, 5000);
}

/*
 * One pinned vCPU, ten busy helpers, four moves a plan. io0 waits from tick 3 on, before it is ever
 * moved to the vCPU's CPU: it must not be. The others wait there from tick 12 on and are given
 * more.
 */
static void fill_many_works(struct scene_world *w, unsigned tick)
{
	scene_host(w, 4, 1, false);
	struct cl_guest_ix g = scene_guest(w, 1, "narrow", 1);

	scene_vcpu(w, g, 0, 2, "2", 300000);
	for (int32_t i = 0; i < 10; i++) {
		unsigned from = i == 0 ? 3 : 12;
		char name[16];

		snprintf(name, sizeof(name), "IO io%d", i);
		struct cl_work *work = scene_work(w, g, CL_WORK_IOTHREAD, i, name, (uint32_t)i % 4,
						  "0-3", "/", 60000);

		work->wait_ns = tick < from ? 0 : (uint64_t)(tick + 1 - from) * 400000000;
	}
	scene_end(w, 0, 10000, 5000);
}

static void params_many_works(struct cl_params *params)
{
	params->moves = 4;
}

/*
 * Masks and containers of others: an operator's from the start, one set at tick 6, libvirt's
 * group, a bound thread.
 */
static void fill_foreign(struct scene_world *w, unsigned tick)
{
	scene_host(w, 4, 1, false);
	scene_group(w, "/machine/qemu-2/emulator", "1-3");
	struct cl_guest_ix a = scene_guest(w, 1, "by-hand", 1),
			   b = scene_guest(w, 2, "libvirt\x1b[31m\xff", 1);

	scene_vcpu(w, a, 0, 1, "1", 500000);
	scene_work(w, a, CL_WORK_MAIN_LOOP, 0, "qemu-system-x86", 0, "0-3", "/", 50000);
	scene_work(w, a, CL_WORK_IOTHREAD, 1, "IO pinned", 3, "3", "/", 50000);
	if (tick == 6)
		for (uint32_t i = 0; i < w->thread_count; i++)
			if (w->threads[i].tid == 1002)
				w->threads[i].mask = scene_cpus("0");
	scene_work(w, a, CL_WORK_IOTHREAD, 2, "IO later", 0, "0-3", "/", 50000);
	scene_work(w, a, CL_WORK_VHOST, 3, "vhost-1000", 0, "0-3", "/", 50000)->bound = true;
	scene_vcpu(w, b, 0, 2, "2", 500000);
	scene_work(w, b, CL_WORK_MAIN_LOOP, 0, "qemu-system-x86", 1, "1-3",
		   "/machine/qemu-2/emulator", 50000);
	scene_end(w, 0, 10000, 5000);
}

/*
 * Guests come (tick 3), go (tick 6) and come again as another process (tick 9); the newcomer's
 * first placement is refused once.
 */
static void fill_come_and_go(struct scene_world *w, unsigned tick)
{
	scene_host(w, 4, 1, false);
	if (tick < 6 || tick >= 9) {
		w->born = tick < 6 ? 1 : 9;
		struct cl_guest_ix a = scene_guest(w, 1, "first", 1);

		if (tick >= 9)
			w->snap->guests[a.v].process = (struct cl_tid){ 5000, 55555 };
		scene_vcpu(w, a, 0, 1, "1", 500000);
		scene_work(w, a, CL_WORK_IOTHREAD, 1, "IO io0", 0, "0-3", "/", 50000);
	}
	w->born = 3;
	if (tick >= 3) {
		struct cl_guest_ix b = scene_guest(w, 2, "second", 1);

		scene_vcpu(w, b, 0, 2, "2", 500000);
		scene_work(w, b, CL_WORK_IOTHREAD, 1, "IO io0", 0, "0-3", "/", 50000);
	}
	scene_end(w, 0, 10000, 5000);
}

/*
 * Xen: dom0's vCPUs are pinned, then guests are kept off the main container's CPU, then their work
 * goes beside them. A third guest comes at tick 4; at tick 6 somebody pins a vCPU of dom0's, at
 * tick 8 one of a guest's.
 */
static void fill_xen_pins(struct scene_world *w, unsigned tick)
{
	if (tick == 6)
		w->pins[3] = scene_cpus("2-3");
	if (tick == 8)
		w->kept[0].pcpus = scene_cpus("0-1");
	scene_host(w, 4, 2, false);
	scene_hypervisor(w);
	struct cl_guest_ix a = scene_guest(w, 1, "web", 1), b = scene_guest(w, 2, "db", 2), c;

	scene_domain_vcpu(w, a, 0, 1, "0-1", 400000);
	scene_work(w, a, CL_WORK_NETBACK_RX, 1, "vif1.0-q0-guest", 3, "0-3", "/", 60000);
	scene_domain_vcpu(w, b, 0, 3, "2-3", 300000);
	scene_domain_vcpu(w, b, 1, 2, "0-3", 100000);
	scene_work(w, b, CL_WORK_BLKBACK, 1, "2.xvda-0", 0, "0-3", "/", 90000);
	scene_irq(w, b, 70, "vif2.0-q0-tx");
	w->snap->guests[a.v].domid = 1;
	w->snap->guests[b.v].domid = 2;
	w->born = 4;
	if (tick >= 4) {
		c = scene_guest(w, 3, "late", 0);
		w->snap->guests[c.v].domid = 3;
		scene_domain_vcpu(w, c, 0, 0, "0-3", 200000);
		scene_work(w, c, CL_WORK_BLKBACK, 1, "3.xvda-0", 0, "0-3", "/", 30000);
	}
	scene_end(w, 0, 100000, 5000);
}

/* A guest with a cap, which it uses whole, and for which the host does this much besides. */
static void charged_guest(struct scene_world *w, uint8_t n, uint64_t host_ppm)
{
	static const char *const names[] = { "", "flood", "short" };
	struct cl_guest_ix g = scene_guest(w, n, names[n], 1);
	uint64_t *cap = &w->paid[n].cap;

	if (*cap == 0)
		*cap = 600000;
	w->paid[n].ran_ns += *cap * 1000;
	w->snap->guests[g.v].domid = n;
	w->snap->guests[g.v].cap = *cap;
	w->snap->guests[g.v].weight = 256;
	scene_domain_vcpu(w, g, 0, 1, "1", 0);
	w->snap->vcpus[w->snap->n.vcpus - 1].cpu_ns = w->paid[n].ran_ns;
	scene_work(w, g, CL_WORK_NETBACK_RX, 1, "vif-q0-guest-rx", 0, "0-1", "/", host_ppm);
}

/*
 * Two guests are charged for what dom0 does for them; at tick 5 somebody gives one another cap; the
 * other is gone from tick 8 on, and what it owes is written off after four seconds.
 */
static void fill_xen_charged(struct scene_world *w, unsigned tick)
{
	if (tick == 5)
		w->paid[1].cap = 800000;
	scene_host(w, 2, 1, false);
	scene_hypervisor(w);
	charged_guest(w, 1, 200000);
	if (tick < 8)
		charged_guest(w, 2, 50000);
	scene_end(w, 0, 100000, 5000);
}

#define SCENE_MIB (UINT64_C(1) << 20)

/* A domain's balloon gives at most so much, and takes all that it is given. */
static void balloon(struct scene_world *w, uint8_t n, uint64_t has, uint64_t gives)
{
	if (w->sized[n].target == 0)
		w->sized[n].target = w->sized[n].mem = has;
	w->sized[n].mem = w->sized[n].target + gives < has ? has - gives : w->sized[n].target;
}

static void sized_guest(struct scene_world *w, uint8_t n, uint64_t gives)
{
	static const char *const names[] = { "", "busy", "stops" };
	struct cl_guest_ix g = scene_guest(w, n, names[n], n);
	struct cl_disk *disk = cl_snapshot_add_disks(w->snap);

	balloon(w, n, 512 * SCENE_MIB, gives);
	w->snap->guests[g.v].domid = n;
	w->snap->guests[g.v].mem_bytes = w->sized[n].mem;
	w->snap->guests[g.v].target_bytes = w->sized[n].target;
	disk->guest = g;
	disk->name = cl_snapshot_text(w->snap, "xvda");
	disk->rd_bytes = w->sized[n].io;
}

/*
 * Guest "busy" passes two levels and falls back, and dom0 has what it gives; the balloon of "stops"
 * gives half of what it is asked for. At tick 16 somebody sets dom0's target.
 */
static void fill_xen_sized(struct scene_world *w, unsigned tick)
{
	static const uint8_t rates[] = { 0, 0, 0, 0, 40, 40, 40, 70, 70, 70, 70, 40, 0 };

	if (tick == 16)
		w->sized[0].target = 2048 * SCENE_MIB;
	w->sized[1].io += (tick < CL_COUNT(rates) ? rates[tick] : 0) * SCENE_MIB;
	scene_host(w, 2, 2, false);
	scene_hypervisor(w);
	balloon(w, 0, 1024 * SCENE_MIB, 0);
	sized_guest(w, 1, 512 * SCENE_MIB);
	sized_guest(w, 2, 8 * SCENE_MIB);
	w->snap->memory.bytes = w->sized[0].mem;
	w->snap->memory.target_bytes = w->sized[0].target;
	w->snap->memory.max_bytes = 4096 * SCENE_MIB;
	w->snap->nodes[0].mem_free_bytes =
		4096 * SCENE_MIB - w->sized[0].mem - w->sized[1].mem - w->sized[2].mem;
	scene_end(w, 0, 100000, 5000);
}

static void params_xen_sized(struct cl_params *params)
{
	params->size = 1;
	params->size_hold = CL_NS_PER_S;
	params->size_patience = 3 * CL_NS_PER_S;
}

static void params_xen_charged(struct cl_params *params)
{
	params->charge = CL_CHARGE_CLOSER;
	params->charge_keep = 4 * CL_NS_PER_S;
}

static void params_xen_pins(struct cl_params *params)
{
	params->main_exclusive = 1;
}

static int outcome_come_and_go(const struct cl_action *action, unsigned tick)
{
	return action->kind == CL_ACTION_THREAD_PLACE && tick == 3 ? EPERM : 0;
}

/*
 * One guest of a tenant floods the network until tick 9, is over its limit and held back, and let
 * go long after; the other does next to nothing. Counters begin anew at tick 9.
 */
static void fill_held(struct scene_world *w, unsigned tick)
{
	scene_host(w, 2, 1, false);
	struct cl_guest_ix hog = scene_guest(w, 1, "acme-hog", 1), web;
	struct cl_nic *nic = cl_snapshot_add_nics(w->snap);

	web = scene_guest(w, 2, "acme-web", 1);
	nic->guest = hog;
	nic->name = cl_snapshot_text(w->snap, "vif1.0");
	nic->handle = 0;
	nic->rx_packets = (uint64_t)tick * (tick < 9 ? 40000 : 10);
	nic->rx_bytes = nic->rx_packets * 1500;
	nic->tx_packets = nic->tx_bytes = 0;
	scene_vcpu(w, hog, 0, 0, "0-1", 300000);
	scene_vcpu(w, web, 0, 1, "0-1", 200000);
	scene_work(w, hog, CL_WORK_NETBACK_DEALLOC, 0, "vif1.0-q0-deall", 0, "0-1", "/",
		   tick < 9 ? 400000 : 2000);
	scene_work(w, web, CL_WORK_NETBACK_RX, 1, "vif2.0-q0-guest", 0, "0-1", "/", 20000);
	scene_end(w, 0, 50000, 10000);
}

static void params_held(struct cl_params *params)
{
	int r = cl_param_set(params, "limit", "acme-*=10%/cpu");

	params->guard_release = 4 * CL_NS_PER_S;
	assert(r == 0);
}

/* A guest with a balloon that does as it is told; mib: what it says that it uses. Returns what it
 * has. */
static uint64_t idle_guest(struct scene_world *w, uint8_t n, const char *name, uint64_t mib)
{
	struct cl_guest_ix g = scene_guest(w, n, name, 1);
	struct cl_guest *guest = &w->snap->guests[g.v];

	if (w->sized[n].target == 0)
		w->sized[n].target = UINT64_C(1) << 30;
	guest->domid = n;
	guest->mem_bytes = guest->target_bytes = w->sized[n].target;
	guest->mem_max_bytes = UINT64_C(3) << 29;
	guest->used_bytes = mib == 0 ? CL_UNKNOWN : mib << 20;
	scene_domain_vcpu(w, g, 0, 1, "1", 200000);
	return guest->mem_bytes;
}

/*
 * 4 GiB, 5 % of it free. A guest uses little of its memory; from tick 4 another needs more than it
 * has, and from tick 12 the first one needs its own again. Of the third nothing is known.
 */
static void fill_idle(struct scene_world *w, unsigned tick)
{
	struct cl_memory *memory = &w->snap->memory;
	uint64_t free = UINT64_C(4) << 30;

	scene_host(w, 2, 1, false);
	scene_hypervisor(w);
	if (w->sized[0].target == 0)
		w->sized[0].target = UINT64_C(800) << 20;
	memory->bytes = memory->target_bytes = w->sized[0].target;
	memory->max_bytes = UINT64_C(4) << 30;
	free -= idle_guest(w, 1, "idle", tick < 12 ? 300 : 1000);
	free -= idle_guest(w, 2, "needy", tick < 4 ? 600 : 1000);
	free -= idle_guest(w, 3, "silent", 0);
	w->snap->nodes[0].mem_total_bytes = UINT64_C(4) << 30;
	w->snap->nodes[0].mem_free_bytes = free - memory->bytes;
	scene_end(w, 0, 100000, 5000);
}

static void params_idle(struct cl_params *params)
{
	params->overcommit = 1;
}

static const struct scene scenes[] = {
	{ "one-node", "2 CPUs, 1 node: CPU 0 main, CPU 1 for all guests' work", 24, fill_one_node,
	  NULL, NULL },
	{ "two-nodes", "8 CPUs, 2 nodes, SMT: work goes home and beside its vCPU; a migration", 12,
	  fill_two_nodes, NULL, NULL },
	{ "spans", "a guest over 2 nodes whose vCPUs come to rest", 40, fill_spans, NULL, NULL },
	{ "many-works", "10 works, 1 vCPU, 4 moves a plan; they wait and are given more CPUs", 32,
	  fill_many_works, params_many_works, NULL },
	{ "foreign", "masks and groups of others are left alone; hostile names", 12, fill_foreign,
	  NULL, NULL },
	{ "come-and-go", "guests come, go, come again; a refusal", 16, fill_come_and_go, NULL,
	  outcome_come_and_go },
	{ "xen-pins", "4 vCPUs of dom0 on 4 physical CPUs, 2 nodes; guests off the main container",
	  12, fill_xen_pins, params_xen_pins, NULL },
	{ "xen-charged", "capped guests are charged; another cap by hand, and a debt written off",
	  14, fill_xen_charged, params_xen_charged, NULL },
	{ "xen-sized", "memory follows a guest's I/O to dom0 and back; a balloon that stops", 22,
	  fill_xen_sized, params_xen_sized, NULL },
	{ "held", "a tenant's guests have a limit; one is over it, held back, and let go", 20,
	  fill_held, params_held, NULL },
	{ "idle", "idle memory goes to a guest in need, and back; of one nothing is known", 24,
	  fill_idle, params_idle, NULL },
};

static inline const struct scene *scene_named(const char *name)
{
	for (size_t i = 0; i < CL_COUNT(scenes); i++)
		if (strcmp(scenes[i].name, name) == 0)
			return &scenes[i];
	assert(!"there is no such scene");
	return NULL;
}

#endif
