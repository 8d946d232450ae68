/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cgroup: the hierarchy in which work is placed: v1's cpuset, or v2's unified one.
 *
 * Paths are inside the hierarchy, "/" first. v2: whole processes move (kernel threads are processes
 * of their own); single threads of a process move only inside a threaded subtree, so for QEMU's
 * threads placing by container is not possible there and masks alone place them. v1: any thread
 * moves. A path with ".." or an empty component is refused (-EINVAL) by each function.
 */
#ifndef CLOSER_CGROUP_H
#define CLOSER_CGROUP_H

#include <closer/base.h>

struct cl_cgroup {
	int version;                 /* 1, 2; 0: no cpuset controller anywhere */
	char mount[CL_PATH_MAX];     /* "/sys/fs/cgroup/cpuset", "/sys/fs/cgroup" */
	char cpu_mount[CL_PATH_MAX]; /* v1: where the cpu controller is, "": nowhere; v2: "" */
	char why_not[128];           /* why no container can be made, "" if it can */
};

/* Finds it in /proc/self/mountinfo. Never fails: version 0 and why_not say what is missing. */
void cl_cgroup_find(struct cl_cgroup *ret_cgroup);
/*
 * What one line of mountinfo mounts: version 1 (with cpuset) or 2, the whole hierarchy and not a
 * part of it. False: nothing of these. Pure, fuzzed.
 */
bool cl_cgroup_parse_mount(const char *line, struct cl_cgroup *ret_cgroup);
/* "/closer" and below. Pure. */
bool cl_cgroup_is_ours(const char *path);
/* Can single threads of a process be moved into closer/...? (v1) */
bool cl_cgroup_moves_threads(const struct cl_cgroup *cgroup);

/* The path of a thread's group from /proc/TID/cgroup. -ESRCH; -ENOENT: it is in none that we can
 * see. */
int cl_cgroup_of(const struct cl_cgroup *cgroup, int32_t tid, char ret_path[CL_PATH_MAX],
		 struct cl_error *reterr);
/* The same out of the text of that file; pure, fuzzed. False: not there, or malformed. */
bool cl_cgroup_parse(const struct cl_cgroup *cgroup, const char *text, char ret_path[CL_PATH_MAX]);

/* Effective CPUs of a group. -ENOENT: no such group. */
int cl_cgroup_cpus(const struct cl_cgroup *cgroup, const char *path, struct cl_cpuset *ret_cpus,
		   struct cl_error *reterr);
/* What was written into it; empty (v2, or a v1 group whose making was cut short): nothing was.
 * -ENOENT. */
int cl_cgroup_own_cpus(const struct cl_cgroup *cgroup, const char *path, struct cl_cpuset *ret_cpus,
		       struct cl_error *reterr);
/* A descriptor of its effective CPUs, for cl_cgroup_read_cpus() without an open; the caller's, or
 * -errno. */
int cl_cgroup_open_cpus(const struct cl_cgroup *cgroup, const char *path);
/* 0; -ENODEV: the group of this descriptor is gone; another -errno. */
int cl_cgroup_read_cpus(int fd, struct cl_cpuset *ret_cpus);

/*
 * Makes it (v1: mems from the parent; v2: +cpuset in each ancestor's subtree_control from the root
 * down, which stays when the group is removed: see cl_cgroup_pass_no_more) and sets its CPUs. The
 * parent must be there. One that is there is completed.
 */
int cl_cgroup_create(const struct cl_cgroup *cgroup, const char *path, const struct cl_cpuset *cpus,
		     struct cl_error *reterr);
int cl_cgroup_set_cpus(const struct cl_cgroup *cgroup, const char *path,
		       const struct cl_cpuset *cpus, struct cl_error *reterr);
/*
 * v2: its cpuset.cpus.partition in one line: "member", "root", "isolated", or one of the latter two
 * and "invalid (why)". -ENOENT: no such group, or it has no such file.
 */
int cl_cgroup_partition(const struct cl_cgroup *cgroup, const char *path, char *buf, size_t size,
			struct cl_error *reterr);
/* A descriptor of it, to be read again without an open; the caller's, or -errno. */
int cl_cgroup_open_partition(const struct cl_cgroup *cgroup, const char *path);
/* Writes "root" or "member". A root that the kernel takes as invalid is made a member again, and
 * the error says why. */
int cl_cgroup_set_partition(const struct cl_cgroup *cgroup, const char *path, bool root,
			    struct cl_error *reterr);
/*
 * v2: does the group above this one pass the cpuset controller down? True on v1, and where there is
 * none above or it cannot be read.
 */
bool cl_cgroup_passed(const struct cl_cgroup *cgroup, const char *path);
/* v2: -cpuset in the subtree_control of the group above this one, unless another group below that
 * uses it by now: then it stays. */
int cl_cgroup_pass_no_more(const struct cl_cgroup *cgroup, const char *path,
			   struct cl_error *reterr);
/* Is there such a controller ("cpu", "io") at all, where containers are made or, on v1, elsewhere?
 */
bool cl_cgroup_has_controller(const struct cl_cgroup *cgroup, const char *controller);
/*
 * v2: the same for any controller. pass: each group above passes it down, from the root on. less:
 * the one above no more, unless another group below that uses it by now.
 */
int cl_cgroup_pass(const struct cl_cgroup *cgroup, const char *path, const char *controller,
		   struct cl_error *reterr);
bool cl_cgroup_passed_any(const struct cl_cgroup *cgroup, const char *path, const char *controller);
int cl_cgroup_pass_less(const struct cl_cgroup *cgroup, const char *path, const char *controller,
			struct cl_error *reterr);
/* v1: the path of a thread's group in the hierarchy of a controller. 0 or -ENOENT. */
int cl_cgroup_of_controller(int32_t tid, const char *controller, char ret_path[CL_PATH_MAX]);
/* -EBUSY: something is still in it. -ENOENT is success: it is gone. */
int cl_cgroup_remove(const struct cl_cgroup *cgroup, const char *path, struct cl_error *reterr);
/*
 * Moves one thread (v1: tasks; v2: cgroup.procs, or cgroup.threads inside a threaded subtree) and
 * reads back where it is. -ESRCH; -ENOENT: no such group; -EOPNOTSUPP: v2 would have to move other
 * threads of its process too, and it is not to go as a whole.
 */
int cl_cgroup_move(const struct cl_cgroup *cgroup, const char *path, int32_t tid, bool whole,
		   struct cl_error *reterr);
/* Each thread in a group, by callback; stops and returns its value if that is not 0. */
int cl_cgroup_each(const struct cl_cgroup *cgroup, const char *path,
		   int (*fn)(void *ctx, int32_t tid), void *ctx, struct cl_error *reterr);
/* "/closer" and each group below it, parents first, siblings by name; the same. */
int cl_cgroup_each_ours(const struct cl_cgroup *cgroup, int (*fn)(void *ctx, const char *path),
			void *ctx, struct cl_error *reterr);

#endif
