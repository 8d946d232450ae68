/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Values, objects and actions as text for people. What comes from guests is escaped here. */
#include "cli.h"

#include <string.h>

char *cli_guest_name(const struct cl_snapshot *snap, struct cl_guest_ix guest, char *buf,
		     size_t size)
{
	if (guest.v >= snap->n.guests) {
		snprintf(buf, size, "nobody");
		return buf;
	}
	const struct cl_guest *g = &snap->guests[guest.v];
	const char *name = cl_snapshot_str(snap, g->name);
	char uuid[CL_UUID_TEXT];

	if (*name)
		return cl_escape(name, buf, size);
	cl_uuid_format(&g->id, uuid);
	snprintf(buf, size, "%s", uuid);
	return buf;
}

char *cli_host_text(const char *uri, char *buf, size_t size)
{
	size_t len;

	cl_escape(uri, buf, size);
	len = strlen(buf);
	if (len > 0 && buf[len - 1] == ':')
		buf[len - 1] = '\0';
	return buf;
}

char *cli_list_text(const struct cl_cpuset *set, char *buf, size_t size)
{
	size_t want = cl_cpuset_format(set, buf, size);

	if (want == 0)
		snprintf(buf, size, "none");
	else if (want >= size && size > 4)
		memcpy(buf + size - 4, "...", 4);
	return buf;
}

char *cli_cpus_text(const struct cl_cpuset *set, char *buf, size_t size)
{
	uint32_t n = cl_cpuset_count(set);
	int head = snprintf(buf, size, "%s", n == 0 ? "no CPU" : n == 1 ? "CPU " : "CPUs ");

	if (n > 0)
		cli_list_text(set, buf + head, size - (size_t)head);
	return buf;
}

char *cli_pcpus_text(const struct cl_cpuset *set, char *buf, size_t size)
{
	int head = snprintf(buf, size, "physical ");

	cli_cpus_text(set, buf + head, size - (size_t)head);
	return buf;
}

char *cli_nodes_text(uint64_t nodes, char *buf, size_t size)
{
	struct cl_cpuset set; /* the same list format */

	if (nodes == 0) {
		snprintf(buf, size, "?");
		return buf;
	}
	cl_cpuset_zero(&set);
	for (uint32_t n = 0; n < CL_NODES_MAX; n++) {
		if ((nodes >> n) & 1)
			cl_cpuset_add(&set, n);
	}
	return cli_list_text(&set, buf, size);
}

char *cli_percent(uint64_t ns, uint64_t span_ns, char *buf, size_t size)
{
	if (span_ns == 0 || ns == CL_UNKNOWN)
		snprintf(buf, size, "-");
	else
		snprintf(buf, size, "%.1f", 100.0 * (double)ns / (double)span_ns);
	return buf;
}

const char *cli_estimate(const struct cl_snapshot *snap)
{
	return CL_CAN(snap, CLOCK) ? "" : "~";
}

char *cli_work_percent(const struct cl_snapshot *snap, uint64_t ns, uint64_t span_ns, char *buf,
		       size_t size)
{
	char percent[32];

	snprintf(buf, size, "%s%s", cli_estimate(snap),
		 cli_percent(ns, span_ns, percent, sizeof(percent)));
	return buf;
}

void cli_estimate_note(const struct cl_snapshot *snap)
{
	const char *why = cl_snapshot_str(snap, snap->why_not[CL_CAN_CLOCK]);
	char clean[CL_PATH_MAX];

	if (!CL_CAN(snap, CLOCK))
		printf("~ is an estimate, scaled to what the hypervisor counted%s%s\n",
		       *why ? ": " : "", cl_escape(why, clean, sizeof(clean)));
}

static const struct cl_work *find_work(const struct cl_snapshot *snap, struct cl_tid id)
{
	for (uint32_t i = 0; i < snap->n.works; i++) {
		if (snap->works[i].thread.tid == id.tid && snap->works[i].thread.start == id.start)
			return &snap->works[i];
	}
	return NULL;
}

static void thread_text(const struct cl_snapshot *snap, const struct cl_action *action, char *buf,
			size_t size)
{
	const struct cl_tid id = action->object.thread;
	const struct cl_work *work = find_work(snap, id);
	char name[4 * 16];

	if (work) {
		snprintf(buf, size, "%d (%s)", id.tid, cl_escape(work->name, name, sizeof(name)));
		return;
	}
	for (uint32_t i = 0; i < snap->n.vcpus; i++) {
		if (snap->vcpus[i].thread.tid == id.tid &&
		    snap->vcpus[i].thread.start == id.start) {
			snprintf(buf, size, "%d (vCPU %u)", id.tid, snap->vcpus[i].index);
			return;
		}
	}
	snprintf(buf, size, "%d", id.tid);
}

static void irq_text(const struct cl_snapshot *snap, uint32_t number, char *buf, size_t size)
{
	char name[CLI_NAME_MAX];

	for (uint32_t i = 0; i < snap->n.irqs; i++) {
		if (snap->irqs[i].number == number) {
			snprintf(buf, size, "%u (%s)", number,
				 cl_escape(cl_snapshot_str(snap, snap->irqs[i].name), name,
					   sizeof(name)));
			return;
		}
	}
	snprintf(buf, size, "%u", number);
}

static char *group_text(const struct cl_snapshot *snap, const struct cl_group_ref *group, char *buf,
			size_t size)
{
	char path[CL_PATH_MAX];

	if (!cl_group_path(group, snap, path))
		snprintf(path, sizeof(path), "?");
	return cl_escape(path, buf, size);
}

char *cli_object_text(const struct cl_snapshot *snap, const struct cl_action *action, char *buf,
		      size_t size)
{
	char guest[CLI_NAME_MAX];
	char what[CL_PATH_MAX] = "";

	switch (action->kind) {
	case CL_ACTION_GROUP_CREATE:
	case CL_ACTION_GROUP_WIDEN:
	case CL_ACTION_GROUP_NARROW:
	case CL_ACTION_GROUP_REMOVE:
		return group_text(snap, &action->object.group, buf, size);
	case CL_ACTION_FENCE:
		if (action->object.group.tag != CL_GROUP_NONE)
			return group_text(snap, &action->object.group, buf, size);
		snprintf(buf, size, "by masks");
		return buf;
	case CL_ACTION_CPU_PIN:
	case CL_ACTION_CPU_RELEASE:
		snprintf(buf, size, "vCPU %u of dom0", action->object.cpu);
		return buf;
	case CL_ACTION_VCPU_KEEP:
	case CL_ACTION_VCPU_RELEASE:
		if (action->object.vcpu.v < snap->n.vcpus)
			snprintf(what, sizeof(what), "vCPU %u",
				 snap->vcpus[action->object.vcpu.v].index);
		break;
	case CL_ACTION_GROUP_QUOTA:
		snprintf(what, sizeof(what), "container");
		break;
	case CL_ACTION_GROUP_IO:
		snprintf(what, sizeof(what), "disk %u:%u", (unsigned)(action->object.key >> 32),
			 (unsigned)(action->object.key & UINT32_MAX));
		break;
	case CL_ACTION_NIC_RATE:
	case CL_ACTION_PACKET_RATE:
	case CL_ACTION_NAPI_THREAD:
		if (action->object.nic.v < snap->n.nics)
			cl_escape(cl_snapshot_str(snap, snap->nics[action->object.nic.v].name),
				  what, sizeof(what));
		break;
	case CL_ACTION_IRQ_PLACE:
	case CL_ACTION_IRQ_RELEASE:
		irq_text(snap, action->object.irq, what, sizeof(what));
		break;
	case CL_ACTION_CAP_SET:
	case CL_ACTION_WEIGHT_SET:
	case CL_ACTION_BUDGET_SET:
	case CL_ACTION_CAP_RELEASE:
	case CL_ACTION_WEIGHT_RELEASE:
	case CL_ACTION_BUDGET_RELEASE:
	case CL_ACTION_MEMORY_TARGET:
	case CL_ACTION_MEMORY_RELEASE:
		if (action->object.guest.v == CL_NONE) {
			snprintf(buf, size, "the privileged domain");
			return buf;
		}
		return cli_guest_name(snap, action->object.guest, buf, size);
	case CL_ACTION_VCPU_RESTORE:
	case CL_ACTION_THREAD_PLACE:
	case CL_ACTION_THREAD_RELEASE:
	case CL_ACTION_KIND_COUNT:
		thread_text(snap, action, what, sizeof(what));
		break;
	}
	snprintf(buf, size, "%s of %s", what,
		 cli_guest_name(snap, action->object.guest, guest, sizeof(guest)));
	return buf;
}

/* "1250 kB/s", "5% of a CPU", "800 packets/s" */
char *cli_limit_text(enum cl_change_kind kind, int64_t number, uint64_t period_ns, char *buf,
		     size_t size)
{
	double a_second =
		(double)number * (double)CL_NS_PER_S / (double)(period_ns ? period_ns : 1);
	char percent[32];

	if (kind == CL_CHANGE_QUOTA)
		snprintf(buf, size, "%s of a CPU",
			 cl_share_text((uint64_t)(a_second * (double)CL_PPM / (double)CL_NS_PER_S),
				       percent, sizeof(percent)));
	else if (kind == CL_CHANGE_PACKETS)
		snprintf(buf, size, "%.0f packets/s", a_second);
	else
		snprintf(buf, size, "%.0f kB/s%s", a_second / 1000,
			 kind == CL_CHANGE_IO ? " each way" : "");
	return buf;
}

enum cl_change_kind cli_limited_by(enum cl_action_kind kind)
{
	return kind == CL_ACTION_NIC_RATE      ? CL_CHANGE_RATE
	       : kind == CL_ACTION_GROUP_QUOTA ? CL_CHANGE_QUOTA
	       : kind == CL_ACTION_GROUP_IO    ? CL_CHANGE_IO
					       : CL_CHANGE_PACKETS;
}

static char *limit_text(const struct cl_action *action, const struct cl_value *value, char *buf,
			size_t size)
{
	if (value->tag == CL_VALUE_LIMIT)
		return cli_limit_text(cli_limited_by(action->kind), value->number, value->period_ns,
				      buf, size);
	snprintf(buf, size, "no limit");
	return buf;
}

char *cli_value_text(const struct cl_snapshot *snap, const struct cl_plan *plan,
		     const struct cl_value *value, char *buf, size_t size)
{
	const struct cl_cpuset *set = NULL;
	char cpus[256] = "", path[CL_PATH_MAX];

	switch (value->tag) {
	case CL_VALUE_ABSENT:
		snprintf(buf, size, "absent");
		return buf;
	case CL_VALUE_INT:
	case CL_VALUE_LIMIT:
		snprintf(buf, size, "%lld", (long long)value->number);
		return buf;
	case CL_VALUE_MASK:
	case CL_VALUE_GROUP:
	case CL_VALUE_PLACE:
		if (value->mask.v < plan->n.masks)
			set = cl_plan_set(plan, value->mask);
		break;
	}
	if (set)
		cli_cpus_text(set, cpus, sizeof(cpus));
	if (value->tag != CL_VALUE_PLACE || value->group.tag == CL_GROUP_NONE)
		snprintf(buf, size, "%s", set ? cpus : "CPUs ?");
	else
		snprintf(buf, size, "%s in %s", set ? cpus : "CPUs ?",
			 group_text(snap, &value->group, path, sizeof(path)));
	return buf;
}

/* "physical CPUs 0-3 -> 1" */
static void pcpus_text(const struct cl_plan *plan, const struct cl_action *action, char *buf,
		       size_t size)
{
	char from[256] = "physical CPUs ?", to[256] = "?";

	if (action->from.mask.v < plan->n.masks)
		cli_pcpus_text(cl_plan_set(plan, action->from.mask), from, sizeof(from));
	if (action->to.mask.v < plan->n.masks)
		cli_list_text(cl_plan_set(plan, action->to.mask), to, sizeof(to));
	snprintf(buf, size, "%s -> %s", from, to);
}

char *cli_lever_text(enum cl_lever lever, uint64_t value, char *buf, size_t size)
{
	if (lever == CL_LEVER_CAP)
		return cl_share_text(value, buf, size);
	if (lever == CL_LEVER_BUDGET)
		return cl_time_text(value, buf, size);
	snprintf(buf, size, "%llu", (unsigned long long)value);
	return buf;
}

char *cli_action_text(const struct cl_snapshot *snap, const struct cl_plan *plan,
		      const struct cl_action *action, char *buf, size_t size)
{
	char object[CL_PATH_MAX + CLI_NAME_MAX], from[CLI_TEXT_MAX / 2], to[CLI_TEXT_MAX / 2];

	/* The journal forgets it: no value changes. */
	if (cl_action_kind_releases(action->kind)) {
		snprintf(buf, size, "%s %s", cl_action_kind_name(action->kind),
			 cli_object_text(snap, action, object, sizeof(object)));
		return buf;
	}
	if (action->kind == CL_ACTION_FENCE && action->to.mask.v < plan->n.masks) {
		cli_cpus_text(cl_plan_set(plan, action->to.mask), to, sizeof(to));
		snprintf(buf, size, "%s %s: all others on %s", cl_action_kind_name(action->kind),
			 cli_object_text(snap, action, object, sizeof(object)), to);
		return buf;
	}
	if (action->kind == CL_ACTION_CPU_PIN || action->kind == CL_ACTION_VCPU_KEEP) {
		pcpus_text(plan, action, from, sizeof(from));
		snprintf(buf, size, "%s %s: %s", cl_action_kind_name(action->kind),
			 cli_object_text(snap, action, object, sizeof(object)), from);
		return buf;
	}
	if (action->kind == CL_ACTION_MEMORY_TARGET) {
		snprintf(buf, size, "%s %s: %s -> %s", cl_action_kind_name(action->kind),
			 cli_object_text(snap, action, object, sizeof(object)),
			 cl_bytes_text((uint64_t)action->from.number, from, sizeof(from)),
			 cl_bytes_text((uint64_t)action->to.number, to, sizeof(to)));
		return buf;
	}
	if (cl_action_kind_lever(action->kind) != CL_LEVER_COUNT) {
		enum cl_lever lever = cl_action_kind_lever(action->kind);

		snprintf(buf, size, "%s %s: %s -> %s", cl_action_kind_name(action->kind),
			 cli_object_text(snap, action, object, sizeof(object)),
			 cli_lever_text(lever, (uint64_t)action->from.number, from, sizeof(from)),
			 cli_lever_text(lever, (uint64_t)action->to.number, to, sizeof(to)));
		return buf;
	}
	if (cl_throttle_period_ns(action->kind) != 0) {
		snprintf(buf, size, "%s %s: %s -> %s", cl_action_kind_name(action->kind),
			 cli_object_text(snap, action, object, sizeof(object)),
			 limit_text(action, &action->from, from, sizeof(from)),
			 limit_text(action, &action->to, to, sizeof(to)));
		return buf;
	}
	snprintf(buf, size, "%s %s: %s -> %s", cl_action_kind_name(action->kind),
		 cli_object_text(snap, action, object, sizeof(object)),
		 cli_value_text(snap, plan, &action->from, from, sizeof(from)),
		 cli_value_text(snap, plan, &action->to, to, sizeof(to)));
	return buf;
}

/* What the host says of why it cannot do an action; "" if it says nothing. */
static const char *why_not(const struct cl_snapshot *snap, enum cl_action_kind kind)
{
	enum cl_can can = CL_CAN_MASK;

	switch (kind) {
	case CL_ACTION_GROUP_CREATE:
	case CL_ACTION_GROUP_WIDEN:
	case CL_ACTION_GROUP_NARROW:
	case CL_ACTION_GROUP_REMOVE:
		can = CL_CAN_GROUP;
		break;
	case CL_ACTION_IRQ_PLACE:
	case CL_ACTION_IRQ_RELEASE:
		can = CL_CAN_IRQ;
		break;
	case CL_ACTION_CPU_PIN:
	case CL_ACTION_CPU_RELEASE:
	case CL_ACTION_VCPU_KEEP:
	case CL_ACTION_VCPU_RELEASE:
		can = CL_CAN_PIN;
		break;
	case CL_ACTION_FENCE:
		can = CL_CAN_FENCE;
		break;
	case CL_ACTION_NAPI_THREAD:
		can = CL_CAN_NAPI_THREAD;
		break;
	case CL_ACTION_CAP_SET:
	case CL_ACTION_WEIGHT_SET:
	case CL_ACTION_BUDGET_SET:
	case CL_ACTION_CAP_RELEASE:
	case CL_ACTION_WEIGHT_RELEASE:
	case CL_ACTION_BUDGET_RELEASE:
		can = CL_CAN_ENTITLEMENT;
		break;
	case CL_ACTION_NIC_RATE:
		can = CL_CAN_RATE;
		break;
	case CL_ACTION_GROUP_QUOTA:
		can = CL_CAN_QUOTA;
		break;
	case CL_ACTION_GROUP_IO:
		can = CL_CAN_IO_LIMIT;
		break;
	case CL_ACTION_PACKET_RATE:
		can = CL_CAN_PACKET_RATE;
		break;
	case CL_ACTION_MEMORY_TARGET:
	case CL_ACTION_MEMORY_RELEASE:
		can = CL_CAN_MEMORY;
		break;
	case CL_ACTION_VCPU_RESTORE:
	case CL_ACTION_THREAD_PLACE:
	case CL_ACTION_THREAD_RELEASE:
	case CL_ACTION_KIND_COUNT:
		break;
	}
	return cl_snapshot_str(snap, snap->why_not[can]);
}

static void print_action(const struct cli_call *call, const struct cl_snapshot *snap,
			 const struct cl_plan *plan, const struct cl_action *action)
{
	char line[CLI_TEXT_MAX], why[CL_WHY_MAX], clean[CL_PATH_MAX];

	printf("%s\n    %s\n", cli_action_text(snap, plan, action, line, sizeof(line)),
	       cl_why_text(&action->why, why, sizeof(why)));
	const char *not_here = why_not(snap, action->kind);

	if (!*not_here && cl_throttle_period_ns(action->kind) != 0)
		not_here = "it has no container of closer's, or somebody else has set it";
	if (!action->possible)
		printf("    %snot possible%s: %s\n", cli_colour(call, "lost"), cli_colour_off(call),
		       cl_escape(not_here, clean, sizeof(clean)));
}

/* How many works were left alone, by reason: the other half of a plan. */
static void print_left(const struct cl_plan *plan)
{
	uint32_t counts[CL_REASON_COUNT] = { 0 };

	for (uint32_t i = 0; i < plan->n.verdicts; i++)
		counts[plan->verdicts[i].left.code]++;
	printf("%u threads of guests looked at: %u to be changed", plan->n.verdicts,
	       counts[CL_REASON_NONE]);
	for (uint32_t r = 0; r < CL_REASON_COUNT; r++) {
		if (r != CL_REASON_NONE && counts[r] > 0)
			printf(", %u %s", counts[r], cl_reason_name((enum cl_reason)r));
	}
	printf("\n");
}

void cli_plan_print(const struct cli_call *call, const struct cl_snapshot *snap,
		    const struct cl_plan *plan)
{
	char main_cpus[256], secondary[256];
	uint32_t changes = cl_plan_changes(plan);

	printf("main container on %s, guests' work on %s\n",
	       cli_cpus_text(&plan->main_cpus, main_cpus, sizeof(main_cpus)),
	       cli_cpus_text(&plan->secondary_cpus, secondary, sizeof(secondary)));
	for (uint32_t i = 0; i < plan->n.actions; i++)
		print_action(call, snap, plan, &plan->actions[i]);
	if (plan->dropped > 0)
		printf("%u more actions had no room in this plan\n", plan->dropped);
	print_left(plan);
	if (changes == 0)
		printf("nothing to change\n");
	else
		printf("%u change%s\n", changes, changes == 1 ? "" : "s");
	if (cl_plan_goes_on(plan))
		printf("more follows once dom0's vCPUs are pinned: where guests' work belongs is known "
		       "then\n");
}

void cli_undo_print(const struct cli_call *call, const struct cl_undo_report *report)
{
	cli_say(call,
		"put back: %u of %u objects restored, %u were so already, %u are gone, %u left to "
		"whoever changed them, %u failed; %s",
		report->restored, report->objects, report->already, report->gone, report->left,
		report->failed,
		report->verified ? "verified" : "NOT verified: run `closer undo` again");
}

json_t *cli_undo_json(const struct cl_undo_report *report)
{
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:b}", "objects", (json_int_t)report->objects,
			 "restored", (json_int_t)report->restored, "already",
			 (json_int_t)report->already, "gone", (json_int_t)report->gone, "left",
			 (json_int_t)report->left, "failed", (json_int_t)report->failed, "verified",
			 (int)report->verified);
}

void cli_undo_say(void *ctx, const struct cl_change *change, const char *text)
{
	const struct cli_call *call = ctx;
	char what[CL_PATH_MAX + 32];

	cli_say(call, "%s: %s", cli_change_text(change, what, sizeof(what)), text);
}
