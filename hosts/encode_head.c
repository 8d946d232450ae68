/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a recording begins with: its head, the parameters, and which fields it holds (its schema).
 */
#define XXH_STATIC_LINKING_ONLY
#include "encode.h"

#include "encode_bytes.h"
#include "encode_fields.h"

#include <lib.h>

void cl_put_head(struct cl_sink *sink, const struct cl_record_head *head)
{
	put_chars(sink, head->closer, sizeof(head->closer));
	put_chars(sink, head->host, sizeof(head->host));
#define X(member, type) put_u32(sink, head->cap.member);
	LIMITS(X)
#undef X
	put_varint(sink, head->schema);
}

void cl_get_head(struct cl_source *source, struct cl_record_head *ret_head)
{
	memset(ret_head, 0, sizeof(*ret_head));
	get_chars(source, ret_head->closer, sizeof(ret_head->closer));
	get_chars(source, ret_head->host, sizeof(ret_head->host));
#define X(member, type) ret_head->cap.member = get_u32(source);
	LIMITS(X)
#undef X
	ret_head->schema = get_varint(source);
}

void cl_put_params(struct cl_sink *sink, const struct cl_params *params)
{
	put_u64s(sink, params->main_cpus.w, CL_COUNT(params->main_cpus.w));
#define X(member, unit, def, least, most, doc) cl_put_u64(sink, params->member);
	CL_PARAMS(X)
#undef X
	put_varint(sink, params->guard_count);
	for (uint64_t i = 0; i < params->guard_count; i++) {
		put_chars(sink, params->guards[i].who, sizeof(params->guards[i].who));
		put_u64(sink, params->guards[i].share);
		put_varint(sink, params->guards[i].of_cpu);
	}
}

void cl_get_params(struct cl_source *source, struct cl_params *ret_params)
{
	memset(ret_params, 0, sizeof(*ret_params));
	get_u64s(source, ret_params->main_cpus.w, CL_COUNT(ret_params->main_cpus.w));
#define X(member, unit, def, least, most, doc) ret_params->member = cl_get_u64(source);
	CL_PARAMS(X)
#undef X
	ret_params->guard_count = get_count(source, CL_GUARDS_MAX);
	for (uint64_t i = 0; i < ret_params->guard_count && !source->fault; i++) {
		struct cl_guard *guard = &ret_params->guards[i];

		get_chars(source, guard->who, sizeof(guard->who));
		guard->share = get_u64(source);
		guard->of_cpu = get_varint(source);
	}
}

/* ---- schema ---- */

uint64_t cl_record_schema(void)
{
#define NAME(kind, member) #kind " " #member ";"
#define X(member, type)    #member "{" FIELDS_##member(NAME) "}"
	static const char snapshot[] = CL_ARRAYS(X) FIELDS_snapshot(NAME);
#undef X
#define X(member, type) #member "{" FIELDS_state_##member(NAME) "}"
	static const char state[] = STATE_ARRAYS(X);
#undef X
	static const char own[] = FIELDS_state_throttle(NAME) FIELDS_state_guard(NAME)
		FIELDS_object(NAME) FIELDS_group_ref(NAME) FIELDS_edit(NAME) FIELDS_outcome(NAME)
			FIELDS_ledger(NAME) FIELDS_state_ledgers(NAME) FIELDS_memory(NAME)
				FIELDS_state_memories(NAME);
#define X(member, unit, def, least, most, doc) #member ";"
	static const char params[] = CL_PARAMS(X);
#undef X
#define X(id, ...) #id ";"
	static const char ids[] = CL_WORK_KINDS(X) CL_CANS(X) CL_PARTS(X) CL_ACTION_KINDS(X);
#undef X
	uint64_t hash = XXH64(snapshot, sizeof(snapshot), 0);

	hash = XXH64(state, sizeof(state), hash);
	hash = XXH64(own, sizeof(own), hash);
	hash = XXH64(params, sizeof(params), hash);
	return XXH64(ids, sizeof(ids), hash);
}
