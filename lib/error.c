/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib.h"

#include <assert.h>
#include <stdarg.h>

int cl_fail(struct cl_error *reterr, int code, const char *format, ...)
{
	assert(code > 0);
	if (reterr) {
		va_list ap;

		reterr->code = code;
		va_start(ap, format);
		vsnprintf(reterr->text, sizeof(reterr->text), format, ap);
		va_end(ap);
	}
	return -code;
}
