/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sleepers: a real process of threads that a test tells what to do. Included by tests, after
 * unit.h. */
#ifndef CLOSER_TESTS_SLEEPERS_H
#define CLOSER_TESTS_SLEEPERS_H

#include "lib.h"
#include "threads_proc.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define THREADS_MOST 64
#define BURN_NS      (20 * CL_NS_PER_MS)

/* One byte a command, answered by the newest thread's tid. */

struct sleeper {
	pthread_t thread;
	int wake[2];
	int32_t tid;
	uint32_t told, done; /* commands */
};

static uint64_t own_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * CL_NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* 'b': burn, 'n': rename; anything else, or the end: return. */
static void *sleeper_main(void *arg)
{
	struct sleeper *sleeper = arg;
	char command;

	__atomic_store_n(&sleeper->tid, gettid(), __ATOMIC_RELEASE);
	while (read(sleeper->wake[0], &command, 1) == 1 && (command == 'b' || command == 'n')) {
		uint64_t until_ns = own_cpu_ns() + BURN_NS;

		while (command == 'b' && own_cpu_ns() < until_ns)
			;
		if (command == 'n')
			prctl(PR_SET_NAME, "a) b (\nc");
		__atomic_add_fetch(&sleeper->done, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void child_main(int fd)
{
	static struct sleeper sleepers[THREADS_MOST];
	int count = 0;
	char command;

	while (read(fd, &command, 1) == 1) {
		struct sleeper *last = count ? &sleepers[count - 1] : NULL;
		int32_t answer = last ? last->tid : 0;

		if (command == '+' && count < THREADS_MOST) {
			last = &sleepers[count++];
			*last = (struct sleeper){ 0 };
			if (pipe(last->wake) < 0 ||
			    pthread_create(&last->thread, NULL, sleeper_main, last))
				_exit(1);
			while (!(answer = __atomic_load_n(&last->tid, __ATOMIC_ACQUIRE)))
				sched_yield();
		} else if (command == '-' && last) {
			close(last->wake[1]);
			pthread_join(last->thread, NULL);
			close(last->wake[0]);
			count--;
			/* Joined is not gone: the kernel still lists it for a moment. */
			while (syscall(SYS_tgkill, getpid(), answer, 0) == 0)
				sched_yield();
		} else if (command == 'w' && last) {
			while (__atomic_load_n(&last->done, __ATOMIC_ACQUIRE) != last->told)
				sched_yield();
		} else if (last) {
			last->told++;
			if (write(last->wake[1], &command, 1) != 1)
				_exit(1);
		}
		if (write(fd, &answer, sizeof(answer)) != sizeof(answer))
			break;
	}
	_exit(0);
}

struct child {
	pid_t pid;
	int fd;
};

static struct child child_start(void)
{
	struct child child;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	child.pid = fork();
	assert_true(child.pid >= 0);
	if (child.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		child_main(pair[1]);
	}
	close(pair[1]);
	child.fd = pair[0];
	return child;
}

static int32_t child_do(const struct child *child, char command)
{
	int32_t answer;

	assert_int_equal(write(child->fd, &command, 1), 1);
	assert_int_equal(read(child->fd, &answer, sizeof(answer)), sizeof(answer));
	return answer;
}

static void child_end(struct child *child)
{
	kill(child->pid, SIGKILL);
	waitpid(child->pid, NULL, 0);
	close(child->fd);
}

/* Waits until the newest thread has done what it was told and sleeps: its times stand still from
 * then on. */
static void until_asleep(const struct child *child, int32_t tid)
{
	char path[64], text[CL_PROC_TEXT];
	struct cl_stat stat = { .state = 'R' };

	assert_int_equal(child_do(child, 'w'), tid);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", child->pid, tid);
	do {
		sched_yield();
		assert_true(cl_read_file(AT_FDCWD, path, text, sizeof(text)) > 0);
		assert_true(cl_stat_parse(text, &stat));
	} while (stat.state != 'S');
}

#endif
