/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cpu.max, io.max, nftables' JSON, netback's rate and the device behind a disk, as they are read.
 */
#include "limit.h"
#include "packets.h"
#include "xen/parse.h"
#include "xen/rate.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What could be set again, or what says that it is somebody's. */
static void sound(const struct cl_setting *s)
{
	assert(s->present || (s->number == 0 && s->period_ns == 0));
	assert(s->number >= -1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct cl_setting s;
	uint64_t device;

	assert(text);
	memcpy(text, data, size);
	text[size] = '\0';
	if (cl_limit_parse_cpu(text, &s))
		sound(&s);
	if (cl_limit_parse_io(text, UINT64_C(8) << 32 | 16, &s))
		sound(&s);
	if (cl_xen_parse_rate(text, &s))
		sound(&s);
	if (cl_xen_parse_device(text, &device))
		assert(strlen(text) >= 3 && strlen(text) <= 17);
	assert(cl_packets_parse(text) >= -1);
	free(text);
	return 0;
}
