/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * params: what an operator may set. One table; the config parser, --help, the man page, range
 * checks and recordings come from it.
 */
#ifndef CLOSER_PARAMS_H
#define CLOSER_PARAMS_H

#include <closer/base.h>

/*
 * X(member, unit, default, least, most, what it does). Units: NS, PPM, BYTES, COUNT, BOOL, CHARGE.
 * In text a NS takes the suffixes ns us ms s m h (a bare number is seconds), a PPM takes % (a bare
 * number is a share from 0 to 1), a BYTES KiB MiB GiB TiB.
 */
/* clang-format off */
#define CL_PARAMS(X) \
	X(interval, NS, 1000000000, 100000000, 60000000000, "time between two ticks") \
	X(interval_min, NS, 100000000, 10000000, 60000000000, "least time between ticks that an event brings forward") \
	X(stale, NS, 3000000000, 100000000, 600000000000, "what was read longer ago than this is not acted on") \
	X(containers, BOOL, 1, 0, 1, "move work into cgroups closer/<uuid> where the host can") \
	X(irqs, BOOL, 1, 0, 1, "place guests' interrupts") \
	X(pin, BOOL, 1, 0, 1, "pin the privileged domain's vCPUs one to one to physical CPUs") \
	X(fence, BOOL, 1, 0, 1, "keep all other tasks off the secondary CPUs where the host can") \
	X(main_exclusive, BOOL, 0, 0, 1, "keep guests' vCPUs off the main container's CPUs") \
	X(napi_threads, BOOL, 0, 0, 1, "run what guests send in kernel threads, not in softirqs") \
	X(place_floor, PPM, 1000, 0, 1000000, "work that uses less of a CPU is placed once and then left where it is") \
	X(follow_cpu, PPM, 900000, 0, 1000000, "residency of a vCPU from which its work follows it to one CPU") \
	X(follow_set, PPM, 500000, 0, 1000000, "residency from which its work follows the guest's CPUs; below: its home") \
	X(residency_weight, PPM, 125000, 1000, 1000000, "weight of the newest sample in residency and load") \
	X(hysteresis, PPM, 100000, 0, 1000000, "by how much residency must pass a threshold to change how tightly work follows") \
	X(hold, NS, 5000000000, 0, 3600000000000, "least time between two moves of the same work") \
	X(moves, COUNT, 64, 1, 65536, "most moves in one plan; first placements do not count") \
	X(crowded, PPM, 100000, 0, 1000000, "share of time that work may wait for its CPU before it is given more CPUs") \
	X(backoff, NS, 5000000000, 100000000, 3600000000000, "wait after a refused action; doubles up to 64 times") \
	X(charge, CHARGE, 0, 0, 2, "take what the host spends for a guest out of its cap, weight or budget: off, closer (as measured) or sedf-dc (divided by packets)") \
	X(charge_periods, COUNT, 4, 1, 1000, "intervals over which a debt is taken back") \
	X(charge_floor, PPM, 100000, 10000, 1000000, "least share of what it paid for that is left to a guest in debt") \
	X(charge_keep, NS, 60000000000, 0, 86400000000000, "how long a guest may be gone, as in a reboot, before its debt is written off, or its memory's setting forgotten") \
	X(charge_send, COUNT, 1, 0, 1000000, "sedf-dc: weight of a packet that the guest sends") \
	X(charge_receive, COUNT, 1, 0, 1000000, "sedf-dc: weight of a packet that the guest receives") \
	X(weigh_send, NS, 0, 0, 1000000000, "host CPU for a packet that a guest sends, for what is only counted; `closer calibrate` finds it; 0: not known") \
	X(weigh_receive, NS, 0, 0, 1000000000, "likewise for a packet that a guest receives") \
	X(weigh_request, NS, 0, 0, 1000000000, "likewise for a request to a guest's disks") \
	X(guard_over, COUNT, 3, 1, 64, "intervals over its limit, of the last guard_window, after which a guest is held back") \
	X(guard_window, COUNT, 5, 1, 64, "how many intervals are looked back at") \
	X(guard_release, NS, 10000000000, 1000000000, 3600000000000, "how long a guest that is held back must ask for less before it is let go") \
	X(size, BOOL, 0, 0, 1, "move memory between guests and the privileged side as guests' I/O needs it (Algorithm 1)") \
	X(size_eps, BYTES, 16777216, 0, 1099511627776, "a guest's first contribution, for each of its nodes") \
	X(size_eps_share, PPM, 0, 0, 1000000, "the same as a share of its memory; both are added") \
	X(size_increment, BYTES, 16777216, 65536, 1099511627776, "memory that is claimed from a guest for each level of I/O") \
	X(size_level, BYTES, 33554432, 4096, 1099511627776, "I/O of a level: bytes a second over all of a guest's devices") \
	X(size_levels, COUNT, 8, 0, 1000, "most levels for which memory is claimed") \
	X(size_hysteresis, PPM, 250000, 0, 1000000, "by how much of a level I/O must fall below it before memory is given back") \
	X(size_hold, NS, 5000000000, 0, 3600000000000, "how long it must stay there") \
	X(size_floor, PPM, 500000, 0, 1000000, "least share of its memory that is left to a guest") \
	X(size_reserve, BYTES, 16777216, 0, 1099511627776, "memory that is left free: the hypervisor's, and in the privileged side") \
	X(size_patience, NS, 5000000000, 100000000, 3600000000000, "a balloon that has not moved for this long has stopped") \
	X(overcommit, BOOL, 0, 0, 1, "where memory is short, take what guests do not use, and give it to who needs it") \
	X(overcommit_free, PPM, 60000, 1000, 500000, "share of the host's memory that is to be free; taken is below 2/3 of it, all at once below 1/3, what was lent below 1/6") \
	X(overcommit_tax, PPM, 750000, 0, 990000, "tax on idle memory, tau: a page that is not used costs its guest 1 / (1 - tau) times as much") \
	X(overcommit_headroom, PPM, 250000, 0, 10000000, "what is left to a guest beyond what it uses, as a share of that") \
	X(overcommit_step, PPM, 62500, 1000, 1000000, "most that is taken from a guest in an interval, as a share of its memory, unless memory is very short") \
	X(overcommit_loss, PPM, 20000, 0, 1000000, "how much less a guest may get done for that to count as no less") \
	X(overcommit_samples, COUNT, 5, 2, 32, "intervals that a guest must have been seen with so much memory before anything is concluded") \
	X(overcommit_settle, NS, 5000000000, 0, 3600000000000, "how long after a step what a guest gets done is not looked at")
/* clang-format on */

/*
 * A limit on the host CPU of a guest, as `limit` sets it: WHO=SHARE. WHO is a uuid, a name, the
 * beginning of names and an asterisk (those of a tenant), or an asterisk alone (all others); the
 * first of these that is there counts, of beginnings the longest. It holds for each such guest, not
 * for all of them together. Names are the guests' owners': who must not be able to choose his limit
 * is named by uuid. SHARE is one of the privileged side (all CPUs that work may be given), or with
 * "/cpu" behind it of one CPU; "none" takes a guest out of a wider limit.
 */
#define CL_GUARDS_MAX 128u /* limits in one set of parameters */
struct cl_guard {
	char who[CL_NAME_MAX];
	uint64_t share;  /* ppm, or CL_UNKNOWN: none */
	uint64_t of_cpu; /* 1: of one CPU, 0: of the privileged side */
};

enum cl_unit {
	CL_UNIT_NS,
	CL_UNIT_PPM,
	CL_UNIT_BYTES,
	CL_UNIT_COUNT,
	CL_UNIT_BOOL,
	CL_UNIT_CHARGE,
};

/* By whose rule guests are charged for what the host spends for them: core/charge.c. */
/* clang-format off */
#define CL_CHARGES(X) X(OFF, "off") X(CLOSER, "closer") X(SEDF_DC, "sedf-dc")
/* clang-format on */

enum cl_charge {
#define X(id, name) CL_CHARGE_##id,
	CL_CHARGES(X)
#undef X
};

struct cl_params {
	/*
	 * The main container's CPUs. Empty: core picks (cl_params_main): the first online CPU and
	 * its SMT siblings on hosts with at least two cores, else none.
	 */
	struct cl_cpuset main_cpus;
#define X(member, unit, def, least, most, doc) uint64_t member;
	CL_PARAMS(X)
#undef X
	struct cl_guard guards[CL_GUARDS_MAX]; /* sorted by who, each once; the rest is zero */
	uint64_t guard_count;
};

struct cl_param_info {
	const char *name; /* "place_floor"; "place-floor" is taken too */
	enum cl_unit unit;
	uint64_t def, least, most;
	const char *doc;
	size_t offset; /* of the uint64_t in struct cl_params */
};

/* core/params.c */
extern const struct cl_param_info cl_param_infos[];
extern const size_t cl_param_count;
void cl_params_default(struct cl_params *ret_params);
/* Is each member inside its range, interval_min <= interval, follow_set <= follow_cpu, guard_over
 * <= guard_window, and each limit sound? If not, *ret_name says which. */
bool cl_params_check(const struct cl_params *params, const char **ret_name);
/*
 * Sets one parameter from text; "main-cpus" takes a CPU list or "auto", "limit" takes WHO=SHARE and
 * adds to the limits there are. 0, -ENOENT (no such name), -EINVAL (not a value), -ERANGE (outside
 * its range), -ENOSPC (more than CL_GUARDS_MAX limits). Nothing is changed on failure.
 */
int cl_param_set(struct cl_params *params, const char *name, const char *value);
/* The text that cl_param_set takes back (of "limit": all of them, with commas between). Writes at
 * most size bytes with NUL. False: no such name.
 */
bool cl_param_get(const struct cl_params *params, const char *name, char *buf, size_t size);
/* core/limits.c: the same for "limit" alone, and for one limit. */
int cl_limit_set(struct cl_params *params, const char *text);
void cl_limit_format(const struct cl_guard *guard, char *buf, size_t size); /* cut to size */
void cl_limits_format(const struct cl_params *params, char *buf, size_t size);
bool cl_limits_check(const struct cl_params *params);
/* What holds for this guest; NULL: nothing. */
const struct cl_guard *cl_limit_of(const struct cl_params *params, const struct cl_uuid *id,
				   const char *name);
/* core/params.c: a PPM as text. 0, -EINVAL, -ERANGE. */
int cl_share_parse(const char *text, uint64_t *ret_ppm);
void cl_share_format(uint64_t ppm, char *buf, size_t size);
/* The known name nearest to a misspelt one (edit distance), or NULL if none is near. */
const char *cl_param_nearest(const char *name);

#endif
