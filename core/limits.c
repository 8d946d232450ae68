/* SPDX-License-Identifier: GPL-2.0-or-later */
/* limits: which guest may use how much host CPU: the table, and its text. */
#include <closer/params.h>

#include <errno.h>
#include <string.h>

#define SHARE_MAX (CL_CPUS_MAX * CL_PPM) /* of one CPU: as many as there can be */
#define OF_CPU    "/cpu"
#define TEXT_MAX  64u

/* "5%", "30%/cpu", "none" */
static int parse_share(const char *text, struct cl_guard *guard)
{
	size_t len = strlen(text), tail = strlen(OF_CPU);
	char share[TEXT_MAX];
	int r;

	if (strcmp(text, "none") == 0) {
		guard->share = CL_UNKNOWN;
		return 0;
	}
	if (len >= sizeof(share))
		return -EINVAL;
	memcpy(share, text, len + 1);
	if (len > tail && strcmp(text + len - tail, OF_CPU) == 0) {
		guard->of_cpu = 1;
		share[len - tail] = '\0';
	}
	r = cl_share_parse(share, &guard->share);
	if (r < 0)
		return r;
	if (guard->share == 0 || guard->share > (guard->of_cpu ? SHARE_MAX : CL_PPM))
		return -ERANGE;
	return 0;
}

int cl_limit_set(struct cl_params *params, const char *text)
{
	const char *equals = strrchr(text, '='); /* a name may have one, a share has none */
	struct cl_guard guard;
	uint64_t at = 0;
	int r;

	memset(&guard, 0, sizeof(guard));
	if (!equals || equals == text || (size_t)(equals - text) >= sizeof(guard.who))
		return -EINVAL;
	memcpy(guard.who, text, (size_t)(equals - text));
	r = parse_share(equals + 1, &guard);
	if (r < 0)
		return r;
	while (at < params->guard_count && strcmp(params->guards[at].who, guard.who) < 0)
		at++;
	if (at == params->guard_count || strcmp(params->guards[at].who, guard.who) != 0) {
		if (params->guard_count == CL_GUARDS_MAX)
			return -ENOSPC;
		memmove(&params->guards[at + 1], &params->guards[at],
			(params->guard_count - at) * sizeof(guard));
		params->guard_count++;
	}
	params->guards[at] = guard;
	return 0;
}

static size_t put(char *buf, size_t at, size_t size, const char *text)
{
	for (; *text && at + 1 < size; text++)
		buf[at++] = *text;
	buf[at] = '\0';
	return at;
}

void cl_limit_format(const struct cl_guard *guard, char *buf, size_t size)
{
	char share[TEXT_MAX] = "none";
	size_t at = put(buf, 0, size, guard->who);

	if (guard->share != CL_UNKNOWN)
		cl_share_format(guard->share, share, sizeof(share));
	at = put(buf, at, size, "=");
	at = put(buf, at, size, share);
	put(buf, at, size, guard->of_cpu ? OF_CPU : "");
}

void cl_limits_format(const struct cl_params *params, char *buf, size_t size)
{
	char one[CL_NAME_MAX + TEXT_MAX];
	size_t at = put(buf, 0, size, "");

	for (uint64_t i = 0; i < params->guard_count; i++) {
		cl_limit_format(&params->guards[i], one, sizeof(one));
		at = put(buf, at, size, i > 0 ? "," : "");
		at = put(buf, at, size, one);
	}
}

bool cl_limits_check(const struct cl_params *params)
{
	if (params->guard_count > CL_GUARDS_MAX)
		return false;
	for (uint64_t i = 0; i < params->guard_count; i++) {
		const struct cl_guard *guard = &params->guards[i];

		if (!memchr(guard->who, '\0', sizeof(guard->who)) || !guard->who[0] ||
		    guard->of_cpu > 1 || guard->share == 0)
			return false;
		if (guard->share != CL_UNKNOWN &&
		    guard->share > (guard->of_cpu ? SHARE_MAX : CL_PPM))
			return false;
		if (i > 0 && strcmp(params->guards[i - 1].who, guard->who) >= 0)
			return false;
	}
	return true;
}

/* How well a limit fits a guest: 0 not at all; a uuid, then a name, then the longest beginning. */
static size_t fit(const struct cl_guard *guard, const struct cl_uuid *id, const char *name)
{
	struct cl_uuid named;
	size_t len = strlen(guard->who);

	if (cl_uuid_parse(guard->who, &named) && cl_uuid_compare(&named, id) == 0)
		return 2 * CL_NAME_MAX + 1;
	if (strcmp(guard->who, name) == 0)
		return 2 * CL_NAME_MAX;
	if (guard->who[len - 1] == '*' && strncmp(guard->who, name, len - 1) == 0)
		return len;
	return 0;
}

const struct cl_guard *cl_limit_of(const struct cl_params *params, const struct cl_uuid *id,
				   const char *name)
{
	const struct cl_guard *best = NULL;
	size_t most = 0;

	for (uint64_t i = 0; i < params->guard_count; i++) {
		size_t n = fit(&params->guards[i], id, name);

		if (n > most) {
			most = n;
			best = &params->guards[i];
		}
	}
	return best && best->share != CL_UNKNOWN ? best : NULL;
}
