/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What domains' balloons leave them, as objects of a change. */
#include "xen/memory.h"
#include "xen/store.h"
#include "xen/vcpus.h"

#include "lib.h"

#include <errno.h>
#include <string.h>

#define KIB       UINT64_C(1024)
#define KIB_MOST  (UINT64_C(1) << 50)
#define ANSWER_NS (2 * CL_NS_PER_S)

static void target_path(uint32_t domid, char path[CL_PATH_MAX])
{
	snprintf(path, CL_PATH_MAX, "/local/domain/%u/memory/target", domid);
}

int cl_xen_target(struct cl_store *store, const struct cl_hyper_domain *domain,
		  uint64_t deadline_ns, uint64_t *ret_bytes, struct cl_error *reterr)
{
	char path[CL_PATH_MAX];
	uint64_t kib = 0;

	target_path(domain->domid, path);
	int r = cl_store_number(store, path, deadline_ns, KIB_MOST, &kib, reterr);

	if (r == 0)
		*ret_bytes = kib * KIB;
	else if (r == -ENOENT)
		*ret_bytes = domain->mem_bytes;
	return r == -ENOENT ? 0 : r;
}

int cl_xen_used(struct cl_store *store, const struct cl_hyper_domain *domain, uint64_t deadline_ns,
		uint64_t *ret_bytes, struct cl_error *reterr)
{
	char path[CL_PATH_MAX];
	uint64_t kib = 0;

	snprintf(path, sizeof(path), "/local/domain/%u/memory/meminfo", domain->domid);
	int r = cl_store_number(store, path, deadline_ns, KIB_MOST, &kib, reterr);

	if (r == 0)
		*ret_bytes = kib * KIB;
	if (r != -ENOENT)
		return r;
	snprintf(path, sizeof(path), "/local/domain/%u/data/meminfo_free", domain->domid);
	r = cl_store_number(store, path, deadline_ns, KIB_MOST, &kib, reterr);
	if (r == 0 && kib * KIB > domain->mem_bytes)
		return cl_fail(reterr, ERANGE, "%s: more is free than the guest has", path);
	if (r == 0)
		*ret_bytes = domain->mem_bytes - kib * KIB;
	return r;
}

/* With a connection of its own: undo has no other. */
static void no_event(void *ctx, const char *path) {}

int cl_xen_memory_read(const struct cl_change *change, const struct cl_hyper_domain *domain,
		       struct cl_setting *ret_setting, struct cl_error *reterr)
{
	struct cl_store store;
	uint64_t bytes = 0;
	int r = cl_store_open(&store, no_event, NULL, reterr);

	if (r < 0)
		return r;
	r = cl_xen_target(&store, domain, cl_clock_ns() + ANSWER_NS, &bytes, reterr);
	cl_store_close(&store);
	if (r < 0)
		return r;
	memset(ret_setting, 0, sizeof(*ret_setting));
	ret_setting->present = true;
	ret_setting->number = (int64_t)bytes;
	return 0;
}

static int write_target(struct cl_store *store, const struct cl_change *change,
			struct cl_error *reterr)
{
	char path[CL_PATH_MAX], text[32];

	target_path(change->domid, path);
	snprintf(text, sizeof(text), "%llu",
		 (unsigned long long)((uint64_t)change->to.number / KIB));
	return cl_store_write(store, path, text, cl_clock_ns() + ANSWER_NS, reterr);
}

int cl_xen_memory_apply(struct cl_hyper *hyper, const struct cl_change *change,
			struct cl_error *reterr)
{
	struct cl_hyper_domain domain;
	struct cl_store store;
	uint64_t bytes = 0;
	int r = cl_xen_find_domain(hyper, change, &domain, reterr);

	if (r < 0)
		return r;
	if (change->to.number <= 0 || change->to.number % (int64_t)KIB)
		return cl_fail(reterr, EINVAL,
			       "setting the memory of domain %u to %lld bytes: not a "
			       "whole number of KiB",
			       change->domid, (long long)change->to.number);
	r = cl_store_open(&store, no_event, NULL, reterr);
	if (r < 0)
		return r;
	r = cl_xen_target(&store, &domain, cl_clock_ns() + ANSWER_NS, &bytes, reterr);
	if (r == 0 && bytes != (uint64_t)change->to.number) {
		if (bytes == (uint64_t)change->from.number)
			r = write_target(&store, change, reterr);
		else
			r = cl_fail(reterr, ESTALE,
				    "the memory target of domain %u is %llu KiB, not %lld as "
				    "expected: somebody else has set it, so it was left alone",
				    change->domid, (unsigned long long)(bytes / KIB),
				    (long long)change->from.number / (long long)KIB);
	}
	cl_store_close(&store);
	return r;
}
