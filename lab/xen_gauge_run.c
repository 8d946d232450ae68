// SPDX-License-Identifier: GPL-2.0-or-later
/* xen_gauge's other processes: `closer status`, the management task's xl, and the guests' answers.
 */
#include "xen_gauge.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define PORT          7070u
#define ANSWER_S      30
#define TASK_PAUSE_NS (300 * XG_NS_PER_MS)

extern char **environ;

struct task {
	bool on;
	_Atomic bool ending;
	const char *config;
	pthread_t thread;
};

static struct task task;

pthread_t xg_thread(void *(*run)(void *), void *arg)
{
	pthread_t thread;
	int r = pthread_create(&thread, NULL, run, arg);

	if (r)
		xg_die("starting a thread: %s", strerror(r));
	return thread;
}

/* out: a descriptor for its stdout, or -1 for none. */
static pid_t start(char *const argv[], int out)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int r;

	posix_spawn_file_actions_init(&actions);
	if (out >= 0)
		posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	else
		posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	r = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (r)
		xg_die("starting %s: %s", argv[0], strerror(r));
	return pid;
}

/* Exit status; that of a shell where a signal ended it. */
static int ended(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			xg_die("waiting for a process: %s", strerror(errno));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- closer status ---- */

static pid_t books_pid;

static void end_books(int signal)
{
	kill(books_pid, SIGTERM);
}

int xg_books(const char *interval)
{
	char *const argv[] = { "closer",     "status",         "--json", "--watch",
			       "--interval", (char *)interval, NULL };
	struct sigaction end = { .sa_handler = end_books, .sa_flags = SA_RESTART };
	char *line = NULL;
	size_t size = 0;
	ssize_t len;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		xg_die("making a pipe: %s", strerror(errno));
	books_pid = start(argv, fds[1]);
	close(fds[1]);
	sigaction(SIGTERM, &end, NULL);
	FILE *lines = fdopen(fds[0], "r");

	while (lines && (len = getline(&line, &size, lines)) > 0) {
		uint64_t dom0_ns = xg_dom0_ns();

		/* Ended in the middle of a line: it is none. */
		if (line[len - 1] != '\n')
			break;
		line[len - 1] = '\0';
		printf("{\"type\":\"books\",\"at_ns\":%llu,\"dom0_ns\":%llu,\"books\":%s}\n",
		       (unsigned long long)xg_now(), (unsigned long long)dom0_ns, line);
	}
	free(line);
	int status = ended(books_pid);

	return status != 0 && status != 128 + SIGTERM;
}

/* ---- the management task ---- */

static void step(const char *what, char *const argv[])
{
	uint64_t begin_ns = xg_now();
	int status = ended(start(argv, -1));
	uint64_t end_ns = xg_now();

	printf("{\"type\":\"task\",\"what\":\"%s\",\"begin_ns\":%llu,\"ns\":%llu,\"status\":%d}\n",
	       what, (unsigned long long)begin_ns, (unsigned long long)(end_ns - begin_ns), status);
}

static void *run_task(void *arg)
{
	/* Paused, and with nobody who waits for its end: what is timed is the toolstack. */
	char *const list[] = { "xl", "list", NULL };
	char *const create[] = { "xl", "create", "-q", "-p", "-e", (char *)task.config, NULL };
	char *const destroy[] = { "xl", "destroy", "task", NULL };

	while (!task.ending) {
		step("list", list);
		if (task.ending)
			break;
		step("create", create);
		step("destroy", destroy);
		xg_sleep_until(xg_now() + TASK_PAUSE_NS);
	}
	return NULL;
}

void xg_task_start(const char *config)
{
	task.on = true;
	task.config = config;
	task.thread = xg_thread(run_task, NULL);
}

void xg_task_end(void)
{
	if (!task.on)
		return;
	task.ending = true;
	pthread_join(task.thread, NULL);
	task.on = false;
}

/* ---- guests ---- */

static int reach(const struct xg_guest *guest)
{
	struct timeval limit = { .tv_sec = ANSWER_S };
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || inet_pton(AF_INET, guest->ip, &to.sin_addr) != 1)
		xg_die("'%s' is no address", guest->ip);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	close(fd);
	return -1;
}

bool xg_ask(const struct xg_guest *guest, const char *line, char *reply, size_t size)
{
	int fd = reach(guest);
	size_t len = 0;
	ssize_t n = -1;
	char *end;

	if (fd < 0)
		return false;
	if (send(fd, line, strlen(line), MSG_NOSIGNAL) > 0 && send(fd, "\n", 1, MSG_NOSIGNAL) > 0)
		while (len < size - 1 && (n = recv(fd, reply + len, size - 1 - len, 0)) > 0)
			len += (size_t)n;
	close(fd);
	reply[len] = '\0';
	end = strchr(reply, '\n');
	/* The JSON line, then the exit status. */
	if (n != 0 || !end || strcmp(end, "\n0\n") != 0 || reply[0] != '{')
		return false;
	*end = '\0';
	return true;
}
