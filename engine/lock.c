/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state directory, and the lock: one closer acts at a time.
 *
 * There is one /closer in a machine's cgroups whatever the state directory, so root's lock is the
 * machine's; an ordinary user, who cannot write there, has one in his state directory.
 *
 * flock(2) belongs to the open file, so a supervisor that inherited the descriptor goes on holding
 * it when its closer is killed, and nobody else acts before everything is back. The file is never
 * removed: a lock on a removed file would lock out nobody.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define LOCK_FILE "lock"

static int check_dir(int fd, const char *dir, struct cl_error *reterr)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return cl_fail(reterr, errno, "state directory %s: %s", dir, strerror(errno));
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return cl_fail(reterr, EPERM,
			       "state directory %s belongs to user %u: remove it, or name another "
			       "with --state-dir",
			       dir, st.st_uid);
	if (st.st_mode & 022)
		return cl_fail(
			reterr, EPERM,
			"state directory %s can be written to by others, who could then "
			"tell closer what to do: chmod go-w it, or name another with --state-dir",
			dir);
	return 0;
}

int cl_dir_open(const char *dir, int *ret_fd, struct cl_error *reterr)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r;

	if (fd < 0)
		return cl_fail(reterr, errno, "opening the state directory %s: %s", dir,
			       strerror(errno));
	r = check_dir(fd, dir, reterr);
	if (r < 0) {
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

int cl_state_dir(const char *dir, struct cl_error *reterr)
{
	cl_autoclose int fd = -1;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return cl_fail(
			reterr, errno,
			"making the state directory %s: %s; run as root, or name another with "
			"--state-dir",
			dir, strerror(errno));
	return cl_dir_open(dir, &fd, reterr);
}

static int open_lock(const char *dir, int *ret_fd, struct cl_error *reterr)
{
	cl_autoclose int dir_fd = -1;
	int fd, r = cl_dir_open(dir, &dir_fd, reterr);
	const char *path = geteuid() == 0 ? CL_MACHINE_LOCK : LOCK_FILE;

	if (r < 0)
		return r;
	/* openat() takes an absolute path as it is */
	fd = openat(dir_fd, path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return cl_fail(reterr, errno, "opening the lock %s in %s: %s%s", path, dir,
			       strerror(errno),
			       errno == EACCES || errno == EPERM ? "; run as root" : "");
	*ret_fd = fd;
	return 0;
}

/* "<pid> <supervisor>\n" as cl_lock_name wrote it; zeros if it cannot be read. */
static void read_names(int fd, pid_t *ret_pid, pid_t *ret_supervisor)
{
	uint64_t pid = 0, supervisor = 0;
	char buf[64];
	const char *p;

	if (cl_read_fd(fd, buf, sizeof(buf)) > 0 && cl_parse_u64(buf, &pid, &p) && *p == ' ')
		cl_parse_u64(p + 1, &supervisor, NULL);
	*ret_pid = pid < INT32_MAX ? (pid_t)pid : 0;
	*ret_supervisor = supervisor < INT32_MAX ? (pid_t)supervisor : 0;
}

static int busy(int fd, struct cl_error *reterr)
{
	pid_t pid, supervisor;

	read_names(fd, &pid, &supervisor);
	if (pid > 0 && kill(pid, 0) < 0 && errno == ESRCH && supervisor > 0)
		return cl_fail(reterr, EBUSY,
			       "closer (pid %d) died, its supervisor (pid %d) is putting things "
			       "back: try again in a moment",
			       pid, supervisor);
	if (pid > 0)
		return cl_fail(reterr, EBUSY,
			       "another closer (pid %d) acts on this machine: end it first, it "
			       "puts things back as it was told",
			       pid);
	return cl_fail(reterr, EBUSY, "another closer is starting: try again in a moment");
}

void cl_lock_name(int lock_fd, pid_t pid, pid_t supervisor)
{
	char buf[64];
	int n = snprintf(buf, sizeof(buf), "%d %d\n", pid, supervisor);

	/* Only a name for somebody's error message: on a full disk it is missing, the lock holds.
	 */
	if (ftruncate(lock_fd, 0) == 0 && pwrite(lock_fd, buf, (size_t)n, 0) != n)
		(void)!ftruncate(lock_fd, 0);
}

static int take(const char *dir, int how, int *ret_fd, struct cl_error *reterr)
{
	int fd = -1, r = open_lock(dir, &fd, reterr);

	if (r < 0)
		return r;
	do
		r = flock(fd, how);
	while (r < 0 && errno == EINTR);
	if (r < 0) {
		r = errno == EWOULDBLOCK ? busy(fd, reterr)
					 : cl_fail(reterr, errno, "locking %s/%s: %s", dir,
						   LOCK_FILE, strerror(errno));
		close(fd);
		return r;
	}
	cl_lock_name(fd, getpid(), 0);
	*ret_fd = fd;
	return 0;
}

int cl_lock(const char *dir, int *ret_fd, struct cl_error *reterr)
{
	return take(dir, LOCK_EX | LOCK_NB, ret_fd, reterr);
}

int cl_lock_wait(const char *dir, int *ret_fd, struct cl_error *reterr)
{
	return take(dir, LOCK_EX, ret_fd, reterr);
}
