/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world.h"

#include <assert.h>
#include <string.h>

void world_init(struct world *w, uint32_t cpus, uint32_t nodes)
{
	memset(w, 0, sizeof(*w));
	w->cpus = cpus;
	w->nodes = nodes;
	w->now_ns = 100 * CL_NS_PER_S;
	/* As where guests' vCPUs are tasks: what fences sets the two bits. */
	w->can = ((1u << CL_CAN_COUNT) - 1) & ~(1u << CL_CAN_FENCE | 1u << CL_CAN_PARTITION);
	cl_params_default(&w->params);
	w->state = cl_state_new(&cl_limits_small);
	w->prev = cl_snapshot_new(&cl_limits_small);
	w->now = cl_snapshot_new(&cl_limits_small);
	w->plan = cl_plan_new(&cl_limits_small);
	assert(w->state && w->prev && w->now && w->plan);
}

void world_done(struct world *w)
{
	cl_state_free(w->state);
	cl_snapshot_free(w->prev);
	cl_snapshot_free(w->now);
	cl_plan_free(w->plan);
	for (int i = 0; i < w->thread_count; i++) {
		free((char *)(uintptr_t)w->threads[i].mask);
		free((char *)(uintptr_t)w->threads[i].group);
		free((char *)(uintptr_t)w->threads[i].pcpus);
	}
	for (int i = 0; i < WORLD_MAX; i++)
		free((char *)(uintptr_t)w->pins[i]);
	for (int i = 0; i < w->group_count; i++) {
		free((char *)(uintptr_t)w->groups[i]);
		free((char *)(uintptr_t)w->group_cpus[i]);
	}
}

int world_guest(struct world *w, uint64_t home)
{
	assert(w->guest_count < WORLD_MAX);
	w->home[w->guest_count] = home;
	w->domid[w->guest_count] = (uint32_t)w->guest_count + 1;
	w->most[w->guest_count] = home ? (uint32_t)__builtin_ctzll(home) : CL_NONE;
	return w->guest_count++;
}

/* Descending by index, so that sorting has something to do. */
void world_uuid(int guest, struct cl_uuid *ret_uuid)
{
	memset(ret_uuid, 0, sizeof(*ret_uuid));
	ret_uuid->b[0] = (uint8_t)(200 - guest);
	ret_uuid->b[15] = 7;
}

static struct world_thread *add_thread(struct world *w, int guest, const char *mask)
{
	assert(w->thread_count < WORLD_MAX);
	struct world_thread *t = &w->threads[w->thread_count];

	*t = (struct world_thread){ .guest = guest,
				    .vcpu = -1,
				    .kind = CL_WORK_THREAD,
				    .id = { 1000 + w->thread_count * 7 % 64, 5000 },
				    .mask = strdup(mask),
				    .group = strdup("/"),
				    .queue_vcpu = CL_NONE };
	w->thread_count++;
	return t;
}

struct world_thread *world_vcpu(struct world *w, int guest, int index, uint32_t cpu,
				const char *mask)
{
	struct world_thread *t = add_thread(w, guest, mask);

	t->vcpu = index;
	t->cpu = cpu;
	return t;
}

struct world_thread *world_work(struct world *w, int guest, enum cl_work_kind kind,
				const char *mask)
{
	struct world_thread *t = add_thread(w, guest, mask);

	t->kind = kind;
	return t;
}

static struct cl_mask_ix mask_of(struct cl_snapshot *snap, const char *list)
{
	struct cl_cpuset set;
	bool ok = cl_cpuset_parse(list, strlen(list), &set);

	assert(ok);
	return cl_snapshot_mask(snap, &set);
}

static void all_cpus(const struct world *w, char *buf, size_t size)
{
	snprintf(buf, size, "0-%u", w->cpus - 1);
}

static struct cl_group_ix group_of(const struct world *w, struct cl_snapshot *snap,
				   const char *path, const char *cpus)
{
	char all[16];

	if (!path)
		return (struct cl_group_ix){ CL_NONE };
	for (uint32_t i = 0; i < snap->n.groups; i++)
		if (strcmp(cl_snapshot_str(snap, snap->groups[i].path), path) == 0)
			return (struct cl_group_ix){ i };
	for (int i = 0; i < w->group_count && !cpus; i++)
		if (strcmp(w->groups[i], path) == 0)
			cpus = w->group_cpus[i];
	all_cpus(w, all, sizeof(all));
	struct cl_group *g = cl_snapshot_add_groups(snap);

	assert(g);
	g->path = cl_snapshot_text(snap, path);
	g->cpus = mask_of(snap, cpus ? cpus : all);
	g->ours = strncmp(path, "/closer", 7) == 0;
	if (g->ours && strlen(path) >= 8 + CL_UUID_TEXT - 1) {
		char uuid[CL_UUID_TEXT];

		memcpy(uuid, path + 8, CL_UUID_TEXT - 1);
		uuid[CL_UUID_TEXT - 1] = '\0';
		cl_uuid_parse(uuid, &g->guest);
	}
	g->fenced = w->fenced && strcmp(path, "/closer") == 0;
	return (struct cl_group_ix){ snap->n.groups - 1 };
}

static void observe_threads(const struct world *w, struct cl_snapshot *snap,
			    const uint32_t *guest_at)
{
	for (int i = 0; i < w->thread_count; i++) {
		const struct world_thread *t = &w->threads[i];

		if (t->gone || (t->guest >= 0 && w->guest_gone[t->guest]))
			continue;
		if (t->vcpu >= 0) {
			struct cl_vcpu *v = cl_snapshot_add_vcpus(snap);

			v->guest.v = guest_at[t->guest];
			v->index = (uint32_t)t->vcpu;
			v->thread = t->id;
			v->cpu.v = t->cpu;
			v->mask = mask_of(snap, t->mask);
			v->group = group_of(w, snap, t->group, NULL);
			v->cpu_ns = t->cpu_ns;
			if (w->pool)
				v->pcpus = mask_of(snap, t->pcpus ? t->pcpus : w->pool);
			continue;
		}
		struct cl_work *k = cl_snapshot_add_works(snap);

		k->guest.v = t->guest < 0 ? CL_NONE : guest_at[t->guest];
		k->kind = t->kind;
		k->thread = t->id;
		memcpy(k->name, "work", 5);
		k->queue_vcpu = t->queue_vcpu;
		k->cpu.v = t->cpu;
		k->mask = mask_of(snap, t->mask);
		k->group = group_of(w, snap, t->group, NULL);
		k->cpu_ns = t->cpu_ns;
		k->wait_ns = t->wait_ns;
		k->read_ns = w->now_ns - w->stale_ns;
		k->bound = t->bound;
	}
}

/* As the Xen host has it: a physical CPU to which nobody is pinned comes behind the vCPUs. */
static void observe_pins(const struct world *w, struct cl_snapshot *snap)
{
	uint32_t per_node = w->pcpus / w->nodes;
	struct cl_cpuset shown;

	cl_cpuset_zero(&shown);
	snap->pool = mask_of(snap, w->pool);
	for (uint32_t i = 0; i < 2; i++) {
		struct cl_pool *pool = cl_snapshot_add_pools(snap);

		pool->id = i;
		pool->pcpus = mask_of(snap, i && w->other_pool ? w->other_pool : w->pool);
	}
	for (uint32_t c = 0; c < w->cpus; c++) {
		struct cl_cpu *cpu = &snap->cpus[c];

		cpu->pins = mask_of(snap, w->pins[c]);
		cpu->pcpu = c % w->pcpus;
		cpu->core = 1000 + c;
		if (cl_cpuset_count(cl_snapshot_set(snap, cpu->pins)) == 1) {
			cpu->core = cpu->pcpu = cl_cpuset_next(cl_snapshot_set(snap, cpu->pins), 0);
			cl_cpuset_add(&shown, cpu->pcpu);
		}
		cpu->node.v = cpu->pcpu / per_node;
	}
	for (uint32_t p = 0; p < w->pcpus; p++) {
		struct cl_cpu *cpu = cl_cpuset_has(&shown, p) ? NULL : cl_snapshot_add_cpus(snap);

		if (!cpu)
			continue;
		cpu->online = true;
		cpu->pcpu = cpu->core = p;
		cpu->node.v = p / per_node;
	}
}

static void observe_devices(const struct world *w, struct cl_snapshot *snap,
			    const uint32_t *guest_at)
{
	char name[16];

	for (int i = 0; i < w->nic_count; i++) {
		struct cl_nic *nic = cl_snapshot_add_nics(snap);

		nic->guest.v = guest_at[w->nic_guest[i]];
		nic->threaded = w->nic_threaded[i];
		snprintf(name, sizeof(name), "vif%d", i);
		nic->name = cl_snapshot_text(snap, name);
		nic->handle = (uint32_t)i;
		nic->rx_bytes = w->nic_sent_bytes[i];
		nic->rx_packets = w->nic_sent[i];
		nic->tx_packets = nic->tx_bytes = w->nic_received[i];
	}
	for (int i = 0; i < w->disk_count; i++) {
		struct cl_disk *disk = cl_snapshot_add_disks(snap);

		snprintf(name, sizeof(name), "xvd%c", 'a' + i);
		disk->guest.v = guest_at[w->disk_guest[i]];
		disk->name = cl_snapshot_text(snap, name);
		disk->device = UINT64_C(8) << 32 | (uint32_t)i;
		disk->rd_bytes = disk->rd_ops = 0;
		disk->wr_bytes = w->disk_bytes[i];
		disk->wr_ops = w->disk_ops[i];
	}
}

static void observe(struct world *w, struct cl_snapshot *snap)
{
	uint32_t scratch[WORLD_MAX * 4], guest_at[WORLD_MAX];
	char all[16];

	cl_snapshot_reset(snap);
	snap->taken_ns = w->now_ns;
	snap->can = w->can;
	all_cpus(w, all, sizeof(all));
	for (uint32_t n = 0; n < w->nodes; n++) {
		struct cl_node *node = cl_snapshot_add_nodes(snap);

		for (uint32_t m = 0; m < w->nodes; m++)
			node->distance[m] = m == n ? 10 : 20;
	}
	for (uint32_t c = 0; c < w->cpus; c++) {
		struct cl_cpu *cpu = cl_snapshot_add_cpus(snap);
		uint32_t per_node = w->cpus / w->nodes;

		cpu->online = true;
		cpu->node.v = per_node ? c / per_node : 0;
		cpu->core = w->cores_per_node
				    ? cpu->node.v * w->cores_per_node + c % w->cores_per_node
				    : c;
		cpu->busy_ns = c == 0 ? w->busy_ns : 0;
		cpu->main_ns = c == 0 ? w->main_ns : 0;
		cpu->kernel_ns = c == 0 ? w->kernel_ns : 0;
	}
	if (w->pool)
		observe_pins(w, snap);
	snap->allowed = mask_of(snap, w->allowed ? w->allowed : all);
	for (int g = 0; g < w->guest_count; g++) {
		if (w->guest_gone[g])
			continue;
		guest_at[g] = snap->n.guests;
		struct cl_guest *guest = cl_snapshot_add_guests(snap);

		world_uuid(g, &guest->id);
		guest->home = w->home[g];
		guest->home_most.v = w->most[g];
		guest->reaped_ns = w->reaped_ns[g];
		guest->wakeup_ns = w->wakeup_ns[g];
		guest->read_ns = w->now_ns - w->undescribed_ns;
		if (w->pool) {
			guest->domid = w->domid[g];
			guest->pool = w->in_other_pool[g];
		}
	}
	for (int i = 0; i < w->group_count; i++)
		group_of(w, snap, w->groups[i], w->group_cpus[i]);
	observe_devices(w, snap, guest_at);
	for (int i = 0; i < w->irq_count; i++) {
		struct cl_irq *irq = cl_snapshot_add_irqs(snap);

		irq->number = 10 + (uint32_t)i;
		irq->guest.v = guest_at[w->irq_guest[i]];
		irq->queue_vcpu = w->irq_vcpu[i];
		irq->mask = mask_of(snap, all);
	}
	observe_threads(w, snap, guest_at);
	cl_snapshot_sort(snap, scratch);
}

void world_tick(struct world *w, int share)
{
	struct cl_snapshot *old = w->prev;

	w->prev = w->now;
	w->now = old;
	w->now_ns += CL_NS_PER_S;
	for (int i = 0; i < w->thread_count; i++) {
		w->threads[i].cpu_ns += (uint64_t)share * CL_NS_PER_S / 100;
		w->busy_ns += (uint64_t)share * CL_NS_PER_S / 100;
	}
	observe(w, w->now);
	const struct cl_snapshot *prev = w->prev->taken_ns ? w->prev : NULL;
	enum cl_snapshot_fault fault = cl_snapshot_check(prev, w->now);

	if (fault != CL_SNAPSHOT_NONE)
		fprintf(stderr, "world: %s\n", cl_snapshot_fault_text(fault));
	assert(fault == CL_SNAPSHOT_NONE);
	cl_decide(prev, w->now, &w->params, w->state, w->plan);
}

const struct cl_action *world_action(const struct world *w, const struct world_thread *t)
{
	for (uint32_t i = 0; i < w->plan->n.actions; i++) {
		const struct cl_action *a = &w->plan->actions[i];

		if (a->object.thread.tid == t->id.tid && a->object.thread.start == t->id.start)
			return a;
	}
	return NULL;
}

const char *world_cpus(const struct world *w, struct cl_mask_ix mask)
{
	static char buf[256];

	cl_cpuset_format(cl_plan_set(w->plan, mask), buf, sizeof(buf));
	return buf;
}

static void set_text(const char **slot, const char *text)
{
	char *copy = strdup(text);

	free((char *)(uintptr_t)*slot);
	*slot = copy;
}

void world_hypervisor(struct world *w, uint32_t pcpus)
{
	static char pool[16];

	w->pcpus = pcpus;
	snprintf(pool, sizeof(pool), "0-%u", pcpus - 1);
	w->pool = pool;
	for (uint32_t c = 0; c < w->cpus; c++)
		set_text(&w->pins[c], pool);
}

void world_pin(struct world *w, uint32_t cpu, const char *pcpus)
{
	set_text(&w->pins[cpu], pcpus);
}

void world_move(struct world_thread *vcpu, const char *pcpus)
{
	set_text(&vcpu->pcpus, pcpus);
}

static void apply_keep(struct world *w, const struct cl_action *a)
{
	const struct cl_vcpu *vcpu = &w->now->vcpus[a->object.vcpu.v];
	struct cl_uuid id;

	for (int i = 0; i < w->thread_count; i++) {
		if (w->threads[i].vcpu != (int)vcpu->index)
			continue;
		world_uuid(w->threads[i].guest, &id);
		if (cl_uuid_compare(&id, &w->now->guests[vcpu->guest.v].id) == 0)
			world_move(&w->threads[i], world_cpus(w, a->to.mask));
	}
}

static void apply_thread(struct world *w, const struct cl_action *a)
{
	char path[CL_PATH_MAX];

	for (int i = 0; i < w->thread_count; i++) {
		struct world_thread *t = &w->threads[i];
		struct cl_cpuset set;

		if (t->id.tid != a->object.thread.tid || t->id.start != a->object.thread.start)
			continue;
		if (cl_group_path(&a->to.group, w->now, path))
			set_text(&t->group, path);
		set_text(&t->mask, world_cpus(w, a->to.mask));
		set = *cl_plan_set(w->plan, a->to.mask);
		if (!cl_cpuset_has(&set, t->cpu))
			t->cpu = cl_cpuset_next(&set, 0);
	}
}

static void apply_group(struct world *w, const struct cl_action *a)
{
	char path[CL_PATH_MAX];
	bool ok = cl_group_path(&a->object.group, w->now, path);

	assert(ok);
	for (int i = 0; i < w->group_count; i++) {
		if (strcmp(w->groups[i], path) != 0)
			continue;
		if (a->kind == CL_ACTION_GROUP_REMOVE) {
			free((char *)(uintptr_t)w->groups[i]);
			free((char *)(uintptr_t)w->group_cpus[i]);
			w->group_count--;
			w->groups[i] = w->groups[w->group_count];
			w->group_cpus[i] = w->group_cpus[w->group_count];
		} else {
			set_text(&w->group_cpus[i], world_cpus(w, a->to.mask));
		}
		return;
	}
	assert(a->kind == CL_ACTION_GROUP_CREATE && w->group_count < WORLD_MAX);
	w->groups[w->group_count] = strdup(path);
	w->group_cpus[w->group_count] = strdup(world_cpus(w, a->to.mask));
	w->group_count++;
}

void world_apply(struct world *w)
{
	for (uint32_t i = 0; i < w->plan->n.actions; i++) {
		const struct cl_action *a = &w->plan->actions[i];

		if (!a->possible)
			continue;
		switch (a->kind) {
		case CL_ACTION_THREAD_PLACE:
		case CL_ACTION_VCPU_RESTORE:
			apply_thread(w, a);
			break;
		case CL_ACTION_GROUP_CREATE:
		case CL_ACTION_GROUP_WIDEN:
		case CL_ACTION_GROUP_NARROW:
		case CL_ACTION_GROUP_REMOVE:
			apply_group(w, a);
			break;
		case CL_ACTION_CPU_PIN:
			world_pin(w, a->object.cpu, world_cpus(w, a->to.mask));
			break;
		case CL_ACTION_VCPU_KEEP:
			apply_keep(w, a);
			break;
		case CL_ACTION_FENCE:
			w->fenced = a->object.group.tag == CL_GROUP_ROOT && a->to.number == 1;
			break;
		case CL_ACTION_CAP_SET: /* nobody is charged here */
		case CL_ACTION_WEIGHT_SET:
		case CL_ACTION_BUDGET_SET:
		case CL_ACTION_CAP_RELEASE:
		case CL_ACTION_WEIGHT_RELEASE:
		case CL_ACTION_BUDGET_RELEASE:
		case CL_ACTION_NIC_RATE:
		case CL_ACTION_GROUP_QUOTA:
		case CL_ACTION_GROUP_IO:
		case CL_ACTION_PACKET_RATE:
		case CL_ACTION_MEMORY_TARGET: /* none is moved here */
		case CL_ACTION_MEMORY_RELEASE:
		case CL_ACTION_IRQ_PLACE:
		case CL_ACTION_IRQ_RELEASE:
		case CL_ACTION_THREAD_RELEASE:
		case CL_ACTION_CPU_RELEASE:
		case CL_ACTION_VCPU_RELEASE:
		case CL_ACTION_NAPI_THREAD:
		case CL_ACTION_KIND_COUNT:
			continue;
		}
		cl_state_outcome(w->state, &w->params, w->plan, a, 0, w->now_ns);
	}
}

const struct cl_verdict *world_verdict(const struct world *w, const struct world_thread *t)
{
	for (uint32_t i = 0; i < w->now->n.works; i++)
		if (w->now->works[i].thread.tid == t->id.tid &&
		    w->now->works[i].thread.start == t->id.start)
			return &w->plan->verdicts[i];
	assert(!"no such work");
	return NULL;
}

void world_run(struct world *w, int n, int share)
{
	while (n-- > 0) {
		world_tick(w, share);
		world_apply(w);
	}
}
