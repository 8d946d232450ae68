// SPDX-License-Identifier: GPL-2.0-or-later
// Has each process its own registers? Processes, more of them than CPUs, and children of theirs
// fill the vector and x87 registers with values that nobody else has, wait or yield, and look.
// registers SECONDS PROCESSES: 0 if all was right.
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { VECTORS = 16, LANES = 4, CHILD_EVERY = 16, CHILD_ROUNDS = 3, SPIN_MAX = 3000, SHOWN = 10 };

struct shared {
	atomic_ulong rounds, children, vector, x87, tls, died;
};

static struct shared *all;
static unsigned process;
static _Thread_local uint64_t canary;
static uint64_t in[VECTORS][LANES] __attribute__((aligned(64)));
static uint64_t out[VECTORS][LANES] __attribute__((aligned(64)));

// With the process and the round in it, a wrong value says whose it is. Positive and below 2^62:
// x87 keeps it exactly.
static uint64_t value(unsigned round, unsigned reg, unsigned lane)
{
	return (uint64_t)0x25 << 56 | (uint64_t)(process & 0xff) << 48 | (uint64_t)round << 16 |
	       reg << 8 | 0x10 | lane;
}

static void wrong(atomic_ulong *kind, const char *what, unsigned reg, uint64_t want, uint64_t got)
{
	if (atomic_fetch_add(kind, 1) < SHOWN)
		fprintf(stderr, "registers: %s %u is %016llx, not %016llx\n", what, reg,
			(unsigned long long)got, (unsigned long long)want);
}

// clang-format off
#define EACH(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) \
	M(9) M(10) M(11) M(12) M(13) M(14) M(15)
#define LOAD(n) "vmovdqa " #n "*32(%[in]), %%ymm" #n "\n"
#define STORE(n) "vmovdqa %%ymm" #n ", " #n "*32(%[out])\n"
// Spins, then, where asked to, calls sched_yield.
#define WAIT "1: pause\n dec %[spin]\n jnz 1b\n" \
	"test %[yield], %[yield]\n jz 2f\n mov $24, %%eax\n syscall\n2:\n"
// clang-format on

static void vectors(unsigned round, unsigned long spin, unsigned long yield)
{
	for (unsigned r = 0; r < VECTORS; r++)
		for (unsigned l = 0; l < LANES; l++)
			in[r][l] = value(round, r, l);
	memset(out, 0, sizeof(out));
	__asm__ volatile(EACH(LOAD) WAIT EACH(STORE) "vzeroupper\n"
			 : [spin] "+r"(spin)
			 : [in] "r"(in), [out] "r"(out), [yield] "r"(yield)
			 : "rax", "rcx", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3",
			   "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
			   "xmm12", "xmm13", "xmm14", "xmm15");
	for (unsigned r = 0; r < VECTORS; r++)
		for (unsigned l = 0; l < LANES; l++)
			if (out[r][l] != in[r][l])
				wrong(&all->vector, l < 2 ? "xmm" : "upper half of ymm", r,
				      in[r][l], out[r][l]);
}

static void x87(unsigned round, unsigned long spin, unsigned long yield)
{
	uint64_t want = value(round, VECTORS, 0), got;

	__asm__ volatile("fildll %[want]\n" WAIT "fistpll %[got]\n"
			 : [spin] "+r"(spin), [got] "=m"(got)
			 : [want] "m"(want), [yield] "r"(yield)
			 : "rax", "rcx", "r11", "memory", "cc");
	if (got != want)
		wrong(&all->x87, "st", 0, want, got);
}

static void look(unsigned round)
{
	unsigned long spin = 1 + (unsigned long)rand() % SPIN_MAX,
		      yield = (unsigned long)rand() % 2;

	vectors(round, spin, yield);
	x87(round, spin, yield);
	if (canary != process)
		wrong(&all->tls, "a thread's own variable", 0, process, canary);
	atomic_fetch_add(&all->rounds, 1);
}

// A child that cannot be had counts, too.
static void wait_well(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status != 0)
		wrong(&all->died, "the status of process", (unsigned)pid, 0, (unsigned)status);
}

static void child(unsigned round)
{
	pid_t pid = fork();

	if (pid == 0) {
		for (unsigned i = 0; i < CHILD_ROUNDS; i++)
			look(round + i);
		_exit(0);
	}
	wait_well(pid);
	atomic_fetch_add(&all->children, 1);
}

static void work(time_t seconds)
{
	struct timespec start, now;

	canary = process;
	srand(process);
	clock_gettime(CLOCK_MONOTONIC, &start);
	now = start;
	for (unsigned round = 0; now.tv_sec - start.tv_sec < seconds; round++) {
		look(round);
		if (round % CHILD_EVERY == 0)
			child(round);
		clock_gettime(CLOCK_MONOTONIC, &now);
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	int seconds = argc == 3 ? atoi(argv[1]) : 0, processes = argc == 3 ? atoi(argv[2]) : 0;

	if (seconds < 1 || processes < 1 || processes > 255 || !__builtin_cpu_supports("avx")) {
		fprintf(stderr, "usage: registers SECONDS PROCESSES, on a CPU with AVX\n");
		return 2;
	}
	all = mmap(NULL, sizeof(*all), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (all == MAP_FAILED) {
		perror("registers: mmap");
		return 2;
	}
	pid_t pids[256];
	for (int i = 0; i < processes; i++) {
		process = (unsigned)i + 1;
		pids[i] = fork();
		if (pids[i] == 0)
			work(seconds);
	}
	for (int i = 0; i < processes; i++)
		wait_well(pids[i]);
	printf("rounds %lu children %lu wrong: vector %lu x87 %lu tls %lu died %lu\n", all->rounds,
	       all->children, all->vector, all->x87, all->tls, all->died);
	return all->rounds == 0 || all->vector || all->x87 || all->tls || all->died;
}
