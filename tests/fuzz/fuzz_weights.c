/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz: the file of calibrated costs. */
#include "weights.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cl_weights weights = { 0 };
	struct cl_error error = { 0 };
	char *text = malloc(size + 1);
	struct cl_params params;

	assert(text);
	memcpy(text, data, size);
	text[size] = '\0';
	cl_params_default(&params);
	int r = cl_weights_parse(text, &weights, &error);

	if (r < 0)
		assert(error.code == -r && error.text[0] && weights.of[0].ns == 0);
	cl_weights_into(&weights, &params);
	assert(cl_params_check(&params, &(const char *){ NULL }));
	free(text);
	return 0;
}
