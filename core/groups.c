/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * groups: the secondary containers. closer/<uuid> for a guest, with a child per node (and one for
 * all of them) where the guest spans nodes; its CPUs are the secondary ones of its home.
 */
#include "tick.h"

#include <assert.h>
#include <string.h>

#define ROOT_PATH "/closer"
#define ROOT_LEN  (sizeof(ROOT_PATH) - 1)

/* What a path of ours means; NONE for any other. */
static struct cl_group_ref parse_path(const char *path)
{
	struct cl_group_ref ref = { .tag = CL_GROUP_NONE, .seen = { CL_NONE } };
	char uuid[CL_UUID_TEXT];

	if (strncmp(path, ROOT_PATH, ROOT_LEN) != 0)
		return ref;
	path += ROOT_LEN;
	if (*path == '\0') {
		ref.tag = CL_GROUP_ROOT;
		return ref;
	}
	if (*path != '/' || strnlen(path + 1, CL_UUID_TEXT) < CL_UUID_TEXT - 1)
		return ref;
	memcpy(uuid, path + 1, CL_UUID_TEXT - 1);
	uuid[CL_UUID_TEXT - 1] = '\0';
	if (!cl_uuid_parse(uuid, &ref.guest))
		return ref;
	path += CL_UUID_TEXT;
	if (*path == '\0') {
		ref.tag = CL_GROUP_GUEST;
	} else if (strcmp(path, "/all") == 0) {
		ref.tag = CL_GROUP_GUEST_ALL;
	} else if (strncmp(path, "/node", 5) == 0 && path[5] >= '0' && path[5] <= '9') {
		uint32_t node = 0;
		const char *p = path + 5;

		while (*p >= '0' && *p <= '9' && node < CL_NODES_MAX)
			node = node * 10 + (uint32_t)(*p++ - '0');
		if (*p == '\0' && node < CL_NODES_MAX) {
			ref.tag = CL_GROUP_GUEST_NODE;
			ref.node.v = node;
		}
	}
	return ref;
}

static bool same_ref(const struct cl_group_ref *a, const struct cl_group_ref *b)
{
	return a->tag == b->tag && cl_uuid_compare(&a->guest, &b->guest) == 0 &&
	       (a->tag != CL_GROUP_GUEST_NODE || a->node.v == b->node.v);
}

static struct cl_group_ref ref_of(const struct cl_snapshot *snap, uint32_t group)
{
	return parse_path(cl_snapshot_str(snap, snap->groups[group].path));
}

bool group_is(const struct cl_snapshot *snap, struct cl_group_ix group,
	      const struct cl_group_ref *ref)
{
	if (group.v == CL_NONE || !snap->groups[group.v].ours)
		return false;
	struct cl_group_ref is = ref_of(snap, group.v);

	return same_ref(&is, ref);
}

struct cl_group_ref group_for(const struct tick *tick, const struct guest_view *view,
			      const struct cl_cpuset *target)
{
	const struct cl_snapshot *now = tick->now;
	struct cl_group_ref ref = { .tag = CL_GROUP_GUEST,
				    .seen = { CL_NONE },
				    .guest = view->guest->id };
	uint32_t node = now->cpus[cl_cpuset_next(target, 0)].node.v;

	if (!view->spans)
		return ref;
	ref.tag = CL_GROUP_GUEST_NODE;
	ref.node.v = node;
	for (uint32_t c = cl_cpuset_next(target, 0); c != CL_NONE;
	     c = cl_cpuset_next(target, c + 1)) {
		if (now->cpus[c].node.v != node || node == CL_NONE) {
			ref.tag = CL_GROUP_GUEST_ALL;
			ref.node.v = 0;
		}
	}
	return ref;
}

/* The CPUs that a container of this guest should have. */
static void wanted_cpus(const struct tick *tick, const struct guest_view *view,
			const struct cl_group_ref *ref, struct cl_cpuset *ret_set)
{
	if (ref->tag == CL_GROUP_ROOT) {
		*ret_set = tick->plan->secondary_cpus;
		return;
	}
	*ret_set = view->home;
	if (ref->tag == CL_GROUP_GUEST_NODE) {
		struct cl_cpuset node;

		node_cpus(tick->now, UINT64_C(1) << ref->node.v, &node);
		cl_cpuset_and(ret_set, &node);
	}
}

/*
 * Groups are sorted by path, and all below one guest's share its prefix: the first not before it,
 * by bisection.
 */
static uint32_t group_lower_bound(const struct cl_snapshot *snap, const char *path)
{
	uint32_t low = 0, high = snap->n.groups;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (strcmp(cl_snapshot_str(snap, snap->groups[mid].path), path) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct cl_group_ix group_root(const struct cl_snapshot *snap)
{
	uint32_t i = group_lower_bound(snap, ROOT_PATH);

	if (i == snap->n.groups || !snap->groups[i].ours ||
	    strcmp(cl_snapshot_str(snap, snap->groups[i].path), ROOT_PATH) != 0)
		i = CL_NONE;
	return (struct cl_group_ix){ i };
}

bool group_there(const struct cl_snapshot *snap, const struct cl_group_ref *ref)
{
	char prefix[ROOT_LEN + 1 + CL_UUID_TEXT];
	size_t len = ROOT_LEN;

	memcpy(prefix, ROOT_PATH, ROOT_LEN + 1);
	if (ref->tag != CL_GROUP_ROOT) {
		prefix[ROOT_LEN] = '/';
		cl_uuid_format(&ref->guest, prefix + ROOT_LEN + 1);
		len = sizeof(prefix) - 1;
	}
	for (uint32_t i = group_lower_bound(snap, prefix); i < snap->n.groups; i++) {
		if (strncmp(cl_snapshot_str(snap, snap->groups[i].path), prefix, len) != 0)
			return false;
		struct cl_group_ref is = ref_of(snap, i);

		if (snap->groups[i].ours && same_ref(&is, ref))
			return true;
	}
	return false;
}

/* Is its creation in this plan? A guest's containers are added during its turn: no further back
 * than that. */
static bool is_planned(const struct tick *tick, const struct cl_group_ref *ref)
{
	const struct cl_plan *plan = tick->plan;

	if (ref->tag == CL_GROUP_ROOT)
		return tick->root_planned;
	for (uint32_t i = plan->n.actions; i-- > 0;) {
		const struct cl_action *a = &plan->actions[i];

		if (a->kind != CL_ACTION_GROUP_CREATE)
			continue;
		if (same_ref(&a->object.group, ref))
			return true;
		if (cl_uuid_compare(&a->object.group.guest, &ref->guest) != 0)
			return false;
	}
	return false;
}

static void create(struct tick *tick, const struct guest_view *view, const struct cl_group_ref *ref)
{
	struct cl_cpuset cpus;

	if (group_there(tick->now, ref) || is_planned(tick, ref))
		return;
	struct cl_action *a = cl_plan_add(tick->plan, CL_ACTION_GROUP_CREATE);

	if (!a)
		return;
	if (ref->tag == CL_GROUP_ROOT)
		tick->root_planned = true;
	wanted_cpus(tick, view, ref, &cpus);
	a->object.group = *ref;
	a->object.guest = ref->tag == CL_GROUP_ROOT ? (struct cl_guest_ix){ CL_NONE } : view->ix;
	a->from.tag = CL_VALUE_ABSENT;
	a->to.tag = CL_VALUE_GROUP;
	a->to.group = *ref;
	a->to.mask = cl_plan_mask(tick->plan, &cpus);
	a->why.code = CL_REASON_CONTAINER;
}

void group_need(struct tick *tick, const struct guest_view *view, const struct cl_group_ref *ref)
{
	struct cl_group_ref root = { .tag = CL_GROUP_ROOT, .seen = { CL_NONE } };
	struct cl_group_ref guest = { .tag = CL_GROUP_GUEST,
				      .seen = { CL_NONE },
				      .guest = ref->guest };

	create(tick, view, &root);
	create(tick, view, &guest);
	if (ref->tag != CL_GROUP_GUEST)
		create(tick, view, ref);
}

static void resize(struct tick *tick, uint32_t group, const struct cl_group_ref *ref,
		   struct cl_guest_ix guest, const struct cl_cpuset *wanted)
{
	const struct cl_snapshot *now = tick->now;
	const struct cl_group *is = &now->groups[group];

	if (is->cpus.v == CL_NONE || cl_cpuset_empty(wanted))
		return;
	const struct cl_cpuset *has = cl_snapshot_set(now, is->cpus);

	if (cl_cpuset_equal(has, wanted))
		return;
	/* Neither in the other: first both, and less at the next tick, when nothing runs there any
	 * more. */
	struct cl_cpuset to = *wanted;
	bool narrow = cl_cpuset_subset(wanted, has);

	if (!narrow)
		cl_cpuset_or(&to, has);
	struct cl_action *a =
		cl_plan_add(tick->plan, narrow ? CL_ACTION_GROUP_NARROW : CL_ACTION_GROUP_WIDEN);

	if (!a)
		return;
	a->object.group = *ref;
	a->object.guest = guest;
	a->from.tag = a->to.tag = CL_VALUE_GROUP;
	a->from.group = a->to.group = *ref;
	a->from.mask = cl_plan_mask(tick->plan, has);
	a->to.mask = cl_plan_mask(tick->plan, &to);
	a->why.code = CL_REASON_CONTAINER;
}

static void gone(struct tick *tick, uint32_t group, const struct cl_group_ref *ref)
{
	const struct cl_group *is = &tick->now->groups[group];
	struct cl_action *a = cl_plan_add(tick->plan, CL_ACTION_GROUP_REMOVE);

	if (!a)
		return;
	a->object.group = *ref;
	a->from.tag = CL_VALUE_GROUP;
	a->from.group = *ref;
	if (is->cpus.v != CL_NONE)
		a->from.mask = cl_plan_mask(tick->plan, cl_snapshot_set(tick->now, is->cpus));
	a->to.tag = CL_VALUE_ABSENT;
	a->why.code = CL_REASON_GUEST_GONE;
}

static uint32_t find_guest(const struct cl_snapshot *snap, const struct cl_uuid *id)
{
	uint32_t low = 0, high = snap->n.guests;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		int order = cl_uuid_compare(&snap->guests[mid].id, id);

		if (order == 0)
			return mid;
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return CL_NONE;
}

/*
 * The root's CPUs: the secondary ones, and until they are removed those of containers whose guest
 * is gone, since no parent can have less than a child.
 */
static void wanted_root(const struct tick *tick, struct cl_cpuset *ret_set)
{
	const struct cl_snapshot *now = tick->now;

	*ret_set = tick->plan->secondary_cpus;
	for (uint32_t i = group_lower_bound(now, ROOT_PATH); i < now->n.groups; i++) {
		if (strncmp(cl_snapshot_str(now, now->groups[i].path), ROOT_PATH, ROOT_LEN) != 0)
			break;
		struct cl_group_ref ref = ref_of(now, i);

		if (now->groups[i].ours && now->groups[i].cpus.v != CL_NONE &&
		    ref.tag > CL_GROUP_ROOT && find_guest(now, &ref.guest) == CL_NONE)
			cl_cpuset_or(ret_set, cl_snapshot_set(now, now->groups[i].cpus));
	}
}

void groups_keep(struct tick *tick)
{
	const struct cl_snapshot *now = tick->now;
	const struct cl_state *state = tick->state;
	struct guest_view view;
	uint32_t viewed = CL_NONE;

	for (uint32_t i = group_lower_bound(now, ROOT_PATH); i < now->n.groups; i++) {
		const char *path = cl_snapshot_str(now, now->groups[i].path);
		struct cl_cpuset wanted;

		if (strncmp(path, ROOT_PATH, ROOT_LEN) != 0)
			break;
		struct cl_group_ref ref = parse_path(path);

		if (!now->groups[i].ours || ref.tag == CL_GROUP_NONE)
			continue;
		if (ref.tag == CL_GROUP_ROOT) {
			wanted_root(tick, &wanted);
			if (state->root.retry_ns <= now->taken_ns)
				resize(tick, i, &ref, (struct cl_guest_ix){ CL_NONE }, &wanted);
			continue;
		}
		uint32_t guest = find_guest(now, &ref.guest);

		if (guest == CL_NONE) {
			/* Over capacity it may be alive and unseen. */
			if (now->dropped.guests == 0 && state->gone.retry_ns <= now->taken_ns)
				gone(tick, i, &ref);
			continue;
		}
		if (state->guests[guest].groups.retry_ns > now->taken_ns)
			continue;
		if (guest != viewed)
			view_guest(tick, (struct cl_guest_ix){ guest }, &view);
		viewed = guest;
		wanted_cpus(tick, &view, &ref, &wanted);
		resize(tick, i, &ref, view.ix, &wanted);
	}
}
