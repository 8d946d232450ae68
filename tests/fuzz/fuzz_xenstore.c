/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz: what xenstored sends, and the names and paths that are found in it. */
#include "xen/parse.h"
#include "xen/store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void frames(const char *at, size_t left)
{
	struct cl_store_frame frame;
	size_t used;

	while (cl_store_parse(at, left, &frame, &used) == 0) {
		assert(used >= CL_STORE_HEAD && used <= left && frame.len <= CL_STORE_PAYLOAD);
		assert(frame.body >= at && frame.body + frame.len <= at + left);
		const char *path = cl_store_event_path(&frame);

		if (path)
			assert(strlen(path) < frame.len);
		at += used;
		left -= used;
	}
}

static void names(const char *text, size_t size)
{
	struct cl_xen_named named;
	struct cl_xen_stat stat;
	uint32_t domid = CL_NONE;

	if (cl_xen_parse_thread(text, &named)) {
		assert(named.device[0] && strlen(named.device) < sizeof(named.device));
		assert(named.kind < CL_WORK_KIND_COUNT && strstr(text, named.device));
		cl_xen_is_device(&named, "vif1.0");
	}
	if (cl_xen_parse_irq(text, &named))
		assert(strstr(text, named.device) == text);
	if (cl_xen_parse_stat(text, &stat))
		assert(strlen(stat.comm) < sizeof(stat.comm));
	if (cl_xen_parse_backend(text, &domid) || cl_xen_parse_owner(text, &domid) ||
	    cl_xen_parse_model(text, size, &domid))
		assert(domid < CL_XEN_DOMIDS);
}

static void commands(const char *raw, size_t size, const char *text)
{
	struct cl_xen_command command;
	uint32_t domid = CL_NONE;
	char name[16];

	if (cl_xen_parse_xl(raw, size, &command))
		assert((command.about == CL_XEN_ABOUT_STREAM) == !command.who[0]);
	if (cl_xen_parse_helper(raw, size, &domid))
		assert(domid < CL_XEN_DOMIDS);
	if (cl_xen_parse_config(text, name, sizeof(name)) ||
	    cl_xen_parse_log(text, name, sizeof(name)))
		assert(name[0] && strlen(name) < sizeof(name) && strstr(text, name));
}

static void see_pages(void *ctx, uint32_t domid, const uint64_t pages[CL_NODES_MAX])
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < CL_NODES_MAX; i++)
		sum += pages[i];
	assert(domid < CL_XEN_DOMIDS && sum > 0);
	++*(uint32_t *)ctx;
}

static void console(const char *raw, size_t size)
{
	uint32_t seen = 0;

	assert(cl_xen_parse_pages(raw, size, see_pages, &seen) == seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Of exactly these sizes, so that ASan sees a byte too many. */
	char *raw = malloc(size ? size : 1), *text = malloc(size + 1);

	assert(raw && text);
	memcpy(raw, data, size);
	memcpy(text, data, size);
	text[size] = '\0';
	frames(raw, size);
	names(text, size);
	commands(raw, size, text);
	console(raw, size);
	free(raw);
	free(text);
	return 0;
}
