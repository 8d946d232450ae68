/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz: the file that says whose guests are whose. */
#include "tenants.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cl_tenants tenants = { 0 };
	struct cl_error error = { 0 };
	char *text = malloc(size + 1);

	assert(text);
	memcpy(text, data, size);
	text[size] = '\0';
	int r = cl_tenants_parse(text, &tenants, &error);

	if (r < 0)
		assert(error.code == -r && error.text[0] && tenants.n == 0);
	for (uint32_t i = 0; i < tenants.n; i++) {
		const struct cl_tenant *t = &tenants.list[i];

		assert(i == 0 || cl_uuid_compare(&tenants.list[i - 1].guest, &t->guest) < 0);
		assert(cl_tenants_find(&tenants, &t->guest) == t->name && t->name[0]);
		for (const char *p = t->name; *p; p++)
			assert(*p >= ' ' && *p < 0x7f);
	}
	cl_tenants_done(&tenants);
	free(text);
	return 0;
}
