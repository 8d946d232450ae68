/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Plans, reasons, books and params as JSON, and JSON as text. */
#include "json_value.h"
#include "why.h"

#include <string.h>

double cl_share(uint64_t part, uint64_t whole)
{
	if (whole == 0)
		return 0;
	/*
	 * half up in integers of a millionth, so that the digits do not depend on a rounding mode
	 */
	double millionths = (double)part / (double)whole * 1e6 + 0.5;

	return millionths < 9e15 ? (double)(uint64_t)millionths / 1e6 : millionths / 1e6;
}

/* ---- plan ---- */

json_t *cl_json_why(const struct cl_why *why)
{
	char text[CL_WHY_MAX];
	json_t *o = json_object(), *numbers = json_array();

	for (size_t i = 0; i < CL_COUNT(why->number); i++)
		json_array_append_new(numbers, number(why->number[i]));
	SET(o, "code", json_string(cl_reason_name(why->code)));
	SET(o, "numbers", complete(numbers, CL_COUNT(why->number)));
	SET(o, "text", json_string(cl_why_text(why, text, sizeof(text))));
	return complete(o, 3);
}

/* As text: "absent", a number, a CPU list; with a container: {"cgroup","cpus"}; a limit: {"number",
 * "period_ns"}. */
static json_t *value_of(const struct cl_snapshot *snap, const struct cl_plan *plan,
			const struct cl_value *value)
{
	json_t *o = json_object();

	switch (value->tag) {
	case CL_VALUE_ABSENT:
		SET(o, "present", json_false());
		return complete(o, 1);
	case CL_VALUE_INT:
		SET(o, "number", json_integer((json_int_t)value->number));
		return complete(o, 1);
	case CL_VALUE_MASK:
		SET(o, "cpus", plan_mask_of(plan, value->mask));
		return complete(o, 1);
	case CL_VALUE_LIMIT:
		SET(o, "number", json_integer((json_int_t)value->number));
		SET(o, "period_ns", number(value->period_ns));
		return complete(o, 2);
	case CL_VALUE_GROUP:
	case CL_VALUE_PLACE:
		SET(o, "cgroup", path_of(snap, &value->group));
		SET(o, "cpus", plan_mask_of(plan, value->mask));
		return complete(o, 2);
	}
	json_decref(o);
	return NULL;
}

static const struct cl_work *work_of(const struct cl_snapshot *snap, struct cl_tid thread)
{
	for (uint32_t i = 0; i < snap->n.works; i++)
		if (snap->works[i].thread.tid == thread.tid &&
		    snap->works[i].thread.start == thread.start)
			return &snap->works[i];
	return NULL;
}

static json_t *thread_of(const struct cl_snapshot *snap, const struct cl_object *object)
{
	json_t *o = json_object();
	const struct cl_work *work = work_of(snap, object->thread);

	SET(o, "tid", json_integer((json_int_t)object->thread.tid));
	SET(o, "start", number(object->thread.start));
	SET(o, "name", work ? escaped(work->name) : json_null());
	SET(o, "kind", work ? json_string(cl_work_kind_name(work->kind)) : json_null());
	return complete(o, 4);
}

static json_t *irq_of(const struct cl_snapshot *snap, uint32_t irq)
{
	json_t *o = json_object();
	json_t *name = NULL;

	for (uint32_t i = 0; i < snap->n.irqs && !name; i++)
		if (snap->irqs[i].number == irq)
			name = text_of(snap, snap->irqs[i].name);
	SET(o, "irq", json_integer((json_int_t)irq));
	SET(o, "name", name ? name : json_null());
	return complete(o, 2);
}

static json_t *guest_vcpu_of(const struct cl_snapshot *snap, struct cl_vcpu_ix vcpu)
{
	json_t *o = json_object();

	SET(o, "vcpu",
	    vcpu.v < snap->n.vcpus ? json_integer((json_int_t)snap->vcpus[vcpu.v].index)
				   : json_null());
	return complete(o, 1);
}

static json_t *device_of(const struct cl_snapshot *snap, struct cl_nic_ix nic)
{
	json_t *o = json_object();

	SET(o, "device",
	    nic.v < snap->n.nics ? text_of(snap, snap->nics[nic.v].name) : json_null());
	return complete(o, 1);
}

static json_t *domain_of(const struct cl_snapshot *snap, const struct cl_action *action)
{
	struct cl_guest_ix guest = action->object.guest;
	json_t *o = json_object();

	SET(o, "domid",
	    guest.v < snap->n.guests ? index_of(snap->guests[guest.v].domid) : json_null());
	SET(o, "setting", json_string(cl_lever_name(cl_action_kind_lever(action->kind))));
	return complete(o, 2);
}

/* "8:16": as the kernel writes a device. */
static json_t *limited_group_of(const struct cl_snapshot *snap, const struct cl_action *action)
{
	json_t *o = json_object();
	char text[32];

	snprintf(text, sizeof(text), "%u:%u", (unsigned)(action->object.key >> 32),
		 (unsigned)(action->object.key & UINT32_MAX));
	SET(o, "cgroup", path_of(snap, &action->object.group));
	SET(o, "device", action->kind == CL_ACTION_GROUP_IO ? json_string(text) : json_null());
	return complete(o, 2);
}

/* A domain whose balloon is set; 0: the privileged one. */
static json_t *balloon_of(const struct cl_snapshot *snap, const struct cl_action *action)
{
	struct cl_guest_ix guest = action->object.guest;
	json_t *o = json_object();

	SET(o, "domid",
	    guest.v < snap->n.guests ? index_of(snap->guests[guest.v].domid) : json_integer(0));
	SET(o, "setting", json_string("memory"));
	return complete(o, 2);
}

static json_t *object_of(const struct cl_snapshot *snap, const struct cl_action *action)
{
	json_t *o;

	switch (action->kind) {
	case CL_ACTION_GROUP_CREATE:
	case CL_ACTION_GROUP_WIDEN:
	case CL_ACTION_GROUP_NARROW:
	case CL_ACTION_GROUP_REMOVE:
	case CL_ACTION_FENCE:
		o = json_object();
		SET(o, "cgroup", path_of(snap, &action->object.group));
		return complete(o, 1);
	case CL_ACTION_CPU_PIN:
	case CL_ACTION_CPU_RELEASE:
		o = json_object();
		SET(o, "cpu", json_integer((json_int_t)action->object.cpu));
		return complete(o, 1);
	case CL_ACTION_VCPU_KEEP:
	case CL_ACTION_VCPU_RELEASE:
		return guest_vcpu_of(snap, action->object.vcpu);
	case CL_ACTION_NAPI_THREAD:
	case CL_ACTION_NIC_RATE:
	case CL_ACTION_PACKET_RATE:
		return device_of(snap, action->object.nic);
	case CL_ACTION_CAP_SET:
	case CL_ACTION_WEIGHT_SET:
	case CL_ACTION_BUDGET_SET:
	case CL_ACTION_CAP_RELEASE:
	case CL_ACTION_WEIGHT_RELEASE:
	case CL_ACTION_BUDGET_RELEASE:
		return domain_of(snap, action);
	case CL_ACTION_GROUP_QUOTA:
	case CL_ACTION_GROUP_IO:
		return limited_group_of(snap, action);
	case CL_ACTION_MEMORY_TARGET:
	case CL_ACTION_MEMORY_RELEASE:
		return balloon_of(snap, action);
	case CL_ACTION_VCPU_RESTORE:
	case CL_ACTION_THREAD_PLACE:
	case CL_ACTION_THREAD_RELEASE:
		return thread_of(snap, &action->object);
	case CL_ACTION_IRQ_PLACE:
	case CL_ACTION_IRQ_RELEASE:
		return irq_of(snap, action->object.irq);
	case CL_ACTION_KIND_COUNT:
		break;
	}
	return NULL;
}

static const char *phase_name(enum cl_phase phase)
{
	static const char *const names[] = {
		[CL_PHASE_CREATE] = "create", [CL_PHASE_ENABLE] = "enable",
		[CL_PHASE_WIDEN] = "widen",   [CL_PHASE_PLACE] = "place",
		[CL_PHASE_NARROW] = "narrow", [CL_PHASE_LIMIT] = "limit",
		[CL_PHASE_REMOVE] = "remove",
	};
	_Static_assert(CL_COUNT(names) == CL_PHASE_COUNT, "a phase has no name");

	return names[phase];
}

json_t *cl_json_action(const struct cl_snapshot *snap, const struct cl_plan *plan,
		       const struct cl_action *action)
{
	json_t *o = json_object();

	SET(o, "kind", json_string(cl_action_kind_name(action->kind)));
	SET(o, "phase", json_string(phase_name(cl_action_kind_phase(action->kind))));
	SET(o, "guest", guest_of(snap, action->object.guest));
	SET(o, "guest_name", name_of(snap, action->object.guest));
	SET(o, "object", object_of(snap, action));
	SET(o, "from", value_of(snap, plan, &action->from));
	SET(o, "to", value_of(snap, plan, &action->to));
	SET(o, "why", cl_json_why(&action->why));
	SET(o, "possible", json_boolean(action->possible));
	SET(o, "first", json_boolean(action->first));
	return complete(o, 10);
}

static const char *follow_name(enum cl_follow follow)
{
	static const char *const names[] = { [CL_FOLLOW_NONE] = "none",
					     [CL_FOLLOW_CPU] = "cpu",
					     [CL_FOLLOW_SET] = "guest-cpus",
					     [CL_FOLLOW_HOME] = "home" };

	return names[follow];
}

json_t *cl_json_verdict(const struct cl_snapshot *snap, const struct cl_plan *plan, uint32_t i)
{
	const struct cl_work *work = &snap->works[i];
	const struct cl_verdict *verdict = &plan->verdicts[i];
	json_t *o = json_object();

	SET(o, "guest", guest_of(snap, work->guest));
	SET(o, "tid", json_integer((json_int_t)work->thread.tid));
	SET(o, "start", number(work->thread.start));
	SET(o, "name", escaped(work->name));
	SET(o, "kind", json_string(cl_work_kind_name(work->kind)));
	SET(o, "cpus", mask_of(snap, work->mask));
	SET(o, "target", plan_mask_of(plan, verdict->target));
	SET(o, "follow", json_string(follow_name(verdict->follow)));
	SET(o, "placed", cl_json_why(&verdict->placed));
	SET(o, "left", cl_json_why(&verdict->left));
	return complete(o, 10);
}

json_t *cl_json_plan(const struct cl_snapshot *snap, const struct cl_plan *plan)
{
	json_t *o = json_object(), *actions = json_array(), *verdicts = json_array();

	for (uint32_t i = 0; i < plan->n.actions; i++)
		json_array_append_new(actions, cl_json_action(snap, plan, &plan->actions[i]));
	for (uint32_t i = 0; i < plan->n.verdicts; i++)
		json_array_append_new(verdicts, cl_json_verdict(snap, plan, i));
	SET(o, "main_cpus", cpus_of(&plan->main_cpus));
	SET(o, "secondary_cpus", cpus_of(&plan->secondary_cpus));
	SET(o, "changes", number(cl_plan_changes(plan)));
	SET(o, "dropped", number(plan->dropped));
	SET(o, "goes_on", json_boolean(cl_plan_goes_on(plan)));
	SET(o, "actions", complete(actions, plan->n.actions));
	SET(o, "verdicts", complete(verdicts, plan->n.verdicts));
	SET(o, "fence", cl_json_why(&plan->fence));
	return complete(o, 8);
}

/* ---- books ---- */

static json_t *short_why(const struct cl_why *why)
{
	char text[CL_WHY_MAX];
	json_t *o = json_object();

	SET(o, "code", json_string(cl_reason_name(why->code)));
	SET(o, "text", json_string(cl_why_text(why, text, sizeof(text))));
	return complete(o, 2);
}

static json_t *memory_books_of(const struct cl_memory_books *b)
{
	json_t *o = json_object();

	SET(o, "domains_bytes", number(b->domains));
	SET(o, "free_bytes", number(b->free));
	SET(o, "drift_bytes", json_integer((json_int_t)b->drift));
	SET(o, "flight_bytes", number(b->flight));
	SET(o, "asked_bytes", number(b->asked));
	SET(o, "given_bytes", number(b->given));
	SET(o, "held_bytes", number(b->held));
	SET(o, "ahead_bytes", number(b->ahead));
	SET(o, "contract_bytes", number(b->contract));
	SET(o, "why", short_why(&b->why));
	SET(o, "pressure", json_string(cl_pressure_name((enum cl_pressure)b->pressure)));
	SET(o, "admit_free_bytes", number(b->admit_free));
	SET(o, "admit_idle_bytes", number(b->admit_idle));
	SET(o, "admit_floor_bytes", number(b->admit_floor));
	return complete(o, 14);
}

static json_t *totals_of(const struct cl_books *b)
{
	json_t *o = json_object();

	SET(o, "busy_ns", number(b->busy_ns));
	SET(o, "guest_ns", number(b->guest_ns));
	SET(o, "host_ns", number(b->host_ns));
	SET(o, "main_part_ns", number(b->main_part_ns));
	SET(o, "far_part_ns", number(b->far_part_ns));
	SET(o, "main_ns", number(b->main_ns));
	SET(o, "unattributed_ns", number(b->unattributed_ns));
	SET(o, "overhead_ns", number(b->overhead_ns));
	SET(o, "gap_ns", json_integer((json_int_t)b->gap_ns));
	SET(o, "main_share", share(b->main_part_ns, b->host_ns));
	SET(o, "far_share", share(b->far_part_ns, b->host_ns));
	SET(o, "unattributed_share", share(b->unattributed_ns, b->busy_ns));
	SET(o, "overhead_share", share(b->overhead_ns, b->busy_ns));
	SET(o, "estimated", json_boolean(b->estimated));
	SET(o, "main_measured", json_boolean(b->main_measured));
	SET(o, "charged_ns", number(b->charged_ns));
	SET(o, "repaid_ns", number(b->repaid_ns));
	SET(o, "owed_ns", number(b->owed_ns));
	SET(o, "written_off_ns", number(b->written_off_ns));
	SET(o, "memory", memory_books_of(&b->memory));
	return complete(o, 20);
}

static json_t *size_of(const struct cl_size_books *b)
{
	json_t *o = json_object();

	SET(o, "io_bytes_per_s", number(b->io));
	SET(o, "contract_bytes", number(b->contract));
	SET(o, "level", number(b->level));
	SET(o, "asked_bytes", number(b->asked));
	SET(o, "given_bytes", number(b->given));
	SET(o, "held_bytes", number(b->held));
	SET(o, "ahead_bytes", number(b->ahead));
	SET(o, "why", short_why(&b->why));
	return complete(o, 8);
}

static json_t *overcommit_of(const struct cl_overcommit_books *b)
{
	json_t *o = json_object();

	SET(o, "told_bytes", number(b->told));
	SET(o, "active_bytes", number(b->active));
	SET(o, "need_bytes", number(b->need));
	SET(o, "lose_bytes", number(b->lose));
	SET(o, "taken_bytes", number(b->taken));
	SET(o, "lent_bytes", number(b->lent));
	SET(o, "price", number(b->price));
	SET(o, "cpu_spare", json_real(cl_share(b->cpu_spare, CL_PPM)));
	SET(o, "why", short_why(&b->why));
	return complete(o, 9);
}

static json_t *ledger_of(const struct cl_ledger *ledger)
{
	json_t *o = json_object();

	SET(o, "charged_ns", number(ledger->charged_ns));
	SET(o, "repaid_ns", number(ledger->repaid_ns));
	SET(o, "owed_ns", number(ledger->owed_ns));
	SET(o, "written_off_ns", number(ledger->written_off_ns));
	return complete(o, 4);
}

static json_t *charge_of(const struct cl_charge_books *b)
{
	json_t *o = json_object();

	SET(o, "charged_ns", number(b->charged_ns));
	SET(o, "repaid_ns", number(b->repaid_ns));
	SET(o, "entitled_ns", number(b->entitled_ns));
	SET(o, "ledger", ledger_of(&b->ledger));
	SET(o, "setting", json_string(cl_lever_name(b->lever)));
	SET(o, "contract", number(b->contract));
	SET(o, "why", short_why(&b->why));
	return complete(o, 7);
}

static json_t *write_offs_of(const struct cl_plan *plan)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < plan->n.write_offs; i++) {
		json_t *o = json_object();

		SET(o, "guest", uuid_of(&plan->write_offs[i].guest));
		SET(o, "written_off_ns", number(plan->write_offs[i].ns));
		SET(o, "ledger", ledger_of(&plan->write_offs[i].ledger));
		json_array_append_new(list, complete(o, 3));
	}
	return complete(list, plan->n.write_offs);
}

static json_t *guest_books_of(const struct cl_snapshot *snap, const struct cl_plan *plan,
			      uint32_t i)
{
	const struct cl_guest *guest = &snap->guests[i];
	const struct cl_guest_books *b = &plan->guest_books[i];
	json_t *o = json_object(), *kinds = json_object();

	for (uint32_t k = 0; k < CL_WORK_KIND_COUNT; k++)
		SET(kinds, cl_work_kind_name((enum cl_work_kind)k), number(b->kind_ns[k]));
	SET(o, "uuid", uuid_of(&guest->id));
	SET(o, "name", text_of(snap, guest->name));
	SET(o, "guest_ns", number(b->guest_ns));
	SET(o, "host_ns", number(b->host_ns));
	SET(o, "kinds", complete(kinds, CL_WORK_KIND_COUNT));
	SET(o, "sent", number(b->sent));
	SET(o, "received", number(b->received));
	SET(o, "requests", number(b->requests));
	SET(o, "moved_bytes", number(b->moved));
	SET(o, "weighed_ns", number(b->weighed_ns));
	SET(o, "main_share", share(b->main_ns, b->host_ns));
	SET(o, "far_share", share(b->far_ns, b->host_ns));
	SET(o, "counted", json_boolean(b->counted));
	SET(o, "charge", charge_of(&b->charge));
	SET(o, "limit_share", b->limit == CL_UNKNOWN ? json_null() : share(b->limit, CL_PPM));
	SET(o, "used_share", share(b->used, CL_PPM));
	SET(o, "guard", short_why(&b->guard));
	SET(o, "memory", size_of(&b->size));
	SET(o, "overcommit", overcommit_of(&b->overcommit));
	return complete(o, 19);
}

static json_t *work_books_of(const struct cl_snapshot *snap, const struct cl_plan *plan, uint32_t i)
{
	const struct cl_work *work = &snap->works[i];
	const struct cl_work_books *b = &plan->work_books[i];
	const struct cl_verdict *verdict = &plan->verdicts[i];
	json_t *o = json_object();

	SET(o, "guest", guest_of(snap, work->guest));
	SET(o, "tid", json_integer((json_int_t)work->thread.tid));
	SET(o, "start", number(work->thread.start));
	SET(o, "name", escaped(work->name));
	SET(o, "kind", json_string(cl_work_kind_name(work->kind)));
	SET(o, "cpu", index_of(work->cpu.v));
	SET(o, "cpus", mask_of(snap, work->mask));
	SET(o, "cgroup", group_of(snap, work->group));
	SET(o, "run_ns", number(b->run_ns));
	SET(o, "main_ns", number(b->main_ns));
	SET(o, "far_ns", number(b->far_ns));
	SET(o, "follow", json_string(follow_name(verdict->follow)));
	SET(o, "placed", short_why(&verdict->placed));
	SET(o, "left", short_why(&verdict->left));
	return complete(o, 14);
}

json_t *cl_json_books(const char *host, const struct cl_snapshot *snap, const struct cl_plan *plan)
{
	json_t *o = json_object(), *guests = json_array(), *works = json_array();

	for (uint32_t i = 0; i < plan->n.guests; i++)
		json_array_append_new(guests, guest_books_of(snap, plan, i));
	for (uint32_t i = 0; i < plan->n.verdicts; i++)
		json_array_append_new(works, work_books_of(snap, plan, i));
	SET(o, "host", escaped(host));
	SET(o, "span_ns", number(plan->books.span_ns));
	SET(o, "main_cpus", cpus_of(&plan->main_cpus));
	SET(o, "secondary_cpus", cpus_of(&plan->secondary_cpus));
	SET(o, "totals", totals_of(&plan->books));
	SET(o, "guests", complete(guests, plan->n.guests));
	SET(o, "works", complete(works, plan->n.verdicts));
	SET(o, "fence", short_why(&plan->fence));
	SET(o, "write_offs", write_offs_of(plan));
	return complete(o, 9);
}

/* ---- params and text ---- */

json_t *cl_json_params(const struct cl_params *params)
{
	json_t *o = json_object(), *limits = json_array();
	char text[CL_CPUS_MAX * 5];

	for (uint64_t i = 0; i < params->guard_count; i++) {
		cl_limit_format(&params->guards[i], text, sizeof(text));
		json_array_append_new(limits, escaped(text));
	}

	SET(o, "main-cpus",
	    cl_param_get(params, "main-cpus", text, sizeof(text)) ? json_string(text)
								  : json_null());
	for (size_t i = 0; i < cl_param_count; i++)
		SET(o, cl_param_infos[i].name,
		    cl_param_get(params, cl_param_infos[i].name, text, sizeof(text))
			    ? json_string(text)
			    : json_null());
	SET(o, "limits", complete(limits, params->guard_count));
	return complete(o, cl_param_count + 2);
}

char *cl_json_text(json_t *json, unsigned indent)
{
	size_t flags = indent ? JSON_INDENT(indent) : JSON_COMPACT;

	if (!json)
		return NULL;
	char *dump = json_dumps(json, flags | JSON_REAL_PRECISION(12) | JSON_ENCODE_ANY);

	json_decref(json);
	if (!dump)
		return NULL;
	size_t len = strlen(dump);
	char *text = realloc(dump, len + 2);

	if (!text) {
		free(dump);
		return NULL;
	}
	memcpy(text + len, "\n", 2);
	return text;
}
