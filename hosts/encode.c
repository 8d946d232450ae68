/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bytes of a recording: encoder, decoder and digest, made from the tables in encode_fields.h.
 */
#define XXH_STATIC_LINKING_ONLY    /* the digest's state on the stack: it cannot fail for want of  \
				      memory */
#include "encode.h"

#include "encode_bytes.h"
#include "encode_fields.h"
#include "record.h"

#include <lib.h>

#include <assert.h>
#include <errno.h>
#include <string.h>

/*
 * ---- coverage: a struct's table must initialise each member (by position), and none twice (by
 * name) ----
 */

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-braces"
#pragma GCC diagnostic error "-Wmissing-field-initializers"
#pragma GCC diagnostic error "-Woverride-init"

#define INIT_bool    0
#define INIT_u32     0
#define INIT_u64     0
#define INIT_i64     0
#define INIT_time    0
#define INIT_derived 0
#define INIT_kind    0
#define INIT_action  0
#define INIT_tag     0
#define INIT_enum    0
#define INIT_ix                                                                                    \
	{                                                                                          \
		0                                                                                  \
	}
#define INIT_text INIT_ix
#define INIT_uuid                                                                                  \
	{                                                                                          \
		{                                                                                  \
			0                                                                          \
		}                                                                                  \
	}
#define INIT_cpuset INIT_uuid
#define INIT_tid                                                                                   \
	{                                                                                          \
		0, 0                                                                               \
	}
#define INIT_u32s                 INIT_ix
#define INIT_u64s                 INIT_u32s
#define INIT_chars                INIT_u32s
#define INIT_why                  INIT_u32s
#define INIT_group_ref            INIT_why
#define INIT_backoff              INIT_why
#define INIT_value                INIT_why
#define INIT_object               INIT_why
#define INIT_ledger               INIT_why
#define INIT_charge_books         INIT_why
#define INIT_size_books           INIT_why
#define INIT_overcommit_books     INIT_why
#define INIT_curve                INIT_why
#define INIT_memory_books         INIT_why
#define INIT_memory               INIT_why
#define INIT_state_guard          INIT_why
#define INIT_throttles            INIT_uuid
#define BY_POSITION(kind, member) INIT_##kind,
#define BY_NAME(kind, member)     .member = INIT_##kind,
#define COVERED(table, type)                                                                       \
	static const type covered_##table                                                          \
		__attribute__((unused)) = { FIELDS_##table(BY_POSITION) };                         \
	static const type distinct_##table __attribute__((unused)) = { FIELDS_##table(BY_NAME) };

CL_ARRAYS(COVERED)
#define X(member, type) COVERED(state_##member, type)
STATE_ARRAYS(X)
#undef X
COVERED(why, struct cl_why)
COVERED(group_ref, struct cl_group_ref)
COVERED(backoff, struct cl_backoff)
COVERED(ledger, struct cl_ledger)
COVERED(state_ledgers, struct cl_state_ledger)
COVERED(state_memories, struct cl_state_memory)
COVERED(memory, struct cl_memory)
COVERED(charge_books, struct cl_charge_books)
COVERED(size_books, struct cl_size_books)
COVERED(overcommit_books, struct cl_overcommit_books)
COVERED(curve, struct cl_curve)
COVERED(memory_books, struct cl_memory_books)
COVERED(write_off, struct cl_write_off)
COVERED(state_throttle, struct cl_state_throttle)
COVERED(state_guard, struct cl_state_guard)
COVERED(value, struct cl_value)
COVERED(object, struct cl_object)
COVERED(action, struct cl_action)
COVERED(verdict, struct cl_verdict)
COVERED(work_books, struct cl_work_books)
COVERED(guest_books, struct cl_guest_books)
COVERED(books, struct cl_books)
COVERED(edit, struct cl_record_edit)
COVERED(outcome, struct cl_record_outcome)

#pragma GCC diagnostic pop

void cl_source_open(struct cl_source *ret_source, const void *bytes, size_t len)
{
	*ret_source = (struct cl_source){ .start = bytes,
					  .at = bytes,
					  .end = (const uint8_t *)bytes + len };
}

int cl_source_close(const struct cl_source *source, const char *what, struct cl_error *reterr)
{
	if (source->fault)
		return cl_fail(reterr, EBADMSG, "%s, byte %zu: %s", what, source->fault_at,
			       source->fault);
	if (source->at != source->end)
		return cl_fail(reterr, EBADMSG, "%s, byte %zu: %zu bytes too many", what,
			       (size_t)(source->at - source->start),
			       (size_t)(source->end - source->at));
	return 0;
}

void cl_put_u64(struct cl_sink *sink, uint64_t value)
{
	put_u64(sink, value);
}

uint64_t cl_get_u64(struct cl_source *source)
{
	return get_u64(source);
}

/* ---- from types to functions ---- */

#define PUT_u64(sink, field)    put_u64(sink, field);
#define PUT_u32(sink, field)    put_u32(sink, field);
#define PUT_i64(sink, field)    put_i64(sink, field);
#define PUT_time(sink, field)   put_time(sink, field);
#define PUT_bool(sink, field)   put_varint(sink, field);
#define PUT_kind(sink, field)   put_varint(sink, (uint64_t)(field));
#define PUT_action(sink, field) put_varint(sink, (uint64_t)(field));
#define PUT_tag(sink, field)    put_varint(sink, (uint64_t)(field));
#define PUT_enum(sink, field)   put_varint(sink, (uint64_t)(field));
#define PUT_ix(sink, field)     put_u32(sink, (field).v);
#define PUT_text(sink, field)   put_varint(sink, (field).at);
#define PUT_uuid(sink, field)   put_bytes(sink, (field).b, sizeof((field).b));
#define PUT_tid(sink, field)                                                                       \
	put_i64(sink, (field).tid);                                                                \
	put_varint(sink, (field).start);
#define PUT_cpuset(sink, field) put_u64s(sink, (field).w, CL_COUNT((field).w));
#define PUT_u32s(sink, field)   put_u32s(sink, field, CL_COUNT(field));
#define PUT_u64s(sink, field)   put_u64s(sink, field, CL_COUNT(field));
#define PUT_times(sink, field)                                                                     \
	for (size_t i = 0; i < CL_COUNT(field); i++)                                               \
		put_time(sink, (field)[i]);
#define PUT_texts(sink, field)                                                                     \
	for (size_t i = 0; i < CL_COUNT(field); i++)                                               \
		put_varint(sink, (field)[i].at);
#define PUT_chars(sink, field) put_chars(sink, field, sizeof(field));
#define PUT_derived(sink, field)
#define PUT_why(sink, field)          put_why(sink, &(field));
#define PUT_group_ref(sink, field)    put_group_ref(sink, &(field));
#define PUT_backoff(sink, field)      put_backoff(sink, &(field));
#define PUT_value(sink, field)        put_value(sink, &(field));
#define PUT_object(sink, field)       put_object(sink, &(field));
#define PUT_ledger(sink, field)       put_ledger(sink, &(field));
#define PUT_charge_books(sink, field) put_charge_books(sink, &(field));
#define PUT_state_guard(sink, field)  put_state_guard(sink, &(field));
#define PUT_throttles(sink, field)                                                                 \
	for (size_t i = 0; i < CL_COUNT(field); i++)                                               \
		put_state_throttle(sink, &(field)[i]);
#define PUT_size_books(sink, field)       put_size_books(sink, &(field));
#define PUT_overcommit_books(sink, field) put_overcommit_books(sink, &(field));
#define PUT_curve(sink, field)            put_curve(sink, &(field));
#define PUT_memory_books(sink, field)     put_memory_books(sink, &(field));
#define PUT_memory(sink, field)           put_memory(sink, &(field));

#define GET_u64(source, field)  field = get_u64(source);
#define GET_u32(source, field)  field = get_u32(source);
#define GET_time(source, field) field = get_time(source);
#define GET_bool(source, field) field = get_bool(source);
#define GET_bounded(source, field, count)                                                          \
	field = (__typeof__(field))get_bounded(source, (count)-1,                                  \
					       "an enumeration has an unknown value");
#define GET_kind(source, field)   GET_bounded(source, field, CL_WORK_KIND_COUNT)
#define GET_action(source, field) GET_bounded(source, field, CL_ACTION_KIND_COUNT)
#define GET_tag(source, field)    GET_bounded(source, field, CL_GROUP_GUEST_ALL + 1)
#define GET_ix(source, field)     (field).v = get_u32(source);
#define GET_text(source, field)                                                                    \
	(field).at = (uint32_t)get_bounded(source, UINT32_MAX, "a number is over 32 bits");
#define GET_uuid(source, field) get_bytes(source, (field).b, sizeof((field).b));
#define GET_tid(source, field)                                                                     \
	(field).tid = get_i32(source);                                                             \
	(field).start = get_varint(source);
#define GET_cpuset(source, field) get_u64s(source, (field).w, CL_COUNT((field).w));
#define GET_u32s(source, field)   get_u32s(source, field, CL_COUNT(field));
#define GET_u64s(source, field)   get_u64s(source, field, CL_COUNT(field));
#define GET_times(source, field)                                                                   \
	for (size_t i = 0; i < CL_COUNT(field); i++)                                               \
		(field)[i] = get_time(source);
#define GET_texts(source, field)                                                                   \
	for (size_t i = 0; i < CL_COUNT(field); i++) {                                             \
		GET_text(source, (field)[i])                                                       \
	}
#define GET_chars(source, field) get_chars(source, field, sizeof(field));
#define GET_derived(source, field)
#define GET_group_ref(source, field)   get_group_ref(source, &(field));
#define GET_backoff(source, field)     get_backoff(source, &(field));
#define GET_object(source, field)      get_object(source, &(field));
#define GET_ledger(source, field)      get_ledger(source, &(field));
#define GET_state_guard(source, field) get_state_guard(source, &(field));
#define GET_throttles(source, field)                                                               \
	for (size_t i = 0; i < CL_COUNT(field); i++)                                               \
		get_state_throttle(source, &(field)[i]);
#define GET_memory(source, field) get_memory(source, &(field));
#define GET_curve(source, field)  get_curve(source, &(field));

#define PUT_FIELD(type, member) PUT_##type(sink, e->member)
#define GET_FIELD(type, member) GET_##type(source, e->member)
#define PUTTER(table, type)                                                                        \
	static void put_##table(struct cl_sink *sink, const type *e)                               \
	{                                                                                          \
		FIELDS_##table(PUT_FIELD)                                                          \
	}
/* All bytes are set first: two values that were read from the same bytes are equal by memcmp. */
#define GETTER(table, type)                                                                        \
	static void get_##table(struct cl_source *source, type *e)                                 \
	{                                                                                          \
		memset(e, 0, sizeof(*e));                                                          \
		FIELDS_##table(GET_FIELD)                                                          \
	}

PUTTER(backoff, struct cl_backoff)
GETTER(backoff, struct cl_backoff)
PUTTER(ledger, struct cl_ledger)
GETTER(ledger, struct cl_ledger)
PUTTER(state_throttle, struct cl_state_throttle)
GETTER(state_throttle, struct cl_state_throttle)
PUTTER(state_guard, struct cl_state_guard)
GETTER(state_guard, struct cl_state_guard)
PUTTER(memory, struct cl_memory)
GETTER(memory, struct cl_memory)
CL_ARRAYS(PUTTER)
CL_ARRAYS(GETTER)
#define X(member, type) PUTTER(state_##member, type) GETTER(state_##member, type)
STATE_ARRAYS(X)
#undef X
PUTTER(state_ledgers, struct cl_state_ledger)
GETTER(state_ledgers, struct cl_state_ledger)
PUTTER(curve, struct cl_curve)
GETTER(curve, struct cl_curve)
PUTTER(state_memories, struct cl_state_memory)
GETTER(state_memories, struct cl_state_memory)
PUTTER(why, struct cl_why)
PUTTER(charge_books, struct cl_charge_books)
PUTTER(size_books, struct cl_size_books)
PUTTER(overcommit_books, struct cl_overcommit_books)
PUTTER(memory_books, struct cl_memory_books)
PUTTER(write_off, struct cl_write_off)
PUTTER(group_ref, struct cl_group_ref)
GETTER(group_ref, struct cl_group_ref)
PUTTER(value, struct cl_value)
PUTTER(object, struct cl_object)
GETTER(object, struct cl_object)
PUTTER(action, struct cl_action)
PUTTER(verdict, struct cl_verdict)
PUTTER(work_books, struct cl_work_books)
PUTTER(guest_books, struct cl_guest_books)
PUTTER(books, struct cl_books)
PUTTER(edit, struct cl_record_edit)
GETTER(edit, struct cl_record_edit)
PUTTER(outcome, struct cl_record_outcome)
GETTER(outcome, struct cl_record_outcome)

void cl_put_edit(struct cl_sink *sink, const struct cl_record_edit *edit)
{
	put_edit(sink, edit);
}

void cl_get_edit(struct cl_source *source, struct cl_record_edit *ret_edit)
{
	get_edit(source, ret_edit);
	if (ret_edit->edit > CL_EDIT_OWN_MEMORY)
		fault(source, "an unknown kind of edit");
}

void cl_put_outcome(struct cl_sink *sink, const struct cl_record_outcome *outcome)
{
	put_outcome(sink, outcome);
}

void cl_get_outcome(struct cl_source *source, struct cl_record_outcome *ret_outcome)
{
	get_outcome(source, ret_outcome);
	if (ret_outcome->code > INT32_MAX)
		fault(source, "an errno that is none");
}

/* ---- snapshot ---- */

void cl_put_snapshot(struct cl_sink *sink, const struct cl_snapshot *e)
{
	cl_put_u64(sink, e->taken_ns);
	sink->base_ns = e->taken_ns;
#define X(member, type)                                                                            \
	put_varint(sink, e->n.member);                                                             \
	put_varint(sink, e->dropped.member);
	LIMITS(X)
#undef X
	FIELDS_snapshot(PUT_FIELD) put_bytes(sink, e->text, e->n.text);
#define X(member, type)                                                                            \
	for (uint32_t i = 0; i < e->n.member; i++)                                                 \
		put_##member(sink, &e->member[i]);
	CL_ARRAYS(X)
#undef X
}

/*
 * Masks go through the snapshot's own table, so that what is read can be added to like any other.
 */
static void intern_masks(struct cl_source *source, struct cl_snapshot *snap)
{
	uint32_t n = snap->n.masks;

	snap->n.masks = 0;
	for (uint32_t i = 0; i < n && !source->fault; i++) {
		struct cl_cpuset set = snap->masks[i].set;

		if (cl_snapshot_mask(snap, &set).v != i)
			fault(source, "a mask is there twice");
	}
}

static void get_text(struct cl_source *source, struct cl_snapshot *snap)
{
	if (snap->n.text == 0) {
		fault(source, "there is no text");
		return;
	}
	get_bytes(source, snap->text, snap->n.text);
	if (!source->fault && (snap->text[0] != '\0' || snap->text[snap->n.text - 1] != '\0'))
		fault(source, "text is not terminated");
}

void cl_get_snapshot(struct cl_source *source, struct cl_snapshot *e)
{
	struct cl_limits n;

	cl_snapshot_reset(e);
	e->taken_ns = cl_get_u64(source);
	source->base_ns = e->taken_ns;
	memset(&n, 0, sizeof(n));
#define X(member, type)                                                                            \
	n.member = get_count(source, e->cap.member);                                               \
	e->dropped.member = (uint32_t)get_bounded(source, UINT32_MAX, "a number is over 32 bits");
	LIMITS(X)
#undef X
	FIELDS_snapshot(GET_FIELD) if (!source->fault)
	{
		e->n = n;
		get_text(source, e);
	}
#define X(member, type)                                                                            \
	for (uint32_t i = 0; i < n.member && !source->fault; i++)                                  \
		get_##member(source, &e->member[i]);
	CL_ARRAYS(X)
#undef X
	if (!source->fault)
		intern_masks(source, e);
	if (source->fault)
		cl_snapshot_reset(e);
}

size_t cl_snapshot_encode(const struct cl_snapshot *snap, uint8_t *buf, size_t size)
{
	struct cl_sink sink = { .buf = buf, .size = size };

	cl_put_snapshot(&sink, snap);
	return sink.at;
}

int cl_snapshot_decode(const uint8_t *buf, size_t len, struct cl_snapshot *snap,
		       struct cl_error *reterr)
{
	struct cl_source source;

	cl_source_open(&source, buf, len);
	cl_get_snapshot(&source, snap);
	int r = cl_source_close(&source, "reading a snapshot", reterr);

	if (r < 0)
		cl_snapshot_reset(snap);
	return r;
}

/* ---- state ---- */

void cl_put_state(struct cl_sink *sink, const struct cl_state *state)
{
#define X(member, type) put_varint(sink, state->n.member);
	STATE_ARRAYS(X)
#undef X
	put_varint(sink, state->ticks);
	put_backoff(sink, &state->root);
	put_backoff(sink, &state->fence);
	put_varint(sink, state->fenced);
	put_backoff(sink, &state->gone);
	put_u64s(sink, state->contributed_ns, CL_COUNT(state->contributed_ns));
#define X(member, type)                                                                            \
	for (uint32_t i = 0; i < state->n.member; i++)                                             \
		put_state_##member(sink, &state->member[i]);
	STATE_ARRAYS(X)
#undef X
	put_varint(sink, state->ledger_count);
	for (uint32_t i = 0; i < state->ledger_count; i++)
		put_state_ledgers(sink, &state->ledgers[i]);
	put_state_memories(sink, &state->privileged);
	put_varint(sink, state->memory_count);
	for (uint32_t i = 0; i < state->memory_count; i++)
		put_state_memories(sink, &state->memories[i]);
}

/* As core/state.c has it: work of no known guest is last. */
static int compare_state_works(const struct cl_state_work *a, const struct cl_state_work *b)
{
	static const struct cl_uuid nobody;
	bool last_a = cl_uuid_compare(&a->guest, &nobody) == 0,
	     last_b = cl_uuid_compare(&b->guest, &nobody) == 0;
	int order = last_a != last_b ? (last_a ? 1 : -1) : cl_uuid_compare(&a->guest, &b->guest);

	if (order == 0)
		order = a->thread.tid < b->thread.tid ? -1 : a->thread.tid > b->thread.tid;
	if (order == 0)
		order = a->thread.start < b->thread.start ? -1 : a->thread.start > b->thread.start;
	return order;
}

/* Core asserts what it relies on; a file may not reach such an assert. */
static const char *state_fault(const struct cl_state *state)
{
	for (uint32_t i = 0; i < state->n.guests; i++) {
		const struct cl_state_guest *g = &state->guests[i];

		if (i && cl_uuid_compare(&g[-1].id, &g->id) >= 0)
			return "the state's guests are out of order";
		for (uint32_t k = 0; k < CL_THROTTLES_MAX; k++)
			if (g->guard.throttles[k].kind >= CL_ACTION_KIND_COUNT ||
			    g->guard.throttles[k].set > INT64_MAX ||
			    g->guard.throttles[k].foreign > 1)
				return "what holds a guest back is out of range";
	}
	for (uint32_t i = 0; i < state->ledger_count; i++)
		if (!cl_ledger_sound(&state->ledgers[i].ledger) ||
		    (i && cl_uuid_compare(&state->ledgers[i - 1].id, &state->ledgers[i].id) >= 0))
			return "the state's ledgers are out of order, or do not add up";
	for (uint32_t i = 1; i < state->memory_count; i++)
		if (cl_uuid_compare(&state->memories[i - 1].id, &state->memories[i].id) >= 0)
			return "the state's memory is out of order";
	for (uint32_t i = 0; i < state->n.vcpus; i++) {
		const struct cl_state_vcpu *v = &state->vcpus[i];
		int order = i ? cl_uuid_compare(&v[-1].guest, &v->guest) : -1;

		if (order > 0 || (order == 0 && v[-1].index >= v->index))
			return "the state's vCPUs are out of order";
		if ((v->cpu >= CL_CPUS_MAX && v->cpu != CL_NONE) || v->residency > CL_PPM ||
		    v->newborn > 1 || v->foreign > 1)
			return "a vCPU's state is out of range";
	}
	if (state->fenced > 1)
		return "the fence's state is out of range";
	for (uint32_t i = 0; i < state->n.cpus; i++)
		if (state->cpus[i].foreign > 1)
			return "a CPU's state is out of range";
	for (uint32_t i = 0; i < state->n.works; i++) {
		const struct cl_state_work *w = &state->works[i];

		if (i && compare_state_works(w - 1, w) >= 0)
			return "the state's works are out of order";
		if (w->follow > CL_FOLLOW_HOME || w->adopted > 1 || w->foreign > 1 ||
		    w->crowded > 2 || w->newborn > 1 ||
		    (w->target_cpu >= CL_CPUS_MAX && w->target_cpu != CL_NONE))
			return "a work's state is out of range";
	}
	for (uint32_t i = 0; i < state->n.irqs; i++)
		if ((i && state->irqs[i - 1].number >= state->irqs[i].number) ||
		    state->irqs[i].foreign > 1 || state->irqs[i].adopted > 1)
			return "the state's interrupts are out of order or out of range";
	return NULL;
}

void cl_get_state(struct cl_source *source, struct cl_state *state)
{
#define X(member, type) state->n.member = get_count(source, state->cap.member);
	STATE_ARRAYS(X)
#undef X
	state->ticks = get_varint(source);
	get_backoff(source, &state->root);
	get_backoff(source, &state->fence);
	state->fenced = get_varint(source);
	get_backoff(source, &state->gone);
	memset(state->contributed_ns, 0, sizeof(state->contributed_ns));
	get_u64s(source, state->contributed_ns, CL_COUNT(state->contributed_ns));
#define X(member, type)                                                                            \
	for (uint32_t i = 0; i < state->n.member && !source->fault; i++)                           \
		get_state_##member(source, &state->member[i]);
	STATE_ARRAYS(X)
#undef X
	state->ledger_count = get_count(source, state->cap.guests);
	for (uint32_t i = 0; i < state->ledger_count && !source->fault; i++)
		get_state_ledgers(source, &state->ledgers[i]);
	get_state_memories(source, &state->privileged);
	state->memory_count = get_count(source, state->cap.guests);
	for (uint32_t i = 0; i < state->memory_count && !source->fault; i++)
		get_state_memories(source, &state->memories[i]);
	const char *text = source->fault ? NULL : state_fault(state);

	if (text)
		fault(source, text);
}

/* ---- plan ---- */

void cl_put_plan(struct cl_sink *sink, const struct cl_plan *plan)
{
	put_varint(sink, plan->n.actions);
	put_varint(sink, plan->n.masks);
	put_varint(sink, plan->n.verdicts);
	put_varint(sink, plan->n.guests);
	put_varint(sink, plan->dropped);
	PUT_cpuset(sink, plan->main_cpus) PUT_cpuset(
		sink, plan->secondary_cpus) for (uint32_t i = 0; i < plan->n.actions; i++)
		put_action(sink, &plan->actions[i]);
	for (uint32_t i = 0; i < plan->n.masks; i++)
		put_masks(sink, &plan->masks[i]);
	for (uint32_t i = 0; i < plan->n.verdicts; i++)
		put_verdict(sink, &plan->verdicts[i]);
	for (uint32_t i = 0; i < plan->n.verdicts; i++)
		put_work_books(sink, &plan->work_books[i]);
	for (uint32_t i = 0; i < plan->n.guests; i++)
		put_guest_books(sink, &plan->guest_books[i]);
	put_varint(sink, plan->n.write_offs);
	for (uint32_t i = 0; i < plan->n.write_offs; i++)
		put_write_off(sink, &plan->write_offs[i]);
	put_books(sink, &plan->books);
	put_why(sink, &plan->fence);
}

uint64_t cl_plan_digest(const struct cl_plan *plan)
{
	XXH64_state_t hash;
	struct cl_sink sink = { .hash = &hash };

	XXH64_reset(&hash, 0);
	cl_put_plan(&sink, plan);
	return XXH64_digest(&hash);
}
