/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * owners: what the kernel's shared workers and softirqs do is given to the guest that asked for it.
 * This test's own process stands for a guest's back end, and the loopback device for its network
 * interface.
 */
#include "lib.h"
#include "threads.h"
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <pty.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MINE      7u
#define OTHER     9u
#define ROUNDS    400u
#define TRY_NS    (10 * CL_NS_PER_S)
#define SETTLE_NS 100000000 /* what the kernel does for a terminal that was closed */

static struct cl_threads *threads_here(void)
{
	struct cl_threads *threads;
	struct cl_error error;

	if (cl_threads_new(64, CL_THREADS_HONEST, NULL, &threads, &error) < 0) {
		/* Only privilege and the kernel may stand in the way of BPF, and it must say so. */
		assert_true(error.code == EPERM || error.code == ENOSYS || error.code == ENOENT ||
			    error.code == EXDEV);
		print_message("no BPF here: %s\n", error.text);
		skip();
	}
	assert_int_equal(cl_threads_follow(threads, getpid(), 1, NULL), 0);
	return threads;
}

struct given {
	uint64_t shared_ns, wakeup_ns;
};

static struct given given_to(struct cl_threads *threads, uint32_t domid)
{
	struct cl_error error = { 0 };
	struct given given;
	bool changed;

	if (cl_threads_refresh(threads, &changed, &error) < 0)
		fail_msg("%s", error.text);
	assert_true(cl_threads_guest(threads, domid, &given.shared_ns, &given.wakeup_ns));
	return given;
}

/* Each line is carried from one end of a terminal to the other by a worker of the kernel. */
static void write_lines(void)
{
	char text[64];
	int master, slave;

	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		assert_int_equal(write(master, "line\n", 5), 5);
		assert_int_equal(read(slave, text, sizeof(text)), 5);
		assert_true(read(master, text, sizeof(text)) > 0); /* the echo */
	}
	close(master);
	close(slave);
	nanosleep(&(struct timespec){ .tv_nsec = SETTLE_NS }, NULL);
}

static void test_work(void **state)
{
	struct cl_threads *threads = threads_here();

	assert_int_equal(given_to(threads, MINE).shared_ns, 0);
	given_to(threads, OTHER);
	write_lines();
	assert_int_equal(given_to(threads, MINE).shared_ns, 0); /* it works for nobody */
	cl_threads_own(threads, getpid(), MINE);
	write_lines();
	struct given mine = given_to(threads, MINE);

	assert_true(mine.shared_ns > ROUNDS * 100); /* ns: a line takes a microsecond and more */
	assert_int_equal(given_to(threads, OTHER).shared_ns, 0);
	cl_threads_own(threads, getpid(), OTHER);
	write_lines();
	assert_true(given_to(threads, OTHER).shared_ns > ROUNDS * 100);
	cl_threads_own(threads, getpid(), CL_NONE);
	write_lines(); /* the worker has ended what it did for the last line of that owner */
	mine = given_to(threads, MINE);
	struct given other = given_to(threads, OTHER);

	write_lines();
	assert_int_equal(given_to(threads, MINE).shared_ns, mine.shared_ns);
	assert_int_equal(given_to(threads, OTHER).shared_ns, other.shared_ns);
	cl_threads_free(threads);
}

/* Of a guest that is not known to be there nothing is kept, and what it would have is not lost. */
static void test_gone(void **state)
{
	struct cl_threads *threads = threads_here();

	cl_threads_own(threads, getpid(), MINE);
	given_to(threads, MINE);
	write_lines();
	assert_true(given_to(threads, MINE).shared_ns > 0);
	cl_threads_guest_gone(threads, MINE);
	write_lines();
	assert_int_equal(given_to(threads, MINE).shared_ns, 0);
	write_lines();
	assert_true(given_to(threads, MINE).shared_ns > 0);
	cl_threads_free(threads);
}

static uint64_t overhead_of(struct cl_threads *threads)
{
	uint64_t sum = 0, nobody_ns, overhead_ns;

	for (uint32_t cpu = 0; cl_threads_rests(threads, cpu, &nobody_ns, &overhead_ns); cpu++)
		sum += overhead_ns;
	return sum;
}

static uint64_t overhead_parts(struct cl_threads *threads)
{
	struct cl_threads_parts parts;
	uint64_t sum = 0;

	for (uint32_t cpu = 0; cl_threads_parts(threads, cpu, &parts); cpu++)
		sum += parts.tick_ns + parts.idle_ns;
	return sum;
}

/* What a thread is interrupted by, and wakes CPUs for, is its guest's, and overhead no more. */
static void test_wakeups(void **state)
{
	struct cl_threads *threads = threads_here();
	uint64_t until_ns = cl_clock_ns() + TRY_NS;
	struct timespec pause = { .tv_nsec = 100000 };
	struct given given;

	cl_threads_own(threads, getpid(), MINE);
	given_to(threads, MINE);
	do {
		for (int i = 0; i < 100; i++) {
			uint64_t burn_ns = cl_clock_ns() + 100000;

			while (cl_clock_ns() < burn_ns)
				;
			nanosleep(&pause, NULL);
		}
		given = given_to(threads, MINE);
	} while (!given.wakeup_ns && cl_clock_ns() < until_ns);
	assert_true(given.wakeup_ns > 0);
	/* read one after the other, while CPUs go on */
	uint64_t overhead_ns = overhead_of(threads), parts_ns = overhead_parts(threads);

	assert_true(overhead_ns < parts_ns);
	cl_threads_free(threads);
}

/* A packet to a port that nobody has is answered by the softirq that finds it. */
static void send_in_vain(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (uint32_t i = 0; i < ROUNDS; i++) /* not connected: no answer is told */
		assert_int_equal(sendto(fd, "", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
	close(fd);
}

static void test_packets(void **state)
{
	struct cl_threads *threads = threads_here();
	uint32_t lo = if_nametoindex("lo");

	assert_true(lo > 0);
	given_to(threads, MINE);
	send_in_vain();
	assert_int_equal(given_to(threads, MINE).shared_ns, 0);
	cl_threads_own_interface(threads, lo, MINE);
	send_in_vain();
	struct given given = given_to(threads, MINE);

	assert_true(given.shared_ns > ROUNDS * 100);
	cl_threads_own_interface(threads, lo, CL_NONE);
	given = given_to(threads, MINE);
	send_in_vain();
	assert_int_equal(given_to(threads, MINE).shared_ns, given.shared_ns);
	cl_threads_free(threads);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_work),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_wakeups),
		cmocka_unit_test(test_packets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
