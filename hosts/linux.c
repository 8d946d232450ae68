/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * linux: compare and set of threads, interrupts and cgroups.
 *
 * Identity. A thread is opened as a directory of /proc, its start time is read through that
 * descriptor, and once more after the writes. The descriptor names the thread, not its number, so a
 * second read that succeeds shows that the thread lived all the while, and that the calls that take
 * a number (sched_setaffinity, a write to a cgroup) met no other. What remains: the thread dies
 * between the first check and such a call, and its number has gone round all of pid_max in these
 * microseconds. The second check then fails and -ESRCH says so, but a write went to a stranger.
 *
 * Two writes. A thread's group and mask cannot be set at once, and the writer may be killed in
 * between. So the mask is widened to all CPUs first; then whatever the kernel's version, a thread
 * found with the default mask of the one or the other group is one that was left half-way, and undo
 * may take it up (see half_set).
 */
#include "linux.h"

#include "lib.h"
#include "limit.h"
#include "nic.h"
#include "packets.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>

#define SHOWN 128 /* of a list of CPUs, in messages */

/* sched_getaffinity leaves CPUs out that are offline, others may have been told of them: these are
 * not compared. */
static bool same_cpus(const struct cl_cpuset *a, const struct cl_cpuset *b)
{
	struct cl_cpuset online, a_on = *a, b_on = *b;
	char text[16384];

	if (cl_cpuset_equal(a, b))
		return true;
	ssize_t len = cl_read_file(AT_FDCWD, "/sys/devices/system/cpu/online", text, sizeof(text));
	if (len < 0 || !cl_cpuset_parse(text, (size_t)len, &online))
		return false;
	cl_cpuset_and(&a_on, &online);
	cl_cpuset_and(&b_on, &online);
	return !cl_cpuset_empty(&a_on) && cl_cpuset_equal(&a_on, &b_on);
}

bool cl_linux_equal(enum cl_change_kind kind, const struct cl_setting *is,
		    const struct cl_setting *wanted)
{
	switch (kind) {
	case CL_CHANGE_THREAD:
		if (wanted->has_path && (!is->has_path || strcmp(is->path, wanted->path) != 0))
			return false;
		return same_cpus(&is->cpus, &wanted->cpus);
	case CL_CHANGE_IRQ:
		return same_cpus(&is->cpus, &wanted->cpus);
	case CL_CHANGE_GROUP:
		return is->present == wanted->present &&
		       (!is->present || same_cpus(&is->cpus, &wanted->cpus));
	case CL_CHANGE_VCPU: /* physical CPUs: which are online dom0 does not know */
		return cl_cpuset_equal(&is->cpus, &wanted->cpus);
	case CL_CHANGE_FENCE:
	case CL_CHANGE_NIC:
	case CL_CHANGE_CAP:
	case CL_CHANGE_WEIGHT:
	case CL_CHANGE_BUDGET:
	case CL_CHANGE_MEMORY:
		return is->number == wanted->number;
	case CL_CHANGE_RATE:
	case CL_CHANGE_QUOTA:
	case CL_CHANGE_IO:
	case CL_CHANGE_PACKETS: /* an absent one's number is about its controller */
		return is->present == wanted->present &&
		       (!is->present ||
			(is->number == wanted->number && is->period_ns == wanted->period_ns));
	}
	return false;
}

static int fail_stale(const char *what, const struct cl_setting *is, const struct cl_setting *from,
		      struct cl_error *reterr)
{
	char now[SHOWN], then[SHOWN];

	cl_cpuset_format(&is->cpus, now, sizeof(now));
	cl_cpuset_format(&from->cpus, then, sizeof(then));
	return cl_fail(reterr, ESTALE,
		       "%s is on CPUs %s%s%.100s, not on %s%s%.100s as expected: "
		       "somebody else has set it; left alone",
		       what, is->present ? now : "(absent)", is->has_path ? " in " : "",
		       is->has_path ? is->path : "", from->present ? then : "(absent)",
		       from->has_path ? " in " : "", from->has_path ? from->path : "");
}

/* ---- threads ---- */

static int fail_gone(int32_t tid, struct cl_error *reterr)
{
	return cl_fail(reterr, ESRCH, "thread %d is gone, or its number is another thread's now",
		       tid);
}

/* Is the thread of this descriptor alive, and started then? /task/ because /proc/TID/stat sums over
 * all threads. */
static int thread_check(int dir, const struct cl_tid *id, struct cl_error *reterr)
{
	char text[1024];
	ssize_t len = cl_read_file(dir, "stat", text, sizeof(text));
	uint64_t start;

	if (len < 0)
		return fail_gone(id->tid, reterr);
	/* The name, field 2, may contain anything: the last ')' ends it. The start is field 22. */
	const char *p = strrchr(text, ')');
	for (int i = 2; p && i < 22; i++)
		p = strchr(p + 1, ' ');
	if (!p || !cl_parse_u64(p + 1, &start, NULL))
		return cl_fail(reterr, EBADMSG, "/proc/%d/stat is not as proc(5) says", id->tid);
	return start == id->start ? 0 : fail_gone(id->tid, reterr);
}

/* The directory's descriptor, identity checked; the caller's. Or -errno. */
static int thread_open(const struct cl_tid *id, struct cl_error *reterr)
{
	char name[64];

	/* 0 would be ourselves to sched_setaffinity. */
	if (id->tid <= 0)
		return cl_fail(reterr, EINVAL, "%d is no thread", id->tid);
	snprintf(name, sizeof(name), "/proc/%d/task/%d", id->tid, id->tid);
	int dir = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT || errno == ESRCH
			       ? fail_gone(id->tid, reterr)
			       : cl_fail(reterr, errno, "opening %s: %s", name, strerror(errno));
	int r = thread_check(dir, id, reterr);
	if (r < 0) {
		close(dir);
		return r;
	}
	return dir;
}

static int get_mask(int32_t tid, struct cl_cpuset *ret_cpus, struct cl_error *reterr)
{
	cl_cpuset_zero(ret_cpus);
	if (sched_getaffinity(tid, sizeof(ret_cpus->w), (cpu_set_t *)ret_cpus->w) == 0)
		return 0;
	if (errno == ESRCH)
		return fail_gone(tid, reterr);
	return cl_fail(reterr, errno, "reading the CPUs of thread %d: %s", tid, strerror(errno));
}

static int put_mask(int32_t tid, const struct cl_cpuset *cpus, struct cl_error *reterr)
{
	char list[SHOWN];

	if (sched_setaffinity(tid, sizeof(cpus->w), (const cpu_set_t *)cpus->w) == 0)
		return 0;
	if (errno == ESRCH)
		return fail_gone(tid, reterr);
	cl_cpuset_format(cpus, list, sizeof(list));
	return cl_fail(
		reterr, errno, "setting thread %d to CPUs %s: %s", tid, list,
		errno == EINVAL
			? "none of them is online and in its cgroup, or the kernel binds the thread"
		: errno == EPERM ? "not allowed; run as root or with CAP_SYS_NICE"
				 : strerror(errno));
}

static void all_cpus(struct cl_cpuset *ret_cpus)
{
	memset(ret_cpus, 0xff, sizeof(*ret_cpus));
}

static int thread_read(const struct cl_cgroup *cgroup, const struct cl_change *change, int dir,
		       struct cl_setting *ret_setting, struct cl_error *reterr)
{
	char text[16384];

	memset(ret_setting, 0, sizeof(*ret_setting));
	ret_setting->present = true;
	if (change->from.has_path || change->to.has_path) {
		if (cgroup->version == 0)
			return cl_fail(reterr, EOPNOTSUPP, "reading the cgroup of thread %d: %s",
				       change->thread.tid, cgroup->why_not);
		if (cl_read_file(dir, "cgroup", text, sizeof(text)) < 0)
			return fail_gone(change->thread.tid, reterr);
		if (!cl_cgroup_parse(cgroup, text, ret_setting->path))
			return cl_fail(reterr, EOPNOTSUPP,
				       "thread %d is in no cgroup that can be seen from here",
				       change->thread.tid);
		ret_setting->has_path = true;
	}
	return get_mask(change->thread.tid, &ret_setting->cpus, reterr);
}

/*
 * Was a move between the two groups of this change cut short? Then the thread is in one of them,
 * with that group's default mask.
 */
static bool half_set(const struct cl_cgroup *cgroup, const struct cl_change *change,
		     const struct cl_setting *is)
{
	const struct cl_setting *from = &change->from, *to = &change->to;
	struct cl_cpuset room;

	if (!from->has_path || !to->has_path || strcmp(from->path, to->path) == 0)
		return false;
	if (strcmp(is->path, from->path) != 0 && strcmp(is->path, to->path) != 0)
		return false;
	return cl_cgroup_cpus(cgroup, is->path, &room, NULL) == 0 && same_cpus(&is->cpus, &room);
}

/* Back to what was found; adds to the error what could not be put back. */
static void thread_back(const struct cl_cgroup *cgroup, int32_t tid, const struct cl_setting *was,
			bool moved, struct cl_error *reterr)
{
	struct cl_error why;
	int r = moved ? cl_cgroup_move(cgroup, was->path, tid, false, &why) : 0;

	if (r == 0)
		r = put_mask(tid, &was->cpus, &why);
	if (r < 0 && r != -ESRCH && reterr) {
		size_t len = strlen(reterr->text);

		snprintf(reterr->text + len, sizeof(reterr->text) - len,
			 "; nor could it be put back: %.200s", why.text);
	}
}

/* Into the group; the mask is the group's default after it. */
static int thread_move(const struct cl_cgroup *cgroup, const struct cl_change *change,
		       const struct cl_setting *is, struct cl_error *reterr)
{
	int32_t tid = change->thread.tid;
	struct cl_cpuset all;
	int r;

	all_cpus(&all);
	r = put_mask(tid, &all, reterr);
	if (r < 0)
		return r;
	r = cl_cgroup_move(cgroup, change->to.path, tid, change->process == 0, reterr);
	if (r < 0)
		thread_back(cgroup, tid, is, false, reterr);
	return r;
}

/*
 * cgroup v2 gave a whole process back: of its other threads those that were born with the mask that
 * this one had. Before Linux 6.2 the move itself has set it.
 */
static void siblings_back(int32_t tid, const struct cl_cpuset *was, const struct cl_cpuset *mask)
{
	const struct dirent *entry;
	char name[32];

	snprintf(name, sizeof(name), "/proc/%d/task", tid);
	DIR *dir = opendir(name);

	while (dir && (entry = readdir(dir))) {
		struct cl_cpuset is;
		const char *end;
		uint64_t other;

		/* One that ends meanwhile needs nothing. */
		if (cl_parse_u64(entry->d_name, &other, &end) && !*end && other <= INT32_MAX &&
		    (int32_t)other != tid && get_mask((int32_t)other, &is, NULL) == 0 &&
		    cl_cpuset_equal(&is, was))
			(void)put_mask((int32_t)other, mask, NULL);
	}
	if (dir)
		closedir(dir);
}

static int thread_set(const struct cl_cgroup *cgroup, const struct cl_change *change,
		      const struct cl_setting *is, struct cl_error *reterr)
{
	const struct cl_setting *to = &change->to;
	int32_t tid = change->thread.tid;
	bool move = to->has_path && strcmp(is->path, to->path) != 0, whole = false;
	char want[SHOWN], have[SHOWN];
	struct cl_cpuset room, mask = to->cpus;
	int r;

	cl_cpuset_format(&to->cpus, want, sizeof(want));
	if (to->has_path) {
		r = cl_cgroup_cpus(cgroup, to->path, &room, reterr);
		if (r == -ENOENT) /* not ENOENT: the thread is there, and stays as it is */
			return cl_fail(
				reterr, EIDRM,
				"thread %d belongs in cgroup %.200s, which somebody has removed; "
				"it stays as it is",
				tid, to->path);
		if (r < 0)
			return r;
		whole = same_cpus(&to->cpus, &room);
		cl_cpuset_format(&room, have, sizeof(have));
		if (!whole && !cl_cpuset_subset(&to->cpus, &room))
			return cl_fail(reterr, EINVAL,
				       "thread %d cannot have CPUs %s in cgroup %.200s, which "
				       "has %s: widen "
				       "the group first",
				       tid, want, to->path, have);
	}
	if (move && (r = thread_move(cgroup, change, is, reterr)) < 0)
		return r;
	/*
	 * Given back to a group of others with its default mask, it must follow that group's CPUs
	 * in future as it did before: since Linux 6.2 the kernel remembers a mask that was asked
	 * for, and asking for all is asking for none.
	 */
	if (whole && !cl_cgroup_is_ours(to->path))
		all_cpus(&mask);
	struct cl_setting now = *to;
	r = put_mask(tid, &mask, reterr);
	if (r == 0)
		r = get_mask(tid, &now.cpus, reterr);
	/* The kernel cuts a mask down to the thread's cpuset, and says nothing. */
	if (r == 0 && !same_cpus(&now.cpus, &to->cpus)) {
		cl_cpuset_format(&now.cpus, have, sizeof(have));
		r = cl_fail(reterr, EINVAL,
			    "thread %d was set to CPUs %s and got %s: "
			    "the others are outside of its cgroup",
			    tid, want, have);
	}
	if (r < 0 && r != -ESRCH)
		thread_back(cgroup, tid, is, move, reterr);
	else if (r == 0 && move && cgroup->version == 2 && !cl_cgroup_is_ours(to->path))
		siblings_back(tid, &is->cpus, &mask);
	return r;
}

static int thread_apply(const struct cl_cgroup *cgroup, const struct cl_change *change,
			struct cl_error *reterr)
{
	cl_autoclose int dir = thread_open(&change->thread, reterr);
	struct cl_setting is;
	char what[32];
	int r = dir < 0 ? dir : thread_read(cgroup, change, dir, &is, reterr);

	if (r < 0)
		return r;
	if (!cl_linux_equal(CL_CHANGE_THREAD, &is, &change->to)) {
		/* Half-way there, or half-way back: ours to finish. Half-way in the first group of
		 * others: theirs. */
		bool finish =
			half_set(cgroup, change, &is) && (strcmp(is.path, change->to.path) == 0 ||
							  cl_cgroup_is_ours(change->from.path));

		if (!finish && !cl_linux_equal(CL_CHANGE_THREAD, &is, &change->from)) {
			snprintf(what, sizeof(what), "thread %d", change->thread.tid);
			r = thread_check(dir, &change->thread, reterr);
			return r < 0 ? r : fail_stale(what, &is, &change->from, reterr);
		}
		r = thread_set(cgroup, change, &is, reterr);
		if (r < 0)
			return r;
	}
	return thread_check(dir, &change->thread, reterr);
}

/* ---- interrupts ---- */

static int irq_read(uint32_t irq, struct cl_setting *ret_setting, struct cl_error *reterr)
{
	char name[64], text[16384];

	memset(ret_setting, 0, sizeof(*ret_setting));
	snprintf(name, sizeof(name), "/proc/irq/%u/smp_affinity_list", irq);
	ssize_t len = cl_read_file(AT_FDCWD, name, text, sizeof(text));
	if (len == -ENOENT)
		return cl_fail(reterr, ENOENT, "there is no interrupt %u", irq);
	if (len < 0)
		return cl_fail(reterr, (int)-len, "reading %s: %s", name, strerror((int)-len));
	if (!cl_cpuset_parse(text, (size_t)len, &ret_setting->cpus))
		return cl_fail(reterr, EBADMSG, "%s is not a list of CPUs", name);
	ret_setting->present = true;
	return 0;
}

static int irq_apply(const struct cl_change *change, struct cl_error *reterr)
{
	char name[64], list[16384], what[32];
	struct cl_setting is;
	int r = irq_read(change->irq, &is, reterr);

	if (r < 0)
		return r;
	if (cl_linux_equal(CL_CHANGE_IRQ, &is, &change->to))
		return 0;
	if (!cl_linux_equal(CL_CHANGE_IRQ, &is, &change->from)) {
		snprintf(what, sizeof(what), "interrupt %u", change->irq);
		return fail_stale(what, &is, &change->from, reterr);
	}
	snprintf(name, sizeof(name), "/proc/irq/%u/smp_affinity_list", change->irq);
	cl_cpuset_format(&change->to.cpus, list, sizeof(list));
	r = cl_write_file(AT_FDCWD, name, list);
	if (r < 0)
		return cl_fail(
			reterr, -r, "setting interrupt %u to CPUs %.100s: %s", change->irq, list,
			r == -EIO      ? "the kernel manages it itself, or its chip cannot move it"
			: r == -EINVAL ? "none of them is online"
				       : strerror(-r));
	r = irq_read(change->irq, &is, reterr);
	if (r == 0 && !cl_linux_equal(CL_CHANGE_IRQ, &is, &change->to))
		r = cl_fail(reterr, EIO,
			    "interrupt %u was set to CPUs %.100s, and the kernel took others",
			    change->irq, list);
	return r;
}

/* ---- groups ---- */

/*
 * As it is; *ret_cut: a group of ours without CPUs. Making one is two writes too, and nobody sets
 * no CPUs: its making was cut short.
 */
static int group_look(const struct cl_cgroup *cgroup, const char *path,
		      struct cl_setting *ret_setting, bool *ret_cut, struct cl_error *reterr)
{
	memset(ret_setting, 0, sizeof(*ret_setting));
	*ret_cut = false;
	if (cgroup->version == 0)
		return cl_fail(reterr, EOPNOTSUPP, "looking at cgroup %.200s: %s", path,
			       cgroup->why_not);
	if (!cl_cgroup_is_ours(path))
		return cl_fail(
			reterr, EINVAL,
			"cgroup %.200s is not below /closer: not ours to make, change or remove",
			path);
	int r = cl_cgroup_own_cpus(cgroup, path, &ret_setting->cpus, reterr);
	if (r < 0 && r != -ENOENT)
		return r;
	ret_setting->present = r == 0;
	*ret_cut = r == 0 && cl_cpuset_empty(&ret_setting->cpus);
	return 0;
}

static int group_apply(const struct cl_cgroup *cgroup, const struct cl_change *change,
		       struct cl_error *reterr)
{
	const struct cl_setting *from = &change->from, *to = &change->to;
	char what[CL_PATH_MAX + 16];
	struct cl_setting is;
	bool cut;
	int r = group_look(cgroup, change->path, &is, &cut, reterr);

	if (r < 0)
		return r;
	if (!cut && cl_linux_equal(CL_CHANGE_GROUP, &is, to))
		return 0;
	if (!cut && !cl_linux_equal(CL_CHANGE_GROUP, &is, from)) {
		snprintf(what, sizeof(what), "cgroup %.200s", change->path);
		return fail_stale(what, &is, from, reterr);
	}
	if (!to->present) {
		r = cl_cgroup_remove(cgroup, change->path, reterr);
		if (r == 0)
			cl_limit_forget(cgroup, change->path);
		return r == 0 && to->number ? cl_cgroup_pass_no_more(cgroup, change->path, reterr)
					    : r;
	}
	if (!is.present || cut)
		return cl_cgroup_create(cgroup, change->path, &to->cpus, reterr);
	return cl_cgroup_set_cpus(cgroup, change->path, &to->cpus, reterr);
}

/* ---- network devices ---- */

static int nic_apply(const struct cl_change *change, struct cl_error *reterr)
{
	struct cl_setting is;
	int r = cl_nic_read(change, &is, reterr);

	if (r < 0 || is.number == change->to.number)
		return r;
	if (is.number != change->from.number)
		return cl_fail(reterr, ESTALE,
			       "the NAPI of %.64s is not as expected: somebody else has set it; "
			       "left alone",
			       change->path);
	return cl_nic_write(change, reterr);
}

static int fail_kind(const struct cl_change *change, struct cl_error *reterr)
{
	return cl_fail(reterr, EOPNOTSUPP, "a change of kind %d is not one of Linux alone",
		       (int)change->kind);
}

int cl_linux_read(const struct cl_cgroup *cgroup, const struct cl_change *change,
		  struct cl_setting *ret_setting, struct cl_error *reterr)
{
	struct cl_setting is;
	bool cut = false;
	int r = -EINVAL;

	if (change->kind == CL_CHANGE_THREAD) {
		cl_autoclose int dir = thread_open(&change->thread, reterr);

		r = dir < 0 ? dir : thread_read(cgroup, change, dir, &is, reterr);
		if (r == 0)
			r = thread_check(dir, &change->thread, reterr);
		/* What was cut short counts as done by us, whichever way it went: undo has to see
		 * to it. */
		if (r == 0 && !cl_linux_equal(change->kind, &is, &change->from) &&
		    !cl_linux_equal(change->kind, &is, &change->to) &&
		    half_set(cgroup, change, &is))
			is = cl_cgroup_is_ours(change->to.path) ? change->to : change->from;
	} else if (change->kind == CL_CHANGE_IRQ) {
		r = irq_read(change->irq, &is, reterr);
	} else if (change->kind == CL_CHANGE_FENCE) {
		r = cl_linux_fence_read(cgroup, change, &is, reterr);
	} else if (change->kind == CL_CHANGE_NIC) {
		r = cl_nic_read(change, &is, reterr);
	} else if (change->kind == CL_CHANGE_PACKETS) {
		r = cl_packets_read(change, &is, reterr);
	} else if (change->kind == CL_CHANGE_QUOTA || change->kind == CL_CHANGE_IO) {
		r = cl_limit_read(cgroup, change, &is, reterr);
	} else if (change->kind != CL_CHANGE_GROUP) {
		r = fail_kind(change, reterr);
	} else {
		r = group_look(cgroup, change->path, &is, &cut, reterr);
		if (r == 0 && cut)
			is.cpus = change->to.present ? change->to.cpus : change->from.cpus;
	}
	if (r == 0)
		*ret_setting = is;
	return r;
}

int cl_linux_apply(const struct cl_cgroup *cgroup, const struct cl_change *change,
		   struct cl_error *reterr)
{
	switch (change->kind) {
	case CL_CHANGE_THREAD:
		return thread_apply(cgroup, change, reterr);
	case CL_CHANGE_IRQ:
		return irq_apply(change, reterr);
	case CL_CHANGE_GROUP:
		return group_apply(cgroup, change, reterr);
	case CL_CHANGE_NIC:
		return nic_apply(change, reterr);
	case CL_CHANGE_FENCE:
		return cl_linux_fence_apply(cgroup, change, reterr);
	case CL_CHANGE_QUOTA:
	case CL_CHANGE_IO:
		return cl_limit_apply(cgroup, change, reterr);
	case CL_CHANGE_PACKETS:
		return cl_packets_apply(change, reterr);
	case CL_CHANGE_VCPU:
	case CL_CHANGE_CAP:
	case CL_CHANGE_WEIGHT:
	case CL_CHANGE_BUDGET:
	case CL_CHANGE_RATE:
	case CL_CHANGE_MEMORY:
		break;
	}
	return fail_kind(change, reterr);
}
