/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Without libnftables. */
#include "packets.h"

#include "lib.h"

#include <errno.h>

#define WHY "this closer was built without libnftables: install libnftables-dev and build it again"

bool cl_packets_can(char *ret_why, size_t size)
{
	snprintf(ret_why, size, "%s", WHY);
	return false;
}

int cl_packets_read(const struct cl_change *change, struct cl_setting *ret_setting,
		    struct cl_error *reterr)
{
	return cl_fail(reterr, EOPNOTSUPP, "packets to %.15s: " WHY, change->path);
}

int cl_packets_apply(const struct cl_change *change, struct cl_error *reterr)
{
	return cl_packets_read(change, NULL, reterr);
}
