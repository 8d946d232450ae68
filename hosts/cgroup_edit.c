/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cgroup_edit: making, setting, removing and listing groups, and moving threads between them.
 *
 * Formats and errors: cpuset(7); Documentation/admin-guide/cgroup-v1/cpusets.rst, cgroup-v2.rst.
 */
#include "cgroup_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH_MAX   4          /* closer/<uuid>/node<N>, and one to spare */
#define THREADS_MAX (4u << 20) /* in one group: pid_max cannot be more */

int cl_cgroup_write_file(const struct cl_cgroup *cgroup, const char *path, const char *name,
			 const char *text)
{
	cl_autoclose int fd = cl_cgroup_open_file(cgroup, path, name, O_WRONLY);
	size_t len = strlen(text);

	if (fd < 0)
		return fd;
	/* An empty text is one newline: a write of nothing does not reach the kernel's handler. */
	ssize_t n = write(fd, len ? text : "\n", len ? len : 1);
	return n < 0 ? -errno : (size_t)n == (len ? len : 1) ? 0 : -EIO;
}

ssize_t cl_cgroup_read_file(const struct cl_cgroup *cgroup, const char *path, const char *name,
			    char *buf, size_t size)
{
	cl_autoclose int fd = cl_cgroup_open_file(cgroup, path, name, O_RDONLY);

	return fd < 0 ? fd : cl_read_fd(fd, buf, size);
}

/* What a refusal to set CPUs means: cpuset(7), ERRORS. */
static int fail_cpus(const char *path, const char *list, int code, struct cl_error *reterr)
{
	const char *hint = strerror(code);

	if (code == EACCES || code == EINVAL)
		hint = "they are not all among its parent's online CPUs; "
		       "create or widen the parent first";
	else if (code == EBUSY)
		hint = "a group or a thread in it uses others; narrow the groups below it first";
	else if (code == ENOSPC)
		hint = "it would have no CPU left while threads are in it";
	return cl_fail(reterr, code, "setting CPUs %.100s on cgroup %.200s: %s", list, path, hint);
}

int cl_cgroup_set_cpus(const struct cl_cgroup *cgroup, const char *path,
		       const struct cl_cpuset *cpus, struct cl_error *reterr)
{
	struct cl_cpuset now;
	char list[CL_CGROUP_LIST_MAX];
	int r = cl_cgroup_path_check(path, reterr);

	if (r < 0)
		return r;
	cl_cpuset_format(cpus, list, sizeof(list));
	r = cl_cgroup_write_file(cgroup, path, "cpuset.cpus", list);
	if (r == -ENOENT)
		return cl_fail(
			reterr, ENOENT,
			"setting CPUs of cgroup %.300s: there is no such group, or it has no "
			"cpuset controller",
			path);
	if (r < 0)
		return fail_cpus(path, list, -r, reterr);
	r = cl_cgroup_own_cpus(cgroup, path, &now, reterr);
	if (r == 0 && !cl_cpuset_equal(&now, cpus))
		r = cl_fail(reterr, EIO,
			    "cgroup %.300s was given CPUs %.100s, and the kernel took others", path,
			    list);
	return r;
}

#define PARTITION "cpuset.cpus.partition"

int cl_cgroup_partition(const struct cl_cgroup *cgroup, const char *path, char *buf, size_t size,
			struct cl_error *reterr)
{
	int r = cl_cgroup_path_check(path, reterr);

	if (r < 0)
		return r;
	ssize_t len = cl_cgroup_read_file(cgroup, path, PARTITION, buf, size);

	if (len < 0)
		return cl_fail(reterr, (int)-len, "reading " PARTITION " of cgroup %.300s: %s",
			       path, strerror((int)-len));
	buf[strcspn(buf, "\n")] = '\0';
	return 0;
}

int cl_cgroup_open_partition(const struct cl_cgroup *cgroup, const char *path)
{
	return cl_cgroup_path_check(path, NULL) < 0
		       ? -EINVAL
		       : cl_cgroup_open_file(cgroup, path, PARTITION, O_RDONLY);
}

int cl_cgroup_set_partition(const struct cl_cgroup *cgroup, const char *path, bool root,
			    struct cl_error *reterr)
{
	const char *wanted = root ? "root" : "member";
	char now[256], shown[256];
	int r = cl_cgroup_path_check(path, reterr);

	if (r < 0)
		return r;
	r = cl_cgroup_write_file(cgroup, path, PARTITION, wanted);
	if (r < 0)
		return cl_fail(reterr, -r, "writing %s into " PARTITION " of cgroup %.300s: %s",
			       wanted, path, strerror(-r));
	r = cl_cgroup_partition(cgroup, path, now, sizeof(now), reterr);
	if (r < 0 || strcmp(now, wanted) == 0)
		return r;
	if (root)
		(void)cl_cgroup_write_file(cgroup, path, PARTITION, "member");
	return cl_fail(reterr, EIO,
		       "cgroup %.200s cannot be a partition of its own: the kernel says '%.200s'; "
		       "other cgroups may have its CPUs for themselves (cpuset.cpus)",
		       path, cl_escape(now, shown, sizeof(shown)));
}

/* v1: a new cpuset has no memory nodes, and refuses threads until it does. Its parent's are given
 * to it. */
static int give_mems(const struct cl_cgroup *cgroup, const char *path, struct cl_error *reterr)
{
	char mems[CL_CGROUP_LIST_MAX], parent[CL_PATH_MAX];
	ssize_t len = cl_cgroup_read_file(cgroup, path, "cpuset.mems", mems, sizeof(mems));

	if (len > 1)
		return 0;
	snprintf(parent, sizeof(parent), "%s", path);
	if (!cl_cgroup_to_parent(parent))
		return 0;
	len = cl_cgroup_read_file(cgroup, parent, "cpuset.mems", mems, sizeof(mems));
	if (len < 0)
		return cl_fail(reterr, (int)-len, "reading cpuset.mems of cgroup %.300s: %s",
			       parent, strerror((int)-len));
	if (len <= 1)
		return cl_fail(
			reterr, ENOSPC,
			"cgroup %.300s has no memory nodes (cpuset.mems is empty): set them first",
			parent);
	int r = cl_cgroup_write_file(cgroup, path, "cpuset.mems", mems);
	return r < 0 ? cl_fail(reterr, -r, "setting cpuset.mems of cgroup %.300s: %s", path,
			       strerror(-r))
		     : 0;
}

/* v2: a group has the controller if each group above it passes it down. */
int cl_cgroup_pass(const struct cl_cgroup *cgroup, const char *path, const char *controller,
		   struct cl_error *reterr)
{
	char at[CL_PATH_MAX], text[4096], order[64];

	snprintf(order, sizeof(order), "+%s", controller);
	for (const char *slash = path; slash; slash = strchr(slash + 1, '/')) {
		size_t len = slash == path ? 1 : (size_t)(slash - path);

		snprintf(at, sizeof(at), "%.*s", (int)len, path);
		ssize_t n = cl_cgroup_read_file(cgroup, at, "cgroup.subtree_control", text,
						sizeof(text));
		if (n >= 0 && cl_cgroup_has_word(text, (size_t)n, " \n", controller))
			continue;
		int r = n < 0 ? (int)n
			      : cl_cgroup_write_file(cgroup, at, "cgroup.subtree_control", order);
		if (r < 0)
			return cl_fail(reterr, -r,
				       "enabling the %s controller below cgroup %.300s: %s",
				       controller, at,
				       r == -EBUSY    ? "processes are in it; only groups "
							"without may pass controllers down"
				       : r == -EINVAL ? "this hierarchy does not have it"
						      : strerror(-r));
	}
	return 0;
}

static bool passes(const struct cl_cgroup *cgroup, const char *path, const char *controller)
{
	char text[4096];
	ssize_t n = cl_cgroup_read_file(cgroup, path, "cgroup.subtree_control", text, sizeof(text));

	return n < 0 || cl_cgroup_has_word(text, (size_t)n, " \n", controller);
}

bool cl_cgroup_has_controller(const struct cl_cgroup *cgroup, const char *controller)
{
	char text[4096];
	ssize_t n;

	if (cgroup->version != 2)
		return strcmp(controller, "cpu") == 0 && cgroup->cpu_mount[0];
	n = cl_cgroup_read_file(cgroup, "/", "cgroup.controllers", text, sizeof(text));
	return n >= 0 && cl_cgroup_has_word(text, (size_t)n, " \n", controller);
}

bool cl_cgroup_passed_any(const struct cl_cgroup *cgroup, const char *path, const char *controller)
{
	char parent[CL_PATH_MAX];

	if (cgroup->version != 2 || cl_cgroup_path_check(path, NULL) < 0)
		return true;
	snprintf(parent, sizeof(parent), "%s", path);
	return !cl_cgroup_to_parent(parent) || passes(cgroup, parent, controller);
}

bool cl_cgroup_passed(const struct cl_cgroup *cgroup, const char *path)
{
	return cl_cgroup_passed_any(cgroup, path, "cpuset");
}

/* Is a file of the group otherwise than the kernel has it at first? A missing one is not. */
static bool is_set(const struct cl_cgroup *cgroup, const char *path, const char *name,
		   const char *first)
{
	char text[CL_CGROUP_LIST_MAX];
	ssize_t len = cl_cgroup_read_file(cgroup, path, name, text, sizeof(text));

	return len > 0 && strcmp(text, first) != 0;
}

/* Has somebody set anything of this controller in this group, or does it pass it on? */
static bool uses(const struct cl_cgroup *cgroup, const char *path, const char *controller)
{
	static const struct {
		const char *controller, *file, *first;
	} files[] = {
		{ "cpuset", "cpuset.cpus", "\n" },      { "cpuset", "cpuset.mems", "\n" },
		{ "cpuset", PARTITION, "member\n" },    { "cpu", "cpu.max", "max 100000\n" },
		{ "cpu", "cpu.weight", "100\n" },       { "cpu", "cpu.idle", "0\n" },
		{ "cpu", "cpu.max.burst", "0\n" },      { "io", "io.max", "" },
		{ "io", "io.weight", "default 100\n" }, { "io", "io.latency", "" },
	};

	for (size_t i = 0; i < CL_COUNT(files); i++)
		if (strcmp(files[i].controller, controller) == 0 &&
		    is_set(cgroup, path, files[i].file, files[i].first))
			return true;
	return passes(cgroup, path, controller);
}

/* Is a group below this one in need of it? One that cannot be looked at may be. */
static int is_used_below(const struct cl_cgroup *cgroup, const char *path, const char *controller,
			 bool *ret_used)
{
	char child[CL_PATH_MAX], full[CL_CGROUP_FILE_MAX];

	snprintf(full, sizeof(full), "%s%s", cgroup->mount, path);
	DIR *dir = opendir(full);

	if (!dir)
		return -errno;
	*ret_used = false;
	for (const struct dirent *d = readdir(dir); d && !*ret_used; d = readdir(dir)) {
		if (d->d_type != DT_DIR || d->d_name[0] == '.')
			continue;
		int len = snprintf(child, sizeof(child), "%s/%s", path[1] ? path : "", d->d_name);

		*ret_used = len < 0 || len >= (int)sizeof(child) || uses(cgroup, child, controller);
	}
	closedir(dir);
	return 0;
}

int cl_cgroup_pass_less(const struct cl_cgroup *cgroup, const char *path, const char *controller,
			struct cl_error *reterr)
{
	char parent[CL_PATH_MAX], order[64];
	bool used = true;
	int r = cl_cgroup_path_check(path, reterr);

	if (r < 0)
		return r;
	snprintf(parent, sizeof(parent), "%s", path);
	snprintf(order, sizeof(order), "-%s", controller);
	if (cgroup->version != 2 || !cl_cgroup_to_parent(parent))
		return 0;
	r = is_used_below(cgroup, parent, controller, &used);
	if (r == 0 && !used)
		r = cl_cgroup_write_file(cgroup, parent, "cgroup.subtree_control", order);
	/* Busy: somebody was quicker. */
	return r == 0 || r == -EBUSY
		       ? 0
		       : cl_fail(reterr, -r,
				 "taking the %s controller back from below cgroup %.300s: %s",
				 controller, parent, strerror(-r));
}

int cl_cgroup_pass_no_more(const struct cl_cgroup *cgroup, const char *path,
			   struct cl_error *reterr)
{
	return cl_cgroup_pass_less(cgroup, path, "cpuset", reterr);
}

int cl_cgroup_create(const struct cl_cgroup *cgroup, const char *path, const struct cl_cpuset *cpus,
		     struct cl_error *reterr)
{
	char full[CL_CGROUP_FILE_MAX];
	int r = cl_cgroup_path_check(path, reterr);

	if (r < 0)
		return r;
	if (path[1] == '\0')
		return cl_fail(reterr, EEXIST, "the root cgroup is there already");
	if (cgroup->version == 2 && (r = cl_cgroup_pass(cgroup, path, "cpuset", reterr)) < 0)
		return r;
	snprintf(full, sizeof(full), "%s%s", cgroup->mount, path);
	bool made = mkdir(full, 0755) == 0;
	if (!made && errno != EEXIST)
		return cl_fail(reterr, errno, "making cgroup %.300s: %s", path,
			       errno == ENOENT ? "the group above it is not there"
					       : strerror(errno));
	if (cgroup->version == 1)
		r = give_mems(cgroup, path, reterr);
	if (r == 0)
		r = cl_cgroup_set_cpus(cgroup, path, cpus, reterr);
	if (r < 0 && made)
		rmdir(full);
	return r;
}

static int count_one(void *ctx, int32_t tid)
{
	++*(uint32_t *)ctx;
	return 0;
}

int cl_cgroup_remove(const struct cl_cgroup *cgroup, const char *path, struct cl_error *reterr)
{
	char full[CL_CGROUP_FILE_MAX];
	uint32_t threads = 0;
	int r = cl_cgroup_path_check(path, reterr);

	if (r < 0)
		return r;
	snprintf(full, sizeof(full), "%s%s", cgroup->mount, path);
	if (rmdir(full) == 0 || errno == ENOENT)
		return 0;
	if (errno != EBUSY)
		return cl_fail(reterr, errno, "removing cgroup %.300s: %s", path, strerror(errno));
	cl_cgroup_each(cgroup, path, count_one, &threads, NULL);
	if (threads == 0)
		return cl_fail(
			reterr, EBUSY,
			"removing cgroup %.300s: there are groups below it; remove them first",
			path);
	return cl_fail(reterr, EBUSY,
		       "removing cgroup %.300s: %u threads are in it; move them out first", path,
		       threads);
}

/*
 * v2: which file takes one thread, and no other with it? A process that is in a group of ours came
 * there as a whole, or was born there, and may leave it so.
 */
static int v2_file(const struct cl_cgroup *cgroup, const char *path, int32_t tid, bool whole,
		   const char **ret_name, struct cl_error *reterr)
{
	char type[64], name[64], stat_text[1024];
	ssize_t len = cl_cgroup_read_file(cgroup, path, "cgroup.type", type, sizeof(type));
	char now[CL_PATH_MAX];
	uint64_t threads = 0;

	if (len == -ENOENT && !cl_cgroup_there(cgroup, path))
		return cl_fail(reterr, ENOENT, "there is no cgroup %.300s", path);
	*ret_name = "cgroup.threads";
	if (len > 0 && strcmp(type, "threaded\n") == 0)
		return 0;
	*ret_name = "cgroup.procs";
	snprintf(name, sizeof(name), "/proc/%d/stat", tid);
	len = cl_read_file(AT_FDCWD, name, stat_text, sizeof(stat_text));
	if (len < 0)
		return cl_fail(reterr, ESRCH, "thread %d is gone", tid);
	/* Field 20 is the number of threads; the name, field 2, may contain anything, and ends at
	 * the last ')'. */
	const char *p = strrchr(stat_text, ')');
	for (int i = 2; p && i < 20; i++)
		p = strchr(p + 1, ' ');
	if (!p || !cl_parse_u64(p + 1, &threads, NULL))
		return cl_fail(reterr, EBADMSG, "%s is not as proc(5) says", name);
	if (threads > 1 && !whole &&
	    (cl_cgroup_of(cgroup, tid, now, NULL) < 0 || !cl_cgroup_is_ours(now)))
		return cl_fail(reterr, EOPNOTSUPP,
			       "moving thread %d to cgroup %.200s: cgroup v2 would move all %llu "
			       "threads of its process with it",
			       tid, path, (unsigned long long)threads);
	return 0;
}

int cl_cgroup_move(const struct cl_cgroup *cgroup, const char *path, int32_t tid, bool whole,
		   struct cl_error *reterr)
{
	const char *name = "tasks";
	char text[16], now[CL_PATH_MAX];
	int r = cl_cgroup_path_check(path, reterr);

	if (r == 0 && cgroup->version == 2)
		r = v2_file(cgroup, path, tid, whole, &name, reterr);
	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "%d", tid);
	r = cl_cgroup_write_file(cgroup, path, name, text);
	if (r == -ESRCH)
		return cl_fail(reterr, ESRCH, "thread %d is gone", tid);
	if (r < 0)
		return cl_fail(reterr, -r, "moving thread %d to cgroup %.300s: %s", tid, path,
			       r == -ENOENT   ? "there is no such group"
			       : r == -ENOSPC ? "the group has no CPUs or no memory nodes"
			       : r == -EINVAL ? "the kernel keeps this thread where it is"
					      : strerror(-r));
	r = cl_cgroup_of(cgroup, tid, now, reterr);
	if (r == 0 && strcmp(now, path) != 0)
		r = cl_fail(reterr, EIO,
			    "thread %d was moved to cgroup %.200s and is in %.200s: "
			    "somebody else moves it too",
			    tid, path, now);
	return r;
}

int cl_cgroup_each(const struct cl_cgroup *cgroup, const char *path,
		   int (*fn)(void *ctx, int32_t tid), void *ctx, struct cl_error *reterr)
{
	cl_autofree int32_t *tids = NULL;
	cl_autofree char *line = NULL;
	size_t n = 0, room = 0, size = 0;
	uint64_t tid;
	int r = cl_cgroup_path_check(path, reterr);

	if (r < 0)
		return r;
	int fd = cl_cgroup_open_file(cgroup, path,
				     cgroup->version == 1 ? "tasks" : "cgroup.threads", O_RDONLY);
	cl_autofclose FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	if (!f) {
		r = fd < 0 ? -fd : errno;
		if (fd >= 0)
			close(fd);
		return cl_fail(reterr, r, "listing the threads in cgroup %.300s: %s", path,
			       strerror(r));
	}
	/* All are read before the first call: the callback may move them out, which would move the
	 * reader's place. */
	while (getline(&line, &size, f) > 0 && n < THREADS_MAX) {
		if (!cl_parse_u64(line, &tid, NULL) || tid == 0 || tid > INT32_MAX)
			continue; /* 0: a process of another pid namespace */
		if (n == room) {
			int32_t *more =
				realloc(tids, (room = room ? 2 * room : 64) * sizeof(*tids));

			if (!more)
				return cl_fail(reterr, ENOMEM,
					       "listing the threads in cgroup %.300s: no memory",
					       path);
			tids = more;
		}
		tids[n++] = (int32_t)tid;
	}
	for (size_t i = 0; i < n && r == 0; i++)
		r = fn(ctx, tids[i]);
	return r;
}

static int is_group(const struct dirent *entry)
{
	return entry->d_type == DT_DIR && entry->d_name[0] != '.';
}

static int each_below(const struct cl_cgroup *cgroup, const char *path, int depth,
		      int (*fn)(void *ctx, const char *path), void *ctx, struct cl_error *reterr)
{
	char full[CL_CGROUP_FILE_MAX], child[CL_PATH_MAX];
	struct dirent **entries = NULL;
	int r = fn(ctx, path);

	if (r != 0 || depth == DEPTH_MAX)
		return r;
	snprintf(full, sizeof(full), "%s%s", cgroup->mount, path);
	int n = scandir(full, &entries, is_group, alphasort);
	if (n < 0) /* gone since it was listed */
		return errno == ENOENT ? 0
				       : cl_fail(reterr, errno, "listing cgroup %.300s: %s", path,
						 strerror(errno));
	for (int i = 0; i < n; i++) {
		/* A name that makes the path too long is none that we gave. */
		if (r == 0 && (size_t)snprintf(child, sizeof(child), "%s/%s", path,
					       entries[i]->d_name) < sizeof(child))
			r = each_below(cgroup, child, depth + 1, fn, ctx, reterr);
		free(entries[i]);
	}
	free(entries);
	return r;
}

int cl_cgroup_each_ours(const struct cl_cgroup *cgroup, int (*fn)(void *ctx, const char *path),
			void *ctx, struct cl_error *reterr)
{
	if (cgroup->version == 0 || !cl_cgroup_there(cgroup, "/closer"))
		return 0;
	return each_below(cgroup, "/closer", 1, fn, ctx, reterr);
}
