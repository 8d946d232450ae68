/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * describe: what a monitor's replies and a process' arguments say of a guest. Pure: values in,
 * values out.
 *
 *   QMP replies -> facts        argv -> args        thread name -> kind        identity from one of
 * them
 *
 * Everything here was written by a peer, an operator or a guest's owner: bounded, checked, kept as
 * data.
 */
#ifndef CLOSER_QEMU_DESCRIBE_H
#define CLOSER_QEMU_DESCRIBE_H

#include <closer/snapshot.h>

#include "qmp.h"

#define CL_QEMU_VCPUS_MAX     CL_CPUS_MAX
#define CL_QEMU_IOTHREADS_MAX 1024u
#define CL_QEMU_DISKS_MAX     64u  /* more are not shown */
#define CL_QEMU_PATH_MAX      108u /* bytes of a socket's path with NUL: sun_path, unix(7) */
#define CL_QEMU_SOCKETS_MAX   8u   /* monitors of one process */
#define CL_QEMU_VFIO_MAX      64u
#define CL_QEMU_ARGV_MAX      (256u << 10) /* bytes of a command line that are looked at */

struct cl_qemu_thread {
	uint32_t index; /* vCPU: its cpu-index */
	int32_t tid;
};

struct cl_qemu_disk {
	char name[CL_NAME_MAX];
	uint64_t rd_ops, rd_bytes, wr_ops, wr_bytes;
};

/* What a monitor said. */
struct cl_qemu_facts {
	char name[CL_NAME_MAX];
	bool has_uuid; /* and it is not all zero */
	struct cl_uuid uuid;
	bool stopped; /* paused, or its CPUs have not been started */
	bool migrating;
	uint64_t mem_bytes, balloon_bytes; /* CL_UNKNOWN: not said */
	struct cl_qemu_thread *vcpus, *iothreads;
	struct cl_qemu_disk *disks;
	uint32_t vcpu_count, iothread_count, disk_count;
};

void cl_qemu_facts_init(struct cl_qemu_facts *ret_facts);
void cl_qemu_facts_done(struct cl_qemu_facts *facts);
/*
 * Takes one reply in. -EBADMSG: not what QEMU answers to that query (a thread id that is none, two
 * vCPUs of one index, more than the limits): nothing of that peer is to be believed.
 */
int cl_qemu_facts_take(struct cl_qemu_facts *facts, enum cl_qmp_query query, const json_t *reply,
		       struct cl_error *reterr);
/* The entry of a vCPU's thread, or NULL. Of two vCPUs on one thread (TCG, thread=single) the first
 * is kept. */
const struct cl_qemu_thread *cl_qemu_facts_vcpu(const struct cl_qemu_facts *facts, int32_t tid);
bool cl_qemu_facts_iothread(const struct cl_qemu_facts *facts, int32_t tid);
/* Drops the threads for which is_own() says false; how many these were. */
uint32_t cl_qemu_facts_confine(struct cl_qemu_facts *facts, bool (*is_own)(void *ctx, int32_t tid),
			       void *ctx);

/* What a command line says. */
struct cl_qemu_args {
	char name[CL_NAME_MAX]; /* -name X or guest=X; "" if none */
	bool has_uuid;          /* -uuid, or -smbios type=1,uuid=; never all zero */
	struct cl_uuid uuid;
	bool names_threads; /* debug-threads=on */
	char sockets[CL_QEMU_SOCKETS_MAX]
		    [CL_QEMU_PATH_MAX]; /* QMP monitors on unix sockets that QEMU listens on */
	uint32_t socket_count;
	bool is_probe; /* -machine none: somebody asks what this QEMU can do; no guest */
	uint64_t vfio[CL_QEMU_VFIO_MAX]; /* PCI addresses of passed-through devices, see cl_qemu_bdf
					  */
	uint32_t vfio_count;
};

/* argv: NUL-separated, as in /proc/PID/cmdline; a cut one is fine. */
void cl_qemu_args_parse(const char *argv, size_t len, struct cl_qemu_args *ret_args);
/* "0000:3b:00.1" or "3b:00.1" as one number; false if it is no PCI address. */
bool cl_qemu_bdf(const char *text, size_t len, uint64_t *ret_bdf);
/* The address in an interrupt's name: "vfio-msix[3](0000:3b:00.1)". */
bool cl_qemu_irq_bdf(const char *name, uint64_t *ret_bdf);

/* What a thread's name says it is; the names are QEMU's own (debug-threads=on) or the kernel's
 * (vhost-PID). */
enum cl_qemu_named { CL_QEMU_NAMED_VCPU, CL_QEMU_NAMED_WORK, CL_QEMU_NAMED_NOTHING };
enum cl_qemu_named cl_qemu_by_name(const char *comm, uint32_t *ret_vcpu,
				   enum cl_work_kind *ret_kind);

/*
 * An identity of our own for a guest that has none or another's: from where it listens and when it
 * was born (RFC 9562, version 8).
 */
void cl_qemu_derive_uuid(const char *where, uint64_t start, struct cl_uuid *ret_uuid);
bool cl_qemu_uuid_is_zero(const struct cl_uuid *uuid);

#endif
