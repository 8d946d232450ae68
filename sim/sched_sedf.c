/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sedf: Xen's simple EDF scheduler, xen/common/sched_sedf.c up to 4.5.
 *
 * Each pCPU by itself: a vCPU stays where it was put. Each has a slice in each period; of those
 * whose period has begun the one with the earliest deadline runs. What is left goes, half a
 * millisecond at a time, first to those that lost some of their slice by a short block (L0), then
 * to those that take part in extra time (L1), by weight or by utilisation. Who takes part in
 * neither idles when its slice is used up, even if nobody else wants to run.
 *
 * A domain without a period: with extra time, it has only that, by its weight; without it, slices
 * of 100 ms by weight, of what those with a period leave. A vCPU that wakes in the period in which
 * it blocked gets no more of that one, but goes to L0 for what it lost; one that wakes later begins
 * a period then ("conservative 2b" in the source). With a hint of latency it begins a shorter one,
 * which doubles each time: the source's case 2c, which only some builds before 4.0 had.
 */
#include "sched_sedf.h"

#define QUANTUM_NS ((int64_t)(500 * CL_NS_PER_US)) /* EXTRA_QUANTUM */
#define SCORE_UNIT 1024                            /* of a score: period / slice */
/* Of a share by weight: all of a CPU counts as weight 128. The usual weight, 256, is sedf's 1. */
#define WEIGHT_SCORE (INT64_C(128) * SCORE_UNIT * 256)

/* ---- the queues of periods ---- */

static void put_on_queue(struct sedf_vcpu *svc, int64_t now)
{
	struct sedf_pcpu *spc = sedf_pcpu_of(svc->pcpu);
	bool waits = sedf_begin(svc) > now;
	struct sim_link *head = waits ? &spc->waiting : &spc->running, *at;

	sim_list_each (at, head) {
		const struct sedf_vcpu *other = sim_of(at, struct sedf_vcpu, queue);

		if (waits ? sedf_begin(svc) < sedf_begin(other)
			  : svc->deadline_ns < other->deadline_ns)
			break;
	}
	sim_link_before(&svc->queue, at);
}

static struct sedf_vcpu *first_of(const struct sim_link *head)
{
	return sim_list_empty(head) ? NULL : sim_of(head->next, struct sedf_vcpu, queue);
}

/* Its next period begins after now. */
static void skip_periods(struct sedf_vcpu *svc, int64_t now)
{
	svc->deadline_ns += svc->period_ns;
	if (sedf_begin(svc) <= now)
		svc->deadline_ns += ((now - sedf_begin(svc)) / svc->period_ns + 1) * svc->period_ns;
}

/* It has missed its deadline: a fresh slice in the period that is now, or the next. */
static void miss(struct sedf_vcpu *svc, int64_t now)
{
	svc->deadline_ns += svc->period_ns;
	if (svc->deadline_ns < now)
		svc->deadline_ns +=
			((now - svc->deadline_ns + svc->period_ns - 1) / svc->period_ns) *
			svc->period_ns;
	svc->ran_ns = 0;
}

static void update_queues(struct sedf_pcpu *spc, int64_t now)
{
	struct sedf_vcpu *svc;

	while ((svc = first_of(&spc->waiting)) && sedf_begin(svc) <= now) {
		sim_unlink(&svc->queue);
		put_on_queue(svc, now);
	}
	while ((svc = first_of(&spc->running))) {
		if (svc->slice_ns == 0)
			skip_periods(svc, now);
		else if (svc->deadline_ns < now || svc->ran_ns > svc->slice_ns)
			miss(svc, now);
		else
			break;
		sim_unlink(&svc->queue);
		put_on_queue(svc, now);
	}
}

/* ---- extra time ---- */

void sedf_put_on_extra(struct sedf_vcpu *svc, enum extra which, int64_t less)
{
	struct sim_link *head = &sedf_pcpu_of(svc->pcpu)->extra[which], *at, *place = head;

	sim_list_each (at, head) {
		struct sedf_vcpu *other = sim_of(at, struct sedf_vcpu, extra[which]);

		other->score[which] -= less;
		if (place == head && svc->score[which] < other->score[which])
			place = at;
	}
	sim_link_before(&svc->extra[which], place);
}

void sedf_off_extra(struct sedf_vcpu *svc, enum extra which)
{
	if (sedf_is_on(svc, which))
		sim_unlink(&svc->extra[which]);
}

static void off_all(struct sedf_vcpu *svc)
{
	if (sim_linked(&svc->queue))
		sim_unlink(&svc->queue);
	sedf_off_extra(svc, L0);
	sedf_off_extra(svc, L1);
}

static int64_t share_score(const struct sedf_vcpu *svc)
{
	if (svc->extra_weight)
		return WEIGHT_SCORE / svc->extra_weight;
	return svc->period_ns * SCORE_UNIT / svc->slice_ns;
}

/* ---- a vCPU stops running ---- */

static void stop_extra(struct sedf_vcpu *svc)
{
	enum extra which = svc->mode == IN_L0 ? L0 : L1;
	int64_t before = svc->score[which];

	svc->ran_ns = 0;
	sedf_off_extra(svc, which);
	if (which == L0)
		svc->wants_l0 = false; /* once is enough, however much it lost */
	else
		svc->score[L1] = share_score(svc);
	if (svc->asleep)
		off_all(svc);
	else if (which == L1 && svc->takes_extra)
		sedf_put_on_extra(svc, L1, before);
}

static void stop_slice(struct sedf_vcpu *svc, int64_t now)
{
	if (svc->ran_ns < svc->slice_ns && !svc->asleep)
		return; /* it stays where it is */
	sim_unlink(&svc->queue);
	if (svc->ran_ns >= svc->slice_ns) {
		svc->ran_ns -= svc->slice_ns;
		if (svc->period_ns < svc->full_period_ns) {
			svc->period_ns *= 2;
			svc->slice_ns *= 2;
			if (svc->period_ns > svc->full_period_ns ||
			    svc->slice_ns > svc->full_slice_ns) {
				svc->period_ns = svc->full_period_ns;
				svc->slice_ns = svc->full_slice_ns;
			}
		}
		svc->deadline_ns += svc->period_ns;
	}
	if (svc->asleep) {
		off_all(svc);
		return;
	}
	/* Those whose period has begun meanwhile are found when the queues are looked at. */
	put_on_queue(svc, INT64_MIN);
}

static void stop(struct sedf_vcpu *svc, int64_t now)
{
	if (svc->asleep)
		svc->blocked_ns = now;
	if (svc->mode == IN_L0 || svc->mode == IN_L1)
		stop_extra(svc);
	else
		stop_slice(svc, now);
	svc->mode = OFF;
}

/* ---- what the hypervisor asks ---- */

static int64_t now_of(const struct sim_pool *pool)
{
	return (int64_t)pool->world->queue.now_ns;
}

/* Until end; NULL: nobody, or it is not worth it. */
static struct sedf_vcpu *in_extra_time(struct sedf_pcpu *spc, int64_t now, int64_t end,
				       int64_t *ret_ns)
{
	struct sedf_vcpu *svc = NULL;

	*ret_ns = end - now;
	if (end - now < QUANTUM_NS)
		return NULL;
	if (!sim_list_empty(&spc->extra[L0])) {
		svc = sim_of(spc->extra[L0].next, struct sedf_vcpu, extra[L0]);
		svc->mode = IN_L0;
	} else if (!sim_list_empty(&spc->extra[L1])) {
		svc = sim_of(spc->extra[L1].next, struct sedf_vcpu, extra[L1]);
		svc->mode = IN_L1;
	}
	if (svc)
		*ret_ns = QUANTUM_NS;
	return svc;
}

static struct sim_vcpu *schedule(struct sim_pool *pool, struct sim_pcpu *pcpu,
				 struct sim_vcpu *before, uint64_t *ret_slice_ns)
{
	struct sedf_pcpu *spc = sedf_pcpu_of(pcpu);
	int64_t now = now_of(pool), ns;
	struct sedf_vcpu *svc, *waits;

	if (before)
		stop(sedf_of(before), now);
	update_queues(spc, now);
	svc = first_of(&spc->running);
	waits = first_of(&spc->waiting);
	spc->expires_ns = INT64_MAX;
	if (!svc && !waits)
		return NULL;
	if (svc) {
		ns = svc->slice_ns - svc->ran_ns;
		if (waits && sedf_begin(waits) - now < ns)
			ns = sedf_begin(waits) - now;
		svc->mode = IN_SLICE;
	} else {
		svc = in_extra_time(spc, now, sedf_begin(waits), &ns);
	}
	spc->expires_ns = now + ns;
	*ret_slice_ns = (uint64_t)ns;
	return svc ? svc->vcpu : NULL;
}

static bool should_switch(const struct sedf_vcpu *svc)
{
	const struct sim_pcpu *pcpu = svc->pcpu;
	const struct sedf_vcpu *other = pcpu->running ? sedf_of(pcpu->running) : NULL;

	if (!other || sedf_begin(svc) < sedf_pcpu_of(pcpu)->expires_ns)
		return true;
	if (other->mode == IN_L0)
		return svc->wants_l0 && svc->score[L0] < other->score[L0];
	return other->mode == IN_L1 && svc->wants_l0;
}

/* No more of this period's slice; what it lost by that it is owed in L0. */
static void wake_after_short(struct sedf_vcpu *svc)
{
	int64_t lost = svc->slice_ns - svc->ran_ns;

	svc->deadline_ns += svc->period_ns;
	svc->ran_ns = 0;
	if (!svc->blocked_ns || lost <= 0)
		return;
	svc->score[L0] = svc->period_ns * SCORE_UNIT / lost;
	svc->wants_l0 = true;
	sedf_put_on_extra(svc, L0, 0);
}

static void wake_after_long(struct sedf_vcpu *svc, int64_t now)
{
	if (svc->latency_ns && svc->latency_ns < svc->full_period_ns && svc->full_slice_ns) {
		svc->period_ns = svc->latency_ns;
		svc->slice_ns = (int64_t)((__int128)svc->latency_ns * svc->full_slice_ns /
					  svc->full_period_ns);
		if (!svc->slice_ns)
			svc->slice_ns = 1;
	}
	svc->deadline_ns = now + svc->period_ns;
	svc->ran_ns = 0;
}

static void wake(struct sim_pool *pool, struct sim_vcpu *vcpu)
{
	struct sedf_vcpu *svc = sedf_of(vcpu);
	int64_t now = now_of(pool);

	svc->asleep = false;
	if (!svc->deadline_ns)
		svc->deadline_ns = now + svc->slice_ns;
	if (now < sedf_begin(svc)) {
		if (svc->wants_l0)
			sedf_put_on_extra(svc, L0, 0);
	} else if (now < svc->deadline_ns) {
		wake_after_short(svc);
	} else {
		wake_after_long(svc, now);
	}
	if (svc->takes_extra)
		sedf_put_on_extra(svc, L1, 0);
	put_on_queue(svc, now);
	if (should_switch(svc))
		sim_pcpu_tickle(pool->world, svc->pcpu);
}

static void go_to_sleep(struct sim_pool *pool, struct sim_vcpu *vcpu)
{
	struct sedf_vcpu *svc = sedf_of(vcpu);

	svc->asleep = true;
	if (svc->mode != OFF)
		stop(svc, now_of(pool));
	else
		off_all(svc);
}

static void ran(struct sim_pool *pool, struct sim_vcpu *vcpu, uint64_t ns)
{
	struct sedf_vcpu *svc = sedf_of(vcpu);

	if (svc->mode == IN_SLICE)
		svc->ran_ns += (int64_t)ns;
}

static void init(struct sim_world *world, struct sim_pool *pool)
{
	struct sedf_pool *prv = pool->sched;

	sim_sched_cpus(pool, &prv->cpus);
	for (uint32_t i = 0; i < prv->cpus.count; i++) {
		struct sedf_pcpu *spc = sedf_pcpu_of(prv->cpus.at[i]);

		sim_list_init(&spc->running);
		sim_list_init(&spc->waiting);
		sim_list_init(&spc->extra[L0]);
		sim_list_init(&spc->extra[L1]);
		sim_list_init(&spc->members);
		spc->expires_ns = INT64_MAX;
	}
}

static void done(struct sim_world *world, struct sim_pool *pool) {}

/* ---- for tests ---- */

static void check_vcpu(const struct sedf_vcpu *svc)
{
	const struct sim_vcpu *vcpu = svc->vcpu;
	bool awake = vcpu->state >= SIM_VCPU_RUNNABLE;

	assert(awake == !svc->asleep && awake == sim_linked(&svc->queue));
	assert((vcpu->state == SIM_VCPU_RUNNING) == (svc->mode != OFF));
	assert(vcpu->state != SIM_VCPU_RUNNING || vcpu->pcpu == svc->pcpu);
	assert(sim_may_run(vcpu, svc->pcpu));
	assert(sedf_is_on(svc, L1) == (awake && svc->takes_extra) || svc->mode == IN_L1);
	assert(awake || !sedf_is_on(svc, L0));
	assert(svc->slice_ns <= svc->period_ns && svc->period_ns <= svc->full_period_ns);
}

static void check(const struct sim_pool *pool)
{
	const struct sedf_pool *prv = pool->sched;

	for (uint32_t i = 0; i < prv->cpus.count; i++) {
		const struct sim_pcpu *pcpu = prv->cpus.at[i];
		const struct sedf_pcpu *spc = sedf_pcpu_of(pcpu);
		int64_t last = INT64_MIN;
		struct sim_link *at;

		sim_list_each (at, &spc->members)
			check_vcpu(sim_of(at, struct sedf_vcpu, member));
		sim_list_each (at, &spc->running) {
			assert(sim_of(at, struct sedf_vcpu, queue)->deadline_ns >= last);
			last = sim_of(at, struct sedf_vcpu, queue)->deadline_ns;
		}
		/* Who has a slice and whose period has begun does not see the pCPU idle. */
		assert(sim_list_empty(&spc->running) || pcpu->running ||
		       sim_is_pending(&pcpu->decide));
	}
}

const struct sim_sched_ops sim_sched_sedf = {
	.name = "sedf",
	.doc = "Xen's simple EDF, up to 4.5: a slice of each period, extra time",
	.pool_bytes = sizeof(struct sedf_pool),
	.pcpu_bytes = sizeof(struct sedf_pcpu),
	.vcpu_bytes = sizeof(struct sedf_vcpu),
	.domain_bytes = 0,
	.init = init,
	.done = done,
	.insert = sedf_insert,
	.remove = sedf_leave,
	.wake = wake,
	.sleep = go_to_sleep,
	.ran = ran,
	.schedule = schedule,
	.changed = sedf_changed,
	.check = check,
};
