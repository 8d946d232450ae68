/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What management stacks need of dom0: the thesis's table 3.2, of a minimal architecture each. */
#include "manage.h"

#include <string.h>

#define GIB (UINT64_C(1) << 30)

const struct sim_stack sim_stacks[] = {
	{ "openstack", "nova-compute and what it needs", 2, 2 * GIB },
	{ "opennebula", "a node of OpenNebula", 2, GIB * 185 / 100 },
	{ "eucalyptus", "a node of Eucalyptus", 1, GIB * 3 / 2 },
	{ 0 },
};

const struct sim_stack *sim_stack_find(const char *name)
{
	for (const struct sim_stack *stack = sim_stacks; stack->name; stack++)
		if (strcmp(stack->name, name) == 0)
			return stack;
	return NULL;
}
