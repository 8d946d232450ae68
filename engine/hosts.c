/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of hosts, and opening one by its URI or by finding it. */
#include "internal.h"

#include "host.h"
#include "qemu/qemu.h"
#include "record.h"
#include "template/template.h"
#include "xen/xen.h"

#include <errno.h>
#include <string.h>

/* In the order in which they are looked for: Xen before QEMU, whose processes in a dom0 are device
 * models. */
const struct cl_host_ops *const cl_hosts[] = {
	&cl_host_xen, &cl_host_qemu, &cl_host_template, &cl_host_replay, &cl_host_sim, NULL,
};

/* "qemu:DIR or PATTERN, template:PID,..": for errors. */
static void name_hosts(char *buf, size_t size)
{
	size_t at = 0;

	buf[0] = '\0';
	for (size_t i = 0; cl_hosts[i] && at < size; i++) {
		int n = snprintf(buf + at, size - at, "%s%s:%s", i ? ", " : "", cl_hosts[i]->name,
				 cl_hosts[i]->uri);

		at += n > 0 ? (size_t)n : 0;
	}
}

static const struct cl_host_ops *find(const char *scheme, size_t len)
{
	for (size_t i = 0; cl_hosts[i]; i++) {
		if (strlen(cl_hosts[i]->name) == len && memcmp(cl_hosts[i]->name, scheme, len) == 0)
			return cl_hosts[i];
	}
	return NULL;
}

bool cl_host_simulated(const char *uri)
{
	const struct cl_host_ops *ops = uri ? find(uri, strcspn(uri, ":")) : NULL;

	return ops && ops->simulated;
}

static bool detect(char uri[CL_PATH_MAX])
{
	for (size_t i = 0; cl_hosts[i]; i++) {
		if (cl_hosts[i]->detect && cl_hosts[i]->detect(uri, CL_PATH_MAX))
			return true;
	}
	return false;
}

int cl_host_open(const char *uri, struct cl_host **ret_host, char *ret_uri, size_t uri_size,
		 struct cl_error *reterr)
{
	const struct cl_host_ops *ops;
	char found[CL_PATH_MAX], known[256], shown[128];
	const char *colon;
	struct cl_host *host;
	int r;

	name_hosts(known, sizeof(known));
	if (!uri || strcmp(uri, "auto") == 0) {
		if (!detect(found))
			return cl_fail(reterr, ENODEV,
				       "found no host on this machine: name one with --host (%s)",
				       known);
		uri = found;
	}
	cl_escape(uri, shown, sizeof(shown));
	if (strlen(uri) >= CL_PATH_MAX)
		return cl_fail(reterr, ENAMETOOLONG, "host %s...: longer than %u bytes", shown,
			       CL_PATH_MAX - 1);
	colon = strchr(uri, ':');
	ops = find(uri, colon ? (size_t)(colon - uri) : strlen(uri));
	if (!ops)
		return cl_fail(reterr, EINVAL, "host '%s': no such kind of host; there are %s",
			       shown, known);
	if (!colon)
		return cl_fail(reterr, EINVAL, "host '%s': say which one: %s:%s", shown, ops->name,
			       ops->uri);
	r = ops->open(colon + 1, &host, reterr);
	if (r < 0)
		return r;
	if (ret_uri)
		snprintf(ret_uri, uri_size, "%s", uri);
	*ret_host = host;
	return 0;
}

void cl_host_close(struct cl_host *host)
{
	if (host)
		host->ops->close(host);
}
