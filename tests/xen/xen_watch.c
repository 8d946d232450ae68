/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xen_watch END: where the back ends' threads and the toolstack's processes are, by /proc alone,
 * fifty times a second until a file END is there. It knows nothing of closer. A line for each
 * change:
 *
 *   UPTIME PID START NAME CPUS CGROUP     START in clock ticks since boot, the others as /proc has
 * them
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIDS_MAX 65536

static char seen[PIDS_MAX][256]; /* what was said of it last */

static bool read_text(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, buf, size - 1);

	if (fd >= 0)
		close(fd);
	buf[len > 0 ? len : 0] = '\0';
	return len > 0;
}

static void end_line(char *text)
{
	text[strcspn(text, "\n")] = '\0';
}

static bool is_watched(const char *name)
{
	return strcmp(name, "xl") == 0 || strcmp(name, "libxl-save-help") == 0 ||
	       strncmp(name, "vif", 3) == 0 || strncmp(name, "napi/vif", 8) == 0 ||
	       (isdigit(name[0]) && strstr(name, ".xvd"));
}

/* Field 22 of stat; the name before it may hold anything. */
static unsigned long long start_of(const char *stat)
{
	const char *p = strrchr(stat, ')');

	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	return p ? strtoull(p + 1, NULL, 10) : 0;
}

static void look_at(const char *pid)
{
	char path[64], name[64], status[4096], stat[1024], group[160], now[256], uptime[64];
	unsigned long number = strtoul(pid, NULL, 10);

	snprintf(path, sizeof(path), "/proc/%.16s/comm", pid);
	if (number >= PIDS_MAX || !read_text(path, name, sizeof(name)))
		return;
	end_line(name);
	if (!is_watched(name))
		return;
	snprintf(path, sizeof(path), "/proc/%.16s/status", pid);
	if (!read_text(path, status, sizeof(status)))
		return;
	snprintf(path, sizeof(path), "/proc/%.16s/stat", pid);
	if (!read_text(path, stat, sizeof(stat)))
		return;
	snprintf(path, sizeof(path), "/proc/%.16s/cgroup", pid);
	if (!read_text(path, group, sizeof(group)))
		return;
	char *cpus = strstr(status, "\nCpus_allowed_list:\t");

	if (!cpus)
		return;
	cpus += strlen("\nCpus_allowed_list:\t");
	end_line(cpus);
	end_line(group);
	snprintf(now, sizeof(now), "%llu %.40s %.40s %.150s", start_of(stat), name, cpus, group);
	if (strcmp(now, seen[number]) == 0)
		return;
	memcpy(seen[number], now, sizeof(now));
	if (!read_text("/proc/uptime", uptime, sizeof(uptime)))
		return;
	uptime[strcspn(uptime, " ")] = '\0';
	printf("%s %lu %s\n", uptime, number, now);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	const struct dirent *entry;
	DIR *proc = opendir("/proc");

	if (argc != 2 || !proc) {
		fprintf(stderr, "usage: xen_watch END\n");
		return 2;
	}
	while (access(argv[1], F_OK) < 0) {
		rewinddir(proc);
		while ((entry = readdir(proc)))
			if (isdigit(entry->d_name[0]))
				look_at(entry->d_name);
		usleep(20000);
	}
	closedir(proc);
	return 0;
}
