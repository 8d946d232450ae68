/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crowd: a real child process with real, named threads, for tests that act on threads.
 *
 * The threads sleep, except that one called "busy" first burns 30 ms of CPU time. The child dies
 * with us.
 */
#ifndef CLOSER_TEST_CROWD_H
#define CLOSER_TEST_CROWD_H

#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CROWD_MAX 16

struct crowd {
	pid_t pid;
	int n;
	volatile pid_t *tids; /* shared with the child; [n] counts who is ready */
};

struct crowd_seat {
	const char *name;
	volatile pid_t *tid, *ready;
};

static inline void *crowd_thread(void *arg)
{
	const struct crowd_seat *seat = arg;
	struct timespec used = { 0 };

	prctl(PR_SET_NAME, seat->name);
	while (strcmp(seat->name, "busy") == 0 && used.tv_sec == 0 && used.tv_nsec < 30000000)
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	*seat->tid = gettid();
	__atomic_add_fetch(seat->ready, 1, __ATOMIC_SEQ_CST);
	for (;;)
		pause();
	return NULL;
}

/* names: NULL-terminated; may be empty: then there is the main thread alone. */
static inline struct crowd crowd_start(const char *const *names)
{
	struct crowd crowd = { 0 };
	volatile pid_t *shared =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert(shared != MAP_FAILED);
	while (names[crowd.n])
		crowd.n++;
	assert(crowd.n < CROWD_MAX);
	crowd.tids = shared;
	pid_t parent = getpid();
	crowd.pid = fork();
	assert(crowd.pid >= 0);
	if (crowd.pid == 0) {
		struct crowd_seat seats[CROWD_MAX];
		pthread_t thread;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		for (int i = 0; i < crowd.n; i++) {
			seats[i] = (struct crowd_seat){ names[i], &shared[i], &shared[CROWD_MAX] };
			if (pthread_create(&thread, NULL, crowd_thread, &seats[i]) != 0)
				_exit(1);
		}
		__atomic_add_fetch(&shared[CROWD_MAX], 1, __ATOMIC_SEQ_CST);
		for (;;)
			pause();
	}
	while (__atomic_load_n(&shared[CROWD_MAX], __ATOMIC_SEQ_CST) <= crowd.n) {
		assert(waitpid(crowd.pid, NULL, WNOHANG) == 0);
		usleep(1000);
	}
	return crowd;
}

static inline void crowd_end(struct crowd *crowd)
{
	if (crowd->pid > 0) {
		kill(crowd->pid, SIGKILL);
		waitpid(crowd->pid, NULL, 0);
	}
	munmap((void *)crowd->tids, 4096);
	*crowd = (struct crowd){ 0 };
}

/*
 * The group /closer is one on a machine. Tests that use it take turns (the lock is held until the
 * test's process ends), and wait for a closer that is at work. False: it still is after 30 s.
 */
static inline bool crowd_alone(const char *mount)
{
	char name[600];
	int fd = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		return false;
	snprintf(name, sizeof(name), "%s/closer", mount);
	for (int i = 0; i < 300; i++) {
		if (access(name, F_OK) < 0)
			return true;
		usleep(100000);
	}
	fprintf(stderr, "%s is in use: stop the closer that runs on this machine for this test\n",
		name);
	return false;
}

#endif
