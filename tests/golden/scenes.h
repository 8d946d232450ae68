/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scenes: small hosts that look like real ones, for golden tests, recordings and fuzz corpora.
 *
 *   scene.fill(world, tick) -> world.snap -> cl_decide -> scene_apply(world, plan) -> the next
 *   tick shows it
 *
 * A scene says what runs; the world keeps what was set on it (masks, containers) and how long the
 * CPUs were busy.
 */
#ifndef CLOSER_SCENES_H
#define CLOSER_SCENES_H

#include <closer/state.h>
#include <lib.h>

#include <assert.h>
#include <string.h>

#define SCENE_CPUS    16u
#define SCENE_OBJECTS 64u

struct scene_world {
	struct cl_snapshot *snap;
	unsigned tick;
	unsigned born; /* what is added now first ran in the interval before this tick */
	uint32_t cpus;
	uint64_t busy_ns[SCENE_CPUS], main_ns[SCENE_CPUS], kernel_ns[SCENE_CPUS];
	struct {
		int32_t tid;
		struct cl_cpuset mask;
		char path[CL_PATH_MAX];
	} threads[SCENE_OBJECTS];
	struct {
		char path[CL_PATH_MAX];
		struct cl_cpuset cpus;
		struct cl_uuid guest;
	} groups[SCENE_OBJECTS];
	struct {
		uint32_t number;
		struct cl_cpuset mask;
	} irqs[SCENE_OBJECTS];
	struct {
		struct cl_uuid guest;
		uint32_t index;
		struct cl_cpuset pcpus;
	} kept[SCENE_OBJECTS];
	struct {
		uint64_t cap, ran_ns; /* by number of the guest; cap 0: as it came */
	} paid[4];
	struct {
		uint64_t target, mem, io; /* by number of the domain; target 0: as it came */
	} sized[4];
	struct cl_cpuset pins[SCENE_CPUS]; /* empty: as it came */
	uint32_t thread_count, group_count, irq_count, kept_count;
};

struct scene {
	const char *name, *doc;
	unsigned ticks;
	void (*fill)(struct scene_world *world, unsigned tick);
	void (*params)(struct cl_params *params); /* or NULL: defaults */
	/* what applying this action comes to; NULL: 0 */
	int (*outcome)(const struct cl_action *action, unsigned tick);
};

/* How many intervals has it run? */
static inline uint64_t scene_age(const struct scene_world *world)
{
	return world->tick + 1 > world->born ? world->tick + 1 - world->born : 0;
}

static inline uint64_t scene_ns(unsigned tick)
{
	return (1000 + (uint64_t)tick) * CL_NS_PER_S;
}

static inline struct cl_cpuset scene_cpus(const char *list)
{
	struct cl_cpuset set;
	bool ok = cl_cpuset_parse(list, strlen(list), &set);

	assert(ok);
	return set;
}

/*
 * The host itself: CPUs spread over nodes in blocks; smt: c and c + cpus/2 are siblings, as Linux
 * numbers them.
 */
static inline void scene_host(struct scene_world *world, uint32_t cpus, uint32_t nodes, bool smt)
{
	struct cl_snapshot *snap = world->snap;
	struct cl_cpuset all;
	uint32_t cores = smt ? cpus / 2 : cpus;

	assert(cpus <= SCENE_CPUS);
	world->cpus = cpus;
	world->born = 1;
	snap->taken_ns = scene_ns(world->tick);
	for (uint32_t i = 0; i < CL_PART_COUNT; i++)
		snap->part_ns[i] = snap->taken_ns + 100000;
	for (uint32_t i = 0; i < CL_CAN_COUNT; i++)
		snap->can |= UINT32_C(1) << i;
	/* Guests' vCPUs are threads here. */
	snap->can &= ~(UINT32_C(1) << CL_CAN_FENCE | UINT32_C(1) << CL_CAN_PARTITION);
	cl_cpuset_zero(&all);
	for (uint32_t c = 0; c < cpus; c++) {
		struct cl_cpu *cpu = cl_snapshot_add_cpus(snap);

		cpu->online = true;
		cpu->core = c % cores;
		cpu->node.v = cpu->core * nodes / cores;
		cl_cpuset_add(&all, c);
	}
	for (uint32_t n = 0; n < nodes; n++) {
		struct cl_node *node = cl_snapshot_add_nodes(snap);

		node->mem_total_bytes = UINT64_C(16) << 30;
		node->mem_free_bytes = (UINT64_C(8) << 30) + (uint64_t)n * 4096;
		for (uint32_t to = 0; to < nodes; to++)
			node->distance[to] = to == n ? 10 : 21;
	}
	snap->allowed = cl_snapshot_mask(snap, &all);
	struct cl_group *root = cl_snapshot_add_groups(snap);

	root->path = cl_snapshot_text(snap, "/");
	root->cpus = snap->allowed;
	for (uint32_t i = 0; i < world->group_count; i++) {
		struct cl_group *group = cl_snapshot_add_groups(snap);

		group->path = cl_snapshot_text(snap, world->groups[i].path);
		group->cpus = cl_snapshot_mask(snap, &world->groups[i].cpus);
		group->ours = true;
		group->guest = world->groups[i].guest;
	}
}

/*
 * After scene_host: its CPUs are the vCPUs of a domain, on as many physical CPUs of the same nodes.
 * Those to which none is pinned come behind.
 */
static inline void scene_hypervisor(struct scene_world *world)
{
	struct cl_snapshot *snap = world->snap;
	struct cl_cpuset taken;

	cl_cpuset_zero(&taken);
	snap->pool = snap->allowed;
	snap->guests_outside = true;
	for (uint32_t c = 0; c < world->cpus; c++) {
		struct cl_cpu *cpu = &snap->cpus[c];
		bool pinned = cl_cpuset_count(&world->pins[c]) == 1;

		cpu->pins = cl_cpuset_empty(&world->pins[c])
				    ? snap->pool
				    : cl_snapshot_mask(snap, &world->pins[c]);
		cpu->pcpu = pinned ? cl_cpuset_next(&world->pins[c], 0) : c;
		cpu->core = pinned ? cpu->pcpu : 1000 + c;
		if (pinned)
			cl_cpuset_add(&taken, cpu->pcpu);
	}
	for (uint32_t p = 0; p < world->cpus; p++) {
		struct cl_cpu *cpu = cl_cpuset_has(&taken, p) ? NULL : cl_snapshot_add_cpus(snap);

		if (!cpu)
			continue;
		cpu->online = true;
		cpu->pcpu = cpu->core = p;
		cpu->node.v = p * snap->n.nodes / world->cpus;
	}
}

/* Another manager's cgroup. */
static inline void scene_group(struct scene_world *world, const char *path, const char *cpus)
{
	struct cl_group *group = cl_snapshot_add_groups(world->snap);
	struct cl_cpuset set = scene_cpus(cpus);

	group->path = cl_snapshot_text(world->snap, path);
	group->cpus = cl_snapshot_mask(world->snap, &set);
}

static inline struct cl_group_ix scene_find_group(struct scene_world *world, const char *path)
{
	for (uint32_t i = 0; i < world->snap->n.groups; i++)
		if (strcmp(cl_snapshot_str(world->snap, world->snap->groups[i].path), path) == 0)
			return (struct cl_group_ix){ i };
	assert(!"a group that the scene did not add");
	return (struct cl_group_ix){ CL_NONE };
}

/* Guest number n of a host; home: one bit a node. */
static inline struct cl_guest_ix scene_guest(struct scene_world *world, uint8_t n, const char *name,
					     uint64_t home)
{
	struct cl_guest *guest = cl_snapshot_add_guests(world->snap);

	guest->id = (struct cl_uuid){ { 0x5c, 0x1e, 0x4b, 0x0a, 0x90, 0x11, 0x4d, 0x2f, 0xa7, 0x61,
					0, 0, 0, 0, 0, n } };
	guest->name = cl_snapshot_text(world->snap, name);
	guest->process = (struct cl_tid){ n * 1000, (uint64_t)n * 7777 };
	guest->home = home;
	if (home)
		guest->home_most.v = (uint32_t)__builtin_ctzll(home);
	guest->mem_bytes = UINT64_C(512) << 20;
	guest->mem_max_bytes = UINT64_C(1) << 30;
	guest->balloon_bytes = UINT64_C(1) << 30;
	guest->read_ns = scene_ns(world->tick);
	guest->described = true;
	return (struct cl_guest_ix){ world->snap->n.guests - 1 };
}

/* Thread `at` of a guest: tids follow the guest's number. ppm: of a CPU. */
static inline struct cl_tid scene_tid(const struct scene_world *world, struct cl_guest_ix guest,
				      int32_t at)
{
	struct cl_tid tid = world->snap->guests[guest.v].process;

	tid.tid += at;
	tid.start += (uint64_t)at;
	return tid;
}

static inline void scene_vcpu(struct scene_world *world, struct cl_guest_ix guest, uint32_t index,
			      uint32_t cpu, const char *mask, uint64_t ppm)
{
	struct cl_vcpu *vcpu = cl_snapshot_add_vcpus(world->snap);
	struct cl_cpuset set = scene_cpus(mask);

	vcpu->guest = guest;
	vcpu->index = index;
	vcpu->thread = scene_tid(world, guest, 100 + (int32_t)index);
	vcpu->cpu.v = cpu;
	vcpu->mask = cl_snapshot_mask(world->snap, &set);
	vcpu->group.v = 0;
	vcpu->cpu_ns = ppm * 1000 * scene_age(world);
	vcpu->wait_ns = 5000 * (uint64_t)world->tick;
	if (world->tick > 0)
		world->busy_ns[cpu] += ppm * 1000;
}

/* On a physical CPU; pcpus: as long as closer has not set it. */
static inline void scene_domain_vcpu(struct scene_world *world, struct cl_guest_ix guest,
				     uint32_t index, uint32_t pcpu, const char *pcpus, uint64_t ppm)
{
	struct cl_snapshot *snap = world->snap;
	struct cl_cpuset set = scene_cpus(pcpus), cpus;
	struct cl_vcpu *vcpu = cl_snapshot_add_vcpus(snap);

	for (uint32_t i = 0; i < world->kept_count; i++)
		if (world->kept[i].index == index &&
		    cl_uuid_compare(&world->kept[i].guest, &snap->guests[guest.v].id) == 0)
			set = world->kept[i].pcpus;
	if (!cl_cpuset_has(&set, pcpu))
		pcpu = cl_cpuset_next(&set, 0);
	vcpu->guest = guest;
	vcpu->index = index;
	vcpu->pcpus = cl_snapshot_mask(snap, &set);
	cl_cpuset_zero(&cpus);
	for (uint32_t c = snap->n.cpus; c-- > 0;) {
		/* A vCPU that moves about is not the place of what is there now. */
		bool place = c >= world->cpus || cl_cpuset_count(&world->pins[c]) == 1;

		if (place && cl_cpuset_has(&set, snap->cpus[c].pcpu))
			cl_cpuset_add(&cpus, c);
		if (place && snap->cpus[c].pcpu == pcpu)
			vcpu->cpu.v = c;
	}
	vcpu->mask = cl_snapshot_mask(snap, &cpus);
	vcpu->cpu_ns = ppm * 1000 * scene_age(world);
}

/* mask, path: as long as closer has not set it. cpu: where it runs if its mask lets it. */
static inline struct cl_work *scene_work(struct scene_world *world, struct cl_guest_ix guest,
					 enum cl_work_kind kind, int32_t at, const char *name,
					 uint32_t cpu, const char *mask, const char *path,
					 uint64_t ppm)
{
	struct cl_snapshot *snap = world->snap;
	struct cl_work *work = cl_snapshot_add_works(snap);
	struct cl_cpuset set = scene_cpus(mask);

	work->guest = guest;
	work->kind = kind;
	work->thread = guest.v == CL_NONE ? (struct cl_tid){ at, (uint64_t)at }
					  : scene_tid(world, guest, at);
	for (uint32_t i = 0; i < world->thread_count; i++) {
		if (world->threads[i].tid == work->thread.tid) {
			set = world->threads[i].mask;
			path = world->threads[i].path[0] ? world->threads[i].path : path;
		}
	}
	if (!cl_cpuset_has(&set, cpu))
		cpu = cl_cpuset_next(&set, 0);
	snprintf(work->name, sizeof(work->name), "%s", name);
	work->cpu.v = cpu;
	work->mask = cl_snapshot_mask(snap, &set);
	work->group = scene_find_group(world, path);
	work->cpu_ns = ppm * 1000 * scene_age(world);
	work->wait_ns = 0;
	work->read_ns = snap->taken_ns + 50000;
	if (world->tick > 0) {
		struct cl_run *run = cl_snapshot_add_runs(snap);

		run->work.v = snap->n.works - 1;
		run->cpu.v = cpu;
		run->ns = ppm * 1000;
		world->busy_ns[cpu] += ppm * 1000;
	}
	return work;
}

static inline void scene_irq(struct scene_world *world, struct cl_guest_ix guest, uint32_t number,
			     const char *name)
{
	struct cl_irq *irq = cl_snapshot_add_irqs(world->snap);

	irq->number = number;
	irq->guest = guest;
	irq->name = cl_snapshot_text(world->snap, name);
	irq->mask = world->snap->allowed;
	irq->count = 1000 * (uint64_t)world->tick;
	for (uint32_t i = 0; i < world->irq_count; i++)
		if (world->irqs[i].number == number)
			irq->mask = cl_snapshot_mask(world->snap, &world->irqs[i].mask);
}

/* The main container's tasks and nobody's kernel threads, then the CPUs' times; last of a fill. */
static inline void scene_end(struct scene_world *world, uint32_t main_cpu, uint64_t main_ppm,
			     uint64_t kernel_ppm)
{
	uint32_t scratch[2048];

	if (world->tick > 0) {
		world->main_ns[main_cpu] += main_ppm * 1000;
		world->busy_ns[main_cpu] += main_ppm * 1000;
	}
	for (uint32_t c = 0; c < world->cpus; c++) {
		struct cl_cpu *cpu = &world->snap->cpus[c];

		if (world->tick > 0) {
			world->kernel_ns[c] += kernel_ppm * 1000;
			world->busy_ns[c] += kernel_ppm * 1000;
		}
		cpu->busy_ns = world->busy_ns[c];
		cpu->irq_ns = 0;
		cpu->idle_ns = scene_ns(world->tick) - world->busy_ns[c];
		cpu->steal_ns = 0;
		cpu->main_ns = world->main_ns[c];
		cpu->kernel_ns = world->kernel_ns[c];
	}
	cl_snapshot_sort(world->snap, scratch);
	assert(cl_snapshot_check(NULL, world->snap) == CL_SNAPSHOT_NONE);
}

static inline void scene_set_thread(struct scene_world *world, const struct cl_action *action,
				    const struct cl_cpuset *mask)
{
	uint32_t i = 0;

	while (i < world->thread_count && world->threads[i].tid != action->object.thread.tid)
		i++;
	assert(i < SCENE_OBJECTS);
	world->threads[i].tid = action->object.thread.tid;
	world->threads[i].mask = *mask;
	if (action->to.group.tag != CL_GROUP_NONE) {
		bool ok = cl_group_path(&action->to.group, world->snap, world->threads[i].path);

		assert(ok);
	}
	if (i == world->thread_count)
		world->thread_count++;
}

static inline void scene_set_group(struct scene_world *world, const struct cl_action *action,
				   const struct cl_cpuset *cpus)
{
	char path[CL_PATH_MAX];
	bool ok = cl_group_path(&action->object.group, world->snap, path);
	uint32_t i = 0;

	assert(ok);
	while (i < world->group_count && strcmp(world->groups[i].path, path) != 0)
		i++;
	assert(i < SCENE_OBJECTS);
	if (!cpus) { /* removed */
		assert(i < world->group_count);
		world->groups[i] = world->groups[--world->group_count];
		return;
	}
	snprintf(world->groups[i].path, sizeof(world->groups[i].path), "%s", path);
	world->groups[i].cpus = *cpus;
	world->groups[i].guest = action->object.group.guest;
	if (i == world->group_count)
		world->group_count++;
}

static inline void scene_keep(struct scene_world *world, const struct cl_action *action,
			      const struct cl_cpuset *pcpus)
{
	const struct cl_vcpu *vcpu = &world->snap->vcpus[action->object.vcpu.v];

	assert(world->kept_count < SCENE_OBJECTS);
	world->kept[world->kept_count].guest = world->snap->guests[vcpu->guest.v].id;
	world->kept[world->kept_count].index = vcpu->index;
	world->kept[world->kept_count++].pcpus = *pcpus;
}

/* What the kernel would show after this action was done. */
static inline void scene_apply(struct scene_world *world, const struct cl_plan *plan,
			       const struct cl_action *action)
{
	switch (action->kind) {
	case CL_ACTION_GROUP_CREATE:
	case CL_ACTION_GROUP_WIDEN:
	case CL_ACTION_GROUP_NARROW:
		scene_set_group(world, action, cl_plan_set(plan, action->to.mask));
		break;
	case CL_ACTION_GROUP_REMOVE:
		scene_set_group(world, action, NULL);
		break;
	case CL_ACTION_THREAD_PLACE:
		scene_set_thread(world, action, cl_plan_set(plan, action->to.mask));
		break;
	case CL_ACTION_IRQ_PLACE:
		assert(world->irq_count < SCENE_OBJECTS);
		world->irqs[world->irq_count].number = action->object.irq;
		world->irqs[world->irq_count++].mask = *cl_plan_set(plan, action->to.mask);
		break;
	case CL_ACTION_CPU_PIN:
		world->pins[action->object.cpu] = *cl_plan_set(plan, action->to.mask);
		break;
	case CL_ACTION_VCPU_KEEP:
		scene_keep(world, action, cl_plan_set(plan, action->to.mask));
		break;
	case CL_ACTION_MEMORY_TARGET:
		world->sized[action->object.guest.v == CL_NONE
				     ? 0
				     : world->snap->guests[action->object.guest.v].domid]
			.target = (uint64_t)action->to.number;
		break;
	case CL_ACTION_CAP_SET:
		world->paid[world->snap->guests[action->object.guest.v].domid].cap =
			(uint64_t)action->to.number;
		break;
	case CL_ACTION_VCPU_RESTORE: /* no scene has a vCPU that is born later */
	case CL_ACTION_CPU_RELEASE:
	case CL_ACTION_VCPU_RELEASE:
	case CL_ACTION_WEIGHT_SET:
	case CL_ACTION_BUDGET_SET:
	case CL_ACTION_CAP_RELEASE:
	case CL_ACTION_WEIGHT_RELEASE:
	case CL_ACTION_BUDGET_RELEASE:
	case CL_ACTION_MEMORY_RELEASE:
	case CL_ACTION_FENCE:
	case CL_ACTION_NAPI_THREAD:
	case CL_ACTION_NIC_RATE:
	case CL_ACTION_GROUP_QUOTA:
	case CL_ACTION_GROUP_IO:
	case CL_ACTION_PACKET_RATE:
	case CL_ACTION_THREAD_RELEASE:
	case CL_ACTION_IRQ_RELEASE:
	case CL_ACTION_KIND_COUNT:
		break;
	}
}

static inline void scene_fill(const struct scene *scene, struct scene_world *world, unsigned tick)
{
	world->tick = tick;
	cl_snapshot_reset(world->snap);
	scene->fill(world, tick);
}

#endif
