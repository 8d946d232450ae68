/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interrupts of a simulated kernel: each is taken by one vCPU of its mask. */
#include "os.h"

#include <stdlib.h>
#include <string.h>

bool sim_irq_init(struct sim_irq *irq, struct sim_domain *domain, const char *name, uint32_t guest)
{
	struct sim_world *world = domain->world;

	memset(irq, 0, sizeof(*irq));
	if (domain->kind == SIM_DOM0) {
		if (world->irq_count == world->irq_cap) {
			uint32_t cap = world->irq_cap ? world->irq_cap * 2 : 16;
			struct sim_irq **irqs =
				realloc(world->irqs, cap * sizeof(struct sim_irq *));

			if (!irqs) {
				world->queue.failed = true;
				return false;
			}
			world->irqs = irqs;
			world->irq_cap = cap;
		}
		world->irqs[world->irq_count++] = irq;
	}
	irq->domain = domain;
	irq->number = world->next_irq++;
	irq->guest = guest;
	strncpy(irq->name, name, sizeof(irq->name) - 1);
	for (uint32_t i = 0; i < domain->vcpu_count; i++)
		cl_cpuset_add(&irq->mask, i);
	return true;
}

void sim_irq_done(struct sim_irq *irq)
{
	struct sim_world *world = irq->domain ? irq->domain->world : NULL;

	for (uint32_t i = 0; world && i < world->irq_count; i++) {
		if (world->irqs[i] != irq)
			continue;
		memmove(&world->irqs[i], &world->irqs[i + 1],
			(world->irq_count - i - 1) * sizeof(struct sim_irq *));
		world->irq_count--;
		break;
	}
	free(irq->ran_ns);
	memset(irq, 0, sizeof(*irq));
}

/* Linux gives an interrupt that may go anywhere to one CPU and leaves it there: the first online
 * one of its mask, for event channels. */
void sim_irq_place(struct sim_irq *irq, const struct cl_cpuset *mask)
{
	irq->mask = *mask;
	irq->target = cl_cpuset_next(mask, 0);
}

void sim_irq_raise(struct sim_world *world, struct sim_irq *irq, struct sim_irq_work *work)
{
	struct sim_vcpu *vcpu = &irq->domain->vcpus[irq->target];

	irq->count++;
	if (work->queued)
		return;
	work->queued = true;
	work->irq = irq;
	work->next = NULL;
	if (!work->burst.cpu_ns && !work->burst.bytes)
		work->burst.cpu_ns = 1;
	vcpu->penalty_ns += world->costs.irq_ns;
	*vcpu->irqs_last = work;
	vcpu->irqs_last = &work->next;
	sim_os_kick(world, vcpu);
}

void sim_irq_drop(struct sim_world *world, struct sim_irq *irq, struct sim_irq_work *work)
{
	if (!work->queued)
		return;
	for (uint32_t i = 0; i < irq->domain->vcpu_count; i++) {
		struct sim_vcpu *vcpu = &irq->domain->vcpus[i];
		struct sim_irq_work **at = &vcpu->irqs;

		while (*at && *at != work)
			at = &(*at)->next;
		if (!*at)
			continue;
		if (vcpu->in_irq && vcpu->irqs == work) {
			if (vcpu->state == SIM_VCPU_RUNNING)
				sim_os_stop(world, vcpu);
			vcpu->in_irq = false;
		}
		*at = work->next;
		if (vcpu->irqs_last == &work->next)
			vcpu->irqs_last = at;
		work->queued = false;
		sim_os_kick(world, vcpu);
		return;
	}
}
