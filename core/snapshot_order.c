/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The fixed order of a snapshot: made by cl_snapshot_sort, insisted on by cl_snapshot_check. */
#include <closer/snapshot.h>

#include <assert.h>
#include <string.h>

/* ---- comparisons: negative, 0, positive; they define the order ---- */

static int compare_u64(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

/* First difference wins: first(x, y, ...) evaluated left to right by hand. */
static int then(int first, int second)
{
	return first ? first : second;
}

static int compare_tid(struct cl_tid a, struct cl_tid b)
{
	return then(compare_u64((uint64_t)a.tid, (uint64_t)b.tid), compare_u64(a.start, b.start));
}

static int compare_text(const struct cl_snapshot *snap, struct cl_text a, struct cl_text b)
{
	return strcmp(cl_snapshot_str(snap, a), cl_snapshot_str(snap, b));
}

static int compare_guests(const struct cl_snapshot *snap, uint32_t a, uint32_t b)
{
	return cl_uuid_compare(&snap->guests[a].id, &snap->guests[b].id);
}

static int compare_groups(const struct cl_snapshot *snap, uint32_t a, uint32_t b)
{
	return compare_text(snap, snap->groups[a].path, snap->groups[b].path);
}

static int compare_vcpus(const struct cl_snapshot *snap, uint32_t a, uint32_t b)
{
	const struct cl_vcpu *x = &snap->vcpus[a], *y = &snap->vcpus[b];

	return then(compare_u64(x->guest.v, y->guest.v), compare_u64(x->index, y->index));
}

static int compare_works(const struct cl_snapshot *snap, uint32_t a, uint32_t b)
{
	const struct cl_work *x = &snap->works[a], *y = &snap->works[b];

	return then(compare_u64(x->guest.v, y->guest.v), compare_tid(x->thread, y->thread));
}

static int compare_runs(const struct cl_snapshot *snap, uint32_t a, uint32_t b)
{
	const struct cl_run *x = &snap->runs[a], *y = &snap->runs[b];

	return then(compare_u64(x->work.v, y->work.v), compare_u64(x->cpu.v, y->cpu.v));
}

static int compare_nics(const struct cl_snapshot *snap, uint32_t a, uint32_t b)
{
	const struct cl_nic *x = &snap->nics[a], *y = &snap->nics[b];

	return then(compare_u64(x->guest.v, y->guest.v), compare_text(snap, x->name, y->name));
}

static int compare_disks(const struct cl_snapshot *snap, uint32_t a, uint32_t b)
{
	const struct cl_disk *x = &snap->disks[a], *y = &snap->disks[b];

	return then(compare_u64(x->guest.v, y->guest.v), compare_text(snap, x->name, y->name));
}

static int compare_irqs(const struct cl_snapshot *snap, uint32_t a, uint32_t b)
{
	return compare_u64(snap->irqs[a].number, snap->irqs[b].number);
}

static int compare_pools(const struct cl_snapshot *snap, uint32_t a, uint32_t b)
{
	return compare_u64(snap->pools[a].id, snap->pools[b].id);
}

/* ---- sorting: heap sort, no memory of its own, O(n log n) whatever the host hands over ---- */

typedef int compare_fn(const struct cl_snapshot *snap, uint32_t a, uint32_t b);

/* Restores the heap below root in order[0..n), where order holds indices into the array. */
static void sift_order(const struct cl_snapshot *snap, uint32_t *order, uint32_t root, uint32_t n,
		       compare_fn *compare)
{
	for (;;) {
		uint32_t child = root * 2 + 1;

		if (child >= n)
			return;
		if (child + 1 < n && compare(snap, order[child], order[child + 1]) < 0)
			child++;
		if (compare(snap, order[root], order[child]) >= 0)
			return;
		uint32_t other = order[root];

		order[root] = order[child];
		order[child] = other;
		root = child;
	}
}

static bool is_sorted(const struct cl_snapshot *snap, uint32_t n, compare_fn *compare)
{
	for (uint32_t i = 1; i < n; i++)
		if (compare(snap, i - 1, i) > 0)
			return false;
	return true;
}

/* order[i]: which element comes i-th. Ties keep no order; check refuses them. */
static void sort_order(const struct cl_snapshot *snap, uint32_t *order, uint32_t n,
		       compare_fn *compare)
{
	for (uint32_t i = 0; i < n; i++)
		order[i] = i;
	for (uint32_t i = n / 2; i-- > 0;)
		sift_order(snap, order, i, n, compare);
	for (uint32_t last = n; last-- > 1;) {
		uint32_t other = order[0];

		order[0] = order[last];
		order[last] = other;
		sift_order(snap, order, 0, last, compare);
	}
}

#define MARK UINT32_C(0x80000000)

/* Turns "which comes i-th" into "where does element i go", in place; indices are below 2^31. */
static void invert(uint32_t *order, uint32_t n)
{
	for (uint32_t start = 0; start < n; start++) {
		if (order[start] & MARK)
			continue;
		uint32_t at = start, next = order[start];

		while (next != start) {
			uint32_t after = order[next];

			order[next] = at | MARK;
			at = next;
			next = after;
		}
		order[start] = at | MARK;
	}
	for (uint32_t i = 0; i < n; i++)
		order[i] &= ~MARK;
}

/* Moves element i to place[i] for each i; place is consumed (the identity afterwards). */
static void permute(void *base, size_t size, uint32_t *place, uint32_t n)
{
	union {
		char bytes[1024];
		uint64_t align;
	} spare;
	char *p = base;

	assert(size <= sizeof(spare.bytes));
	for (uint32_t i = 0; i < n; i++) {
		while (place[i] != i) {
			uint32_t to = place[i];

			memcpy(spare.bytes, p + to * size, size);
			memcpy(p + to * size, p + i * size, size);
			memcpy(p + i * size, spare.bytes, size);
			place[i] = place[to];
			place[to] = to;
		}
	}
}

/* Heap sort of elements that nothing points at, moved themselves. */
static void sort_in_place(struct cl_snapshot *snap, void *base, size_t size, uint32_t n,
			  compare_fn *compare)
{
	union {
		char bytes[1024];
		uint64_t align;
	} spare;
	char *p = base;
	uint32_t end = n, start = n / 2;

	assert(size <= sizeof(spare.bytes));
	if (is_sorted(snap, n, compare))
		return;
	while (end > 1) {
		if (start > 0) {
			start--;
		} else {
			end--;
			memcpy(spare.bytes, p, size);
			memcpy(p, p + end * size, size);
			memcpy(p + end * size, spare.bytes, size);
		}
		for (uint32_t root = start, child; (child = root * 2 + 1) < end; root = child) {
			if (child + 1 < end && compare(snap, child, child + 1) < 0)
				child++;
			if (compare(snap, root, child) >= 0)
				break;
			memcpy(spare.bytes, p + root * size, size);
			memcpy(p + root * size, p + child * size, size);
			memcpy(p + child * size, spare.bytes, size);
		}
	}
}

static void rename_guests(struct cl_snapshot *snap, const uint32_t *place)
{
#define RENAME(member)                                                                             \
	for (uint32_t i = 0; i < snap->n.member; i++)                                              \
		if (snap->member[i].guest.v != CL_NONE)                                            \
			snap->member[i].guest.v = place[snap->member[i].guest.v];
	RENAME(vcpus)
	RENAME(works)
	RENAME(nics)
	RENAME(disks)
	RENAME(irqs)
#undef RENAME
}

static void rename_groups(struct cl_snapshot *snap, const uint32_t *place)
{
	for (uint32_t i = 0; i < snap->n.vcpus; i++)
		if (snap->vcpus[i].group.v != CL_NONE)
			snap->vcpus[i].group.v = place[snap->vcpus[i].group.v];
	for (uint32_t i = 0; i < snap->n.works; i++)
		if (snap->works[i].group.v != CL_NONE)
			snap->works[i].group.v = place[snap->works[i].group.v];
}

static void rename_works(struct cl_snapshot *snap, const uint32_t *place)
{
	for (uint32_t i = 0; i < snap->n.runs; i++)
		if (snap->runs[i].work.v != CL_NONE)
			snap->runs[i].work.v = place[snap->runs[i].work.v];
}

static void count_per_guest(struct cl_snapshot *snap)
{
	for (uint32_t i = 0; i < snap->n.guests; i++) {
		struct cl_guest *g = &snap->guests[i];

		g->vcpu_first = g->vcpu_count = g->work_first = g->work_count = 0;
	}
	for (uint32_t i = snap->n.vcpus; i-- > 0;) {
		if (snap->vcpus[i].guest.v == CL_NONE)
			continue;
		struct cl_guest *g = &snap->guests[snap->vcpus[i].guest.v];

		g->vcpu_first = i;
		g->vcpu_count++;
	}
	for (uint32_t i = snap->n.works; i-- > 0;) {
		if (snap->works[i].guest.v == CL_NONE)
			continue;
		struct cl_guest *g = &snap->guests[snap->works[i].guest.v];

		g->work_first = i;
		g->work_count++;
	}
}

void cl_snapshot_sort(struct cl_snapshot *snap, uint32_t *scratch)
{
	if (!is_sorted(snap, snap->n.guests, compare_guests)) {
		sort_order(snap, scratch, snap->n.guests, compare_guests);
		invert(scratch, snap->n.guests);
		rename_guests(snap, scratch);
		permute(snap->guests, sizeof(*snap->guests), scratch, snap->n.guests);
	}
	if (!is_sorted(snap, snap->n.groups, compare_groups)) {
		sort_order(snap, scratch, snap->n.groups, compare_groups);
		invert(scratch, snap->n.groups);
		rename_groups(snap, scratch);
		permute(snap->groups, sizeof(*snap->groups), scratch, snap->n.groups);
	}
	if (!is_sorted(snap, snap->n.works, compare_works)) {
		sort_order(snap, scratch, snap->n.works, compare_works);
		invert(scratch, snap->n.works);
		rename_works(snap, scratch);
		permute(snap->works, sizeof(*snap->works), scratch, snap->n.works);
	}
	sort_in_place(snap, snap->vcpus, sizeof(*snap->vcpus), snap->n.vcpus, compare_vcpus);
	sort_in_place(snap, snap->runs, sizeof(*snap->runs), snap->n.runs, compare_runs);
	sort_in_place(snap, snap->nics, sizeof(*snap->nics), snap->n.nics, compare_nics);
	sort_in_place(snap, snap->disks, sizeof(*snap->disks), snap->n.disks, compare_disks);
	sort_in_place(snap, snap->irqs, sizeof(*snap->irqs), snap->n.irqs, compare_irqs);
	sort_in_place(snap, snap->pools, sizeof(*snap->pools), snap->n.pools, compare_pools);
	count_per_guest(snap);
}

/* ---- checking ---- */

static bool within(uint32_t index, uint32_t n)
{
	return index < n || index == CL_NONE;
}

static bool limits_hold(const struct cl_snapshot *s)
{
#define X(member, type)                                                                            \
	if (s->n.member > s->cap.member)                                                           \
		return false;
	CL_ARRAYS(X)
#undef X
	return s->n.text >= 1 && s->n.text <= s->cap.text;
}

static bool text_holds(const struct cl_snapshot *s)
{
	bool ok = s->text[0] == '\0' && s->text[s->n.text - 1] == '\0';

	for (uint32_t i = 0; i < CL_CAN_COUNT; i++)
		ok = ok && s->why_not[i].at < s->n.text;
	for (uint32_t i = 0; i < s->n.groups; i++)
		ok = ok && s->groups[i].path.at < s->n.text;
	for (uint32_t i = 0; i < s->n.guests; i++)
		ok = ok && s->guests[i].name.at < s->n.text;
	for (uint32_t i = 0; i < s->n.nics; i++)
		ok = ok && s->nics[i].name.at < s->n.text;
	for (uint32_t i = 0; i < s->n.disks; i++)
		ok = ok && s->disks[i].name.at < s->n.text;
	for (uint32_t i = 0; i < s->n.irqs; i++)
		ok = ok && s->irqs[i].name.at < s->n.text;
	for (uint32_t i = 0; i < s->n.pools; i++)
		ok = ok && s->pools[i].scheduler.at < s->n.text;
	for (uint32_t i = 0; i < s->n.works; i++)
		ok = ok && memchr(s->works[i].name, '\0', sizeof(s->works[i].name));
	return ok;
}

static bool guest_indices_hold(const struct cl_snapshot *s)
{
	bool ok = true;

	for (uint32_t i = 0; i < s->n.guests; i++) {
		const struct cl_guest *g = &s->guests[i];

		ok = ok && g->vcpu_first <= s->n.vcpus &&
		     g->vcpu_count <= s->n.vcpus - g->vcpu_first && g->work_first <= s->n.works &&
		     g->work_count <= s->n.works - g->work_first &&
		     within(g->home_most.v, s->n.nodes) &&
		     (s->n.nodes >= 64 || g->home >> s->n.nodes == 0);
		for (uint32_t v = 0; ok && v < g->vcpu_count; v++)
			ok = s->vcpus[g->vcpu_first + v].guest.v == i;
		for (uint32_t w = 0; ok && w < g->work_count; w++)
			ok = s->works[g->work_first + w].guest.v == i;
	}
	return ok;
}

static bool indices_hold(const struct cl_snapshot *s)
{
	bool ok = within(s->allowed.v, s->n.masks) && within(s->pool.v, s->n.masks);

	for (uint32_t i = 0; i < s->n.cpus; i++)
		ok = ok && within(s->cpus[i].node.v, s->n.nodes) &&
		     within(s->cpus[i].pcpu, CL_CPUS_MAX) && within(s->cpus[i].pins.v, s->n.masks);
	for (uint32_t i = 0; i < s->n.groups; i++)
		ok = ok && within(s->groups[i].cpus.v, s->n.masks);
	for (uint32_t i = 0; i < s->n.vcpus; i++) {
		const struct cl_vcpu *v = &s->vcpus[i];

		ok = ok && v->guest.v < s->n.guests && within(v->cpu.v, s->n.cpus) &&
		     within(v->mask.v, s->n.masks) && within(v->pcpus.v, s->n.masks) &&
		     within(v->soft.v, s->n.masks) && within(v->group.v, s->n.groups);
	}
	for (uint32_t i = 0; i < s->n.works; i++) {
		const struct cl_work *w = &s->works[i];

		ok = ok && within(w->guest.v, s->n.guests) && within(w->cpu.v, s->n.cpus) &&
		     within(w->mask.v, s->n.masks) && within(w->group.v, s->n.groups);
	}
	for (uint32_t i = 0; i < s->n.runs; i++)
		ok = ok && s->runs[i].work.v < s->n.works && s->runs[i].cpu.v < s->n.cpus;
	for (uint32_t i = 0; i < s->n.nics; i++)
		ok = ok && within(s->nics[i].guest.v, s->n.guests) &&
		     within(s->nics[i].threaded, 2);
	for (uint32_t i = 0; i < s->n.disks; i++)
		ok = ok && within(s->disks[i].guest.v, s->n.guests);
	for (uint32_t i = 0; i < s->n.irqs; i++)
		ok = ok && within(s->irqs[i].guest.v, s->n.guests) &&
		     within(s->irqs[i].mask.v, s->n.masks) && within(s->irqs[i].cpu.v, s->n.cpus);
	for (uint32_t i = 0; i < s->n.pools; i++)
		ok = ok && within(s->pools[i].pcpus.v, s->n.masks);
	return ok && guest_indices_hold(s);
}

static bool strictly_sorted(const struct cl_snapshot *s, uint32_t n, compare_fn *compare)
{
	for (uint32_t i = 1; i < n; i++)
		if (compare(s, i - 1, i) >= 0)
			return false;
	return true;
}

static bool order_holds(const struct cl_snapshot *s)
{
	return strictly_sorted(s, s->n.guests, compare_guests) &&
	       strictly_sorted(s, s->n.groups, compare_groups) &&
	       strictly_sorted(s, s->n.vcpus, compare_vcpus) &&
	       strictly_sorted(s, s->n.works, compare_works) &&
	       strictly_sorted(s, s->n.runs, compare_runs) &&
	       is_sorted(s, s->n.nics, compare_nics) && is_sorted(s, s->n.disks, compare_disks) &&
	       strictly_sorted(s, s->n.irqs, compare_irqs) &&
	       strictly_sorted(s, s->n.pools, compare_pools);
}

/* An observation that took a minute is no snapshot of one moment. */
#define OBSERVATION_MAX_NS (60 * CL_NS_PER_S)

static bool time_holds(const struct cl_snapshot *prev, const struct cl_snapshot *s)
{
	if (s->taken_ns == 0 || s->taken_ns > UINT64_MAX / 2)
		return false;
	uint64_t end = s->taken_ns + OBSERVATION_MAX_NS;

	if (prev && s->taken_ns <= prev->taken_ns)
		return false;
	for (uint32_t i = 0; i < CL_PART_COUNT; i++)
		if (s->part_ns[i] > end)
			return false;
	for (uint32_t i = 0; i < s->n.works; i++)
		if (s->works[i].read_ns > end)
			return false;
	for (uint32_t i = 0; i < s->n.guests; i++)
		if (s->guests[i].read_ns > end)
			return false;
	return true;
}

static bool enums_hold(const struct cl_snapshot *s)
{
	for (uint32_t i = 0; i < s->n.works; i++)
		if ((uint32_t)s->works[i].kind >= CL_WORK_KIND_COUNT)
			return false;
	return s->can >> CL_CAN_COUNT == 0;
}

static bool any_cpu(const struct cl_snapshot *s)
{
	for (uint32_t i = 0; i < s->n.cpus; i++)
		if (s->cpus[i].online)
			return true;
	return false;
}

enum cl_snapshot_fault cl_snapshot_check(const struct cl_snapshot *prev,
					 const struct cl_snapshot *now)
{
	if (!limits_hold(now))
		return CL_SNAPSHOT_LIMITS;
	if (!text_holds(now))
		return CL_SNAPSHOT_TEXT;
	if (!indices_hold(now))
		return CL_SNAPSHOT_INDEX;
	if (!order_holds(now))
		return CL_SNAPSHOT_ORDER;
	if (!time_holds(prev, now))
		return CL_SNAPSHOT_TIME;
	if (!enums_hold(now))
		return CL_SNAPSHOT_ENUM;
	if (!any_cpu(now))
		return CL_SNAPSHOT_EMPTY;
	return CL_SNAPSHOT_NONE;
}

const char *cl_snapshot_fault_text(enum cl_snapshot_fault fault)
{
	static const char *const texts[] = {
#define X(id, doc) [CL_SNAPSHOT_##id] = doc,
		CL_SNAPSHOT_FAULTS(X)
#undef X
	};

	return texts[fault];
}
