/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * need: what dom0 needs of memory and CPUs, beside what it has, looked at every so often.
 *
 *   needs   [dom0] steady, the main container's stack; a container for each node that runs guests,
 *           a back end for each virtual device (Mvondo 2017, 3.3.1); each guest's part on each of
 *           its nodes; the helpers that copy guests now; and what dom0 holds of guests' I/O: its
 *           rate since the last look times io_hold_ns (Little's law)
 *   has     the domain's memory
 *   wasted  what it has beyond that; lacked: what it has not. What a static size that is never
 *           short wastes at least is the most that was needed less the mean
 *   starved I/O that dom0 had no memory to hold: by how much guests are slower. It is counted, and
 *           goes on as if there had been memory: what is short stays comparable
 *   kept    pCPUs that dom0 may run on and no guest: what these idle is wasted
 *   short   CPU time that dom0's processes asked for and did not get. Who sleeps between two looks
 *           got what it asked for, if later; of one that does not, it is all that it did not run.
 *           What back ends lack is seen in what guests get done
 */
#include "fluid.h"
#include "manage_op.h"
#include "run.h"

#include <string.h>

#define MIB ((double)(UINT64_C(1) << 20))

static uint64_t sample_ns(const struct sim_run *run)
{
	return SIM_SETUP(run->scenario, SIM_IN_SCENARIO, scenario)->sample_ns;
}

/* ---- memory ---- */

static uint64_t io_bytes(const struct sim_domain *guest, uint64_t *ret_devices)
{
	uint64_t bytes = 0;

	for (const struct sim_vif *vif = guest->vifs; vif; vif = vif->next, ++*ret_devices)
		bytes += vif->sent_bytes + vif->received_bytes;
	for (const struct sim_vbd *vbd = guest->vbds; vbd; vbd = vbd->next, ++*ret_devices)
		bytes += vbd->read_bytes + vbd->written_bytes;
	return bytes;
}

static uint64_t copies(const struct sim_world *world)
{
	uint64_t n = 0;

	for (const struct sim_op *op = world->manager ? world->manager->ops : NULL; op;
	     op = op->next)
		n += op->order.kind == SIM_OP_MIGRATE || op->order.kind == SIM_OP_SAVE ||
		     op->order.kind == SIM_OP_RESTORE;
	return n;
}

/* Without what it holds of I/O. *ret_io: of all guests, since they were made. */
static uint64_t need_without_io(const struct sim_run *run, uint64_t *ret_io)
{
	const struct sim_setup_domain *dom0 =
		sim_section_find(run->scenario, SIM_IN_DOM0, NULL)->values;
	const struct sim_world *world = run->world;
	uint64_t devices = 0, parts = 0, containers = 0, guests[SIM_NODES_MAX] = { 0 };

	*ret_io = 0;
	for (uint32_t d = 0; d < world->domain_count; d++) {
		const struct sim_domain *guest = world->domains[d];

		if (guest->kind != SIM_GUEST || !guest->alive)
			continue;
		*ret_io += io_bytes(guest, &devices);
		for (uint32_t node = 0; node < world->node_count; node++)
			guests[node] += guest->mem[node] > 0;
	}
	for (uint32_t node = 0; node < world->node_count; node++) {
		parts += guests[node];
		containers += guests[node] > 0;
	}
	return dom0->steady + containers * world->costs.container_bytes +
	       devices * world->costs.backend_bytes + parts * world->costs.contribution_bytes +
	       copies(world) * world->costs.migrate_bytes;
}

static void end_short(struct sim_need *need, uint64_t now_ns)
{
	if (need->short_since_ns && now_ns - need->short_since_ns > need->sum.short_most_ns)
		need->sum.short_most_ns = now_ns - need->short_since_ns;
}

/* What was short at this look was so since the last. */
static void look_at_memory(struct sim_run *run, uint64_t span_ns)
{
	struct sim_need *need = &run->need;
	const struct sim_world *world = run->world;
	uint64_t io, fixed = need_without_io(run, &io);
	uint64_t bytes = io > need->io_bytes ? io - need->io_bytes : 0; /* guests may go */
	uint64_t holds = sim_scale(bytes, world->costs.io_hold_ns, span_ns ? span_ns : 1);
	uint64_t needs = fixed + holds, has = sim_domain_bytes(world->domains[0]);
	double span = (double)span_ns;

	need->io_bytes = io;
	if (!need->seen || span_ns == 0)
		return;
	need->sum.need += (double)needs * span;
	need->sum.has += (double)has * span;
	need->sum.io += (double)bytes;
	if (needs > need->sum.need_most)
		need->sum.need_most = needs;
	if (has >= needs) {
		need->sum.wasted += (double)(has - needs) * span;
		end_short(need, need->then_ns);
		need->short_since_ns = 0;
		return;
	}
	need->sum.lacked += (double)(needs - has) * span;
	need->sum.short_ns += span_ns;
	need->sum.starved +=
		(double)sim_scale(bytes, sim_least(needs - has, holds), holds ? holds : 1);
	if (!need->short_since_ns) {
		need->short_since_ns = need->then_ns;
		need->sum.times++;
	}
	end_short(need, world->queue.now_ns);
}

/* ---- CPUs ---- */

static void add_places(const struct sim_domain *domain, struct cl_cpuset *set)
{
	for (uint32_t i = 0; i < domain->vcpu_count; i++) {
		struct cl_cpuset may = domain->vcpus[i].hard;

		cl_cpuset_and(&may, &domain->pool->pcpus);
		cl_cpuset_or(set, &may);
	}
}

/* Since the last look, at then_ns. */
static uint64_t short_of(struct sim_task *task, uint64_t then_ns, uint64_t span_ns)
{
	uint64_t ran_ns = sim_least(task->cpu_ns - task->looked_ns, span_ns);

	task->looked_ns = task->cpu_ns;
	if (task->guest != CL_NONE || task->woke_ns > then_ns ||
	    (task->state != SIM_TASK_RUNNABLE && task->state != SIM_TASK_RUNNING))
		return 0;
	return span_ns - ran_ns;
}

static uint64_t short_ns(struct sim_run *run, uint64_t span_ns)
{
	const struct sim_domain *dom0 = run->world->domains[0];
	uint64_t sum = 0;

	if (run->world->fluid) {
		sum = run->world->fluid->short_ns - run->need.fluid_short_ns;
		run->need.fluid_short_ns = run->world->fluid->short_ns;
		return sum;
	}
	for (uint32_t i = 0; i < dom0->task_count; i++)
		sum += short_of(dom0->tasks[i], run->need.then_ns, span_ns);
	return sum;
}

static void look_at_cpus(struct sim_run *run, uint64_t span_ns)
{
	struct sim_need *need = &run->need;
	const struct sim_world *world = run->world;
	struct cl_cpuset kept, guests;

	cl_cpuset_zero(&kept);
	cl_cpuset_zero(&guests);
	for (uint32_t d = 0; d < world->domain_count; d++)
		if (world->domains[d]->alive)
			add_places(world->domains[d],
				   world->domains[d]->kind == SIM_GUEST ? &guests : &kept);
	cl_cpuset_andnot(&kept, &guests);
	for (uint32_t p = 0; p < world->pcpu_count; p++) {
		uint64_t busy_ns = sim_pcpu_busy_ns(&world->pcpus[p]);
		uint64_t ran_ns = sim_least(busy_ns - need->busy_ns[p], span_ns);

		need->busy_ns[p] = busy_ns;
		if (cl_cpuset_has(&kept, p))
			need->sum.cpu_wasted += (double)(span_ns - ran_ns);
	}
	need->sum.cpu_kept += (double)cl_cpuset_count(&kept) * (double)span_ns;
	need->sum.cpu_short += (double)short_ns(run, span_ns);
}

/* ---- looks ---- */

static void look(struct sim_queue *queue, struct sim_event *event)
{
	struct sim_run *run = sim_of(event, struct sim_run, need.look);
	struct sim_need *need = &run->need;
	uint64_t span_ns = queue->now_ns - need->then_ns;

	sim_settle(run->world);
	look_at_memory(run, span_ns);
	look_at_cpus(run, span_ns);
	need->sum.span_ns += span_ns;
	need->then_ns = queue->now_ns;
	need->seen = true;
	sim_after(queue, event, sample_ns(run));
}

void sim_need_begin(struct sim_run *run)
{
	if (!sample_ns(run))
		return;
	sim_event_init(&run->world->queue, &run->need.look, look);
	sim_after(&run->world->queue, &run->need.look, sample_ns(run));
}

void sim_need_count(struct sim_run *run)
{
	struct sim_need *need = &run->need;
	uint64_t io;

	need_without_io(run, &io);
	sim_settle(run->world);
	look_at_cpus(run, 0);
	need->then_ns = run->world->queue.now_ns;
	need->io_bytes = io;
	need->seen = true;
	need->short_since_ns = 0;
	memset(&need->sum, 0, sizeof(need->sum));
}

void sim_need_report(struct sim_run *run, struct sim_report *report)
{
	const struct sim_need *need = &run->need;
	double span = (double)need->sum.span_ns, most = (double)need->sum.need_most / MIB;

	if (!sample_ns(run) || need->sum.span_ns == 0)
		return;
#define ADD(name, unit, value, better) sim_report_add(report, "host", name, unit, value, better)
	ADD("has", "MiB", need->sum.has / span / MIB, SIM_NEITHER);
	ADD("need", "MiB", need->sum.need / span / MIB, SIM_NEITHER);
	ADD("need.most", "MiB", most, SIM_NEITHER);
	ADD("wasted", "MiB", need->sum.wasted / span / MIB, SIM_LOWER);
	ADD("wasted.fit", "MiB", most - need->sum.need / span / MIB, SIM_NEITHER);
	ADD("lacked", "MiB", need->sum.lacked / span / MIB, SIM_LOWER);
	ADD("short", "share", (double)need->sum.short_ns / span, SIM_LOWER);
	ADD("short.most", "ns", (double)need->sum.short_most_ns, SIM_LOWER);
	ADD("short.times", "times", (double)need->sum.times, SIM_LOWER);
	ADD("slowed", "share", need->sum.io > 0 ? need->sum.starved / need->sum.io : 0, SIM_LOWER);
	ADD("cpu_kept", "CPUs", need->sum.cpu_kept / span, SIM_NEITHER);
	ADD("cpu_wasted", "CPUs", need->sum.cpu_wasted / span, SIM_LOWER);
	ADD("cpu_short", "CPUs", need->sum.cpu_short / span, SIM_LOWER);
#undef ADD
}
