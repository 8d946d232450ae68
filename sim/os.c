/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A domain's kernel, Linux in short: work of interrupts before tasks, in order of arrival; tasks by
 * the fair class (least weighted time first, a slice while others wait, preemption of whoever had
 * clearly more by one that wakes); a task wakes where it ran, or where a vCPU of its mask is idle;
 * a vCPU that would idle takes a waiting task from the one that has most. Groups (cpuset, cpu.max)
 * are in group.c.
 */
#include "os.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* kernel/sched/fair.c, for one CPU. */
#define LATENCY_NS UINT64_C(6000000)
#define LEAST_NS   UINT64_C(750000)
#define WAKE_NS    UINT64_C(1000000)
#define NICE_0     UINT64_C(1024)

static void over(struct sim_queue *queue, struct sim_event *event);

void sim_os_init(struct sim_world *world, struct sim_vcpu *vcpu)
{
	vcpu->irqs_last = &vcpu->irqs;
	sim_event_init(&world->queue, &vcpu->over, over);
}

void sim_os_done(struct sim_world *world, struct sim_vcpu *vcpu)
{
	sim_event_done(&world->queue, &vcpu->over);
}

static bool may_run(const struct sim_task *task)
{
	return !task->group->throttled;
}

bool sim_os_idle(const struct sim_vcpu *vcpu)
{
	if (vcpu->irqs || (vcpu->task && may_run(vcpu->task)))
		return false;
	for (const struct sim_task *task = vcpu->queue; task; task = task->next)
		if (may_run(task))
			return false;
	return true;
}

/* ---- a vCPU's queue ---- */

static void enqueue(struct sim_world *world, struct sim_vcpu *vcpu, struct sim_task *task)
{
	task->state = SIM_TASK_RUNNABLE;
	task->since_ns = world->queue.now_ns;
	task->vcpu = vcpu->index;
	task->next = vcpu->queue;
	vcpu->queue = task;
	vcpu->queued++;
}

static void dequeue(struct sim_world *world, struct sim_vcpu *vcpu, struct sim_task *task)
{
	struct sim_task **at = &vcpu->queue;

	while (*at && *at != task)
		at = &(*at)->next;
	assert(*at == task);
	*at = task->next;
	vcpu->queued--;
	task->wait_ns += world->queue.now_ns - task->since_ns;
}

/* Least vruntime; of equal ones the older task. */
static struct sim_task *first_of(const struct sim_vcpu *vcpu)
{
	struct sim_task *first = NULL;

	for (struct sim_task *task = vcpu->queue; task; task = task->next)
		if (may_run(task) &&
		    (!first || task->vruntime < first->vruntime ||
		     (task->vruntime == first->vruntime && task->tid < first->tid)))
			first = task;
	return first;
}

static bool allowed_on(const struct sim_task *task, uint32_t vcpu)
{
	return (!task->mask || cl_cpuset_has(task->mask, vcpu)) &&
	       (task->bound || cl_cpuset_has(&task->group->cpus, vcpu));
}

/* What a vCPU without work may take over: of the longest queue the first that may run here. */
static struct sim_task *pull(struct sim_world *world, struct sim_vcpu *idle)
{
	struct sim_domain *domain = idle->domain;
	struct sim_task *best = NULL;
	uint32_t most = 0;

	for (uint32_t i = 0; i < domain->vcpu_count; i++) {
		struct sim_vcpu *other = &domain->vcpus[i];

		if (other == idle || other->queued <= most)
			continue;
		for (struct sim_task *task = other->queue; task; task = task->next) {
			if (!may_run(task) || !allowed_on(task, idle->index))
				continue;
			best = task;
			most = other->queued;
			break;
		}
	}
	if (best) {
		struct sim_vcpu *from = &domain->vcpus[best->vcpu];

		dequeue(world, from, best);
		/* What it is behind or ahead of the others goes with it. */
		best->vruntime = best->vruntime > from->min_vruntime
					 ? best->vruntime - from->min_vruntime + idle->min_vruntime
					 : idle->min_vruntime;
		best->vcpu = idle->index;
	}
	return best;
}

/* What waits here may go to a vCPU that is idle already: it is told at the tick, as by Linux's
 * balancing for tickless idle CPUs; then it pulls. */
static void offer(struct sim_world *world, const struct sim_vcpu *vcpu)
{
	struct sim_domain *domain = vcpu->domain;

	for (uint32_t i = 0; i < domain->vcpu_count && vcpu->queued > 0; i++) {
		struct sim_vcpu *other = &domain->vcpus[i];

		if (other->state != SIM_VCPU_BLOCKED || domain->paused || !sim_os_idle(other))
			continue;
		for (struct sim_task *task = vcpu->queue; task; task = task->next) {
			if (!may_run(task) || !allowed_on(task, i))
				continue;
			other->penalty_ns += world->costs.wake_ns;
			sim_vcpu_wake(world, other);
			return;
		}
	}
}

/* ---- time ---- */

/* Of each ns of work this much is ticks: in ppm. */
static uint64_t tick_share(const struct sim_world *world)
{
	return world->costs.tick_ns * world->costs.tick_hz / 1000;
}

static uint64_t with_ticks(const struct sim_world *world, uint64_t ns)
{
	return ns + sim_scale(ns, tick_share(world), CL_PPM);
}

static void add_ran(uint64_t **ran, const struct sim_domain *domain, uint32_t vcpu, uint64_t ns)
{
	if (!*ran)
		*ran = calloc(domain->vcpu_count, sizeof(**ran));
	if (*ran)
		(*ran)[vcpu] += ns;
	else
		domain->world->queue.failed = true;
}

static void book(struct sim_world *world, struct sim_vcpu *vcpu, uint64_t ns)
{
	if (vcpu->in_irq) {
		struct sim_irq *irq = vcpu->irqs->irq;

		irq->cpu_ns += ns;
		add_ran(&irq->ran_ns, vcpu->domain, vcpu->index, ns);
	} else {
		struct sim_task *task = vcpu->task;

		task->cpu_ns += ns;
		task->vruntime += ns * NICE_0 / task->weight;
		if (task->vruntime > vcpu->min_vruntime)
			vcpu->min_vruntime = task->vruntime;
		add_ran(&task->ran_ns, vcpu->domain, vcpu->index, ns);
		sim_group_charge(world, task->group, ns);
	}
}

static struct sim_burst *burst_of(struct sim_vcpu *vcpu)
{
	return vcpu->in_irq ? &vcpu->irqs->burst : vcpu->task ? &vcpu->task->burst : NULL;
}

static void streams(struct sim_world *world, const struct sim_burst *burst, bool begin)
{
	uint32_t from = burst->from, to = burst->to;

	if (from != CL_NONE)
		world->nodes[from].streams += begin ? 1 : UINT64_MAX;
	if (to != CL_NONE && to != from)
		world->nodes[to].streams += begin ? 1 : UINT64_MAX;
}

/* Books what was done of the present burst up to now, and takes it off. */
static void settle(struct sim_world *world, struct sim_vcpu *vcpu)
{
	uint64_t elapsed = world->queue.now_ns - vcpu->began_ns, work, total;
	struct sim_burst *burst = burst_of(vcpu);

	if (!vcpu->takes_ns || !burst)
		return;
	uint64_t penalty = vcpu->serving_ns < elapsed ? vcpu->serving_ns : elapsed;

	total = vcpu->takes_ns - vcpu->serving_ns;
	vcpu->penalty_ns += vcpu->serving_ns - penalty;
	elapsed -= penalty;
	work = sim_scale(elapsed, CL_PPM, CL_PPM + tick_share(world));
	vcpu->overhead_ns += penalty + elapsed - work;
	book(world, vcpu, work);
	if (burst->bytes)
		streams(world, burst, false);
	sim_burst_cut(burst, elapsed, total);
	vcpu->takes_ns = 0;
}

/* ---- what runs ---- */

static void begin(struct sim_world *world, struct sim_vcpu *vcpu)
{
	struct sim_burst *burst = burst_of(vcpu);
	uint64_t now = world->queue.now_ns, end;

	vcpu->began_ns = now;
	vcpu->serving_ns = vcpu->penalty_ns;
	vcpu->penalty_ns = 0;
	vcpu->takes_ns =
		vcpu->serving_ns + with_ticks(world, sim_burst_ns(world, vcpu->pcpu, burst));
	if (burst->bytes)
		streams(world, burst, true);
	end = now + vcpu->takes_ns;
	if (!vcpu->in_irq) {
		uint64_t left = sim_group_left(vcpu->task->group);

		if (vcpu->queued > 0 && vcpu->slice_end_ns < end)
			end = vcpu->slice_end_ns > now ? vcpu->slice_end_ns : now + 1;
		if (left != UINT64_MAX && now + vcpu->serving_ns + left + 1 < end)
			end = now + vcpu->serving_ns + left + 1;
	}
	sim_at(&world->queue, &vcpu->over, end);
}

static void put_back(struct sim_world *world, struct sim_vcpu *vcpu)
{
	struct sim_task *task = vcpu->task;

	if (task)
		enqueue(world, vcpu, task);
	vcpu->task = NULL;
}

static void take(struct sim_world *world, struct sim_vcpu *vcpu, struct sim_task *task)
{
	uint64_t n = vcpu->queued + 1, slice = LATENCY_NS / n;

	vcpu->task = task;
	task->state = SIM_TASK_RUNNING;
	vcpu->penalty_ns += world->costs.task_switch_ns;
	vcpu->slice_end_ns = world->queue.now_ns + (slice > LEAST_NS ? slice : LEAST_NS);
}

/* Chooses; false: there is nothing. */
static bool choose(struct sim_world *world, struct sim_vcpu *vcpu)
{
	struct sim_task *first;

	vcpu->in_irq = false;
	if (vcpu->irqs) {
		vcpu->in_irq = true;
		return true;
	}
	if (vcpu->task && !may_run(vcpu->task))
		put_back(world, vcpu);
	first = first_of(vcpu);
	if (vcpu->task) {
		if (world->queue.now_ns < vcpu->slice_end_ns)
			return true;
		if (!first || first->vruntime >= vcpu->task->vruntime) {
			vcpu->slice_end_ns = world->queue.now_ns + LEAST_NS;
			offer(world, vcpu);
			return true;
		}
		put_back(world, vcpu);
		offer(world, vcpu);
	}
	if (first)
		dequeue(world, vcpu, first);
	else
		first = pull(world, vcpu);
	if (first)
		take(world, vcpu, first);
	return first != NULL;
}

static void go(struct sim_world *world, struct sim_vcpu *vcpu)
{
	if (choose(world, vcpu))
		begin(world, vcpu);
	else
		sim_vcpu_block(world, vcpu);
}

void sim_os_go(struct sim_world *world, struct sim_vcpu *vcpu)
{
	go(world, vcpu);
}

void sim_os_stop(struct sim_world *world, struct sim_vcpu *vcpu)
{
	settle(world, vcpu);
	sim_cancel(&world->queue, &vcpu->over);
}

/* Something changed for a vCPU that may be running: what it does is chosen anew. */
static void again(struct sim_world *world, struct sim_vcpu *vcpu)
{
	if (vcpu->state == SIM_VCPU_RUNNING && !vcpu->busy) {
		sim_os_stop(world, vcpu);
		go(world, vcpu);
	} else if (vcpu->state == SIM_VCPU_BLOCKED && !vcpu->domain->paused && !sim_os_idle(vcpu)) {
		vcpu->penalty_ns += world->costs.wake_ns;
		sim_vcpu_wake(world, vcpu);
	}
}

void sim_os_kick(struct sim_world *world, struct sim_vcpu *vcpu)
{
	again(world, vcpu);
}

static void irq_over(struct sim_world *world, struct sim_vcpu *vcpu)
{
	struct sim_irq_work *work = vcpu->irqs;

	vcpu->irqs = work->next;
	if (!vcpu->irqs)
		vcpu->irqs_last = &vcpu->irqs;
	work->queued = false;
	vcpu->in_irq = false;
	work->done(world, work);
}

static void task_over(struct sim_world *world, struct sim_vcpu *vcpu)
{
	struct sim_task *task = vcpu->task;

	task->done(world, task);
	/* It was given another burst, has nothing to do, or is gone. */
	if (vcpu->task != task || task->burst.cpu_ns || task->burst.bytes)
		return;
	vcpu->task = NULL;
	task->state = SIM_TASK_SLEEPING;
	task->since_ns = world->queue.now_ns;
}

static void over(struct sim_queue *queue, struct sim_event *event)
{
	struct sim_world *world = sim_world_of(queue);
	struct sim_vcpu *vcpu = sim_of(event, struct sim_vcpu, over);
	const struct sim_burst *burst;

	assert(vcpu->state == SIM_VCPU_RUNNING);
	settle(world, vcpu);
	burst = burst_of(vcpu);
	if (!burst->cpu_ns && !burst->bytes) {
		/* What its owner does may be about this very vCPU: chosen is afterwards. */
		vcpu->busy = true;
		if (vcpu->in_irq)
			irq_over(world, vcpu);
		else
			task_over(world, vcpu);
		vcpu->busy = false;
	}
	if (vcpu->state == SIM_VCPU_RUNNING)
		go(world, vcpu);
}

/* ---- tasks ---- */

static uint32_t load_of(const struct sim_vcpu *vcpu)
{
	return vcpu->queued + (vcpu->task != NULL) + (vcpu->irqs != NULL);
}

/* Where a task that wakes goes: where it was if that is idle, an idle one, the one with least. */
static struct sim_vcpu *select_vcpu(const struct sim_task *task)
{
	struct sim_domain *domain = task->domain;
	struct sim_vcpu *best = NULL;

	for (uint32_t i = 0; i < domain->vcpu_count; i++) {
		uint32_t v = (task->vcpu + i) % domain->vcpu_count;

		if (!allowed_on(task, v) || domain->vcpus[v].state == SIM_VCPU_OFFLINE)
			continue;
		if (!best || load_of(&domain->vcpus[v]) < load_of(best))
			best = &domain->vcpus[v];
		if (load_of(best) == 0)
			break;
	}
	return best;
}

/* Whoever comes back is ahead of the others by half a round at most. */
static uint64_t floor_of(const struct sim_vcpu *vcpu)
{
	return vcpu->min_vruntime > LATENCY_NS / 2 ? vcpu->min_vruntime - LATENCY_NS / 2 : 0;
}

void sim_os_unthrottled(struct sim_vcpu *vcpu, const struct sim_group *group)
{
	for (struct sim_task *task = vcpu->queue; task; task = task->next)
		if (task->group == group && task->vruntime < floor_of(vcpu))
			task->vruntime = floor_of(vcpu);
}

static void wake(struct sim_world *world, struct sim_task *task)
{
	struct sim_vcpu *vcpu = select_vcpu(task);

	if (!vcpu) /* its group has lost all of its CPUs: the kernel lets it run anywhere then */
		vcpu = &task->domain->vcpus[task->vcpu];
	if (task->vruntime < floor_of(vcpu) || task->vcpu != vcpu->index)
		task->vruntime = floor_of(vcpu);
	enqueue(world, vcpu, task);
	if (vcpu->task && task->vruntime + WAKE_NS < vcpu->task->vruntime)
		vcpu->slice_end_ns = world->queue.now_ns;
	again(world, vcpu);
}

void sim_task_run(struct sim_world *world, struct sim_task *task, const struct sim_burst *burst)
{
	assert(task->state != SIM_TASK_GONE && !task->burst.cpu_ns && !task->burst.bytes);
	task->burst = *burst;
	if (!burst->cpu_ns && !burst->bytes)
		task->burst.cpu_ns = 1;
	if (world->fluid) { /* it is served at its share */
		task->served = true;
		sim_changed(world);
	} else if (task->state == SIM_TASK_SLEEPING) {
		task->woke_ns = world->queue.now_ns;
		wake(world, task);
	}
}

bool sim_task_init(struct sim_world *world, struct sim_task *task, struct sim_domain *domain,
		   const char *name, void (*done)(struct sim_world *world, struct sim_task *task))
{
	memset(task, 0, sizeof(*task));
	if (domain->task_count == domain->task_cap) {
		uint32_t cap = domain->task_cap ? domain->task_cap * 2 : 16;
		struct sim_task **tasks = realloc(domain->tasks, cap * sizeof(struct sim_task *));

		if (!tasks) {
			world->queue.failed = true;
			return false;
		}
		domain->tasks = tasks;
		domain->task_cap = cap;
	}
	domain->tasks[domain->task_count++] = task;
	task->domain = domain;
	task->group = domain->root;
	task->done = done;
	task->weight = NICE_0;
	task->guest = task->queue_vcpu = CL_NONE;
	task->tid = world->next_tid++;
	task->since_ns = world->queue.now_ns;
	strncpy(task->name, name, sizeof(task->name) - 1);
	return true;
}

/* Out of the way, wherever it is; what it had to do is kept. */
static void withdraw(struct sim_world *world, struct sim_task *task)
{
	struct sim_vcpu *vcpu = &task->domain->vcpus[task->vcpu];

	if (task->state == SIM_TASK_RUNNABLE)
		dequeue(world, vcpu, task);
	if (task->state == SIM_TASK_RUNNING) {
		if (vcpu->state == SIM_VCPU_RUNNING && !vcpu->in_irq)
			sim_os_stop(world, vcpu);
		vcpu->task = NULL;
		task->state = SIM_TASK_SLEEPING;
		again(world, vcpu);
	}
	task->state = SIM_TASK_SLEEPING;
}

void sim_task_done(struct sim_world *world, struct sim_task *task)
{
	struct sim_domain *domain = task->domain;

	if (!domain || task->state == SIM_TASK_GONE)
		return;
	sim_changed(world);
	withdraw(world, task);
	task->state = SIM_TASK_GONE;
	for (uint32_t i = 0; i < domain->task_count; i++) {
		if (domain->tasks[i] != task)
			continue;
		memmove(&domain->tasks[i], &domain->tasks[i + 1],
			(domain->task_count - i - 1) * sizeof(struct sim_task *));
		domain->task_count--;
		break;
	}
	free(task->mask);
	free(task->ran_ns);
	free(task->seen_ns);
	task->mask = NULL;
	task->ran_ns = task->seen_ns = NULL;
}

void sim_task_resettle(struct sim_world *world, struct sim_task *task)
{
	bool had_work = task->burst.cpu_ns || task->burst.bytes;

	if (task->state == SIM_TASK_SLEEPING || task->state == SIM_TASK_GONE ||
	    allowed_on(task, task->vcpu))
		return;
	withdraw(world, task);
	if (had_work)
		wake(world, task);
}

void sim_task_place(struct sim_world *world, struct sim_task *task, struct sim_group *group,
		    const struct cl_cpuset *mask)
{
	if (group)
		task->group = group;
	if (mask) {
		if (!task->mask)
			task->mask = malloc(sizeof(*task->mask));
		if (task->mask)
			*task->mask = *mask;
		else
			world->queue.failed = true;
	} else {
		free(task->mask);
		task->mask = NULL;
	}
	sim_task_resettle(world, task);
}
