/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config: a guest's configuration (xl.cfg(5)), read by Xen's own parser, libxlutil. It is a module
 * of its own, libcloser-xl.so, for the same reason as the host: the library's name changes with
 * each Xen. It needs no Xen to run on.
 */
#ifndef CLOSER_XEN_CONFIG_H
#define CLOSER_XEN_CONFIG_H

#include <closer/admit.h>

/* What the text says; name: of the file, for messages. -EINVAL: what is wrong, and where. */
typedef int cl_xl_parse_fn(const char *text, size_t len, const char *name,
			   struct cl_admit_ask *ret_ask, struct cl_error *reterr);

/* What module and program must agree on. */
struct cl_xl_module {
	size_t ask_bytes;
	const char *version; /* of closer */
	cl_xl_parse_fn *parse;
};
#define CL_XL_MODULE_SYMBOL "cl_xl_module"

/* load.c: with the module. -ELIBACC: it is not there. */
int cl_xl_parse(const char *text, size_t len, const char *name, struct cl_admit_ask *ret_ask,
		struct cl_error *reterr);

#endif
