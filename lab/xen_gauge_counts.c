// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the back ends of dom0 were asked for in a window: interrupts by name, and how often each
 * back end's thread was woken. The kernel makes these names, of domids and queues: "vif1.0-q0-tx",
 * "blkif-backend" (of all guests), "vif1.0-q0-guest", "1.xvda-0".
 */
#include "xen_gauge.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#define COUNTS_MAX 256u
#define COUNT_NAME 32u

struct count {
	char name[COUNT_NAME];
	int tid; /* 0: interrupts, all of this name */
	uint64_t at_begin, now;
};

static struct count counts[COUNTS_MAX];
static uint32_t count_n;

static struct count *count_of(const char *name, int tid)
{
	for (uint32_t i = 0; i < count_n; i++)
		if (counts[i].tid == tid && strcmp(counts[i].name, name) == 0)
			return &counts[i];
	if (count_n == COUNTS_MAX)
		xg_die("there are more than %u back end threads and interrupts", COUNTS_MAX);
	counts[count_n] = (struct count){ .tid = tid };
	snprintf(counts[count_n].name, sizeof(counts[count_n].name), "%s", name);
	return &counts[count_n++];
}

/* " 72:  10  0  3  0  xen-dyn -event  vif1.0-q0-tx" */
static void add_interrupts(char *line)
{
	char *at = strchr(line, ':'), *name;
	uint64_t sum = 0;

	line[strcspn(line, "\n")] = '\0';
	name = strrchr(line, ' ');
	if (!at || !name ||
	    (strncmp(name + 1, "vif", 3) != 0 && strcmp(name + 1, "blkif-backend") != 0))
		return;
	for (at++;;) {
		char *end;
		uint64_t n = strtoull(at, &end, 10);

		if (end == at || !isspace((unsigned char)*end))
			break;
		sum += n;
		at = end;
	}
	count_of(name + 1, 0)->now += sum;
}

static void read_interrupts(void)
{
	char line[4096];
	FILE *file = fopen("/proc/interrupts", "re");

	for (uint32_t i = 0; i < count_n; i++)
		if (counts[i].tid == 0)
			counts[i].now = 0;
	while (file && fgets(line, sizeof(line), file))
		add_interrupts(line);
	if (!file)
		xg_die("reading /proc/interrupts failed");
	fclose(file);
}

/* False: it is gone. */
static bool read_line(const char *path, const char *key, char *ret, size_t size)
{
	FILE *file = fopen(path, "re");
	bool found = false;

	while (file && !found && fgets(ret, (int)size, file))
		found = strncmp(ret, key, strlen(key)) == 0;
	if (file)
		fclose(file);
	ret[strcspn(ret, "\n")] = '\0';
	return found;
}

static bool is_back_end(const char *name)
{
	const char *dot = strchr(name, '.');

	return strncmp(name, "vif", 3) == 0 ||
	       (isdigit((unsigned char)name[0]) && dot && strncmp(dot, ".xvd", 4) == 0);
}

static void find_threads(void)
{
	DIR *dir = opendir("/proc");
	const struct dirent *entry;
	char path[64], name[COUNT_NAME];

	if (!dir)
		xg_die("reading /proc failed");
	while ((entry = readdir(dir))) {
		int tid = atoi(entry->d_name);

		snprintf(path, sizeof(path), "/proc/%d/comm", tid);
		if (tid > 0 && read_line(path, "", name, sizeof(name)) && is_back_end(name))
			count_of(name, tid);
	}
	closedir(dir);
}

static void read_threads(void)
{
	char path[64], line[128];

	for (uint32_t i = 0; i < count_n; i++) {
		snprintf(path, sizeof(path), "/proc/%d/status", counts[i].tid);
		if (counts[i].tid &&
		    read_line(path, "voluntary_ctxt_switches:", line, sizeof(line)))
			counts[i].now = strtoull(strchr(line, ':') + 1, NULL, 10);
	}
}

void xg_counts_begin(void)
{
	find_threads();
	read_interrupts();
	read_threads();
	for (uint32_t i = 0; i < count_n; i++)
		counts[i].at_begin = counts[i].now;
}

static void print_kind(FILE *out, bool threads)
{
	const char *comma = "";

	for (uint32_t i = 0; i < count_n; i++) {
		if ((counts[i].tid != 0) != threads)
			continue;
		fprintf(out, "%s\"%s\":%llu", comma, counts[i].name,
			(unsigned long long)(counts[i].now - counts[i].at_begin));
		comma = ",";
	}
}

void xg_counts_print(FILE *out)
{
	read_interrupts();
	read_threads();
	fprintf(out, "\"interrupts\":{");
	print_kind(out, false);
	fprintf(out, "},\"wakes\":{");
	print_kind(out, true);
	fprintf(out, "}");
}
