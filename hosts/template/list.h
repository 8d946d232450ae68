/* SPDX-License-Identifier: GPL-2.0-or-later */
/* list: which processes the template host is told of, as text. Pure. */
#ifndef CLOSER_TEMPLATE_LIST_H
#define CLOSER_TEMPLATE_LIST_H

#include <closer/base.h>

struct cl_listed {
	int32_t pid;
	char name[CL_NAME_MAX]; /* "" if none was given; longer ones are cut */
};

/* "PID[=NAME],PID[=NAME],...": the number of entries, or -EINVAL, -E2BIG (more than max). */
int cl_list_parse_arg(const char *text, struct cl_listed *ret_list, uint32_t max,
		      struct cl_error *reterr);
/* One "PID [NAME]" a line; empty lines and lines that begin with # say nothing. The same. */
int cl_list_parse_file(const char *text, struct cl_listed *ret_list, uint32_t max,
		       struct cl_error *reterr);

#endif
