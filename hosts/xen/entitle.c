/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What domains are entitled to as objects of a change. */
#include "xen/entitle.h"
#include "xen/vcpus.h"

#include "lib.h"

#include <errno.h>
#include <string.h>

static const char *name_of(const struct cl_change *change)
{
	return change->kind == CL_CHANGE_CAP      ? "cap"
	       : change->kind == CL_CHANGE_WEIGHT ? "weight"
						  : "budget";
}

static int fail_entitlement(int r, const char *what, const struct cl_change *change,
			    struct cl_error *reterr)
{
	return cl_fail(reterr, -r, "%s the %s of domain %u: %s", what, name_of(change),
		       change->domid,
		       r == -ESRCH        ? "it is gone"
		       : r == -EOPNOTSUPP ? "the scheduler of its cpupool has none"
		       : r == -EPERM      ? "Xen does not let this domain do that"
					  : strerror(-r));
}

static int find_scheduler(struct cl_hyper *hyper, const struct cl_change *change,
			  const struct cl_hyper_domain *domain, uint32_t *ret_sched_id,
			  struct cl_error *reterr)
{
	struct cl_hyper_pool pool;

	if (cl_hyper_pool(hyper, domain->cpupool, &pool) < 0 || pool.id != domain->cpupool)
		return cl_fail(reterr, ENOENT, "the cpupool of domain %u is gone", change->domid);
	*ret_sched_id = pool.sched_id;
	return 0;
}

int cl_xen_entitlement_read(struct cl_hyper *hyper, const struct cl_change *change,
			    const struct cl_hyper_domain *domain, struct cl_setting *ret_setting,
			    struct cl_error *reterr)
{
	struct cl_hyper_entitlement is;
	uint32_t sched_id = 0;
	uint64_t number;
	int r = find_scheduler(hyper, change, domain, &sched_id, reterr);

	if (r < 0)
		return r;
	r = cl_hyper_entitlement(hyper, change->domid, sched_id, &is);
	if (r < 0)
		return fail_entitlement(r, "reading", change, reterr);
	number = change->kind == CL_CHANGE_CAP      ? is.cap_ppm
		 : change->kind == CL_CHANGE_WEIGHT ? is.weight
						    : is.budget_ns;
	if (number == CL_UNKNOWN)
		return cl_fail(reterr, ENOENT,
			       "domain %u has no %s now, or its vCPUs have several: left alone",
			       change->domid, name_of(change));
	memset(ret_setting, 0, sizeof(*ret_setting));
	ret_setting->present = true;
	ret_setting->number = (int64_t)number;
	return 0;
}

static int set(struct cl_hyper *hyper, const struct cl_change *change,
	       const struct cl_hyper_domain *domain, struct cl_error *reterr)
{
	struct cl_hyper_entitlement to = { CL_UNKNOWN, CL_UNKNOWN, CL_UNKNOWN, CL_UNKNOWN };
	uint64_t number = (uint64_t)change->to.number;
	uint32_t sched_id = 0;
	int r = find_scheduler(hyper, change, domain, &sched_id, reterr);

	if (r < 0)
		return r;
	if (change->kind == CL_CHANGE_CAP)
		to.cap_ppm = number;
	else if (change->kind == CL_CHANGE_WEIGHT)
		to.weight = number;
	else
		to.budget_ns = number;
	r = cl_hyper_entitle(hyper, change->domid, sched_id, &to);
	return r < 0 ? fail_entitlement(r, "setting", change, reterr) : 0;
}

int cl_xen_entitlement_apply(struct cl_hyper *hyper, const struct cl_change *change,
			     struct cl_error *reterr)
{
	struct cl_hyper_domain domain;
	struct cl_setting is;
	int r = cl_xen_find_domain(hyper, change, &domain, reterr);

	if (r == 0)
		r = cl_xen_entitlement_read(hyper, change, &domain, &is, reterr);
	if (r < 0 || is.number == change->to.number)
		return r;
	if (is.number != change->from.number)
		return cl_fail(reterr, ESTALE,
			       "the %s of domain %u is %lld, not %lld as expected: somebody else "
			       "has set it, so it was left alone",
			       name_of(change), change->domid, (long long)is.number,
			       (long long)change->from.number);
	r = set(hyper, change, &domain, reterr);
	if (r == 0)
		r = cl_xen_entitlement_read(hyper, change, &domain, &is, reterr);
	if (r < 0 || is.number == change->to.number)
		return r;
	return cl_fail(reterr, EIO, "the %s of domain %u was set to %lld, and Xen took %lld",
		       name_of(change), change->domid, (long long)change->to.number,
		       (long long)is.number);
}
