// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * xen_gauge: what the demo measures in a dom0, in one process: a shell costs more here than what it
 * would look at. It does not use closer; it runs `closer status` beside it and stamps its lines.
 *
 *   xen_gauge --windows N --seconds S [--task CONFIG] GUEST=IP..
 *   xen_gauge --books TIME
 *
 * Prints JSON, an object a line, "type" being
 *   books   one line of `closer status --json --watch --interval TIME`, with Xen's time of dom0
 *   task    one step of the management task: xl list, xl create CONFIG, xl destroy, again and again
 *   window  a window's end: Xen's time of each domain and of each vCPU of dom0, on which pCPUs that
 *           was (sampled), the back ends' interrupts and wakes, and each guest's report of its
 * loads
 *
 * A window lasts S seconds; what its guests report is of their own time between two reports.
 */
#include "xen_gauge.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <xenctrl.h>

#define VCPUS_MAX   64u
#define PCPUS_MAX   64u
#define DOMAINS_MAX 32u
#define SAMPLE_NS   (20 * XG_NS_PER_MS)

struct domain {
	uint32_t domid;
	uint64_t ns;
};

struct settings {
	uint32_t windows;
	uint64_t window_ns;
	const char *books, *task; /* NULL: without */
};

struct gauge {
	xc_interface *xc;
	pthread_mutex_t lock; /* of what the sampler counts */
	uint32_t vcpus;
	uint64_t vcpu_ns[VCPUS_MAX]; /* cumulative, at the last sample */
	uint32_t at[VCPUS_MAX];      /* the pCPU then */
	uint64_t moves[VCPUS_MAX];   /* to another pCPU, since the window began */
	uint64_t where_ns[VCPUS_MAX][PCPUS_MAX];
};

static struct gauge gauge = { .lock = PTHREAD_MUTEX_INITIALIZER };

_Noreturn void xg_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "xen_gauge: ");
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	/* The other threads may be at anything. */
	_exit(1);
}

uint64_t xg_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * XG_NS_PER_S + (uint64_t)ts.tv_nsec;
}

void xg_sleep_until(uint64_t due_ns)
{
	struct timespec ts = {
		.tv_sec = (time_t)(due_ns / XG_NS_PER_S),
		.tv_nsec = (long)(due_ns % XG_NS_PER_S),
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL))
		;
}

uint64_t xg_dom0_ns(void)
{
	xc_dominfo_t info;

	if (xc_domain_getinfo(gauge.xc, 0, 1, &info) != 1 || info.domid != 0)
		xg_die("reading dom0 from Xen failed");
	return info.cpu_time;
}

/* What a vCPU ran since the last look, it ran where it is now: at most SAMPLE_NS of it elsewhere.
 */
static void sample(bool first)
{
	for (uint32_t v = 0; v < gauge.vcpus; v++) {
		xc_vcpuinfo_t info;

		if (xc_vcpu_getinfo(gauge.xc, 0, v, &info) < 0)
			xg_die("reading dom0's vCPU %u from Xen failed", v);
		if (info.cpu >= PCPUS_MAX)
			xg_die("there are more than %u pCPUs", PCPUS_MAX);
		if (!first) {
			gauge.where_ns[v][info.cpu] += info.cpu_time - gauge.vcpu_ns[v];
			gauge.moves[v] += info.cpu != gauge.at[v];
		}
		gauge.vcpu_ns[v] = info.cpu_time;
		gauge.at[v] = info.cpu;
	}
}

static void *sampler(void *arg)
{
	for (uint64_t due = xg_now() + SAMPLE_NS;; due = xg_now() + SAMPLE_NS) {
		xg_sleep_until(due);
		pthread_mutex_lock(&gauge.lock);
		sample(false);
		pthread_mutex_unlock(&gauge.lock);
	}
	return NULL;
}

static void open_xen(void)
{
	xc_dominfo_t info;

	gauge.xc = xc_interface_open(NULL, NULL, 0);
	if (!gauge.xc)
		xg_die("this is not Xen's dom0");
	if (xc_domain_getinfo(gauge.xc, 0, 1, &info) != 1 || info.domid != 0)
		xg_die("reading dom0 from Xen failed");
	gauge.vcpus = info.max_vcpu_id + 1;
	if (gauge.vcpus > VCPUS_MAX)
		xg_die("dom0 has more than %u vCPUs", VCPUS_MAX);
}

/* dom0's vCPUs: what each ran in this window, on which pCPUs. */
static void print_vcpus(FILE *out)
{
	fprintf(out, "\"vcpus\":[");
	for (uint32_t v = 0; v < gauge.vcpus; v++) {
		const char *comma = "";

		fprintf(out, "%s{\"moves\":%llu,\"pcpus\":{", v ? "," : "",
			(unsigned long long)gauge.moves[v]);
		for (uint32_t p = 0; p < PCPUS_MAX; p++) {
			if (gauge.where_ns[v][p] == 0)
				continue;
			fprintf(out, "%s\"%u\":%llu", comma, p,
				(unsigned long long)gauge.where_ns[v][p]);
			comma = ",";
		}
		fprintf(out, "}}");
	}
	fprintf(out, "]");
}

static void begin_window(void)
{
	pthread_mutex_lock(&gauge.lock);
	sample(false);
	memset(gauge.moves, 0, sizeof(gauge.moves));
	memset(gauge.where_ns, 0, sizeof(gauge.where_ns));
	pthread_mutex_unlock(&gauge.lock);
}

static uint32_t read_domains(struct domain *domains)
{
	xc_dominfo_t info[DOMAINS_MAX];
	int n = xc_domain_getinfo(gauge.xc, 0, DOMAINS_MAX, info);

	if (n < 0)
		xg_die("reading the domains from Xen failed");
	for (int i = 0; i < n; i++)
		domains[i] = (struct domain){ info[i].domid, info[i].cpu_time };
	return (uint32_t)n;
}

/* Each domain's time in the window; of those that were there at both ends. */
static void print_domains(FILE *out, const struct domain *first, uint32_t first_n)
{
	struct domain last[DOMAINS_MAX];
	uint32_t n = read_domains(last);
	const char *comma = "";

	fprintf(out, "\"domains\":{");
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t k = 0; k < first_n; k++) {
			if (last[i].domid != first[k].domid)
				continue;
			fprintf(out, "%s\"%u\":%llu", comma, last[i].domid,
				(unsigned long long)(last[i].ns - first[k].ns));
			comma = ",";
		}
	fprintf(out, "}");
}

/* The loads report what they did since they were last asked. */
static void print_reports(FILE *out, const struct xg_guest *guests, uint32_t n)
{
	char reply[XG_REPLY_MAX];

	fprintf(out, "\"guests\":{");
	for (uint32_t i = 0; i < n; i++)
		fprintf(out, "%s\"%s\":%s", i ? "," : "", guests[i].name,
			xg_ask(&guests[i], "ask 20s report", reply, sizeof(reply)) ? reply
										   : "null");
	fprintf(out, "}");
}

static void run_windows(const struct settings *settings, const struct xg_guest *guests, uint32_t n)
{
	char reply[XG_REPLY_MAX];

	/* What they did before is nobody's. */
	for (uint32_t i = 0; i < n; i++)
		xg_ask(&guests[i], "ask 20s report", reply, sizeof(reply));
	for (uint32_t w = 0; w < settings->windows; w++) {
		struct domain domains[DOMAINS_MAX];
		uint32_t domain_n = read_domains(domains);
		uint64_t begin_ns = xg_now();
		char *text = NULL;
		size_t len = 0;
		FILE *out = open_memstream(&text, &len);

		if (!out)
			xg_die("no memory");
		begin_window();
		xg_counts_begin();
		xg_sleep_until(begin_ns + settings->window_ns);
		fprintf(out,
			"{\"type\":\"window\",\"window\":%u,\"begin_ns\":%llu,\"end_ns\":%llu,", w,
			(unsigned long long)begin_ns, (unsigned long long)xg_now());
		pthread_mutex_lock(&gauge.lock);
		print_vcpus(out);
		pthread_mutex_unlock(&gauge.lock);
		fputc(',', out);
		print_domains(out, domains, domain_n);
		fputc(',', out);
		xg_counts_print(out);
		fputc(',', out);
		print_reports(out, guests, n);
		fprintf(out, "}\n");
		fclose(out);
		fputs(text, stdout);
		free(text);
	}
}

static uint32_t read_guests(char **args, struct xg_guest *guests)
{
	uint32_t n = 0;

	for (; *args; args++, n++) {
		char *ip = strchr(*args, '=');

		if (!ip || n == XG_GUESTS_MAX)
			xg_die("'%s' is not GUEST=IP, or there are more than %u", *args,
			       XG_GUESTS_MAX);
		*ip = '\0';
		guests[n] = (struct xg_guest){ *args, ip + 1 };
	}
	return n;
}

static const char *option(const char *name, const char *value, struct settings *settings)
{
	if (strcmp(name, "--books") == 0)
		settings->books = value;
	else if (strcmp(name, "--task") == 0)
		settings->task = value;
	else if (strcmp(name, "--windows") == 0)
		settings->windows = (uint32_t)strtoul(value, NULL, 10);
	else if (strcmp(name, "--seconds") == 0)
		settings->window_ns = strtoul(value, NULL, 10) * XG_NS_PER_S;
	else
		return name;
	return NULL;
}

int main(int argc, char **argv)
{
	struct settings settings = { 0 };
	struct xg_guest guests[XG_GUESTS_MAX];
	int at = 1;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2)
		if (option(argv[at], argv[at + 1], &settings))
			xg_die("there is no option %s", argv[at]);
	open_xen();
	if (settings.books && at == argc)
		return xg_books(settings.books);
	if (at >= argc || settings.windows == 0 || settings.window_ns == 0)
		xg_die("usage: xen_gauge --windows N --seconds S [--task CONFIG] GUEST=IP.. | --books TIME");
	uint32_t n = read_guests(argv + at, guests);

	sample(true);
	xg_thread(sampler, NULL);
	if (settings.task)
		xg_task_start(settings.task);
	run_windows(&settings, guests, n);
	xg_task_end();
	fflush(stdout);
	/* The sampler sleeps for ever. */
	_exit(0);
}
