/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * numa: sums of /proc/PID/numa_maps.
 *
 * A line: "address policy [key[=value]]... N0=pages N1=pages... kernelpagesize_kB=4" (numa(7);
 * fs/proc/task_mmu.c, show_numa_map). File names in it come from the process, and have spaces and
 * '=' escaped by the kernel, so no name can look like a key.
 */
#include "numa.h"

#include "lib.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define TEXT_MAX (64u << 20)
#define CHUNK    65536u
#define HOME_PART                                                                                  \
	16u /* a node with less than a sixteenth holds strays: the program's text, shared pages */
#define PAGE_KB_MAX                                                                                \
	(UINT64_C(16) << 20) /* 16 GiB is the largest page of any machine that Linux runs on */
#define PAGES_MAX (UINT64_C(1) << 52)

/* The value of "key=value" if the word, len bytes, has that key and a number for value. */
static bool number_of(const char *word, size_t len, const char *key, uint64_t *ret_value)
{
	size_t n = strlen(key);
	uint64_t value = 0;

	if (len <= n || memcmp(word, key, n) != 0)
		return false;
	for (size_t i = n; i < len; i++) {
		if (word[i] < '0' || word[i] > '9' || value > PAGES_MAX)
			return false;
		value = value * 10 + (uint64_t)(word[i] - '0');
	}
	*ret_value = value;
	return true;
}

/* "N12=345" */
static bool node_of(const char *word, size_t len, uint64_t *ret_node, uint64_t *ret_pages)
{
	uint64_t node = 0;
	size_t at = 1;

	for (; at < len && at < 4 && word[at] >= '0' && word[at] <= '9'; at++)
		node = node * 10 + (uint64_t)(word[at] - '0');
	if (at == 1 || word[0] != 'N' || node >= CL_NODES_MAX)
		return false;
	*ret_node = node;
	return number_of(word + at, len - at, "=", ret_pages) && *ret_pages <= PAGES_MAX;
}

static void add_sat(uint64_t *sum, uint64_t value)
{
	*sum = value > UINT64_MAX - *sum ? UINT64_MAX : *sum + value;
}

/* The page size comes last: pages are kept until it is known. */
static void add_line(const char *line, size_t len, uint64_t node_bytes[CL_NODES_MAX])
{
	uint64_t pages[CL_NODES_MAX] = { 0 }, node, value, page_kb = 0;

	for (size_t at = 0, n; at < len; at += n + 1) {
		const char *end = memchr(line + at, ' ', len - at);

		n = end ? (size_t)(end - line) - at : len - at;
		if (node_of(line + at, n, &node, &value))
			pages[node] = value;
		else if (number_of(line + at, n, "kernelpagesize_kB=", &value) &&
			 value <= PAGE_KB_MAX)
			page_kb = value;
	}
	for (node = 0; page_kb && node < CL_NODES_MAX; node++) {
		uint64_t page = page_kb * 1024;

		add_sat(&node_bytes[node],
			pages[node] > UINT64_MAX / page ? UINT64_MAX : pages[node] * page);
	}
}

size_t cl_numa_parse(const char *text, size_t len, uint64_t node_bytes[CL_NODES_MAX])
{
	size_t at = 0;

	while (at < len) {
		const char *end = memchr(text + at, '\n', len - at);

		if (!end)
			break;
		add_line(text + at, (size_t)(end - text) - at, node_bytes);
		at = (size_t)(end - text) + 1;
	}
	return at;
}

int cl_numa_home(int32_t pid, uint64_t ret_node_bytes[CL_NODES_MAX], struct cl_error *reterr)
{
	uint64_t bytes[CL_NODES_MAX] = { 0 };
	char name[64];
	cl_autofree char *text = malloc(CHUNK);
	size_t len = 0, total = 0;

	if (!text)
		return cl_fail(reterr, ENOMEM, "reading the memory of process %d: no memory", pid);
	snprintf(name, sizeof(name), "/proc/%d/numa_maps", pid);
	cl_autoclose int fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		char dir[32];

		snprintf(dir, sizeof(dir), "/proc/%d", pid);
		if (access(dir, F_OK) < 0)
			return cl_fail(reterr, ESRCH, "process %d is gone", pid);
		return cl_fail(reterr, ENOENT, "this kernel has no %s (CONFIG_NUMA)", name);
	}
	if (fd < 0)
		return cl_fail(reterr, errno, "opening %s: %s", name, strerror(errno));
	for (;;) {
		ssize_t n = read(fd, text + len, CHUNK - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cl_fail(reterr, errno, "reading %s: %s", name, strerror(errno));
		if (n == 0)
			break;
		len += (size_t)n;
		total += (size_t)n;
		if (total > TEXT_MAX)
			return cl_fail(reterr, EFBIG, "%s has more than %u bytes: not read", name,
				       TEXT_MAX);
		size_t used = cl_numa_parse(text, len, bytes);

		memmove(text, text + used, len - used);
		len -= used;
		if (len == CHUNK)
			return cl_fail(reterr, EBADMSG,
				       "%s has a line of %u bytes: not as numa(7) says", name,
				       CHUNK);
	}
	memcpy(ret_node_bytes, bytes, sizeof(bytes));
	return 0;
}

uint64_t cl_numa_nodes(const uint64_t node_bytes[CL_NODES_MAX])
{
	uint64_t all = 0, nodes = 0;

	for (uint32_t i = 0; i < CL_NODES_MAX; i++)
		add_sat(&all, node_bytes[i]);
	for (uint32_t i = 0; i < CL_NODES_MAX; i++)
		if (node_bytes[i] > 0 && node_bytes[i] >= all / HOME_PART)
			nodes |= UINT64_C(1) << i;
	return nodes;
}
