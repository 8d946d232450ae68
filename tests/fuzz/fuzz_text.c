/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPU lists, uuids, parameters, numbers, escaping: what is taken must come back the same. */
#include "lib.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[1 << 16], out[1 << 16];
	struct cl_cpuset set, again;
	struct cl_params params;
	struct cl_uuid uuid;
	char buf[CL_UUID_TEXT];
	uint64_t number;

	if (size >= sizeof(text))
		return 0;
	if (cl_cpuset_parse((const char *)data, size, &set)) {
		size_t len = cl_cpuset_format(&set, out, sizeof(out));

		assert(len < sizeof(out) && cl_cpuset_parse(out, len, &again) &&
		       cl_cpuset_equal(&set, &again));
	}
	memcpy(text, data, size);
	text[size] = '\0';
	if (cl_uuid_parse(text, &uuid)) {
		cl_uuid_format(&uuid, buf);
		assert(strcasecmp(buf, text) == 0);
	}
	cl_parse_u64(text, &number, NULL);
	cl_escape(text, out, sizeof(out));
	for (const char *p = out; *p; p++)
		assert(*p >= 0x20 && *p < 0x7f);
	cl_params_default(&params);
	char *value = strchr(text, '=');

	if (value) {
		*value++ = '\0';
		if (cl_param_set(&params, text, value) == 0) {
			const char *name;
			struct cl_params copy = params;

			assert(cl_param_get(&params, text, out, sizeof(out)));
			assert(cl_param_set(&copy, text, out) == 0 &&
			       memcmp(&copy, &params, sizeof(copy)) == 0);
			(void)cl_params_check(&params, &name);
		}
		cl_param_nearest(text);
	}
	return 0;
}
