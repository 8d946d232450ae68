/* SPDX-License-Identifier: GPL-2.0-or-later */
/* list: the two ways to write down processes. A process named twice is one entry, the first. */
#include "template/list.h"

#include "lib.h"

#include <errno.h>
#include <string.h>

/* Takes "PID", the separator and a name that ends before one of stop; *text is moved to where it
 * ended. */
static int take(const char **text, char sep, const char *stop, struct cl_listed *ret_one)
{
	const char *end;
	uint64_t pid;

	if (!cl_parse_u64(*text, &pid, &end) || pid == 0 || pid > INT32_MAX)
		return -EINVAL;
	memset(ret_one, 0, sizeof(*ret_one));
	ret_one->pid = (int32_t)pid;
	if (*end == sep) {
		size_t len = strcspn(++end, stop);

		memcpy(ret_one->name, end, len < CL_NAME_MAX ? len : CL_NAME_MAX - 1);
		end += len;
	}
	*text = end;
	return *end == '\0' || strchr(stop, *end) ? 0 : -EINVAL;
}

static int add(struct cl_listed *list, uint32_t *n, uint32_t max, const struct cl_listed *one)
{
	for (uint32_t i = 0; i < *n; i++)
		if (list[i].pid == one->pid)
			return 0;
	if (*n == max)
		return -E2BIG;
	list[(*n)++] = *one;
	return 0;
}

int cl_list_parse_arg(const char *text, struct cl_listed *ret_list, uint32_t max,
		      struct cl_error *reterr)
{
	struct cl_listed one;
	uint32_t n = 0;

	for (const char *p = text;; p++) {
		if (take(&p, '=', ",", &one) < 0)
			return cl_fail(reterr, EINVAL,
				       "template: entry %u is not PID or PID=NAME; write "
				       "template:PID,PID=NAME,... or "
				       "template:@FILE",
				       n + 1);
		if (add(ret_list, &n, max, &one) < 0)
			return cl_fail(reterr, E2BIG, "template: more than %u processes", max);
		if (*p == '\0')
			return (int)n;
	}
}

int cl_list_parse_file(const char *text, struct cl_listed *ret_list, uint32_t max,
		       struct cl_error *reterr)
{
	struct cl_listed one;
	uint32_t n = 0, line = 1;

	for (const char *p = text; *p; line++) {
		if (*p == '#')
			p += strcspn(p, "\n");
		if (*p != '\n' && *p != '\0') {
			if (take(&p, ' ', "\n", &one) < 0)
				return cl_fail(reterr, EINVAL,
					       "template: line %u is not \"PID\" or \"PID NAME\"",
					       line);
			if (add(ret_list, &n, max, &one) < 0)
				return cl_fail(reterr, E2BIG, "template: more than %u processes",
					       max);
		}
		p += *p == '\n';
	}
	return (int)n;
}
