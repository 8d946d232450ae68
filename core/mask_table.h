/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mask_table: CPU sets interned by content; a snapshot and a plan each have one. */
#ifndef CLOSER_CORE_MASK_TABLE_H
#define CLOSER_CORE_MASK_TABLE_H

#include <closer/snapshot.h>

/* Slots for a capacity: a power of two, at most half full. */
uint32_t mask_table_slots(uint32_t cap);
/* The index of an equal set, or of a new entry; CL_NONE when full. *n grows. */
uint32_t mask_table_intern(struct cl_mask *masks, uint32_t *n, uint32_t cap, uint32_t *slots,
			   uint32_t slot_count, const struct cl_cpuset *set);

#endif
