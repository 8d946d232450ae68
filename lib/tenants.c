/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whose guests are whose: lines of a uuid and a name. */
#include "tenants.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define LINES_MAX 65536u

static int by_guest(const void *a, const void *b)
{
	return cl_uuid_compare(&((const struct cl_tenant *)a)->guest,
			       &((const struct cl_tenant *)b)->guest);
}

/* "UUID TENANT", "# comment" or nothing. 1: an entry; 0: none; -1: neither. */
static int parse_line(char *line, struct cl_tenant *ret)
{
	char *uuid = line + strspn(line, " \t"), *name, *end;

	if (*uuid == '\0' || *uuid == '#')
		return 0;
	name = uuid + strcspn(uuid, " \t");
	if (*name == '\0')
		return -1;
	*name++ = '\0';
	name += strspn(name, " \t");
	for (end = name + strlen(name); end > name && strchr(" \t\r", end[-1]); end--)
		end[-1] = '\0';
	if (!*name || strlen(name) >= CL_NAME_MAX || !cl_uuid_parse(uuid, &ret->guest))
		return -1;
	cl_escape(name, ret->name, sizeof(ret->name));
	return 1;
}

int cl_tenants_parse(char *text, struct cl_tenants *ret_tenants, struct cl_error *reterr)
{
	struct cl_tenants t = { 0 };
	uint32_t number = 0;
	char *next;

	for (char *line = text; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (++number > LINES_MAX || !(t.n % 64)) {
			struct cl_tenant *more =
				number > LINES_MAX ? NULL
						   : realloc(t.list, (t.n + 64) * sizeof(*more));

			if (!more) {
				free(t.list);
				return cl_fail(reterr, E2BIG, "line %u: too many lines", number);
			}
			t.list = more;
		}
		int r = parse_line(line, &t.list[t.n]);

		if (r < 0) {
			free(t.list);
			return cl_fail(reterr, EBADMSG,
				       "line %u: not a guest's uuid and its tenant's name of less "
				       "than %u bytes",
				       number, CL_NAME_MAX);
		}
		t.n += (uint32_t)r;
	}
	if (t.n > 0)
		qsort(t.list, t.n, sizeof(*t.list), by_guest);
	for (uint32_t i = 1; i < t.n; i++) {
		char uuid[CL_UUID_TEXT];

		if (by_guest(&t.list[i - 1], &t.list[i]) != 0)
			continue;
		cl_uuid_format(&t.list[i].guest, uuid);
		free(t.list);
		return cl_fail(reterr, EBADMSG, "guest %s has two tenants", uuid);
	}
	*ret_tenants = t;
	return 0;
}

int cl_tenants_read(const char *path, struct cl_tenants *ret_tenants, struct cl_error *reterr)
{
	cl_autofree char *text = malloc(CL_TENANTS_BYTES);
	struct cl_error err;
	ssize_t n;
	int r;

	if (!text)
		return cl_fail(reterr, ENOMEM, "reading %.300s: no memory", path);
	n = cl_read_file(AT_FDCWD, path, text, CL_TENANTS_BYTES);
	if (n < 0)
		return cl_fail(reterr, (int)-n, "reading the tenants in %.300s: %s", path,
			       strerror((int)-n));
	r = cl_tenants_parse(text, ret_tenants, &err);
	return r < 0 ? cl_fail(reterr, -r, "the tenants in %.200s, %.200s", path, err.text) : 0;
}

const char *cl_tenants_find(const struct cl_tenants *tenants, const struct cl_uuid *guest)
{
	const struct cl_tenant key = { .guest = *guest };
	const struct cl_tenant *t =
		tenants->n > 0 ? bsearch(&key, tenants->list, tenants->n, sizeof(key), by_guest)
			       : NULL;

	return t ? t->name : NULL;
}

void cl_tenants_done(struct cl_tenants *tenants)
{
	free(tenants->list);
	*tenants = (struct cl_tenants){ 0 };
}
