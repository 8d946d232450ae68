/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz: lines of /proc/interrupts. */
#include "linux.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t rooms[] = { 0, 1, 2, 16, CL_NAME_MAX };
	char *text = malloc(size + 1);

	assert(text);
	memcpy(text, data, size);
	text[size] = '\0';
	for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
		char *name = malloc(
			rooms[i] + 1); /* of exactly that size, so that ASan sees a byte too many */
		uint32_t number = CL_NONE;
		uint64_t count = 0;

		assert(name);
		name = realloc(name, rooms[i] ? rooms[i] : 1);
		if (cl_irq_parse_line(text, &number, &count, name, rooms[i]))
			assert(rooms[i] > 0 && number != CL_NONE &&
			       strnlen(name, rooms[i]) < rooms[i] && !strchr(name, '\n'));
		free(name);
	}
	free(text);
	return 0;
}
