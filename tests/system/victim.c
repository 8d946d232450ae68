/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * victim: a process with many named threads, for closer to act on. It says "ready PID" and sleeps
 * until it is killed.
 *
 *   victim THREADS VCPUS [BIRTHS]
 *
 * The first VCPUS threads are called "CPU 0/TCG", "CPU 1/TCG", ... like QEMU's; the others "IO
 * io0", ... With BIRTHS each "IO" thread starts and ends so many short threads a second, which
 * inherit whatever it was given.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

struct role {
	char name[16];
	long births;
};

static void nap(long ns)
{
	struct timespec t = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

	nanosleep(&t, NULL);
}

static void *newborn(void *arg)
{
	prctl(PR_SET_NAME, "worker");
	nap(50000000);
	return NULL;
}

static void *thread(void *arg)
{
	const struct role *role = arg;

	prctl(PR_SET_NAME, role->name);
	for (;;) {
		pthread_t child;

		nap(role->births > 0 ? 1000000000 / role->births : 1000000000);
		if (role->births > 0 && pthread_create(&child, NULL, newborn, NULL) == 0)
			pthread_detach(child);
	}
	return NULL;
}

static long number(const char *text, long most)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (end == text || *end || n < 0 || n > most) {
		fprintf(stderr, "victim: '%s' is not a number up to %ld\n", text, most);
		exit(2);
	}
	return n;
}

int main(int argc, char **argv)
{
	pthread_attr_t small;
	long threads, vcpus, births;

	if (argc < 3 || argc > 4) {
		fprintf(stderr, "usage: victim THREADS VCPUS [BIRTHS]\n");
		return 2;
	}
	threads = number(argv[1], 100000);
	vcpus = number(argv[2], threads);
	births = argc > 3 ? number(argv[3], 1000) : 0;
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* never outlives its test */
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 65536);
	for (long i = 0; i < threads; i++) {
		struct role *role = calloc(1, sizeof(*role));
		pthread_t id;

		if (!role)
			return 1;
		if (i < vcpus)
			snprintf(role->name, sizeof(role->name), "CPU %u/TCG",
				 (unsigned int)i % 100000);
		else
			snprintf(role->name, sizeof(role->name), "IO io%u",
				 (unsigned int)(i - vcpus) % 100000);
		role->births = i < vcpus ? 0 : births;
		if (pthread_create(&id, &small, thread, role) != 0) {
			fprintf(stderr, "victim: thread %ld: %s\n", i, strerror(errno));
			return 1;
		}
	}
	printf("ready %d\n", getpid());
	fflush(stdout);
	for (;;)
		pause();
}
