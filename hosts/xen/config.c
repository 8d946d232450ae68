/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest's configuration, as far as it is asked of the host: memory, vCPUs, CPUs, devices. */
#include "xen/config.h"

#include "lib.h"

#include <errno.h>
#include <libxlutil.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define MIB        (UINT64_C(1) << 20)
#define MIB_MOST   (1L << 30) /* a PiB */
#define VCPUS_MOST 4096L

/* The parser writes what is wrong to a stream: its first line, without the end. */
static int fail_report(const char *report, const char *name, const char *what,
		       struct cl_error *reterr)
{
	return cl_fail(reterr, EINVAL, "%.200s: %s%s%.*s", name, what, *report ? ": " : "",
		       (int)strcspn(report, "\n"), report);
}

/* False: it is there and no number, or out of bounds. */
static bool number(const XLU_Config *config, const char *key, long least, long most, long *value)
{
	int r = xlu_cfg_get_bounded_long(config, key, least, most, value, 0);

	return r == 0 || r == ESRCH;
}

static uint32_t entries(const XLU_Config *config, const char *key)
{
	XLU_ConfigList *list;
	int count = 0;

	return xlu_cfg_get_list(config, key, &list, &count, 1) == 0 && count > 0 ? (uint32_t)count
										 : 0;
}

static const char *take(const XLU_Config *config, struct cl_admit_ask *ask)
{
	long memory = 0, max = 0, vcpus = 1;
	const char *text;

	if (!number(config, "memory", 1, MIB_MOST, &memory) ||
	    !number(config, "maxmem", 1, MIB_MOST, &max))
		return "memory or maxmem is no number of MiB";
	if (!number(config, "vcpus", 1, VCPUS_MOST, &vcpus))
		return "vcpus is no number from 1 to 4096";
	if (memory == 0) /* as xl: that much from the start */
		memory = max;
	if (memory == 0)
		return "neither memory nor maxmem is given, so it is not known what it asks for";
	if (max != 0 && max < memory)
		return "maxmem is less than memory";
	ask->mem_bytes = (uint64_t)memory * MIB;
	ask->max_bytes = (uint64_t)(max ? max : memory) * MIB;
	ask->vcpus = (uint32_t)vcpus;
	ask->devices = entries(config, "vif") + entries(config, "disk");
	if (xlu_cfg_get_string(config, "name", &text, 1) == 0)
		snprintf(ask->name, sizeof(ask->name), "%s", text);
	/* "nodes:0", "all", a list of one entry a vCPU: not a plain list of CPUs. */
	if (xlu_cfg_get_string(config, "cpus", &text, 1) == 0) {
		ask->elsewhere = !cl_cpuset_parse(text, strlen(text), &ask->pcpus) ||
				 cl_cpuset_empty(&ask->pcpus);
		if (ask->elsewhere)
			cl_cpuset_zero(&ask->pcpus);
	} else {
		ask->elsewhere = entries(config, "cpus") > 0;
	}
	return NULL;
}

static int parse(const char *text, size_t len, const char *name, struct cl_admit_ask *ret_ask,
		 struct cl_error *reterr)
{
	struct cl_admit_ask ask = { 0 };
	char report[1024] = "";
	FILE *stream = fmemopen(report, sizeof(report), "w");
	XLU_Config *config = stream ? xlu_cfg_init(stream, name) : NULL;
	int r = 0;

	if (!config)
		r = cl_fail(reterr, ENOMEM, "reading %.200s: no memory", name);
	else if (len > INT_MAX || xlu_cfg_readdata(config, text, (int)len) != 0)
		r = 1;
	const char *wrong = r == 0 ? take(config, &ask) : NULL;

	if (stream)
		fflush(stream);
	report[sizeof(report) - 1] = '\0';
	if (r == 1)
		r = fail_report(report, name, "it is no configuration of xl's", reterr);
	else if (wrong)
		r = fail_report(report, name, wrong, reterr);
	if (config)
		xlu_cfg_destroy(config);
	if (stream)
		fclose(stream);
	if (r == 0)
		*ret_ask = ask;
	return r;
}

__attribute__((visibility("default"))) extern const struct cl_xl_module cl_xl_module;

const struct cl_xl_module cl_xl_module = { sizeof(struct cl_admit_ask), CLOSER_VERSION, parse };
