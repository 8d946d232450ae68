/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * json_value: single values as JSON, for json.c and json_snapshot.c. Names from outside go
 * through cl_escape.
 */
#ifndef CLOSER_JSON_VALUE_H
#define CLOSER_JSON_VALUE_H

#include "json.h"

#define ESCAPED_MAX (4 * CL_PATH_MAX)

/* ---- values; each gives a new reference, as jansson's *_new functions take them ---- */

/* JSON has no unsigned 64 bits: what does not fit is not a number that anybody counted. */
static inline json_t *number(uint64_t value)
{
	return value > INT64_MAX ? json_null() : json_integer((json_int_t)value);
}

static inline json_t *index_of(uint32_t value)
{
	return value == CL_NONE ? json_null() : json_integer((json_int_t)value);
}

static inline json_t *escaped(const char *text)
{
	char buf[ESCAPED_MAX];

	return json_string(cl_escape(text, buf, sizeof(buf)));
}

static inline json_t *text_of(const struct cl_snapshot *snap, struct cl_text text)
{
	return escaped(cl_snapshot_str(snap, text));
}

static inline json_t *uuid_of(const struct cl_uuid *uuid)
{
	char buf[CL_UUID_TEXT];

	cl_uuid_format(uuid, buf);
	return json_string(buf);
}

static inline json_t *guest_of(const struct cl_snapshot *snap, struct cl_guest_ix guest)
{
	return guest.v < snap->n.guests ? uuid_of(&snap->guests[guest.v].id) : json_null();
}

static inline json_t *name_of(const struct cl_snapshot *snap, struct cl_guest_ix guest)
{
	return guest.v < snap->n.guests ? text_of(snap, snap->guests[guest.v].name) : json_null();
}

/* Every other CPU of 4,096 is 10 kB of text. */
static inline json_t *cpus_of(const struct cl_cpuset *set)
{
	char buf[CL_CPUS_MAX * 5];

	cl_cpuset_format(set, buf, sizeof(buf));
	return json_string(buf);
}

static inline json_t *mask_of(const struct cl_snapshot *snap, struct cl_mask_ix mask)
{
	return mask.v < snap->n.masks ? cpus_of(cl_snapshot_set(snap, mask)) : json_null();
}

static inline json_t *plan_mask_of(const struct cl_plan *plan, struct cl_mask_ix mask)
{
	return mask.v < plan->n.masks ? cpus_of(cl_plan_set(plan, mask)) : json_null();
}

static inline json_t *group_of(const struct cl_snapshot *snap, struct cl_group_ix group)
{
	return group.v < snap->n.groups ? text_of(snap, snap->groups[group.v].path) : json_null();
}

static inline json_t *path_of(const struct cl_snapshot *snap, const struct cl_group_ref *ref)
{
	char path[CL_PATH_MAX];

	return cl_group_path(ref, snap, path) ? escaped(path) : json_null();
}

/*
 * Every set and append consumes its value and fails without harm when there is no memory; the
 * finished value is then incomplete, so it is counted: a tree with a missing value is no answer.
 */
static inline json_t *complete(json_t *json, size_t members)
{
	if (json &&
	    (json_is_object(json) ? json_object_size(json) : json_array_size(json)) == members)
		return json;
	json_decref(json);
	return NULL;
}

static inline json_t *nodes_of(uint64_t nodes)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < CL_NODES_MAX; i++)
		if ((nodes >> i) & 1)
			json_array_append_new(list, json_integer((json_int_t)i));
	return complete(list, (size_t)__builtin_popcountll(nodes));
}

static inline json_t *share(uint64_t part, uint64_t whole)
{
	return json_real(cl_share(part, whole));
}

#define SET(object, key, value) json_object_set_new(object, key, value)

#endif
