/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What holds for every host: invariants of a decision over many random worlds, from seeds. */
#include "unit.h"
#include "world.h"

static struct world w;

static unsigned pick(unsigned *r, unsigned n)
{
	return (unsigned)rand_r(r) % n;
}

/* A random host: 1 to 4 nodes, up to 16 CPUs, a few guests, threads free, pinned or in another
 * manager's group. */
static void random_world(unsigned *r)
{
	static const uint32_t shapes[][2] = { { 1, 1 }, { 2, 1 }, { 4, 1 },
					      { 4, 2 }, { 8, 2 }, { 16, 4 } };
	unsigned shape = pick(r, 6);
	char all[16];

	world_init(&w, shapes[shape][0], shapes[shape][1]);
	w.cores_per_node = pick(r, 2) && w.cpus / w.nodes > 1 ? w.cpus / w.nodes / 2 : 0;
	if (pick(r, 3) == 0)
		w.can &= ~(1u << CL_CAN_GROUP);
	if (pick(r, 4) == 0)
		w.params.main_cpus.w[0] = 1 + pick(r, (1u << w.cpus) - 1);
	snprintf(all, sizeof(all), "0-%u", w.cpus - 1);
	unsigned guests = 1 + pick(r, 4);

	for (unsigned i = 0; i < guests; i++) {
		int g = world_guest(&w, pick(r, 1u << w.nodes));

		for (unsigned v = 0, n = pick(r, 4); v < n; v++)
			world_vcpu(&w, g, (int)v, pick(r, w.cpus), all);
		for (unsigned k = 0, n = 1 + pick(r, 5); k < n; k++) {
			char one[16];

			snprintf(one, sizeof(one), "%u", pick(r, w.cpus));
			struct world_thread *t =
				world_work(&w, g, (enum cl_work_kind)pick(r, CL_WORK_KIND_COUNT),
					   pick(r, 6) ? all : one);

			t->cpu = pick(r, w.cpus);
			t->bound = pick(r, 10) == 0;
			t->queue_vcpu = pick(r, 3) ? CL_NONE : pick(r, 4);
		}
	}
}

static void wander(unsigned *r)
{
	for (int i = 0; i < w.thread_count; i++) {
		struct world_thread *t = &w.threads[i];

		if (t->vcpu >= 0 && pick(r, 3) == 0)
			t->cpu = pick(r, w.cpus);
		t->cpu_ns += pick(r, 2) * pick(r, 500) * CL_NS_PER_MS;
		t->wait_ns += pick(r, 4) ? 0 : pick(r, 500) * CL_NS_PER_MS;
	}
}

static bool same_object(const struct cl_action *a, const struct cl_action *b)
{
	return a->object.thread.tid == b->object.thread.tid &&
	       a->object.thread.start == b->object.thread.start && a->object.irq == b->object.irq &&
	       a->object.group.tag == b->object.group.tag &&
	       a->object.group.node.v == b->object.group.node.v &&
	       cl_uuid_compare(&a->object.group.guest, &b->object.group.guest) == 0;
}

static void check_plan(void)
{
	const struct cl_plan *p = w.plan;

	assert_int_equal(p->dropped, 0);
	assert_false(cl_cpuset_meets(&p->main_cpus, &p->secondary_cpus));
	for (uint32_t i = 0; i < p->n.actions; i++) {
		const struct cl_action *a = &p->actions[i];

		if (i > 0)
			assert_true(cl_action_kind_phase(p->actions[i - 1].kind) <=
				    cl_action_kind_phase(a->kind));
		for (uint32_t j = 0; j < i; j++)
			assert_false(same_object(a, &p->actions[j]));
		assert_int_not_equal(a->why.code, CL_REASON_NONE);
		if (a->kind == CL_ACTION_THREAD_PLACE) {
			const struct cl_cpuset *to = cl_plan_set(p, a->to.mask);

			assert_false(cl_cpuset_empty(to));
			assert_true(cl_cpuset_subset(to, &p->secondary_cpus));
		}
	}
	for (uint32_t i = 0; i < p->n.verdicts; i++) {
		const struct cl_verdict *v = &p->verdicts[i];

		/* each work has a reason to be left, or an action */
		bool acted = false;

		for (uint32_t j = 0; j < p->n.actions; j++)
			acted = acted ||
				(p->actions[j].kind == CL_ACTION_THREAD_PLACE &&
				 p->actions[j].object.thread.tid == w.now->works[i].thread.tid);
		if (w.now->works[i].guest.v != CL_NONE)
			assert_true(acted || v->left.code != CL_REASON_NONE);
		assert_false(v->left.code == CL_REASON_FOREIGN && acted);
	}
}

static void invariants(void **state)
{
	for (unsigned seed = 1; seed <= 400; seed++) {
		unsigned r = seed;

		random_world(&r);
		for (int tick = 0; tick < 30; tick++) {
			wander(&r);
			world_tick(&w, 0);
			check_plan();
			world_apply(&w);
		}
		world_done(&w);
	}
}

/* Where vCPUs stay and loads are steady the plans end: closer does not move things about for ever.
 */
static void settles(void **state)
{
	for (unsigned seed = 1; seed <= 100; seed++) {
		unsigned r = seed;

		random_world(&r);
		/* Outside work alternates between a guest's CPUs by design (rule 3). */
		for (int i = 0; i < w.thread_count; i++)
			if (cl_work_kind_origin(w.threads[i].kind) == CL_ORIGIN_OUTSIDE)
				w.threads[i].kind = CL_WORK_IOTHREAD;
		world_run(&w, 120, 10);
		for (int tick = 0; tick < 20; tick++) {
			world_tick(&w, 10);
			assert_int_equal(w.plan->n.actions, 0);
		}
		world_done(&w);
	}
}

/* Copies without what lies between the members, which is nobody's and may differ. */
#define PUT(member)                                                                                \
	do {                                                                                       \
		memcpy(out + n, &(member), sizeof(member));                                        \
		n += sizeof(member);                                                               \
	} while (0)

static size_t put_why(uint8_t *out, const struct cl_why *why)
{
	size_t n = 0;

	PUT(why->code);
	PUT(why->number);
	return n;
}

static size_t put_value(uint8_t *out, const struct cl_value *value)
{
	size_t n = 0;

	PUT(value->tag);
	PUT(value->number);
	PUT(value->mask);
	PUT(value->group);
	return n;
}

static size_t put_action(uint8_t *out, const struct cl_action *a)
{
	size_t n = 0;

	PUT(a->kind);
	PUT(a->object.thread.tid);
	PUT(a->object.thread.start);
	PUT(a->object.irq);
	PUT(a->object.group);
	PUT(a->object.vcpu);
	PUT(a->object.guest);
	n += put_value(out + n, &a->from);
	n += put_value(out + n, &a->to);
	n += put_why(out + n, &a->why);
	PUT(a->possible);
	PUT(a->first);
	return n;
}

static size_t put_work(uint8_t *out, const struct cl_state_work *k)
{
	const uint64_t times[] = { k->thread.start, k->mask_hash, k->load,
				   k->wait,         k->moved_ns,  k->retry_ns };
	const uint32_t rest[] = { k->refused, k->follow,  k->target_cpu, k->adopted,
				  k->foreign, k->crowded, k->newborn };
	size_t n = 0;

	PUT(k->guest);
	PUT(k->thread.tid);
	PUT(times);
	PUT(rest);
	return n;
}

static size_t dump(uint8_t *out, size_t size)
{
	size_t n = 0;

	assert_true(w.plan->n.actions * sizeof(struct cl_action) +
			    w.plan->n.verdicts * sizeof(struct cl_verdict) +
			    w.state->n.works * sizeof(struct cl_state_work) <=
		    size);
	for (uint32_t i = 0; i < w.plan->n.actions; i++)
		n += put_action(out + n, &w.plan->actions[i]);
	for (uint32_t i = 0; i < w.plan->n.verdicts; i++) {
		const struct cl_verdict *v = &w.plan->verdicts[i];

		n += put_why(out + n, &v->placed);
		n += put_why(out + n, &v->left);
		PUT(v->follow);
		PUT(v->target);
	}
	for (uint32_t i = 0; i < w.state->n.works; i++)
		n += put_work(out + n, &w.state->works[i]);
	return n;
}

static void same_seed_same_bytes(void **state)
{
	static uint8_t first[1 << 20], second[1 << 20];

	for (unsigned seed = 1; seed <= 50; seed++) {
		size_t len[2];

		for (int round = 0; round < 2; round++) {
			unsigned r = seed;

			random_world(&r);
			for (int tick = 0; tick < 15; tick++) {
				wander(&r);
				world_tick(&w, 0);
				if (tick < 14)
					world_apply(&w);
			}
			len[round] = dump(round ? second : first, sizeof(first));
			world_done(&w);
		}
		assert_int_equal(len[0], len[1]);
		assert_memory_equal(first, second, len[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(invariants),
		cmocka_unit_test(settles),
		cmocka_unit_test(same_seed_same_bytes),
	};

	return cmocka_run_group_tests_name("decide", tests, NULL, NULL);
}
