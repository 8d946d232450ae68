/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz: numa_maps. Read at once or in two pieces, the sums are the same. */
#include "numa.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t whole[CL_NODES_MAX] = { 0 }, parts[CL_NODES_MAX] = { 0 };
	char *text = malloc(size ? size : 1); /* not terminated, as in life */
	size_t used, first;

	assert(text);
	memcpy(text, data, size);
	used = cl_numa_parse(text, size, whole);
	assert(used <= size && (used == 0 || text[used - 1] == '\n'));
	assert(!memchr(text + used, '\n', size - used));
	first = cl_numa_parse(text, size / 2, parts);
	assert(first <= size / 2);
	assert(first + cl_numa_parse(text + first, size - first, parts) == used);
	assert(memcmp(whole, parts, sizeof(whole)) == 0);
	uint64_t nodes = cl_numa_nodes(whole);
	for (uint32_t i = 0; i < CL_NODES_MAX; i++)
		assert(!(nodes >> i & 1) || whole[i] > 0);
	free(text);
	return 0;
}
