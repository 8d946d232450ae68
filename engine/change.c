/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Changes as values: which could be ours at all, and which are of the same object. */
#include "internal.h"

#include <string.h>

#define DOMID_MAX  0x7fefu /* Xen: DOMID_FIRST_RESERVED - 1 */
#define DEVICE_MAX 16u     /* IFNAMSIZ */

bool cl_path_ours(const char *path)
{
	return strncmp(path, "/closer", 7) == 0 && (path[7] == '\0' || path[7] == '/');
}

/* Absolute, no empty, "." or ".." component, no slash at the end. */
static bool path_sound(const char *path)
{
	size_t len = strnlen(path, CL_PATH_MAX);

	if (len == 0 || len >= CL_PATH_MAX || path[0] != '/')
		return false;
	if (len == 1)
		return true;
	for (const char *p = path; p; p = strchr(p + 1, '/')) {
		size_t part = strcspn(p + 1, "/");

		if (part == 0 || (part == 1 && p[1] == '.') ||
		    (part == 2 && p[1] == '.' && p[2] == '.'))
			return false;
	}
	return true;
}

/* As the kernel has it (dev_valid_name): the name becomes part of a path below /sys. */
static bool device_sound(const char *name)
{
	size_t len = strnlen(name, DEVICE_MAX);

	if (len == 0 || len == DEVICE_MAX || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	for (; *name; name++)
		if (*name == '/' || *name == ':' || *name <= ' ')
			return false;
	return true;
}

static bool is_switch(const struct cl_change *c)
{
	return c->from.number >= 0 && c->from.number <= 1 && c->to.number >= 0 && c->to.number <= 1;
}

/* Pages of a domain; of dom0, too. */
static bool memory_sound(const struct cl_change *c)
{
	return c->domid <= DOMID_MAX && c->from.number > 0 && c->to.number > 0;
}

/* A cap of 0 is none; closer leaves and sets one only where there is one. */
static bool number_sound(const struct cl_change *c)
{
	return c->domid > 0 && c->domid <= DOMID_MAX && c->from.number > 0 && c->to.number > 0;
}

static bool is_limit(const struct cl_setting *s)
{
	return s->present ? s->number > 0 && s->period_ns >= CL_NS_PER_US &&
				    s->period_ns <= CL_NS_PER_S
			  : s->number >= 0 && s->number <= 1 && s->period_ns == 0;
}

bool cl_change_limits(enum cl_change_kind kind)
{
	return kind == CL_CHANGE_RATE || kind == CL_CHANGE_QUOTA || kind == CL_CHANGE_IO ||
	       kind == CL_CHANGE_PACKETS;
}

static bool limit_sound(const struct cl_change *c)
{
	if (!is_limit(&c->from) || !is_limit(&c->to) || (!c->from.present && !c->to.present))
		return false;
	if (c->kind == CL_CHANGE_RATE)
		return c->domid > 0 && c->domid <= DOMID_MAX && c->handle <= INT32_MAX;
	if (c->kind == CL_CHANGE_PACKETS)
		return device_sound(c->path);
	return path_sound(c->path) && strncmp(c->path, "/closer/", 8) == 0;
}

bool cl_change_sound(const struct cl_change *c)
{
	switch (c->kind) {
	case CL_CHANGE_THREAD:
		if (c->thread.tid <= 0 || c->process < 0 || c->from.has_path != c->to.has_path)
			return false;
		if (c->from.has_path && (!path_sound(c->from.path) || !path_sound(c->to.path)))
			return false;
		return !cl_cpuset_empty(&c->from.cpus) && !cl_cpuset_empty(&c->to.cpus);
	case CL_CHANGE_IRQ:
		return c->irq <= INT32_MAX && !cl_cpuset_empty(&c->to.cpus);
	case CL_CHANGE_GROUP:
		return path_sound(c->path) && cl_path_ours(c->path) &&
		       (c->from.present || c->to.present);
	case CL_CHANGE_FENCE:
		return (strcmp(c->path, "/closer") == 0 || strcmp(c->path, "/") == 0) &&
		       is_switch(c);
	case CL_CHANGE_VCPU:
		return c->domid <= DOMID_MAX && c->vcpu < CL_CPUS_MAX &&
		       !cl_cpuset_empty(&c->from.cpus) && !cl_cpuset_empty(&c->to.cpus);
	case CL_CHANGE_NIC:
		return device_sound(c->path) && is_switch(c);
	case CL_CHANGE_CAP:
	case CL_CHANGE_WEIGHT:
	case CL_CHANGE_BUDGET:
		return number_sound(c);
	case CL_CHANGE_RATE:
	case CL_CHANGE_QUOTA:
	case CL_CHANGE_IO:
	case CL_CHANGE_PACKETS:
		return limit_sound(c);
	case CL_CHANGE_MEMORY:
		return memory_sound(c);
	}
	return false;
}

int cl_change_compare(const struct cl_change *a, const struct cl_change *b)
{
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	switch (a->kind) {
	case CL_CHANGE_THREAD:
		if (a->thread.tid != b->thread.tid)
			return a->thread.tid < b->thread.tid ? -1 : 1;
		if (a->thread.start != b->thread.start)
			return a->thread.start < b->thread.start ? -1 : 1;
		return 0;
	case CL_CHANGE_IRQ:
		return a->irq == b->irq ? 0 : a->irq < b->irq ? -1 : 1;
	case CL_CHANGE_GROUP:
	case CL_CHANGE_FENCE:
	case CL_CHANGE_NIC:
	case CL_CHANGE_QUOTA:
	case CL_CHANGE_PACKETS:
		return strcmp(a->path, b->path);
	case CL_CHANGE_IO:
		if (a->device != b->device)
			return a->device < b->device ? -1 : 1;
		return strcmp(a->path, b->path);
	case CL_CHANGE_RATE:
		if (a->domid != b->domid)
			return a->domid < b->domid ? -1 : 1;
		if (a->handle != b->handle)
			return a->handle < b->handle ? -1 : 1;
		return cl_uuid_compare(&a->domain, &b->domain);
	case CL_CHANGE_VCPU:
		if (a->domid != b->domid)
			return a->domid < b->domid ? -1 : 1;
		if (a->vcpu != b->vcpu)
			return a->vcpu < b->vcpu ? -1 : 1;
		return cl_uuid_compare(&a->domain, &b->domain);
	case CL_CHANGE_CAP:
	case CL_CHANGE_WEIGHT:
	case CL_CHANGE_BUDGET:
	case CL_CHANGE_MEMORY:
		if (a->domid != b->domid)
			return a->domid < b->domid ? -1 : 1;
		return cl_uuid_compare(&a->domain, &b->domain);
	}
	return 0;
}

bool cl_change_same(const struct cl_change *a, const struct cl_change *b)
{
	return cl_change_compare(a, b) == 0;
}
