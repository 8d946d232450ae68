/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "xen/rate.h"

#include "lib.h"
#include "xen/parse.h"

#include <errno.h>
#include <string.h>

#define ASK_NS CL_NS_PER_S /* for one answer */

/* drivers/net/xen-netback/xenbus.c, xen_net_read_rate. */
bool cl_xen_parse_rate(const char *text, struct cl_setting *ret)
{
	uint64_t bytes, usec;
	const char *end;

	memset(ret, 0, sizeof(*ret));
	if (!cl_parse_u64(text, &bytes, &end) || *end != ',' ||
	    !cl_parse_u64(end + 1, &usec, &end) || *end || usec > INT64_MAX / CL_NS_PER_US ||
	    bytes > INT64_MAX)
		return false;
	ret->present = true;
	ret->number = (int64_t)bytes;
	ret->period_ns = usec * CL_NS_PER_US;
	return true;
}

static uint64_t soon(void)
{
	return cl_clock_ns() + ASK_NS;
}

/* Is the domain with this number still the one that the change means? */
static int check_domain(struct cl_store *store, const struct cl_change *change,
			struct cl_error *reterr)
{
	char path[64], text[128];
	struct cl_uuid id, own;
	int r;

	snprintf(path, sizeof(path), "/local/domain/%u/vm", change->domid);
	r = cl_store_read(store, path, soon(), text, sizeof(text), reterr);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r >= 0 && strncmp(text, "/vm/", 4) == 0 && cl_uuid_parse(text + 4, &id)) {
		cl_xen_own_id(&id, change->domid, &own);
		if (cl_uuid_compare(&id, &change->domain) == 0 ||
		    cl_uuid_compare(&own, &change->domain) == 0)
			return 0;
	}
	return cl_fail(reterr, ESRCH, "domain %u is gone, or another has its number",
		       change->domid);
}

static void path_of(const struct cl_change *change, const char *key, char *buf, size_t size)
{
	snprintf(buf, size, "/local/domain/0/backend/vif/%u/%u/%s", change->domid, change->handle,
		 key);
}

int cl_xen_rate_read(struct cl_store *store, const struct cl_change *change,
		     struct cl_setting *ret_setting, struct cl_error *reterr)
{
	char path[96], text[64];
	int r = check_domain(store, change, reterr);

	if (r < 0)
		return r;
	path_of(change, "frontend-id", path, sizeof(path));
	r = cl_store_read(store, path, soon(), text, sizeof(text), reterr);
	if (r < 0)
		return r;
	memset(ret_setting, 0, sizeof(*ret_setting));
	path_of(change, "rate", path, sizeof(path));
	r = cl_store_read(store, path, soon(), text, sizeof(text), reterr);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	/* What is none is somebody's: as it is, it is neither nothing nor ours. */
	if (!cl_xen_parse_rate(text, ret_setting)) {
		ret_setting->present = true;
		ret_setting->number = -1;
	}
	return 0;
}

static bool same(const struct cl_setting *is, const struct cl_setting *wanted)
{
	return is->present == wanted->present &&
	       (!is->present ||
		(is->number == wanted->number && is->period_ns == wanted->period_ns));
}

int cl_xen_rate_apply(struct cl_store *store, const struct cl_change *change,
		      struct cl_error *reterr)
{
	struct cl_setting is;
	char path[96], text[64];
	int r = cl_xen_rate_read(store, change, &is, reterr);

	if (r < 0 || same(&is, &change->to))
		return r;
	if (!same(&is, &change->from))
		return cl_fail(reterr, ESTALE,
			       "the transmit rate of device %u of domain %u is not as expected: "
			       "somebody else has set it; left alone",
			       change->handle, change->domid);
	path_of(change, "rate", path, sizeof(path));
	snprintf(text, sizeof(text), "%lld,%llu", (long long)change->to.number,
		 (unsigned long long)(change->to.period_ns / CL_NS_PER_US));
	r = change->to.present ? cl_store_write(store, path, text, soon(), reterr)
			       : cl_store_remove(store, path, soon(), reterr);
	if (r == 0)
		r = cl_xen_rate_read(store, change, &is, reterr);
	if (r == 0 && !same(&is, &change->to))
		r = cl_fail(reterr, EIO,
			    "the transmit rate of device %u of domain %u was set, and xenstore has "
			    "another",
			    change->handle, change->domid);
	return r;
}
