/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_procstat: the parsers of /proc/PID/stat and schedstat; a thread writes its name into the
 * first. */
#include "threads_proc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct cl_stat stat;
	uint64_t run_ns, wait_ns;

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	if (cl_stat_parse(text, &stat)) {
		assert(stat.cpu < CL_CPUS_MAX);
		assert(memchr(stat.comm, '\0', sizeof(stat.comm)));
	}
	cl_schedstat_parse(text, &run_ns, &wait_ns);
	free(text);
	return 0;
}
