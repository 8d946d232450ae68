/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tenants: which guest is whose, from a file of the operator's: a line a guest, "UUID TENANT";
 * empty lines and those that begin with # are nothing. By uuid, since a guest's owner chooses its
 * name.
 */
#ifndef CLOSER_TENANTS_H
#define CLOSER_TENANTS_H

#include "lib.h"

#define CL_TENANTS_BYTES (4u << 20)

struct cl_tenant {
	struct cl_uuid guest;
	char name[4 * CL_NAME_MAX]; /* escaped */
};

struct cl_tenants {
	struct cl_tenant *list; /* by uuid; owned */
	uint32_t n;
};

int cl_tenants_read(const char *path, struct cl_tenants *ret_tenants, struct cl_error *reterr);
/* text: NUL-terminated, is changed. -EBADMSG says which line. */
int cl_tenants_parse(char *text, struct cl_tenants *ret_tenants, struct cl_error *reterr);
/* NULL: nobody's. */
const char *cl_tenants_find(const struct cl_tenants *tenants, const struct cl_uuid *guest);
void cl_tenants_done(struct cl_tenants *tenants);

#endif
