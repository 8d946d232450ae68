// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * xen_clock: closer's clock against Xen's, in a dom0.
 *
 *   xen_clock parts SECONDS WINDOWS DOMID..   what dom0 ran in each window, in parts: each guest
 * must be in them, and they must add up to Xen's time of its vCPUs xen_clock burner SECONDS WINDOWS
 * PID CPU  a thread that burns on one vCPU, whose pCPU is shared: what closer and the kernel say
 * that it ran, and Xen of its vCPU
 *
 * A window more is run before, and not judged: caches, and the loads still beginning. Status 1: the
 * figures differ by more than they may, or there was nothing to tell apart.
 */
#include "lib.h"
#include "threads.h"
#include "threads_proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <xenctrl.h>

#define THREADS_MAX 1024u
#define IRQS_MAX    16384u
#define VCPUS_MAX   64u
#define KERNEL_MAX  32u

#define PARTS_GAP_PPM  50000 /* between the parts and Xen's time */
#define BURNER_GAP_PPM 30000
#define SHARED_PPM     800000 /* a vCPU that got more of the wall's time than this shared nothing */

struct moment {
	uint64_t wall_ns;
	uint32_t cpus;
	uint64_t xen_ns[VCPUS_MAX];
	struct cl_threads_parts parts[VCPUS_MAX];
	uint64_t thread_ns[THREADS_MAX]; /* of the threads that are followed, in their order */
	uint64_t irq_ns[IRQS_MAX];
	uint64_t schedstat_ns; /* of the burner */
};

static struct moment first, last;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "xen_clock: %s\n", what);
	exit(1);
}

static void read_xen(xc_interface *xc, struct moment *now)
{
	xc_dominfo_t domain;

	if (xc_domain_getinfo(xc, 0, 1, &domain) != 1 || domain.domid != 0)
		die("reading dom0 from Xen failed");
	now->cpus = domain.max_vcpu_id + 1;
	if (now->cpus > VCPUS_MAX)
		die("dom0 has too many vCPUs");
	for (uint32_t cpu = 0; cpu < now->cpus; cpu++) {
		xc_vcpuinfo_t vcpu;

		if (xc_vcpu_getinfo(xc, 0, cpu, &vcpu) < 0)
			die("reading a vCPU from Xen failed");
		now->xen_ns[cpu] = vcpu.cpu_time;
	}
}

static uint64_t schedstat_of(int32_t pid)
{
	char path[64], text[CL_PROC_TEXT];
	uint64_t run_ns, wait_ns;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	if (cl_read_file(AT_FDCWD, path, text, sizeof(text)) <= 0 ||
	    !cl_schedstat_parse(text, &run_ns, &wait_ns))
		die("the burner has no schedstat");
	return run_ns;
}

static void read_moment(xc_interface *xc, struct cl_threads *threads, int32_t pid,
			struct moment *now)
{
	uint32_t at, domid;
	struct cl_error error;
	bool changed;

	if (cl_threads_refresh(threads, &changed, &error) < 0)
		die(error.text);
	now->schedstat_ns = pid ? schedstat_of(pid) : 0;
	now->wall_ns = cl_clock_ns();
	read_xen(xc, now);
	for (uint32_t cpu = 0; cpu < now->cpus; cpu++)
		if (!cl_threads_parts(threads, cpu, &now->parts[cpu]))
			die("the clock has no books of a vCPU");
	for (uint32_t i = 0; i < cl_threads_count(threads); i++)
		now->thread_ns[i] = cl_threads_at(threads, i)->cpu_ns;
	for (uint32_t irq = 0; irq < IRQS_MAX; irq++)
		if (!cl_threads_irq(threads, irq, &now->irq_ns[irq], &at, &domid))
			now->irq_ns[irq] = 0;
}

static void wait_s(double seconds)
{
	struct timespec time = { .tv_sec = (time_t)seconds };

	time.tv_nsec = (long)((seconds - (double)time.tv_sec) * 1e9);
	while (nanosleep(&time, &time) < 0 && errno == EINTR)
		;
}

static double percent(uint64_t ns)
{
	return 100.0 * (double)ns / (double)(last.wall_ns - first.wall_ns);
}

static long long ppm(uint64_t is, uint64_t should)
{
	return should ? ((long long)is - (long long)should) * 1000000 / (long long)should : 0;
}

/* All figures: percent of one CPU. */
static void print_cpu(const char *name, uint64_t xen, const struct cl_threads_parts *p)
{
	printf("%-5s xen %6.2f  parts %6.2f (%+lld ppm): threads %6.2f  interrupts %5.2f  "
	       "polls %5.2f  softirqs %5.2f  ticks+ipis %5.2f  idle %5.2f\n",
	       name, percent(xen), percent(p->total_ns), ppm(p->total_ns, xen),
	       percent(p->thread_ns), percent(p->irq_ns), percent(p->napi_ns),
	       percent(p->softirq_ns), percent(p->tick_ns), percent(p->idle_ns));
}

static uint64_t print_cpus(struct cl_threads_parts *ret_sum)
{
	uint64_t xen_sum = 0;

	*ret_sum = (struct cl_threads_parts){ 0 };
	for (uint32_t cpu = 0; cpu < last.cpus; cpu++) {
		const struct cl_threads_parts *a = &first.parts[cpu], *b = &last.parts[cpu];
		uint64_t xen = last.xen_ns[cpu] - first.xen_ns[cpu];
		struct cl_threads_parts ran = {
			b->total_ns - a->total_ns,     b->thread_ns - a->thread_ns,
			b->irq_ns - a->irq_ns,         b->napi_ns - a->napi_ns,
			b->softirq_ns - a->softirq_ns, b->tick_ns - a->tick_ns,
			b->idle_ns - a->idle_ns,
		};
		char name[16];

		snprintf(name, sizeof(name), "cpu%u", cpu);
		print_cpu(name, xen, &ran);
		xen_sum += xen;
		ret_sum->total_ns += ran.total_ns;
		ret_sum->thread_ns += ran.thread_ns;
		ret_sum->irq_ns += ran.irq_ns;
		ret_sum->napi_ns += ran.napi_ns;
		ret_sum->softirq_ns += ran.softirq_ns;
		ret_sum->tick_ns += ran.tick_ns;
		ret_sum->idle_ns += ran.idle_ns;
	}
	print_cpu("all", xen_sum, ret_sum);
	return xen_sum;
}

static bool is_gap(long long gap_ppm, long long most_ppm)
{
	return gap_ppm > most_ppm || gap_ppm < -most_ppm;
}

/* The kernel threads of netback and blkback, by name: vifD.H-.., napi/vifD.H-.., D.DEV-RING. */
static uint32_t guest_of(const char *comm)
{
	const char *at = strncmp(comm, "napi/", 5) == 0 ? comm + 5 : comm;
	char *end;
	unsigned long domid = strtoul(strncmp(at, "vif", 3) == 0 ? at + 3 : at, &end, 10);

	return *end == '.' && domid > 0 && domid < 0x7ff0 ? (uint32_t)domid : CL_NONE;
}

static void follow_guests(struct cl_threads *threads)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;

	if (!dir)
		die("/proc cannot be read");
	while ((entry = readdir(dir))) {
		char path[300], comm[32];
		long pid = strtol(entry->d_name, NULL, 10);

		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		if (pid <= 0 || cl_read_file(AT_FDCWD, path, comm, sizeof(comm)) <= 0)
			continue;
		if (guest_of(comm) != CL_NONE)
			cl_threads_follow(threads, (int32_t)pid, guest_of(comm), NULL);
	}
	closedir(dir);
}

/* False if some of its work was not seen, or not seen to be its. */
static bool print_guest(const struct cl_threads *threads, uint32_t domid)
{
	uint64_t thread_ns = 0, net_ns = 0, irq_ns = 0, ns, tied_ns;
	char vif[16];

	for (uint32_t i = 0; i < cl_threads_count(threads); i++) {
		const struct cl_thread *thread = cl_threads_at(threads, i);
		uint64_t ran = last.thread_ns[i] - first.thread_ns[i];

		if (thread->tag != domid)
			continue;
		printf("    %-16s %5.2f\n", thread->comm, percent(ran));
		thread_ns += ran;
	}
	for (uint32_t irq = 0; irq < IRQS_MAX; irq++) {
		uint32_t cpu, owner;

		if (!cl_threads_irq(threads, irq, &ns, &cpu, &owner) || owner != domid)
			continue;
		ns = last.irq_ns[irq] - first.irq_ns[irq];
		printf("    interrupt %-6u %5.2f  on cpu%u\n", irq, percent(ns), cpu);
		irq_ns += ns;
	}
	snprintf(vif, sizeof(vif), "vif%u.0", domid);
	if (cl_threads_vif(threads, vif, &ns, &tied_ns)) {
		printf("    %s: polls %.3f ms in all, %.3f ms tied to its interrupt\n", vif,
		       (double)ns / 1e6, (double)tied_ns / 1e6);
		net_ns = tied_ns;
	}
	printf("  guest %u: threads %.2f, interrupts with their polls %.2f\n", domid,
	       percent(thread_ns), percent(irq_ns));
	return thread_ns && irq_ns && net_ns;
}

static int judge_parts(const struct cl_threads *threads, char **domids)
{
	struct cl_threads_parts sum;
	bool seen = true;
	uint64_t xen = print_cpus(&sum);
	long long gap = ppm(sum.total_ns, xen);

	for (; *domids; domids++)
		seen = print_guest(threads, (uint32_t)strtoul(*domids, NULL, 10)) && seen;
	printf("xen_ms=%llu parts_ms=%llu gap_ppm=%lld overhead_ppm=%llu\n",
	       (unsigned long long)(xen / 1000000), (unsigned long long)(sum.total_ns / 1000000),
	       gap, (unsigned long long)((sum.tick_ns + sum.idle_ns) * 1000000 / xen));
	if (!seen)
		printf("a guest's threads, interrupts or polls were not seen\n");
	return !seen || is_gap(gap, PARTS_GAP_PPM);
}

/*
 * Ticks and IPIs run on top of the burner: Xen has them in the vCPU's time, closer as overhead of
 * the CPU. With them its figure must be Xen's time; the burner alone is printed beside it.
 */
static int judge_burner(uint32_t cpu)
{
	struct cl_threads_parts sum;
	uint64_t kernel = last.schedstat_ns - first.schedstat_ns;
	uint64_t ours = last.thread_ns[0] - first.thread_ns[0];
	uint64_t ticks = last.parts[cpu].tick_ns - first.parts[cpu].tick_ns;
	uint64_t xen = last.xen_ns[cpu] - first.xen_ns[cpu];

	print_cpus(&sum);
	printf("burner on cpu%u: xen %.2f  closer %.2f + ticks on it %.2f (%+lld ppm; without %+lld)  "
	       "schedstat %.2f (%+lld ppm)\n",
	       cpu, percent(xen), percent(ours), percent(ticks), ppm(ours + ticks, xen),
	       ppm(ours, xen), percent(kernel), ppm(kernel, xen));
	if (xen > (last.wall_ns - first.wall_ns) / 1000000 * SHARED_PPM) {
		printf("the vCPU shared its pCPU with nobody\n");
		return 1;
	}
	return is_gap(ppm(ours + ticks, xen), BURNER_GAP_PPM);
}

static int windows(struct cl_threads *threads, xc_interface *xc, char **argv, int32_t pid)
{
	int bad = 0, count = atoi(argv[3]);

	/* The first look gives threads their rows: what is before it is not in their entries. */
	read_moment(xc, threads, pid, &last);
	read_moment(xc, threads, pid, &last);
	for (int window = 0; window <= count; window++) {
		uint64_t begun_ns;
		int r;

		first = last;
		wait_s(strtod(argv[2], NULL));
		begun_ns = cl_clock_ns();
		read_moment(xc, threads, pid, &last);
		printf("%s, window %d (read in %.1f ms), percent of one CPU:\n", argv[1], window,
		       (double)(last.wall_ns - begun_ns) / 1e6);
		r = pid ? judge_burner((uint32_t)atoi(argv[5])) : judge_parts(threads, argv + 4);
		if (window)
			printf("%s %s %d\n", r ? "not ok" : "ok", argv[1], window);
		bad += window && r;
	}
	return bad != 0;
}

int main(int argc, char **argv)
{
	struct cl_threads *threads;
	struct cl_error error;
	xc_interface *xc;
	int32_t pid = 0;
	int r;

	setvbuf(stdout, NULL, _IOLBF, 0);
	bool burner = argc == 6 && strcmp(argv[1], "burner") == 0;

	if (argc < 5 || (!burner && strcmp(argv[1], "parts") != 0) || strtod(argv[2], NULL) <= 0 ||
	    atoi(argv[3]) <= 0)
		die("usage: xen_clock parts SECONDS WINDOWS DOMID.. | burner SECONDS WINDOWS PID CPU");
	xc = xc_interface_open(NULL, NULL, 0);
	if (!xc)
		die("this is not Xen's dom0");
	if (cl_threads_new(THREADS_MAX, CL_THREADS_BPF, NULL, &threads, &error) < 0)
		die(error.text);
	if (!cl_threads_honest(threads))
		die("the clock is the kernel's here, not the honest one");
	if (burner) {
		pid = atoi(argv[4]);
		if (atoi(argv[5]) < 0 || atoi(argv[5]) >= (int)VCPUS_MAX)
			die("there is no such vCPU");
		if (cl_threads_follow(threads, pid, 1, &error) < 0)
			die(error.text);
	} else {
		follow_guests(threads);
	}
	r = windows(threads, xc, argv, pid);
	cl_threads_free(threads);
	xc_interface_close(xc);
	return r;
}
