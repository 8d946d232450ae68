/* SPDX-License-Identifier: GPL-2.0-or-later */
/* limit: cpu.max, io.max and cpu.cfs_quota_us, compared and set. Formats:
 * Documentation/admin-guide/cgroup-v2.rst; Documentation/scheduler/sched-bwc.rst. */
#include "limit.h"

#include "cgroup_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

const char *cl_limit_controller(enum cl_change_kind kind)
{
	return kind == CL_CHANGE_QUOTA ? "cpu" : kind == CL_CHANGE_IO ? "io" : NULL;
}

bool cl_limit_can(const struct cl_cgroup *cgroup, enum cl_change_kind kind, const char **ret_why)
{
	bool can = cl_cgroup_has_controller(cgroup, cl_limit_controller(kind));

	*ret_why = "";
	if (cgroup->why_not[0])
		*ret_why = cgroup->why_not;
	else if (cgroup->version == 1 && kind == CL_CHANGE_IO)
		*ret_why = "cgroup v1 has no io.max: boot with cgroup v2 "
			   "(systemd.unified_cgroup_hierarchy=1)";
	else if (!can)
		*ret_why = kind == CL_CHANGE_IO ? "the kernel has no io controller in its cgroups"
						: "the kernel has no cpu controller in its cgroups";
	return !**ret_why;
}

/* ---- text ---- */

static void absent(struct cl_setting *ret)
{
	memset(ret, 0, sizeof(*ret));
}

static void present(struct cl_setting *ret, uint64_t number, uint64_t period_ns)
{
	absent(ret);
	ret->present = true;
	ret->number = number <= INT64_MAX ? (int64_t)number : -1;
	ret->period_ns = period_ns;
}

bool cl_limit_parse_cpu(const char *text, struct cl_setting *ret)
{
	uint64_t quota = 0, period;
	const char *end = text + 3;
	bool none = strncmp(text, "max", 3) == 0;

	if (!none && !cl_parse_u64(text, &quota, &end))
		return false;
	if (*end != ' ' || !cl_parse_u64(end + 1, &period, &end) || (*end && *end != '\n') ||
	    quota > INT64_MAX / CL_NS_PER_US || period > INT64_MAX / CL_NS_PER_US)
		return false;
	if (none)
		absent(ret);
	else
		present(ret, quota * CL_NS_PER_US, period * CL_NS_PER_US);
	return true;
}

/* "rbps=": a number, or CL_UNKNOWN for max. False: not there, or nothing of these. */
static bool io_value(const char *line, size_t len, const char *key, uint64_t *ret)
{
	size_t key_len = strlen(key);

	for (size_t at = 0; at + key_len <= len; at++) {
		const char *end;

		if (memcmp(line + at, key, key_len) != 0 || (at > 0 && line[at - 1] != ' '))
			continue;
		*ret = CL_UNKNOWN;
		return strncmp(line + at + key_len, "max", 3) == 0 ||
		       cl_parse_u64(line + at + key_len, ret, &end);
	}
	return false;
}

bool cl_limit_parse_io(const char *text, uint64_t device, struct cl_setting *ret)
{
	while (*text) {
		size_t len = strcspn(text, "\n");
		uint64_t high, low, rd, wr;
		const char *end;

		if (!cl_parse_u64(text, &high, &end) || *end != ':' ||
		    !cl_parse_u64(end + 1, &low, &end) || *end != ' ')
			return false;
		if (high <= UINT32_MAX && low <= UINT32_MAX && (high << 32 | low) == device) {
			if (!io_value(text, len, "rbps=", &rd) ||
			    !io_value(text, len, "wbps=", &wr))
				return false;
			if (rd == CL_UNKNOWN && wr == CL_UNKNOWN)
				absent(ret);
			else /* one way alone, or each otherwise: nobody's of ours */
				present(ret, rd == wr ? rd : CL_UNKNOWN, CL_NS_PER_S);
			return true;
		}
		text += len + (text[len] == '\n');
	}
	absent(ret);
	return true;
}

/* ---- cgroup v2 ---- */

static int fail_set(int r, const char *what, const char *path, struct cl_error *reterr)
{
	return cl_fail(reterr, -r, "setting %s of cgroup %.300s: %s", what, path,
		       r == -ENOENT   ? "there is no such group, or it has no such controller"
		       : r == -ENODEV ? "there is no such device"
		       : r == -EINVAL ? "the kernel does not take it, or a group above has less"
				      : strerror(-r));
}

static int v2_read(const struct cl_cgroup *cgroup, const struct cl_change *change,
		   struct cl_setting *ret, struct cl_error *reterr)
{
	bool io = change->kind == CL_CHANGE_IO;
	const char *name = io ? "io.max" : "cpu.max";
	char text[16384];
	ssize_t len;

	if (!cl_cgroup_there(cgroup, change->path))
		return cl_fail(reterr, ENOENT, "there is no cgroup %.300s", change->path);
	len = cl_cgroup_read_file(cgroup, change->path, name, text, sizeof(text));
	if (len == -ENOENT) { /* no controller: no limit */
		absent(ret);
		return 0;
	}
	if (len < 0)
		return cl_fail(reterr, (int)-len, "reading %s of cgroup %.300s: %s", name,
			       change->path, strerror((int)-len));
	if (!(io ? cl_limit_parse_io(text, change->device, ret) : cl_limit_parse_cpu(text, ret)))
		return cl_fail(reterr, EBADMSG,
			       "%s of cgroup %.300s is not as the kernel writes it", name,
			       change->path);
	return 0;
}

static int v2_write(const struct cl_cgroup *cgroup, const struct cl_change *change,
		    struct cl_error *reterr)
{
	const char *controller = cl_limit_controller(change->kind);
	const struct cl_setting *to = &change->to;
	char text[128], number[32];
	bool io = change->kind == CL_CHANGE_IO;
	int r = to->present ? cl_cgroup_pass(cgroup, change->path, controller, reterr) : 0;

	if (r < 0)
		return r;
	snprintf(number, sizeof(number), "%lld",
		 (long long)(io ? to->number : to->number / (int64_t)CL_NS_PER_US));
	if (!to->present)
		snprintf(number, sizeof(number), "max");
	if (io)
		snprintf(text, sizeof(text), "%u:%u rbps=%s wbps=%s\n",
			 (unsigned)(change->device >> 32), (unsigned)(change->device & UINT32_MAX),
			 number, number);
	else
		snprintf(text, sizeof(text), "%s %llu\n", number,
			 to->present ? (unsigned long long)(to->period_ns / CL_NS_PER_US) : 100000);
	r = cl_cgroup_write_file(cgroup, change->path, io ? "io.max" : "cpu.max", text);
	if (r == -ENOENT && !to->present)
		r = 0;
	if (r < 0)
		return fail_set(r, io ? "io.max" : "cpu.max", change->path, reterr);
	if (to->present || !to->number)
		return 0;
	/* It was not passed down before: from the container's parent upwards. */
	r = cl_cgroup_pass_less(cgroup, change->path, controller, reterr);
	return r == 0 ? cl_cgroup_pass_less(cgroup, "/closer", controller, reterr) : r;
}

/* ---- cgroup v1 ---- */

/* The hierarchy of the cpu controller; the same as the cpusets' where they are mounted together. */
static struct cl_cgroup cpu_hierarchy(const struct cl_cgroup *cgroup)
{
	struct cl_cgroup cpu = { .version = 1 };

	snprintf(cpu.mount, sizeof(cpu.mount), "%s", cgroup->cpu_mount);
	return cpu;
}

static bool is_apart(const struct cl_cgroup *cgroup)
{
	return strcmp(cgroup->mount, cgroup->cpu_mount) != 0;
}

static int read_number(const struct cl_cgroup *cpu, const char *path, const char *name,
		       int64_t *ret, struct cl_error *reterr)
{
	char text[64];
	ssize_t len = cl_cgroup_read_file(cpu, path, name, text, sizeof(text));
	uint64_t number;

	if (len < 0)
		return cl_fail(reterr, (int)-len, "reading %s of cgroup %.300s: %s", name, path,
			       strerror((int)-len));
	*ret = -1;
	if (text[0] == '-')
		return 0;
	if (!cl_parse_u64(text, &number, NULL) || number > INT64_MAX / CL_NS_PER_US)
		return cl_fail(reterr, EBADMSG, "%s of cgroup %.300s is no number", name, path);
	*ret = (int64_t)(number * CL_NS_PER_US);
	return 0;
}

/* A twin without a limit was left half-way: there is none, and writing that again takes it away. */
static int v1_read(const struct cl_cgroup *cgroup, const struct cl_change *change,
		   struct cl_setting *ret, struct cl_error *reterr)
{
	const struct cl_cgroup cpu = cpu_hierarchy(cgroup);
	int64_t quota, period;
	int r;

	absent(ret);
	if (!cl_cgroup_there(cgroup, change->path) && !cl_cgroup_there(&cpu, change->path))
		return cl_fail(reterr, ENOENT, "there is no cgroup %.300s", change->path);
	if (!cl_cgroup_there(&cpu, change->path))
		return 0;
	r = read_number(&cpu, change->path, "cpu.cfs_quota_us", &quota, reterr);
	if (r == 0)
		r = read_number(&cpu, change->path, "cpu.cfs_period_us", &period, reterr);
	if (r < 0)
		return r;
	if (quota >= 0)
		present(ret, (uint64_t)quota, (uint64_t)period);
	return 0;
}

struct moving {
	const struct cl_cgroup *cgroup;
	struct cl_cgroup cpu;
	const char *to;
	const char *from; /* only who is there */
};

/* A thread that the kernel keeps where it is, or that has ended, is not moved. */
static int move_one(void *ctx, int32_t tid)
{
	const struct moving *m = ctx;
	char now[CL_PATH_MAX], text[16];

	if (cl_cgroup_of_controller(tid, "cpu", now) < 0 || strcmp(now, m->from) != 0)
		return 0;
	snprintf(text, sizeof(text), "%d", tid);
	(void)cl_cgroup_write_file(&m->cpu, m->to, "tasks", text);
	return 0;
}

static int move_group(void *ctx, const char *path)
{
	struct moving *m = ctx;
	size_t len = strlen(m->to);

	if (strncmp(path, m->to, len) == 0 && (!path[len] || path[len] == '/'))
		(void)cl_cgroup_each(m->cgroup, path, move_one, m, NULL);
	return 0;
}

static int make_twin(const struct cl_cgroup *cgroup, const char *path, struct cl_error *reterr)
{
	struct moving all = { cgroup, cpu_hierarchy(cgroup), path, "/" };
	char full[CL_CGROUP_FILE_MAX];

	snprintf(full, sizeof(full), "%s/closer", cgroup->cpu_mount);
	if (mkdir(full, 0755) < 0 && errno != EEXIST)
		return cl_fail(reterr, errno, "making %.300s: %s", full, strerror(errno));
	snprintf(full, sizeof(full), "%s%s", cgroup->cpu_mount, path);
	if (mkdir(full, 0755) < 0 && errno != EEXIST)
		return cl_fail(reterr, errno, "making %.300s: %s", full, strerror(errno));
	return cl_cgroup_each_ours(cgroup, move_group, &all, reterr);
}

/* Who is in it goes to the top, where he came from. */
static int remove_twin(const struct cl_cgroup *cgroup, const char *path, struct cl_error *reterr)
{
	struct moving back = { cgroup, cpu_hierarchy(cgroup), "/", path };
	char full[CL_CGROUP_FILE_MAX];

	if (!cl_cgroup_there(&back.cpu, path))
		return 0;
	(void)cl_cgroup_each(&back.cpu, path, move_one, &back, NULL);
	snprintf(full, sizeof(full), "%s%s", cgroup->cpu_mount, path);
	if (rmdir(full) < 0 && errno != ENOENT)
		return cl_fail(reterr, errno, "removing %.300s: %s", full, strerror(errno));
	snprintf(full, sizeof(full), "%s/closer", cgroup->cpu_mount);
	(void)rmdir(full); /* the last one's */
	return 0;
}

void cl_limit_forget(const struct cl_cgroup *cgroup, const char *path)
{
	if (cgroup->version == 1 && cgroup->cpu_mount[0] && is_apart(cgroup) &&
	    strncmp(path, "/closer/", 8) == 0)
		(void)remove_twin(cgroup, path, NULL);
}

static int v1_write(const struct cl_cgroup *cgroup, const struct cl_change *change,
		    struct cl_error *reterr)
{
	const struct cl_cgroup cpu = cpu_hierarchy(cgroup);
	const struct cl_setting *to = &change->to;
	char text[32];
	int r;

	if (!to->present) {
		r = cl_cgroup_write_file(&cpu, change->path, "cpu.cfs_quota_us", "-1");
		if (r < 0 && r != -ENOENT)
			return fail_set(r, "cpu.cfs_quota_us", change->path, reterr);
		return is_apart(cgroup) ? remove_twin(cgroup, change->path, reterr) : 0;
	}
	r = is_apart(cgroup) ? make_twin(cgroup, change->path, reterr) : 0;
	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)(to->period_ns / CL_NS_PER_US));
	r = cl_cgroup_write_file(&cpu, change->path, "cpu.cfs_period_us", text);
	snprintf(text, sizeof(text), "%lld", (long long)(to->number / (int64_t)CL_NS_PER_US));
	if (r == 0)
		r = cl_cgroup_write_file(&cpu, change->path, "cpu.cfs_quota_us", text);
	return r < 0 ? fail_set(r, "cpu.cfs_quota_us", change->path, reterr) : 0;
}

/* ---- either ---- */

static int look(const struct cl_cgroup *cgroup, const struct cl_change *change,
		struct cl_setting *ret, struct cl_error *reterr)
{
	const char *why;

	if (!cl_limit_can(cgroup, change->kind, &why))
		return cl_fail(reterr, EOPNOTSUPP, "limiting cgroup %.300s: %s", change->path, why);
	if (!cl_cgroup_is_ours(change->path))
		return cl_fail(reterr, EINVAL,
			       "cgroup %.300s is not below /closer: not ours to limit",
			       change->path);
	return cgroup->version == 1 ? v1_read(cgroup, change, ret, reterr)
				    : v2_read(cgroup, change, ret, reterr);
}

/* What is written is kept in whole microseconds. */
static bool same(const struct cl_setting *is, const struct cl_setting *wanted)
{
	const int64_t us = (int64_t)CL_NS_PER_US;

	if (is->present != wanted->present || !is->present)
		return is->present == wanted->present;
	return is->period_ns == wanted->period_ns &&
	       (is->number == wanted->number || is->number == wanted->number / us * us);
}

int cl_limit_read(const struct cl_cgroup *cgroup, const struct cl_change *change,
		  struct cl_setting *ret_setting, struct cl_error *reterr)
{
	struct cl_setting is;
	int r = look(cgroup, change, &is, reterr);

	if (r < 0)
		return r;
	if (change->kind == CL_CHANGE_QUOTA && same(&is, &change->to))
		is = change->to;
	else if (change->kind == CL_CHANGE_QUOTA && same(&is, &change->from))
		is = change->from;
	*ret_setting = is;
	return 0;
}

int cl_limit_apply(const struct cl_cgroup *cgroup, const struct cl_change *change,
		   struct cl_error *reterr)
{
	struct cl_setting is;
	int r = look(cgroup, change, &is, reterr);

	if (r == -ENOENT)
		cl_limit_forget(cgroup, change->path);
	if (r < 0)
		return r;
	/* Absent is written again: controllers and twins that were left half-way go with it. */
	if (same(&is, &change->to) && is.present)
		return 0;
	if (!same(&is, &change->from) && !same(&is, &change->to))
		return cl_fail(reterr, ESTALE,
			       "the limit of cgroup %.300s is not as expected: somebody else has "
			       "set it; left alone",
			       change->path);
	r = cgroup->version == 1 ? v1_write(cgroup, change, reterr)
				 : v2_write(cgroup, change, reterr);
	if (r == 0)
		r = look(cgroup, change, &is, reterr);
	if (r == -ENOENT && !change->to.present) /* nothing of it is left */
		return 0;
	if (r == 0 && !same(&is, &change->to))
		r = cl_fail(reterr, EIO,
			    "cgroup %.300s was given a limit, and the kernel took another",
			    change->path);
	return r;
}
