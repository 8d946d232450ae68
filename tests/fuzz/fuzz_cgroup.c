/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz: /proc/TID/cgroup and lines of mountinfo. Processes choose neither, but name their cgroups
 * and mount points. */
#include "cgroup.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), path[CL_PATH_MAX];
	struct cl_cgroup found;

	assert(text);
	memcpy(text, data, size);
	text[size] = '\0';
	for (int version = 1; version <= 2; version++) {
		struct cl_cgroup cgroup = { .version = version };

		memset(path, 'x', sizeof(path));
		if (cl_cgroup_parse(&cgroup, text, path)) {
			assert(path[0] == '/' && strnlen(path, sizeof(path)) < sizeof(path));
			assert(!strstr(path, "/../") && !strchr(path, '\n'));
		} else {
			assert(path[0] == 'x');
		}
	}
	if (cl_cgroup_parse_mount(text, &found)) {
		assert(found.version == 1 || found.version == 2);
		assert(found.mount[0] &&
		       strnlen(found.mount, sizeof(found.mount)) < sizeof(found.mount));
		assert(found.why_not[0] == '\0');
	}
	free(text);
	return 0;
}
