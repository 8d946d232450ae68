/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Filling, ordering and refusing snapshots. */
#include "unit.h"
#include "lib.h"

#include <stdlib.h>

static struct cl_snapshot *snap;
static uint32_t scratch[4096];

static int setup(void **state)
{
	snap = cl_snapshot_new(&cl_limits_small);
	return snap ? 0 : -1;
}

static int teardown(void **state)
{
	cl_snapshot_free(snap);
	return 0;
}

/* A random but sound host, appended in random order. */
static void fill(unsigned seed)
{
	unsigned r = seed;

	cl_snapshot_reset(snap);
	snap->taken_ns = 1000;
	struct cl_cpuset all = { { 15 } };

	snap->allowed = cl_snapshot_mask(snap, &all);
	cl_snapshot_add_nodes(snap);
	for (uint32_t c = 0; c < 4; c++) {
		struct cl_cpu *cpu = cl_snapshot_add_cpus(snap);

		cpu->online = true;
		cpu->node.v = 0;
	}
	uint32_t guests = 2 + (unsigned)rand_r(&r) % 20;

	for (uint32_t g = 0; g < guests; g++) {
		struct cl_guest *guest = cl_snapshot_add_guests(snap);
		char name[32];

		guest->id.b[0] = (uint8_t)(g * 37); /* distinct: 37 is odd */
		snprintf(name, sizeof(name), "g%u", g);
		guest->name = cl_snapshot_text(snap, name);
		struct cl_group *group = cl_snapshot_add_groups(snap);

		snprintf(name, sizeof(name), "/x/%u", (g * 7919) % 1000);
		group->path = cl_snapshot_text(snap, name);
		group->guest = guest->id;
	}
	for (uint32_t i = 0; i < 200; i++) {
		struct cl_work *w = cl_snapshot_add_works(snap);

		w->guest.v = (unsigned)rand_r(&r) % (guests + 1);
		if (w->guest.v == guests)
			w->guest.v = CL_NONE;
		else
			w->group.v = w->guest.v;
		w->thread = (struct cl_tid){ (int)((i * 61) % 1009), (unsigned)rand_r(&r) % 5 };
		w->cpu_ns = w->guest.v;
		struct cl_run *run = cl_snapshot_add_runs(snap);

		run->work.v = snap->n.works - 1;
		run->cpu.v = (unsigned)rand_r(&r) % 4;
		run->ns = (uint64_t)w->thread.tid;
		struct cl_vcpu *v = cl_snapshot_add_vcpus(snap);

		v->guest.v = (unsigned)rand_r(&r) % guests;
		v->index = i;
	}
}

static void sorting_keeps_meaning(void **state)
{
	for (unsigned seed = 1; seed <= 200; seed++) {
		fill(seed);
		cl_snapshot_sort(snap, scratch);
		assert_int_equal(cl_snapshot_check(NULL, snap), CL_SNAPSHOT_NONE);
		uint32_t of_guests = 0;

		for (uint32_t i = 0; i < snap->n.works; i++) {
			const struct cl_work *w = &snap->works[i];

			if (w->guest.v == CL_NONE) {
				assert_int_equal(w->cpu_ns, CL_NONE);
				continue;
			}
			/* what was guest number n when it was appended still is: its name says so
			 */
			char name[32];

			of_guests++;
			snprintf(name, sizeof(name), "g%u", (uint32_t)w->cpu_ns);
			assert_string_equal(cl_snapshot_str(snap, snap->guests[w->guest.v].name),
					    name);
			assert_int_equal(cl_uuid_compare(&snap->groups[w->group.v].guest,
							 &snap->guests[w->guest.v].id),
					 0);
		}
		for (uint32_t i = 0; i < snap->n.runs; i++)
			assert_int_equal(snap->runs[i].ns,
					 snap->works[snap->runs[i].work.v].thread.tid);
		for (uint32_t g = 0; g < snap->n.guests; g++)
			of_guests -= snap->guests[g].work_count;
		assert_int_equal(of_guests, 0);
	}
}

static void masks_are_interned(void **state)
{
	struct cl_cpuset set = { { 0 } };
	struct cl_mask_ix first;

	cl_snapshot_reset(snap);
	first = cl_snapshot_mask(snap, &set);
	for (uint32_t i = 0; i < 1000; i++) {
		set.w[0] = i;
		cl_snapshot_mask(snap, &set);
	}
	set.w[0] = 0;
	assert_int_equal(cl_snapshot_mask(snap, &set).v, first.v);
	assert_int_equal(snap->n.masks, cl_limits_small.masks);
	assert_int_equal(snap->dropped.masks, 1000 - cl_limits_small.masks);
}

static void over_capacity_is_counted(void **state)
{
	cl_snapshot_reset(snap);
	for (uint32_t i = 0; i < cl_limits_small.guests; i++)
		assert_non_null(cl_snapshot_add_guests(snap));
	assert_null(cl_snapshot_add_guests(snap));
	assert_null(cl_snapshot_add_guests(snap));
	assert_int_equal(snap->dropped.guests, 2);
	char *big = malloc(CL_PATH_MAX * 2);

	memset(big, 'x', CL_PATH_MAX * 2);
	big[CL_PATH_MAX * 2 - 1] = '\0';
	assert_int_equal(strlen(cl_snapshot_str(snap, cl_snapshot_text(snap, big))),
			 CL_PATH_MAX - 1);
	while (snap->dropped.text == 0)
		cl_snapshot_text(snap, big);
	assert_true(snap->n.text <= snap->cap.text);
	assert_int_equal(cl_snapshot_text(snap, big).at, 0);
	free(big);
}

static void faults_are_found(void **state)
{
#define EXPECT(what, change)                                                                       \
	do {                                                                                       \
		fill(7);                                                                           \
		cl_snapshot_sort(snap, scratch);                                                   \
		change;                                                                            \
		assert_int_equal(cl_snapshot_check(NULL, snap), CL_SNAPSHOT_##what);               \
		assert_non_null(cl_snapshot_fault_text(CL_SNAPSHOT_##what));                       \
	} while (0)
	EXPECT(NONE, (void)0);
	EXPECT(LIMITS, snap->n.works = snap->cap.works + 1);
	EXPECT(LIMITS, snap->n.text = 0);
	EXPECT(INDEX, snap->works[3].mask.v = 100);
	EXPECT(INDEX, snap->works[3].guest.v = snap->n.guests);
	EXPECT(INDEX, snap->guests[0].work_count = UINT32_MAX);
	EXPECT(INDEX, snap->guests[0].home = 2);
	EXPECT(INDEX, snap->runs[0].cpu.v = 4);
	EXPECT(INDEX, snap->vcpus[0].guest.v = CL_NONE);
	EXPECT(ORDER, snap->works[1].thread = snap->works[0].thread;
	       snap->works[1].guest = snap->works[0].guest);
	EXPECT(ORDER, snap->guests[1].id = snap->guests[0].id);
	EXPECT(TEXT, snap->guests[0].name.at = snap->n.text);
	EXPECT(TEXT, snap->text[snap->n.text - 1] = 'x');
	EXPECT(TEXT, memset(snap->works[0].name, 'x', 16));
	EXPECT(TIME, snap->taken_ns = 0);
	EXPECT(TIME, snap->works[0].read_ns = UINT64_MAX / 2);
	EXPECT(TIME, snap->part_ns[0] = 1000 + 61 * CL_NS_PER_S);
	EXPECT(ENUM, snap->works[0].kind = (enum cl_work_kind)99);
	EXPECT(ENUM, snap->can = UINT32_MAX);
	EXPECT(EMPTY, for (int c = 0; c < 4; c++) snap->cpus[c].online = false);
#undef EXPECT
	struct cl_snapshot *later = cl_snapshot_new(&cl_limits_small);

	fill(7);
	cl_snapshot_sort(snap, scratch);
	later->taken_ns = snap->taken_ns;
	assert_int_equal(cl_snapshot_check(later, snap), CL_SNAPSHOT_TIME);
	cl_snapshot_free(later);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(sorting_keeps_meaning),
		T(masks_are_interned),
		T(over_capacity_is_counted),
		T(faults_are_found),
	};

	return cmocka_run_group_tests_name("snapshot", tests, NULL, NULL);
}
