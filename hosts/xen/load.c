/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Xen host as the main program has it: finds out whether this is a Xen dom0, and opens the
 * module that does the work. The module stays loaded, since the host that it made points into it.
 */
#include "xen/config.h"
#include "xen/xen.h"

#include "lib.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define MODULE_NAME  "libcloser-xen.so"
#define CONFIG_NAME  "libcloser-xl.so"
#define CAPABILITIES "/proc/xen/capabilities"

static bool is_dom0(void)
{
	char text[256];

	return cl_read_file(AT_FDCWD, CAPABILITIES, text, sizeof(text)) > 0 &&
	       strstr(text, "control_d") != NULL;
}

static bool shim_detect(char *ret_uri, size_t size)
{
	if (!is_dom0())
		return false;
	snprintf(ret_uri, size, "xen:");
	return true;
}

static int fail_not_dom0(struct cl_error *reterr)
{
	if (access("/proc/xen", F_OK) < 0)
		return cl_fail(reterr, ENODEV,
			       "xen: this kernel does not run on Xen; run closer in "
			       "the control domain of a Xen host");
	if (access(CAPABILITIES, F_OK) < 0)
		return cl_fail(reterr, ENODEV,
			       "xen: %s is not there: run closer in dom0, and mount it there "
			       "(mount -t xenfs xenfs /proc/xen)",
			       CAPABILITIES);
	return cl_fail(reterr, ENODEV,
		       "xen: this domain does not control the host (%s has no control_d); "
		       "run closer in dom0",
		       CAPABILITIES);
}

/* Where it is installed; beside the executable; and where a build leaves it. Not by the search path
 * of libraries: that would take whatever lies there. */
static void *open_module(const char *name, char *ret_why, size_t size)
{
	static const char *const beside[] = { "", "../hosts/" };
	char exe[CL_PATH_MAX], path[CL_PATH_MAX * 2];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash;

	exe[len > 0 ? len : 0] = '\0';
	slash = strrchr(exe, '/');
	for (size_t i = 0; slash && i < CL_COUNT(beside); i++) {
		snprintf(path, sizeof(path), "%.*s%s%s", (int)(slash - exe + 1), exe, beside[i],
			 name);
		if (access(path, F_OK) == 0)
			break;
		path[0] = '\0';
	}
	if (!slash || !path[0])
		snprintf(path, sizeof(path), "%s/%s", CLOSER_MODULE_DIR, name);
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	if (!module)
		snprintf(ret_why, size, "%s", dlerror());
	return module;
}

static int load(const struct cl_xen_module **ret_module, struct cl_error *reterr)
{
	const struct cl_xen_module *module;
	char why[256];
	void *handle;

	if (!is_dom0())
		return fail_not_dom0(reterr);
	handle = open_module(MODULE_NAME, why, sizeof(why));
	if (!handle)
		return cl_fail(
			reterr, ELIBACC,
			"xen: the module for Xen cannot be loaded (%.220s): build closer on "
			"this system with libxen-dev of its Xen, or install the package that "
			"was built for it",
			why);
	module = dlsym(handle, CL_XEN_MODULE_SYMBOL);
	if (!module || module->abi != CL_XEN_MODULE_ABI ||
	    module->snapshot_bytes != sizeof(struct cl_snapshot) ||
	    module->ops_bytes != sizeof(struct cl_host_ops) ||
	    module->change_bytes != sizeof(struct cl_change) ||
	    strcmp(module->version, CLOSER_VERSION) != 0) {
		dlclose(handle);
		return cl_fail(reterr, ELIBBAD,
			       "xen: " MODULE_NAME
			       " is of another closer than this one (" CLOSER_VERSION
			       "): install both from one build");
	}
	*ret_module = module;
	return 0;
}

static int shim_open(const char *arg, struct cl_host **ret_host, struct cl_error *reterr)
{
	const struct cl_xen_module *module;
	int r = load(&module, reterr);

	return r < 0 ? r : module->ops->open(arg, ret_host, reterr);
}

int cl_xen_vcpus_load(const struct cl_xen_vcpus **ret_vcpus, struct cl_error *reterr)
{
	const struct cl_xen_module *module;
	int r = load(&module, reterr);

	if (r == 0)
		*ret_vcpus = &module->vcpus;
	return r;
}

int cl_xen_tbuf_load(const struct cl_xen_tbuf **ret_tbuf, struct cl_error *reterr)
{
	const struct cl_xen_module *module;
	int r = load(&module, reterr);

	if (r == 0)
		*ret_tbuf = module->tbuf;
	return r;
}

/* Needs no dom0. */
int cl_xl_parse(const char *text, size_t len, const char *name, struct cl_admit_ask *ret_ask,
		struct cl_error *reterr)
{
	const struct cl_xl_module *module;
	char why[256];
	void *handle = open_module(CONFIG_NAME, why, sizeof(why));

	if (!handle)
		return cl_fail(reterr, ELIBACC,
			       "the module that reads xl's configurations cannot be loaded "
			       "(%.220s): build closer with libxen-dev, which has libxlutil",
			       why);
	module = dlsym(handle, CL_XL_MODULE_SYMBOL);
	if (!module || module->ask_bytes != sizeof(struct cl_admit_ask) ||
	    strcmp(module->version, CLOSER_VERSION) != 0) {
		dlclose(handle);
		return cl_fail(reterr, ELIBBAD,
			       CONFIG_NAME " is of another closer than this one (" CLOSER_VERSION
					   "): install both from one build");
	}
	return module->parse(text, len, name, ret_ask, reterr);
}

/* Only to be found and opened: the host that is opened has the module's operations. */
const struct cl_host_ops cl_host_xen = {
	.name = "xen",
	.doc = CL_XEN_DOC,
	.uri = "[pages]",
	.detect = shim_detect,
	.open = shim_open,
};
