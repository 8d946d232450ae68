/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mask_table.h"

#include <assert.h>

uint32_t mask_table_slots(uint32_t cap)
{
	uint32_t slots = 16;

	while (slots < cap * 2)
		slots *= 2;
	return slots;
}

uint32_t mask_table_intern(struct cl_mask *masks, uint32_t *n, uint32_t cap, uint32_t *slots,
			   uint32_t slot_count, const struct cl_cpuset *set)
{
	uint64_t hash = cl_cpuset_hash(set);
	uint32_t at = (uint32_t)hash & (slot_count - 1);

	assert(slot_count > cap);
	for (; slots[at] != 0; at = (at + 1) & (slot_count - 1)) {
		uint32_t i = slots[at] - 1;

		if (masks[i].hash == hash && cl_cpuset_equal(&masks[i].set, set))
			return i;
	}
	if (*n == cap)
		return CL_NONE;
	masks[*n] = (struct cl_mask){ .set = *set, .hash = hash };
	slots[at] = *n + 1;
	return (*n)++;
}
