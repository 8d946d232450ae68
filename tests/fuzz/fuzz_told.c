/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz: the template host's lists of processes. */
#include "template/list.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define MAX 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int n, const struct cl_listed *list, const struct cl_error *error)
{
	assert(n <= MAX);
	if (n < 0)
		assert(error->code == -n && error->text[0]);
	for (int i = 0; i < n; i++) {
		assert(list[i].pid > 0 && strnlen(list[i].name, CL_NAME_MAX) < CL_NAME_MAX);
		for (int k = 0; k < i; k++)
			assert(list[k].pid != list[i].pid);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cl_listed *list = malloc(MAX * sizeof(*list));
	struct cl_error error = { 0 };
	char *text = malloc(size + 1);

	assert(text && list);
	memcpy(text, data, size);
	text[size] = '\0';
	check(cl_list_parse_arg(text, list, MAX, &error), list, &error);
	check(cl_list_parse_file(text, list, MAX, &error), list, &error);
	free(text);
	free(list);
	return 0;
}
