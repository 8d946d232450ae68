/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "xen/parse.h"

#include "lib.h"

#include <string.h>

struct cursor {
	const char *at, *end;
};

static bool skip(struct cursor *line, const char *text)
{
	size_t n = strlen(text);

	if ((size_t)(line->end - line->at) < n || memcmp(line->at, text, n) != 0)
		return false;
	line->at += n;
	return true;
}

static bool take_number(struct cursor *line, uint64_t *ret)
{
	const char *start = line->at;

	*ret = 0;
	while (line->at < line->end && *line->at >= '0' && *line->at <= '9') {
		if (*ret > UINT64_MAX / 16)
			return false;
		*ret = *ret * 10 + (uint64_t)(*line->at++ - '0');
	}
	return line->at > start;
}

/* "(XEN) ", and the time where Xen's console has one. */
static bool is_xens(struct cursor *line)
{
	if (!skip(line, "(XEN) "))
		return false;
	if (line->at < line->end && *line->at == '[') {
		const char *close = memchr(line->at, ']', (size_t)(line->end - line->at));

		if (!close)
			return false;
		line->at = close + 1;
		return skip(line, " ");
	}
	return true;
}

/* "Domain 3 (total: 32768):" up to Xen 4.17, "d3 (total: 32768):" since. */
static bool is_domain(struct cursor line, uint64_t *ret_domid, uint64_t *ret_total)
{
	return (skip(&line, "Domain ") || skip(&line, "d")) && take_number(&line, ret_domid) &&
	       skip(&line, " (total: ") && take_number(&line, ret_total) && skip(&line, "):") &&
	       line.at == line.end;
}

static bool is_node(struct cursor line, uint64_t *ret_node, uint64_t *ret_pages)
{
	return skip(&line, "    Node ") && take_number(&line, ret_node) && skip(&line, ": ") &&
	       take_number(&line, ret_pages) && line.at == line.end;
}

struct domain {
	uint64_t domid, total, sum;
	uint64_t pages[CL_NODES_MAX];
};

/* Pages come and go while Xen counts, and a text may be cut off: the sum has to be near the total.
 */
static bool is_whole(const struct domain *domain)
{
	return domain->domid < CL_XEN_DOMIDS && domain->sum > 0 &&
	       domain->sum >= domain->total - domain->total / 16;
}

uint32_t cl_xen_parse_pages(const char *text, size_t len,
			    void (*fn)(void *ctx, uint32_t domid,
				       const uint64_t pages[CL_NODES_MAX]),
			    void *ctx)
{
	struct domain domain = { .domid = CL_NONE };
	bool begun = false, done = false;
	uint32_t found = 0;

	for (const char *at = text, *end = text + len; !done;) {
		const char *stop = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
		struct cursor line = { at, stop };
		struct domain next = { .domid = CL_NONE };
		uint64_t node, count;

		done = !stop; /* a line that is cut off may have a number that goes on */
		at = stop ? stop + 1 : end;
		if (!done && !is_xens(&line))
			continue;
		if (!done && !begun) {
			begun = skip(&line, "Memory location of each domain:");
		} else if (done || is_domain(line, &next.domid, &next.total)) {
			if (is_whole(&domain)) {
				fn(ctx, (uint32_t)domain.domid, domain.pages);
				found++;
			}
			domain = next;
		} else if (is_node(line, &node, &count) && node < CL_NODES_MAX &&
			   domain.pages[node] == 0 && count <= domain.total - domain.sum) {
			domain.pages[node] = count;
			domain.sum += count;
		}
	}
	return found;
}
