/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * account: who spent how much between two snapshots, where, and how well the parts close.
 *
 * Each work's time is the difference of its own counter. Where it ran comes from its runs, where
 * the host has them; else from its mask, where that answers the question; else from the CPU that it
 * was seen on last, and the books are marked as estimated. So they are where the host has no true
 * clock and scales what its kernel says.
 */
#include "tick.h"
#include "state_order.h"

#include <assert.h>
#include <string.h>

uint64_t share_ppm(uint64_t part, uint64_t whole)
{
	if (whole == 0 || part == 0)
		return 0;
	if (part >= whole)
		return CL_PPM;
	/* keep the product inside 64 bits: below 2^44 it is exact */
	while (part >> 44) {
		part >>= 1;
		whole >>= 1;
	}
	return part * CL_PPM / whole;
}

static uint64_t scale(uint64_t ns, uint64_t ppm)
{
	return ns / CL_PPM * ppm + ns % CL_PPM * ppm / CL_PPM;
}

/* A cumulative counter's growth; one that was not read, or that went back, grew by nothing. */
static uint64_t growth(uint64_t before, uint64_t after)
{
	if (before == CL_UNKNOWN || after == CL_UNKNOWN || after < before)
		return 0;
	return after - before;
}

/*
 * What something new has run since it came. One that has run longer than the interval is not new,
 * only newly seen: nothing of it is this interval's.
 */
static uint64_t newborn(uint64_t cpu_ns, uint64_t span_ns)
{
	return cpu_ns != CL_UNKNOWN && cpu_ns <= span_ns ? cpu_ns : 0;
}

static const struct cl_uuid *work_guest(const struct cl_snapshot *snap, const struct cl_work *work)
{
	static const struct cl_uuid nobody;

	return work->guest.v == CL_NONE ? &nobody : &snap->guests[work->guest.v].id;
}

/* The same work in prev, or NULL. *at walks along with the works of `now`: both are in one order.
 */
static const struct cl_work *earlier_work(const struct cl_snapshot *prev, uint32_t *at,
					  const struct cl_snapshot *now, const struct cl_work *work)
{
	for (; *at < prev->n.works; (*at)++) {
		const struct cl_work *candidate = &prev->works[*at];
		int order = state_work_compare(work_guest(prev, candidate), candidate->thread,
					       work_guest(now, work), work->thread);

		if (order == 0)
			return candidate;
		if (order > 0)
			return NULL;
	}
	return NULL;
}

static bool node_is_far(const struct cl_snapshot *now, uint64_t home, uint32_t cpu)
{
	uint32_t node = now->cpus[cpu].node.v;

	return home != 0 && node != CL_NONE && ((home >> node) & 1) == 0;
}

/* Does everything in the mask lie on one side of the question, "is this CPU among these"? */
static bool mask_answers(const struct cl_snapshot *now, const struct cl_work *work,
			 const struct cl_cpuset *these)
{
	if (work->mask.v == CL_NONE)
		return false;
	const struct cl_cpuset *mask = cl_snapshot_set(now, work->mask);

	return !cl_cpuset_meets(mask, these) || cl_cpuset_subset(mask, these);
}

/* Divides run_ns by where it was spent. *run_at walks along the runs, which are in the works'
 * order. */
static void divide(struct tick *tick, uint32_t i, uint32_t *run_at, struct cl_work_books *books)
{
	const struct cl_snapshot *now = tick->now;
	const struct cl_work *work = &now->works[i];
	uint64_t home = work->guest.v == CL_NONE ? 0 : now->guests[work->guest.v].home;
	uint64_t all = 0, on_main = 0, far = 0;

	while (*run_at < now->n.runs && now->runs[*run_at].work.v < i)
		(*run_at)++;
	for (; *run_at < now->n.runs && now->runs[*run_at].work.v == i; (*run_at)++) {
		const struct cl_run *run = &now->runs[*run_at];

		all += run->ns;
		if (cl_cpuset_has(&tick->plan->main_cpus, run->cpu.v))
			on_main += run->ns;
		if (node_is_far(now, home, run->cpu.v))
			far += run->ns;
	}
	if (all == 0 && work->cpu.v != CL_NONE) {
		struct cl_cpuset at_home;

		all = 1;
		on_main = cl_cpuset_has(&tick->plan->main_cpus, work->cpu.v);
		far = node_is_far(now, home, work->cpu.v);
		node_cpus(now, home, &at_home);
		if (books->run_ns > 0 && (!mask_answers(now, work, &tick->plan->main_cpus) ||
					  (home != 0 && !mask_answers(now, work, &at_home))))
			tick->plan->books.estimated = true;
	}
	books->main_ns = scale(books->run_ns, share_ppm(on_main, all));
	books->far_ns = scale(books->run_ns, share_ppm(far, all));
}

static void account_works(struct tick *tick)
{
	const struct cl_snapshot *prev = tick->prev, *now = tick->now;
	struct cl_books *books = &tick->plan->books;
	uint32_t prev_at = 0, run_at = 0;

	for (uint32_t i = 0; i < now->n.works; i++) {
		const struct cl_work *work = &now->works[i];
		struct cl_work_books *mine = &tick->plan->work_books[i];
		const struct cl_work *before = earlier_work(prev, &prev_at, now, work);

		uint64_t young = before ? 0 : newborn(work->cpu_ns, books->span_ns);

		mine->run_ns = before ? growth(before->cpu_ns, work->cpu_ns) : young;
		divide(tick, i, &run_at, mine);
		if (work->guest.v == CL_NONE) {
			books->unattributed_ns += mine->run_ns;
			continue;
		}
		struct cl_guest_books *guest = &tick->plan->guest_books[work->guest.v];

		guest->host_ns += mine->run_ns;
		guest->kind_ns[work->kind] += mine->run_ns;
		guest->main_ns += mine->main_ns;
		guest->far_ns += mine->far_ns;
		guest->newborn_ns += young;
	}
}

static void account_vcpus(struct tick *tick)
{
	const struct cl_snapshot *prev = tick->prev, *now = tick->now;
	uint32_t at = 0;

	for (uint32_t i = 0; i < now->n.vcpus; i++) {
		const struct cl_vcpu *vcpu = &now->vcpus[i], *before = NULL;
		const struct cl_uuid *guest = &now->guests[vcpu->guest.v].id;

		for (; at < prev->n.vcpus; at++) {
			const struct cl_vcpu *v = &prev->vcpus[at];
			int order = cl_uuid_compare(&prev->guests[v->guest.v].id, guest);

			if (order == 0)
				order = v->index < vcpu->index ? -1 : v->index > vcpu->index;
			if (order < 0)
				continue;
			if (order == 0 && v->thread.tid == vcpu->thread.tid &&
			    v->thread.start == vcpu->thread.start)
				before = v;
			break;
		}
		struct cl_guest_books *mine = &tick->plan->guest_books[vcpu->guest.v];
		uint64_t young = before ? 0 : newborn(vcpu->cpu_ns, tick->plan->books.span_ns);

		mine->guest_ns += before ? growth(before->cpu_ns, vcpu->cpu_ns) : young;
		mine->newborn_ns += young;
	}
}

/*
 * What threads ran that came and went between the snapshots, counted by the host, as helpers'. The
 * host's figure holds the newborns' first stretch, too, which is in the books already.
 */
static void account_reaped(struct tick *tick)
{
	const struct cl_snapshot *prev = tick->prev, *now = tick->now;
	uint32_t at = 0;

	for (uint32_t i = 0; i < now->n.guests; i++) {
		struct cl_guest_books *mine = &tick->plan->guest_books[i];

		while (at < prev->n.guests &&
		       cl_uuid_compare(&prev->guests[at].id, &now->guests[i].id) < 0)
			at++;
		mine->counted = at < prev->n.guests &&
				cl_uuid_compare(&prev->guests[at].id, &now->guests[i].id) == 0;
		if (!mine->counted)
			continue;
		uint64_t ns = growth(prev->guests[at].reaped_ns, now->guests[i].reaped_ns);

		ns -= ns < mine->newborn_ns ? ns : mine->newborn_ns;
		mine->host_ns += ns;
		mine->kind_ns[CL_WORK_HELPER] += ns;
	}
}

/* What serves several was divided by the host; where it ran is not told. */
static void account_shared(struct tick *tick)
{
	const struct cl_snapshot *prev = tick->prev, *now = tick->now;
	uint32_t at = 0;

	for (uint32_t i = 0; i < now->n.guests; i++) {
		struct cl_guest_books *mine = &tick->plan->guest_books[i];
		const struct cl_guest *guest = &now->guests[i], *before;

		while (at < prev->n.guests && cl_uuid_compare(&prev->guests[at].id, &guest->id) < 0)
			at++;
		if (!mine->counted || prev->guests[at].domid != guest->domid)
			continue;
		before = &prev->guests[at];
		mine->kind_ns[CL_WORK_SHARED] = growth(before->shared_ns, guest->shared_ns);
		mine->kind_ns[CL_WORK_WAKEUP] = growth(before->wakeup_ns, guest->wakeup_ns);
		mine->host_ns += mine->kind_ns[CL_WORK_SHARED] + mine->kind_ns[CL_WORK_WAKEUP];
	}
}

/* Interrupts have no thread: their time is their guest's, where they were last taken. */
static void account_irqs(struct tick *tick)
{
	const struct cl_snapshot *prev = tick->prev, *now = tick->now;
	uint32_t at = 0;

	for (uint32_t i = 0; i < now->n.irqs; i++) {
		const struct cl_irq *irq = &now->irqs[i];

		while (at < prev->n.irqs && prev->irqs[at].number < irq->number)
			at++;
		if (at == prev->n.irqs || prev->irqs[at].number != irq->number)
			continue;
		uint64_t ns = growth(prev->irqs[at].cpu_ns, irq->cpu_ns);

		if (irq->guest.v == CL_NONE) {
			tick->plan->books.unattributed_ns += ns;
			continue;
		}
		struct cl_guest_books *mine = &tick->plan->guest_books[irq->guest.v];

		mine->host_ns += ns;
		mine->kind_ns[CL_WORK_INTERRUPT] += ns;
		if (irq->cpu.v == CL_NONE)
			continue;
		if (cl_cpuset_has(&tick->plan->main_cpus, irq->cpu.v))
			mine->main_ns += ns;
		if (node_is_far(now, now->guests[irq->guest.v].home, irq->cpu.v))
			mine->far_ns += ns;
	}
}

static void account_cpus(struct tick *tick)
{
	const struct cl_snapshot *prev = tick->prev, *now = tick->now;
	struct cl_books *books = &tick->plan->books;
	uint32_t n = prev->n.cpus < now->n.cpus ? prev->n.cpus : now->n.cpus;

	books->main_measured = CL_CAN(now, CLASSES) && CL_CAN(prev, CLASSES);
	for (uint32_t c = 0; c < n; c++) {
		const struct cl_cpu *a = &prev->cpus[c], *b = &now->cpus[c];

		books->busy_ns += growth(a->busy_ns, b->busy_ns);
		if (!books->main_measured)
			continue;
		books->main_ns += growth(a->main_ns, b->main_ns);
		books->unattributed_ns += growth(a->kernel_ns, b->kernel_ns);
		books->overhead_ns += growth(a->overhead_ns, b->overhead_ns);
	}
}

void account(struct tick *tick)
{
	struct cl_plan *plan = tick->plan;
	struct cl_books *books = &plan->books;
	const struct cl_snapshot *now = tick->now;

	assert(now->n.works <= plan->cap.verdicts && now->n.guests <= plan->cap.guests);
	plan->n.verdicts = now->n.works;
	plan->n.guests = now->n.guests;
	memset(plan->work_books, 0, now->n.works * sizeof(*plan->work_books));
	memset(plan->guest_books, 0, now->n.guests * sizeof(*plan->guest_books));
	if (!tick->prev)
		return;
	books->span_ns = now->taken_ns - tick->prev->taken_ns;
	books->estimated = !CL_CAN(now, CLOCK);
	account_cpus(tick);
	account_works(tick);
	account_irqs(tick);
	account_vcpus(tick);
	account_reaped(tick);
	account_shared(tick);
	weigh_asked(tick);
	for (uint32_t i = 0; i < plan->n.guests; i++) {
		books->guest_ns += plan->guest_books[i].guest_ns;
		books->host_ns += plan->guest_books[i].host_ns;
		books->main_part_ns += plan->guest_books[i].main_ns;
		books->far_part_ns += plan->guest_books[i].far_ns;
	}
	uint64_t known = books->host_ns + books->main_ns + books->overhead_ns;

	if (!now->guests_outside)
		known += books->guest_ns;

	if (!books->main_measured && books->busy_ns > known)
		books->unattributed_ns = books->busy_ns - known;
	books->gap_ns = (int64_t)(known + books->unattributed_ns) - (int64_t)books->busy_ns;
}
