/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench_decide: from an observation on file to a plan, at 1,000 guests and 10,000 works.
 *
 *   bench_decide [--rounds N] [--json FILE]
 *
 * A recording's snapshots are made in memory: a host with 64 CPUs on 4 nodes whose vCPUs wander now
 * and then. A round decodes the next one and decides, as replay does, with a state that has seen
 * all before.
 */
#include "bench.h"
#include "lib.h"
#include "record.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define GUESTS     1000u
#define WORKS_EACH 10u
#define VCPUS_EACH 4u
#define CPUS       64u
#define NODES      4u
#define TICKS      12u

struct dice {
	uint64_t state;
}; /* xorshift64*: the same numbers each time */

static uint32_t roll(struct dice *dice, uint32_t sides)
{
	dice->state ^= dice->state >> 12;
	dice->state ^= dice->state << 25;
	dice->state ^= dice->state >> 27;
	return (uint32_t)((dice->state * UINT64_C(0x2545F4914F6CDD1D)) >> 33) % sides;
}

static void add_machine(struct cl_snapshot *snap, uint64_t now_ns, struct cl_cpuset *ret_all)
{
	cl_cpuset_zero(ret_all);
	for (uint32_t i = 0; i < CPUS; i++) {
		struct cl_cpu *cpu = cl_snapshot_add_cpus(snap);

		cl_cpuset_add(ret_all, i);
		cpu->online = true;
		cpu->node.v = i / (CPUS / NODES);
		cpu->core = i / 2;
		cpu->busy_ns = now_ns / 2;
		cpu->irq_ns = now_ns / 100;
		cpu->idle_ns = now_ns / 2;
		cpu->steal_ns = 0;
		cpu->main_ns = now_ns / 200;
		cpu->kernel_ns = now_ns / 200;
	}
	for (uint32_t i = 0; i < NODES; i++) {
		struct cl_node *node = cl_snapshot_add_nodes(snap);

		node->mem_total_bytes = UINT64_C(1) << 40;
		node->mem_free_bytes = UINT64_C(1) << 38;
		for (uint32_t j = 0; j < NODES; j++)
			node->distance[j] = i == j ? 10 : 20;
	}
	snap->allowed = cl_snapshot_mask(snap, ret_all);
}

static void add_work(struct cl_snapshot *snap, struct cl_guest_ix guest, uint32_t i, uint32_t cpu,
		     uint64_t now_ns, struct cl_mask_ix mask, struct cl_group_ix group)
{
	static const enum cl_work_kind kinds[] = { CL_WORK_MAIN_LOOP, CL_WORK_IOTHREAD,
						   CL_WORK_WORKER, CL_WORK_VHOST };
	struct cl_work *work = cl_snapshot_add_works(snap);
	uint32_t index = snap->n.works - 1;
	struct cl_run *run = cl_snapshot_add_runs(snap);

	work->guest = guest;
	work->kind = kinds[i % CL_COUNT(kinds)];
	work->thread = (struct cl_tid){ (int32_t)(100000 + guest.v * 32 + i), 4000 + guest.v };
	snprintf(work->name, sizeof(work->name), "work%u", i);
	work->queue_vcpu = work->kind == CL_WORK_VHOST ? i % VCPUS_EACH : CL_NONE;
	work->cpu.v = cpu;
	work->mask = mask;
	work->group = group;
	work->cpu_ns = now_ns / 1000 * (1 + i);
	work->wait_ns = now_ns / 10000;
	work->read_ns = now_ns;
	*run = (struct cl_run){ .work = { index },
				.cpu = { cpu },
				.ns = CL_NS_PER_S / 1000 * (1 + i) };
}

static void add_guest(struct cl_snapshot *snap, uint32_t number, const uint32_t *cpus,
		      uint64_t now_ns, struct cl_mask_ix mask, struct cl_group_ix group,
		      struct dice *dice)
{
	struct cl_guest *guest = cl_snapshot_add_guests(snap);
	struct cl_guest_ix ix = { number };

	for (uint32_t i = 0; i < sizeof(guest->id.b); i++)
		guest->id.b[i] = (uint8_t)(number >> (i % 2 ? 0 : 8));
	guest->process = (struct cl_tid){ (int32_t)(100000 + number * 32), 4000 + number };
	guest->home = UINT64_C(1) << number % NODES;
	guest->mem_bytes = guest->mem_max_bytes = UINT64_C(1) << 32;
	guest->read_ns = now_ns;
	guest->described = true;
	for (uint32_t i = 0; i < VCPUS_EACH; i++) {
		struct cl_vcpu *vcpu = cl_snapshot_add_vcpus(snap);

		vcpu->guest = ix;
		vcpu->index = i;
		vcpu->thread =
			(struct cl_tid){ (int32_t)(100000 + number * 32 + 20 + i), 4000 + number };
		vcpu->cpu.v = cpus[number * VCPUS_EACH + i];
		vcpu->mask = mask;
		vcpu->group = group;
		vcpu->cpu_ns = now_ns / 100 * (i + 1);
		vcpu->wait_ns = now_ns / 1000;
	}
	for (uint32_t i = 0; i < WORKS_EACH; i++)
		add_work(snap, ix, i, roll(dice, CPUS), now_ns, mask, group);
}

static void fill(struct cl_snapshot *snap, uint32_t tick, uint32_t *cpus, uint32_t *scratch,
		 struct dice *dice)
{
	uint64_t now_ns = (100 + tick) * CL_NS_PER_S;
	struct cl_cpuset all;

	cl_snapshot_reset(snap);
	snap->taken_ns = now_ns;
	for (uint32_t part = 0; part < CL_PART_COUNT; part++)
		snap->part_ns[part] = now_ns;
	snap->can = (1u << CL_CAN_COUNT) - 1;
	add_machine(snap, now_ns, &all);
	struct cl_mask_ix mask = cl_snapshot_mask(snap, &all);
	struct cl_group *group = cl_snapshot_add_groups(snap);

	group->path = cl_snapshot_text(snap, "/machine");
	group->cpus = mask;
	for (uint32_t i = 0; i < GUESTS * VCPUS_EACH; i++)
		if (tick == 0 || roll(dice, 20) == 0)
			cpus[i] = roll(dice, CPUS);
	for (uint32_t i = 0; i < GUESTS; i++)
		add_guest(snap, i, cpus, now_ns, mask, (struct cl_group_ix){ 0 }, dice);
	cl_snapshot_sort(snap, scratch);
	assert(cl_snapshot_check(NULL, snap) == CL_SNAPSHOT_NONE);
}

struct recording {
	uint8_t *bytes[TICKS];
	size_t len[TICKS];
};

static bool record(struct recording *recording, struct cl_snapshot *snap)
{
	struct dice dice = { 88172645463325252 };
	cl_autofree uint32_t *cpus = calloc(GUESTS * VCPUS_EACH, sizeof(*cpus));
	cl_autofree uint32_t *scratch =
		calloc(snap->cap.guests + snap->cap.works + snap->cap.groups, sizeof(*scratch));

	for (uint32_t tick = 0; tick < TICKS && cpus && scratch; tick++) {
		fill(snap, tick, cpus, scratch, &dice);
		size_t len = cl_snapshot_encode(snap, NULL, 0);

		recording->bytes[tick] = malloc(len);
		if (!recording->bytes[tick])
			return false;
		recording->len[tick] = cl_snapshot_encode(snap, recording->bytes[tick], len);
		assert(recording->len[tick] == len);
	}
	return cpus && scratch;
}

/* Plays the recording once: TICKS - 1 rounds (the first has no past). */
static bool play(const struct recording *recording, struct cl_snapshot *snaps[2],
		 struct cl_state *state, struct cl_plan *plan, double *decode_ms, double *decide_ms,
		 uint32_t *ret_actions)
{
	struct cl_params params;
	struct cl_error error;

	cl_params_default(&params);
	for (uint32_t tick = 0; tick < TICKS; tick++) {
		struct cl_snapshot *now = snaps[tick % 2],
				   *prev = tick ? snaps[(tick + 1) % 2] : NULL;
		uint64_t begin_ns = bench_cpu_ns();

		if (cl_snapshot_decode(recording->bytes[tick], recording->len[tick], now, &error) <
		    0) {
			fprintf(stderr, "%s\n", error.text);
			return false;
		}
		if (cl_snapshot_check(prev, now) != CL_SNAPSHOT_NONE)
			return false;
		uint64_t decoded_ns = bench_cpu_ns();

		cl_plan_reset(plan);
		cl_decide(prev, now, &params, state, plan);
		uint64_t decided_ns = bench_cpu_ns();

		if (!tick)
			continue;
		decode_ms[tick - 1] = (double)(decoded_ns - begin_ns) / 1e6;
		decide_ms[tick - 1] = (double)(decided_ns - decoded_ns) / 1e6;
		*ret_actions = plan->n.actions;
	}
	return true;
}

static void print(const char *what, const char *name, struct bench_figure f, FILE *json, bool last)
{
	printf("%-34s %9.3f  %9.3f - %.3f\n", what, f.median, f.low, f.high);
	if (json)
		fprintf(json, "\"%s\": {\"ms\": %.4f, \"low\": %.4f, \"high\": %.4f}%s", name,
			f.median, f.low, f.high, last ? "" : ", ");
}

static int bench(uint32_t rounds, FILE *json)
{
	static const struct cl_limits cap = { .cpus = CPUS,
					      .nodes = NODES,
					      .masks = 65536,
					      .groups = 8192,
					      .guests = GUESTS,
					      .vcpus = GUESTS * VCPUS_EACH,
					      .works = GUESTS * WORKS_EACH,
					      .runs = GUESTS * WORKS_EACH,
					      .nics = 1,
					      .disks = 1,
					      .irqs = 1,
					      .text = 65536 };
	struct cl_snapshot *snaps[2] = { cl_snapshot_new(&cap), cl_snapshot_new(&cap) };
	struct cl_plan *plan = cl_plan_new(&cap);
	struct recording recording = { 0 };
	size_t n = (size_t)rounds * (TICKS - 1);
	cl_autofree double *decode_ms = calloc(n, sizeof(double));
	cl_autofree double *decide_ms = calloc(n, sizeof(double));
	cl_autofree double *sum_ms = calloc(n, sizeof(double));
	uint32_t actions = 0;
	bool ok = snaps[0] && snaps[1] && plan && decode_ms && decide_ms && sum_ms &&
		  record(&recording, snaps[0]);

	for (uint32_t round = 0; round < rounds && ok; round++) {
		struct cl_state *state = cl_state_new(&cap);

		ok = state && play(&recording, snaps, state, plan, &decode_ms[round * (TICKS - 1)],
				   &decide_ms[round * (TICKS - 1)], &actions);
		cl_state_free(state);
	}
	if (ok) {
		for (size_t i = 0; i < n; i++)
			sum_ms[i] = decode_ms[i] + decide_ms[i];
		printf("%u guests, %u works, %u CPUs, %zu ticks of %zu KiB each; the last plan has %u actions\n\n",
		       GUESTS, GUESTS * WORKS_EACH, CPUS, n, recording.len[0] / 1024, actions);
		printf("%-34s %9s  %s\n", "CPU time", "ms", "quartiles");
		if (json)
			fprintf(json, "{\"decide\": {\"guests\": %u, \"works\": %u, ", GUESTS,
				GUESTS * WORKS_EACH);
		print("decode and check a snapshot", "decode", bench_figure(decode_ms, n), json,
		      false);
		print("decide", "decide", bench_figure(decide_ms, n), json, false);
		print("observe to plan", "total", bench_figure(sum_ms, n), json, true);
		if (json)
			fprintf(json, "}}\n");
	} else {
		fprintf(stderr, "bench_decide: out of memory, or a snapshot was refused\n");
	}
	for (uint32_t tick = 0; tick < TICKS; tick++)
		free(recording.bytes[tick]);
	cl_snapshot_free(snaps[0]);
	cl_snapshot_free(snaps[1]);
	cl_plan_free(plan);
	return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
	const char *file = NULL;
	uint64_t rounds = 10;

	for (int i = 1; i < argc; i += 2) {
		if (i + 1 < argc && strcmp(argv[i], "--json") == 0) {
			file = argv[i + 1];
		} else if (i + 1 >= argc || strcmp(argv[i], "--rounds") != 0 ||
			   !cl_parse_u64(argv[i + 1], &rounds, NULL) || rounds < 1 ||
			   rounds > 10000) {
			fprintf(stderr, "usage: bench_decide [--rounds 1..10000] [--json FILE]\n");
			return 2;
		}
	}
	cl_autofclose FILE *json = file ? fopen(file, "w") : NULL;

	if (file && !json) {
		fprintf(stderr, "%s: %s\n", file, strerror(errno));
		return 1;
	}
	return bench((uint32_t)rounds, json);
}
