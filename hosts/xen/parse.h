/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * parse: names and texts by which a back end's threads and interrupts are told. Pure; fuzzed.
 *
 * A name says only what something claims to be: whoever uses it asks Xen whether there is such a
 * domain, xenstore whether it has such a device, and the kernel whether it is a thread of its own.
 */
#ifndef CLOSER_XEN_PARSE_H
#define CLOSER_XEN_PARSE_H

#include <closer/snapshot.h>

#define CL_XEN_COMM   64u     /* a kernel thread's name, which since Linux 5.17 is shown in full */
#define CL_XEN_CUT    15u     /* of which older kernels keep this much */
#define CL_XEN_DOMIDS 0x7ff0u /* DOMID_FIRST_RESERVED */

struct cl_xen_stat {
	char comm[CL_XEN_COMM];
	int32_t parent, session;
	uint32_t flags;
	uint64_t start;
};

/* What a back end's thread calls itself: kind of work, the device's name, queue or ring. */
struct cl_xen_named {
	enum cl_work_kind kind;   /* HELPER: the end of its name is cut off */
	char device[CL_XEN_COMM]; /* "vif1.0", "1.xvda"; of a vif that was renamed the new name */
	bool cut;                 /* the device's name may go on */
	bool is_disk;
	uint32_t queue; /* or CL_NONE */
};

/* Of /proc/PID/stat: name, parent, session, flags, start. False: it is not as proc(5) says. */
bool cl_xen_parse_stat(const char *text, struct cl_xen_stat *ret_stat);
bool cl_xen_is_kernel_thread(const struct cl_xen_stat *stat);

/*
 * "vif1.0-q0-guest-rx", "vif1.0-q0-dealloc", "napi/vif1.0-8193", "1.xvda-0"
 * (drivers/net/xen-netback/interface.c, net/core/dev.c, drivers/block/xen-blkback/xenbus.c).
 */
bool cl_xen_parse_thread(const char *comm, struct cl_xen_named *ret_named);
/* "vif1.0-q0-tx", "vif1.0-q0-rx", "vif1.0": a netback interrupt, likewise. */
bool cl_xen_parse_irq(const char *name, struct cl_xen_named *ret_named);
/* Is this thread or interrupt the device's of that name? */
bool cl_xen_is_device(const struct cl_xen_named *named, const char *device);

/* The domain in "/local/domain/0/backend/KIND/DOMID/..."; false for other paths. */
bool cl_xen_parse_backend(const char *path, uint32_t *ret_domid);
/* The domain of a back end, from "/local/domain/N/backend/...". */
bool cl_xen_parse_owner(const char *path, uint32_t *ret_domid);

/* "-xen-domid", "N" among the arguments of a device model: text of /proc/PID/cmdline. */
bool cl_xen_parse_model(const char *args, size_t len, uint32_t *ret_domid);

/*
 * The home of a guest, by the nodes that its affinity and its vCPUs' hard affinities name; all: the
 * machine's nodes. Affinity to all nodes is also what a guest has that nobody placed: that one's is
 * not known, 0. One whose vCPUs are each held to less than all nodes, and together to all of them,
 * spans them on purpose.
 */
uint64_t cl_xen_home(uint64_t affinity, const uint64_t *vcpu_nodes, uint32_t vcpu_count,
		     uint64_t all);

/*
 * Where domains' pages lie, in what Xen prints for its debug key 'u' (common/numa.c): fn for each
 * domain of which all is there. Lines that are not Xen's own (those of guests' begin with their
 * number) count nothing. How many domains there were.
 */
uint32_t cl_xen_parse_pages(const char *text, size_t len,
			    void (*fn)(void *ctx, uint32_t domid,
				       const uint64_t pages[CL_NODES_MAX]),
			    void *ctx);

/* ---- parse_tools.c: commands of the toolstack; texts of processes that root started ---- */

enum cl_xen_about {
	CL_XEN_ABOUT_DOMAIN, /* who: the name or number of a guest */
	CL_XEN_ABOUT_CONFIG, /* who: a file with the name of the guest that it makes */
	CL_XEN_ABOUT_STREAM, /* the guest that its save helper receives */
};

struct cl_xen_command {
	enum cl_xen_about about;
	char who[CL_PATH_MAX]; /* "" for STREAM */
};

/* Which guest a command is about: /proc/PID/cmdline of xl. False: none, or it does nothing for it.
 */
bool cl_xen_parse_xl(const char *args, size_t len, struct cl_xen_command *ret_command);
/* Likewise of libxl-save-helper: "--save-domain", two descriptors, the domain; or
 * "--restore-domain". */
bool cl_xen_parse_helper(const char *args, size_t len, uint32_t *ret_domid);
/* The name in a guest's configuration (xl.cfg(5)). */
bool cl_xen_parse_config(const char *text, char *ret_name, size_t size);
/*
 * The guest that xl waits for, by the file that it talks to: ".../xl-NAME.log"; of one that was
 * received the name that it is given then.
 */
bool cl_xen_parse_log(const char *path, char *ret_name, size_t size);

/* For a domain without a uuid, or with another's: one that holds as long as its number does. */
void cl_xen_own_id(const struct cl_uuid *id, uint32_t domid, struct cl_uuid *ret_id);
/* "fd:3", hexadecimal, as the toolstack writes a back end's physical-device: major << 32 | minor.
 */
bool cl_xen_parse_device(const char *text, uint64_t *ret_device);

#endif
