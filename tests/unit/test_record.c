/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Recordings: what is written is read back to the last field; a full disk; the digest. */
#include "recorded.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* ---- making things ---- */

/*
 * Bytes that are all different from their neighbours and never zero: a field that is skipped or
 * swapped shows.
 */
static void stamp(void *bytes, size_t len, uint64_t *seed)
{
	for (size_t i = 0; i < len; i++) {
		*seed = *seed * 6364136223846793005u + 1442695040888963407u;
		((uint8_t *)bytes)[i] = (uint8_t)(1 + (*seed >> 33) % 255);
	}
}

/*
 * A snapshot in which every field of every array has a value of its own; not sound, but that is
 * not asked.
 */
static struct cl_snapshot *stamped(uint8_t padding, uint64_t seed)
{
	struct cl_snapshot *snap = cl_snapshot_new(&cl_limits_small);

	assert_non_null(snap);
#define X(member, type) memset(snap->member, padding, cl_limits_small.member * sizeof(type));
	CL_ARRAYS(X)
#undef X
	snap->taken_ns = 123456789;
	stamp(snap->part_ns, sizeof(snap->part_ns), &seed);
	stamp(&snap->can, sizeof(snap->can), &seed);
	stamp(snap->why_not, sizeof(snap->why_not), &seed);
	stamp(&snap->allowed, sizeof(snap->allowed), &seed);
	stamp(&snap->pool, sizeof(snap->pool), &seed);
	stamp(&snap->memory, sizeof(snap->memory), &seed);
	stamp(&snap->dropped, sizeof(snap->dropped), &seed);
	cl_snapshot_text(snap, "some");
	cl_snapshot_text(snap, "text");
	for (uint32_t i = 0; i < 5; i++) {
		struct cl_cpuset set;

		stamp(&set, sizeof(set), &seed);
		assert_int_equal(cl_snapshot_mask(snap, &set).v, i);
	}
	return snap;
}

/*
 * The fields one by one, as the tables do not have them: written by hand, so that a mistake is
 * not made twice.
 */
#define STAMP(field) stamp(&(field), sizeof(field), &seed)
static void stamp_elements(struct cl_snapshot *snap, uint64_t seed)
{
	for (uint32_t i = 0; i < 3; i++) {
		struct cl_cpu *c = &snap->cpus[snap->n.cpus++];
		struct cl_node *n = &snap->nodes[snap->n.nodes++];
		struct cl_group *p = &snap->groups[snap->n.groups++];
		struct cl_guest *g = &snap->guests[snap->n.guests++];
		struct cl_vcpu *v = &snap->vcpus[snap->n.vcpus++];
		struct cl_work *w = &snap->works[snap->n.works++];
		struct cl_run *r = &snap->runs[snap->n.runs++];
		struct cl_nic *t = &snap->nics[snap->n.nics++];
		struct cl_disk *d = &snap->disks[snap->n.disks++];
		struct cl_irq *q = &snap->irqs[snap->n.irqs++];
		struct cl_pool *l = &snap->pools[snap->n.pools++];

		c->online = i & 1;
		STAMP(c->node), STAMP(c->core), STAMP(c->busy_ns), STAMP(c->irq_ns),
			STAMP(c->idle_ns);
		STAMP(c->steal_ns), STAMP(c->main_ns), STAMP(c->kernel_ns), STAMP(c->overhead_ns);
		STAMP(c->pcpu), STAMP(c->pins);
		STAMP(n->mem_total_bytes), STAMP(n->mem_free_bytes), STAMP(n->distance);
		STAMP(p->path), STAMP(p->cpus), STAMP(p->guest);
		p->ours = p->fenced = i & 1;
		STAMP(g->id), STAMP(g->name), STAMP(g->process.tid), STAMP(g->process.start),
			STAMP(g->home);
		STAMP(g->home_most), STAMP(g->reaped_ns), STAMP(g->shared_ns), STAMP(g->wakeup_ns),
			STAMP(g->mem_bytes), STAMP(g->mem_max_bytes);
		STAMP(g->balloon_bytes), STAMP(g->target_bytes), STAMP(g->used_bytes),
			STAMP(g->read_ns), STAMP(g->vcpu_first), STAMP(g->vcpu_count);
		STAMP(g->work_first), STAMP(g->work_count), STAMP(g->domid), STAMP(g->pool);
		STAMP(g->driver), STAMP(g->weight), STAMP(g->cap), STAMP(g->period_ns);
		STAMP(g->budget_ns);
		g->described = i & 1;
		STAMP(v->guest), STAMP(v->index), STAMP(v->thread.tid), STAMP(v->thread.start),
			STAMP(v->cpu);
		STAMP(v->mask), STAMP(v->pcpus), STAMP(v->soft), STAMP(v->group), STAMP(v->cpu_ns),
			STAMP(v->wait_ns);
		STAMP(w->guest), STAMP(w->thread.tid), STAMP(w->thread.start), STAMP(w->queue_vcpu),
			STAMP(w->cpu);
		STAMP(w->mask), STAMP(w->group), STAMP(w->cpu_ns), STAMP(w->wait_ns),
			STAMP(w->read_ns);
		w->kind = (enum cl_work_kind)(i + 1);
		memset(w->name, 0, sizeof(w->name));
		stamp(w->name, sizeof(w->name) - 1 - i, &seed);
		w->bound = i & 1;
		STAMP(r->work), STAMP(r->cpu), STAMP(r->ns);
		STAMP(t->guest), STAMP(t->name), STAMP(t->threaded), STAMP(t->rx_packets),
			STAMP(t->rx_bytes), STAMP(t->tx_packets);
		STAMP(t->tx_bytes), STAMP(t->handle);
		STAMP(d->guest), STAMP(d->name), STAMP(d->rd_ops), STAMP(d->rd_bytes),
			STAMP(d->wr_ops);
		STAMP(d->wr_bytes), STAMP(d->device);
		STAMP(q->number), STAMP(q->guest), STAMP(q->name), STAMP(q->mask), STAMP(q->count);
		STAMP(q->cpu), STAMP(q->cpu_ns), STAMP(q->queue_vcpu);
		STAMP(l->id), STAMP(l->scheduler), STAMP(l->pcpus), STAMP(l->slice_ns);
		STAMP(l->ratelimit_ns);
	}
}
#undef STAMP

static uint8_t *encoded(const struct cl_snapshot *snap, size_t *ret_len)
{
	size_t len = cl_snapshot_encode(snap, NULL, 0);
	uint8_t *bytes = malloc(len);

	assert_non_null(bytes);
	assert_int_equal(cl_snapshot_encode(snap, bytes, len), len);
	*ret_len = len;
	return bytes;
}

/* ---- snapshots ---- */

static void test_round_trip(void **ctx)
{
	struct cl_snapshot *a = stamped(0, 1), *b = cl_snapshot_new(&cl_limits_small);
	struct cl_error error;
	size_t len;

	stamp_elements(a, 2);
	cl_autofree uint8_t *bytes = encoded(a, &len);

	assert_int_equal(cl_snapshot_decode(bytes, len, b, &error), 0);
	assert_int_equal(a->taken_ns, b->taken_ns);
	assert_same_bytes(a->part_ns, b->part_ns, sizeof(a->part_ns));
	assert_int_equal(a->can, b->can);
	assert_same_bytes(a->why_not, b->why_not, sizeof(a->why_not));
	assert_int_equal(a->allowed.v, b->allowed.v);
	assert_int_equal(a->pool.v, b->pool.v);
	assert_same_bytes(&a->memory, &b->memory, sizeof(a->memory));
	assert_same_bytes(&a->n, &b->n, sizeof(a->n));
	assert_same_bytes(&a->dropped, &b->dropped, sizeof(a->dropped));
	assert_same_bytes(a->text, b->text, a->n.text);
	/*
	 * padding is zero in a (stamped) and in b (the decoder), so the whole of each element can
	 * be compared
	 */
#define X(member, type) assert_same_bytes(a->member, b->member, a->n.member * sizeof(type));
	CL_ARRAYS(X)
#undef X
	cl_snapshot_free(a);
	cl_snapshot_free(b);
}

static void test_no_padding_leaks(void **ctx)
{
	struct cl_snapshot *a = stamped(0, 1), *b = stamped(0xa5, 1);
	size_t len_a, len_b;

	stamp_elements(a, 2);
	stamp_elements(b, 2);
	cl_autofree uint8_t *bytes_a = encoded(a, &len_a), *bytes_b = encoded(b, &len_b);

	assert_int_equal(len_a, len_b);
	assert_same_bytes(bytes_a, bytes_b, len_a);
	cl_snapshot_free(a);
	cl_snapshot_free(b);
}

static void test_cut_and_longer(void **ctx)
{
	struct cl_snapshot *a = stamped(0, 3), *b = cl_snapshot_new(&cl_limits_small);
	struct cl_error error;
	size_t len;

	stamp_elements(a, 4);
	cl_autofree uint8_t *bytes = encoded(a, &len);
	cl_autofree uint8_t *longer = calloc(1, len + 1);

	for (size_t cut = 0; cut < len; cut++) {
		cl_autofree uint8_t *part =
			malloc(cut + 1); /* exactly as long as it is: ASan sees a byte too far */

		memcpy(part, bytes, cut);
		assert_int_equal(cl_snapshot_decode(part, cut, b, &error), -EBADMSG);
		assert_int_equal(b->n.works, 0);
	}
	memcpy(longer, bytes, len);
	assert_int_equal(cl_snapshot_decode(longer, len + 1, b, &error), -EBADMSG);
	assert_non_null(strstr(error.text, "1 bytes too many"));
	cl_snapshot_free(a);
	cl_snapshot_free(b);
}

static void test_over_capacity(void **ctx)
{
	struct cl_limits tight = cl_limits_small;
	struct cl_snapshot *a = stamped(0, 5), *b;
	struct cl_error error;
	size_t len;

	stamp_elements(a, 6);
	tight.works = 2;
	b = cl_snapshot_new(&tight);
	cl_autofree uint8_t *bytes = encoded(a, &len);

	assert_int_equal(cl_snapshot_decode(bytes, len, b, &error), -EBADMSG);
	assert_non_null(strstr(error.text, "over its capacity"));
	cl_snapshot_free(a);
	cl_snapshot_free(b);
}

/* ---- files ---- */

/*
 * The file system is full after some ticks: said, what is there is sound, and no tick is missing
 * in the middle.
 */
static void test_full(void **ctx)
{
	struct file *file = *ctx;
	struct cl_snapshot *snap = cl_snapshot_new(&cl_limits_small);
	struct scene_world *world = calloc(1, sizeof(*world));
	struct cl_state *state = cl_state_new(&cl_limits_small);
	struct cl_plan *plan = cl_plan_new(&cl_limits_small);
	struct rlimit old, small = { 1500, RLIM_INFINITY };
	struct cl_recorder *recorder = NULL;
	struct cl_params params;
	struct cl_error error = { 0 };
	unsigned written = 0, same;
	struct stat st;
	bool torn;
	int end, r = 0;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small.rlim_max = old.rlim_max;
	cl_params_default(&params);
	assert_int_equal(cl_recorder_open(file->path, "scene:", &cl_limits_small, &params, state,
					  &recorder, &error),
			 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	world->snap = snap;
	for (unsigned tick = 0; tick < 50 && r == 0; tick++) {
		scene_fill(scene_named("one-node"), world, tick);
		cl_decide(NULL, snap, &params, state, plan);
		r = cl_recorder_tick(recorder, snap, plan, &error);
		written += r == 0;
	}
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(r, -EFBIG);
	assert_true(written > 0);
	assert_non_null(strstr(error.text, "sound recording"));
	assert_int_equal(cl_recorder_tick(recorder, snap, plan, &error),
			 -EFBIG); /* room again: still not */
	assert_int_equal(cl_recorder_close(recorder, &error), 0);
	assert_int_equal(stat(file->path, &st), 0);
	assert_true(st.st_size <= 1500);

	struct cl_replay *replay = NULL;

	assert_int_equal(cl_replay_open(file->path, &replay, &error), 0);
	for (same = 0; (end = cl_replay_next(replay, &error)) == 0; same++)
		assert_int_equal(cl_replay_now(replay)->taken_ns, scene_ns(same));
	torn = cl_replay_torn(replay);
	cl_replay_close(replay);
	assert_int_equal(end, -ENODATA);
	assert_int_equal(same, written);
	assert_false(torn);
	assert_int_equal(cl_recorder_open("/dev/full", "scene:", &cl_limits_small, &params, state,
					  &recorder, &error),
			 -ENOSPC);
	assert_int_equal(cl_recorder_open("/nonexistent/x", "scene:", &cl_limits_small, &params,
					  state, &recorder, &error),
			 -ENOENT);
	cl_snapshot_free(snap);
	cl_state_free(state);
	cl_plan_free(plan);
	free(world);
}

/* ---- digest ---- */

static uint64_t flipped(struct cl_plan *plan, void *field)
{
	uint8_t *byte = field;
	uint64_t digest;

	*byte ^= 1;
	digest = cl_plan_digest(plan);
	*byte ^= 1;
	return digest;
}

static void test_digest(void **ctx)
{
	struct scene_world *world = calloc(1, sizeof(*world));
	struct cl_state *state = cl_state_new(&cl_limits_small);
	struct cl_plan *plan = cl_plan_new(&cl_limits_small);
	struct cl_params params;
	uint64_t was;

	world->snap = cl_snapshot_new(&cl_limits_small);
	cl_params_default(&params);
	scene_fill(scene_named("two-nodes"), world, 0);
	cl_decide(NULL, world->snap, &params, state, plan);
	was = cl_plan_digest(plan);
	assert_int_equal(cl_plan_digest(plan), was);
	void *fields[] = {
		&plan->actions[0].kind,
		&plan->actions[0].object.thread.tid,
		&plan->actions[0].object.irq,
		&plan->actions[0].object.group.tag,
		&plan->actions[0].object.group.node,
		&plan->actions[1].object.guest,
		&plan->actions[1].from.tag,
		&plan->actions[1].to.mask,
		&plan->actions[1].to.number,
		&plan->actions[1].to.group.guest,
		&plan->actions[1].why.code,
		&plan->actions[1].why.number[2],
		&plan->actions[1].possible,
		&plan->actions[1].first,
		&plan->masks[0].set,
		&plan->verdicts[0].placed.number[1],
		&plan->verdicts[0].left.code,
		&plan->verdicts[0].follow,
		&plan->verdicts[0].target,
		&plan->work_books[1].far_ns,
		&plan->guest_books[0].kind_ns[3],
		&plan->guest_books[0].counted,
		&plan->books.gap_ns,
		&plan->books.estimated,
		&plan->main_cpus,
		&plan->secondary_cpus,
		&plan->dropped,
	};
	for (size_t i = 0; i < CL_COUNT(fields); i++)
		assert_int_not_equal(flipped(plan, fields[i]), was);
	assert_int_equal(cl_plan_digest(plan), was);
	cl_snapshot_free(world->snap);
	cl_state_free(state);
	cl_plan_free(plan);
	free(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_no_padding_leaks),
		cmocka_unit_test(test_cut_and_longer),
		cmocka_unit_test(test_over_capacity),
		cmocka_unit_test_setup_teardown(test_full, set_up, tear_down),
		cmocka_unit_test(test_digest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
