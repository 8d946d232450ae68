/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Words of a journal's line. */
#include "journal_words.h"

#include <string.h>

bool next_word(char **p, char **ret)
{
	char *end = *p + strcspn(*p, " ");

	if (end == *p)
		return false;
	*ret = *p;
	if (*end)
		*end++ = '\0';
	*p = end;
	return true;
}

bool next_is(char **p, const char *word)
{
	char *have;

	return next_word(p, &have) && strcmp(have, word) == 0;
}

bool next_number(char **p, uint64_t most, uint64_t *ret)
{
	const char *end;
	char *text;

	return next_word(p, &text) && cl_parse_u64(text, ret, &end) && *end == '\0' && *ret <= most;
}

int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The other direction of the writer's escape; false if it is no such text or too long. */
bool next_text(char **p, char *buf, size_t size)
{
	size_t at = 0;
	char *text;

	if (!next_word(p, &text))
		return false;
	for (; *text; text++) {
		char c = *text;

		if (c == '\\') {
			int high, low;

			if (text[1] != 'x' || (high = hex_digit(text[2])) < 0 ||
			    (low = hex_digit(text[3])) < 0)
				return false;
			c = (char)(high * 16 + low);
			text += 3;
			if (c == '\0')
				return false;
		}
		if (at + 1 >= size)
			return false;
		buf[at++] = c;
	}
	buf[at] = '\0';
	return true;
}

static bool next_cpus(char **p, struct cl_cpuset *ret)
{
	char *text;

	if (!next_is(p, "cpus") || !next_word(p, &text))
		return false;
	if (strcmp(text, "-") == 0) {
		cl_cpuset_zero(ret);
		return true;
	}
	return cl_cpuset_parse(text, strlen(text), ret) && !cl_cpuset_empty(ret);
}

static bool next_place(char **p, struct cl_setting *ret)
{
	ret->present = true;
	if (!next_is(p, "cgroup") || !next_text(p, ret->path, sizeof(ret->path)))
		return false;
	ret->has_path = strcmp(ret->path, "-") != 0;
	if (!ret->has_path)
		ret->path[0] = '\0';
	return next_cpus(p, &ret->cpus);
}

/* "absent", "unpassed", or "cpus <list>". */
static bool next_container(char **p, struct cl_setting *ret)
{
	static const char *const absent[] = { "absent", "unpassed" };
	char *text;

	for (int64_t i = 0; i < 2; i++) {
		size_t len = strlen(absent[i]);

		if (strncmp(*p, absent[i], len) != 0 || ((*p)[len] != ' ' && (*p)[len] != '\0'))
			continue;
		ret->number = i;
		return next_word(p, &text);
	}
	ret->present = true;
	return next_cpus(p, &ret->cpus);
}

/* "absent", "unpassed", or "limit <number> per <ns>". */
static bool next_limit(char **p, struct cl_setting *ret)
{
	uint64_t number;
	char *word;

	if (!next_word(p, &word))
		return false;
	if (strcmp(word, "limit") != 0) {
		ret->number = strcmp(word, "unpassed") == 0;
		return ret->number || strcmp(word, "absent") == 0;
	}
	ret->present = true;
	if (!next_number(p, INT64_MAX, &number) || !next_is(p, "per") ||
	    !next_number(p, UINT64_MAX, &ret->period_ns))
		return false;
	ret->number = (int64_t)number;
	return true;
}

static bool next_plain_cpus(char **p, struct cl_setting *ret)
{
	ret->present = true;
	return next_cpus(p, &ret->cpus);
}

/* "number <0 or 1>". */
static bool next_switch(char **p, struct cl_setting *ret)
{
	uint64_t number;

	ret->present = true;
	if (!next_is(p, "number") || !next_number(p, 1, &number))
		return false;
	ret->number = (int64_t)number;
	return true;
}

/* The same, and the CPUs that it leaves to others. */
static bool next_fence(char **p, struct cl_setting *ret)
{
	return next_switch(p, ret) && next_cpus(p, &ret->cpus);
}

/* "number <n>", of a cap, weight, budget or memory. */
static bool next_amount(char **p, struct cl_setting *ret)
{
	uint64_t number;

	ret->present = true;
	if (!next_is(p, "number") || !next_number(p, INT64_MAX, &number))
		return false;
	ret->number = (int64_t)number;
	return true;
}

/* "domain <n> uuid <uuid>" */
static bool next_domain(char **p, struct cl_change *c)
{
	uint64_t domid;
	char *uuid;

	if (!next_is(p, "domain") || !next_number(p, INT32_MAX, &domid) || !next_is(p, "uuid") ||
	    !next_word(p, &uuid))
		return false;
	c->domid = (uint32_t)domid;
	return cl_uuid_parse(uuid, &c->domain);
}

/* A vCPU or a device of one: "<number> domain ...". */
static bool next_of_domain(char **p, uint64_t most, struct cl_change *c, uint32_t *ret_number)
{
	uint64_t number;

	if (!next_number(p, most, &number))
		return false;
	*ret_number = (uint32_t)number;
	return next_domain(p, c);
}

/* What a domain is entitled to. False: it is something else. */
static bool is_entitlement(const char *kind, enum cl_change_kind *ret)
{
	static const char *const names[] = { "cap", "weight", "budget", "memory" };
	static const enum cl_change_kind kinds[] = { CL_CHANGE_CAP, CL_CHANGE_WEIGHT,
						     CL_CHANGE_BUDGET, CL_CHANGE_MEMORY };

	for (size_t i = 0; i < CL_COUNT(names); i++) {
		if (strcmp(kind, names[i]) == 0) {
			*ret = kinds[i];
			return true;
		}
	}
	return false;
}

static bool next_io(char **p, struct cl_change *c)
{
	c->kind = CL_CHANGE_IO;
	return next_text(p, c->path, sizeof(c->path)) && next_is(p, "device") &&
	       next_number(p, UINT64_MAX, &c->device);
}

bool next_object(char **p, struct cl_change *c)
{
	uint64_t number;
	char *kind;

	if (!next_word(p, &kind))
		return false;
	if (strcmp(kind, "thread") == 0) {
		c->kind = CL_CHANGE_THREAD;
		if (!next_number(p, INT32_MAX, &number) || !next_is(p, "start") ||
		    !next_number(p, UINT64_MAX, &c->thread.start))
			return false;
		c->thread.tid = (int32_t)number;
		return true;
	}
	if (strcmp(kind, "irq") == 0) {
		c->kind = CL_CHANGE_IRQ;
		if (!next_number(p, INT32_MAX, &number))
			return false;
		c->irq = (uint32_t)number;
		return true;
	}
	if (strcmp(kind, "vcpu") == 0) {
		c->kind = CL_CHANGE_VCPU;
		return next_of_domain(p, CL_CPUS_MAX - 1, c, &c->vcpu);
	}
	if (strcmp(kind, "rate") == 0) {
		c->kind = CL_CHANGE_RATE;
		return next_of_domain(p, INT32_MAX, c, &c->handle);
	}
	if (strcmp(kind, "io") == 0)
		return next_io(p, c);
	if (is_entitlement(kind, &c->kind))
		return next_domain(p, c);
	if (strcmp(kind, "fence") == 0)
		c->kind = CL_CHANGE_FENCE;
	else if (strcmp(kind, "nic") == 0)
		c->kind = CL_CHANGE_NIC;
	else if (strcmp(kind, "group") == 0)
		c->kind = CL_CHANGE_GROUP;
	else if (strcmp(kind, "quota") == 0)
		c->kind = CL_CHANGE_QUOTA;
	else if (strcmp(kind, "packets") == 0)
		c->kind = CL_CHANGE_PACKETS;
	else
		return false;
	return next_text(p, c->path, sizeof(c->path));
}

bool next_setting(char **p, enum cl_change_kind kind, struct cl_setting *ret)
{
	static bool (*const values[])(char **p, struct cl_setting *ret) = {
		[CL_CHANGE_THREAD] = next_place,    [CL_CHANGE_IRQ] = next_plain_cpus,
		[CL_CHANGE_GROUP] = next_container, [CL_CHANGE_FENCE] = next_fence,
		[CL_CHANGE_VCPU] = next_plain_cpus, [CL_CHANGE_NIC] = next_switch,
		[CL_CHANGE_CAP] = next_amount,      [CL_CHANGE_WEIGHT] = next_amount,
		[CL_CHANGE_BUDGET] = next_amount,   [CL_CHANGE_RATE] = next_limit,
		[CL_CHANGE_QUOTA] = next_limit,     [CL_CHANGE_IO] = next_limit,
		[CL_CHANGE_PACKETS] = next_limit,   [CL_CHANGE_MEMORY] = next_amount,
	};

	return values[kind](p, ret);
}
