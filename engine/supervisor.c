/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The supervisor: a small process that outlives its closer, and puts everything back if that one is
 * killed.
 *
 *   watching: lock held, closer alive -> { released: exit } { released until T: waiting } { closer
 * died: undo, exit } waiting:  no lock; at T the lock is taken: the same journal, not confirmed ->
 * undo
 *
 * It learns of the death by a pidfd, and by the end of a pipe where the kernel has none. What the
 * closer said before it died is in the pipe, so the pipe is read first: said is said.
 */
#include "internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define UNDO_TRIES 5u
#define LOOK_NS                                                                                    \
	(2u * CL_NS_PER_S) /* how often a waiting one looks whether there is still something to    \
			      wait for */

struct cl_supervisor {
	pid_t pid;
	int pipe;
	bool reaped;
	char dir[CL_PATH_MAX];
};

struct message {
	uint64_t until_ns; /* 0: go at once */
	uint64_t journal;  /* the id of the one that it waits for */
};

/* Everything but these and the standard ones, which are made /dev/null: a pipe held open would keep
 * others waiting. */
static void close_others(const int *keep, size_t n)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct dirent *entry;
	DIR *dir;

	for (int fd = 0; fd < 3 && null >= 0; fd++)
		dup2(null, fd);
	dir = opendir("/proc/self/fd");
	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		uint64_t fd;
		bool kept = false;

		if (!cl_parse_u64(entry->d_name, &fd, NULL) || fd < 3 || fd > INT32_MAX ||
		    (int)fd == dirfd(dir))
			continue;
		for (size_t i = 0; i < n; i++)
			kept |= keep[i] == (int)fd;
		if (!kept)
			close((int)fd);
	}
	closedir(dir);
}

static void become_quiet(void)
{
	static const int ignored[] = { SIGINT,  SIGTERM, SIGHUP,  SIGQUIT,
				       SIGPIPE, SIGUSR1, SIGUSR2, SIGTSTP };
	sigset_t none;

	for (size_t i = 0; i < CL_COUNT(ignored); i++)
		signal(ignored[i], SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	prctl(PR_SET_NAME, "closer-superv");
	(void)!chdir("/");
}

static void put_back(const char *dir)
{
	struct cl_undo_report report;

	for (uint32_t try = 0; try < UNDO_TRIES; try++) {
		if (cl_undo(dir, false, NULL, NULL, &report, NULL) < 0 || report.verified)
			return; /* nothing to undo, or a journal that a person has to look at */
		poll(NULL, 0, 100);
	}
}

/* Which journal is there, and does it wait for us? Id 0: none that does. */
static uint64_t pending(const char *dir)
{
	struct cl_journal journal;
	uint64_t id;

	if (cl_journal_read(dir, &journal, NULL) < 0)
		return 0;
	id = journal.confirmed || journal.undone ? 0 : journal.id;
	cl_journal_done(&journal);
	return id;
}

/* The lock is not held here: confirm, undo and other closers may act, and this one notices what
 * they did. */
static void wait_until(const char *dir, uint64_t id, uint64_t until_ns)
{
	uint64_t now;
	int lock;

	while (pending(dir) == id && (now = cl_clock_ns()) < until_ns) {
		uint64_t left = until_ns - now < LOOK_NS ? until_ns - now : LOOK_NS;

		poll(NULL, 0, (int)(left / CL_NS_PER_MS) + 1);
	}
	/* Somebody who acts just now is waited for; what he confirmed or undid is seen after it. */
	if (pending(dir) != id || cl_lock_wait(dir, &lock, NULL) < 0)
		return;
	if (pending(dir) == id)
		put_back(dir);
	close(lock);
}

/* True: it said something, in *ret; false: it died without a word. */
static bool listen_to(int pipe_fd, int pidfd, struct message *ret)
{
	struct pollfd fds[] = { { .fd = pipe_fd, .events = POLLIN },
				{ .fd = pidfd, .events = POLLIN } };

	for (;;) {
		ssize_t n;

		if (poll(fds, CL_COUNT(fds), -1) < 0 && errno != EINTR)
			return false;
		n = read(pipe_fd, ret, sizeof(*ret));
		if (n == (ssize_t)sizeof(*ret))
			return true;
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return false;
		if (fds[1].revents & POLLIN) {
			/* Its last word may have come between the read and its death. */
			n = read(pipe_fd, ret, sizeof(*ret));
			return n == (ssize_t)sizeof(*ret);
		}
	}
}

static void supervise(const char *dir, int lock_fd, int pipe_fd, int pidfd)
{
	const int keep[] = { lock_fd, pipe_fd, pidfd };
	struct message message;

	become_quiet();
	close_others(keep, CL_COUNT(keep));
	if (!listen_to(pipe_fd, pidfd, &message)) {
		put_back(dir);
	} else if (message.until_ns > 0 && message.journal != 0) {
		close(lock_fd);
		wait_until(dir, message.journal, message.until_ns);
	}
}

int cl_supervisor_start(const char *dir, int lock_fd, struct cl_supervisor **ret_supervisor,
			struct cl_error *reterr)
{
	struct cl_supervisor *s = malloc(sizeof(*s));
	cl_autofree char *path = realpath(dir, NULL); /* it leaves the working directory */
	cl_autoclose int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	sigset_t all, was;
	int ends[2], code = 0;

	if (!s || !path) {
		code = s ? errno : ENOMEM;

		free(s);
		return cl_fail(reterr, code, "starting a supervisor for %s: %s", dir,
			       strerror(code));
	}
	if (pipe2(ends, O_CLOEXEC) < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0) {
		free(s);
		return cl_fail(reterr, errno, "starting a supervisor: %s", strerror(errno));
	}
	/* Until it ignores them, signals wait: one to our whole group must not find it unprepared.
	 */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &was);
	s->pid = fork();
	if (s->pid != 0) {
		code = errno;
		sigprocmask(SIG_SETMASK, &was, NULL);
	}
	if (s->pid == 0) {
		supervise(path, lock_fd, ends[0], pidfd);
		_exit(0);
	}
	close(ends[0]);
	if (s->pid < 0) {
		close(ends[1]);
		free(s);
		return cl_fail(
			reterr, code,
			"starting a supervisor: fork: %s; without one nobody would put things "
			"back if closer were killed, so nothing is changed",
			strerror(code));
	}
	s->pipe = ends[1];
	s->reaped = false;
	snprintf(s->dir, sizeof(s->dir), "%s", path);
	cl_lock_name(lock_fd, getpid(), s->pid);
	*ret_supervisor = s;
	return 0;
}

bool cl_supervisor_alive(struct cl_supervisor *s)
{
	if (!s->reaped && waitpid(s->pid, NULL, WNOHANG) != 0)
		s->reaped = true;
	return !s->reaped;
}

static void tell(struct cl_supervisor *s, uint64_t until_ns, uint64_t journal)
{
	struct message message = { .until_ns = until_ns, .journal = journal };
	struct sigaction ignore = { .sa_handler = SIG_IGN }, was;

	/* It may be dead already: that is no reason to die of it. */
	sigaction(SIGPIPE, &ignore, &was);
	(void)!write(s->pipe, &message, sizeof(message));
	sigaction(SIGPIPE, &was, NULL);
	close(s->pipe);
}

void cl_supervisor_release(struct cl_supervisor *s)
{
	if (!s)
		return;
	tell(s, 0, 0);
	/* Gone before we let go of the lock, or the next closer would find it taken. */
	if (!s->reaped)
		waitpid(s->pid, NULL, 0);
	free(s);
}

void cl_supervisor_release_until(struct cl_supervisor *s, uint64_t until_ns)
{
	if (!s)
		return;
	tell(s, until_ns > 0 ? until_ns : 1, pending(s->dir));
	free(s);
}
