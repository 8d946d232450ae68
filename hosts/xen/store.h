/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * store: a client of xenstore that cannot be held up by it.
 *
 *   open -> watch* -> { read | list | write | drain }* -> close
 *
 * The protocol itself (xen/include/public/io/xs_wire.h; docs/misc/xenstore.txt) rather than
 * libxenstore: that waits for ever for a xenstored that is slow or dead, and allocates for each
 * answer. Each call here ends by its deadline (CLOCK_MONOTONIC ns); an answer that comes later is
 * known by its number and passed over. What is read may be a guest's, and hostile.
 */
#ifndef CLOSER_XEN_STORE_H
#define CLOSER_XEN_STORE_H

#include <closer/base.h>

#define CL_STORE_PAYLOAD 4096u /* XENSTORE_PAYLOAD_MAX: what xenstored sends at most */
#define CL_STORE_HEAD    16u

struct cl_store_frame {
	uint32_t type, request;
	const char *body; /* in the buffer given */
	size_t len;
};

/* Where a watch fired: a path, NUL-terminated. */
typedef void (*cl_store_event_fn)(void *ctx, const char *path);

struct cl_store {
	int fd;
	uint32_t request; /* of the last question */
	size_t have;
	cl_store_event_fn event;
	void *ctx;
	char in[CL_STORE_HEAD + CL_STORE_PAYLOAD];
};

/*
 * The frame at the start of a buffer: 0 and *ret_frame and *ret_used; -EAGAIN: more is needed;
 * -EBADMSG: not a frame. Pure, fuzzed.
 */
int cl_store_parse(const char *buf, size_t len, struct cl_store_frame *ret_frame, size_t *ret_used);
/* The path of a watch event, or NULL if it is not one that is well formed. Pure. */
const char *cl_store_event_path(const struct cl_store_frame *frame);

/* Connects to this machine's xenstored, else through the kernel (/dev/xen/xenbus). */
int cl_store_open(struct cl_store *ret_store, cl_store_event_fn event, void *ctx,
		  struct cl_error *reterr);
/* The same with a connection that is there; the descriptor is the store's from now on. */
void cl_store_use(struct cl_store *ret_store, int fd, cl_store_event_fn event, void *ctx);
void cl_store_close(struct cl_store *store);

/*
 * The value at a path: its length; size bytes of buf with the NUL at its end. -ENOENT: nothing
 * there; -EBADMSG: longer than buf, or it holds a NUL; -ETIMEDOUT; -EPIPE: the connection is lost,
 * and closed.
 */
int cl_store_read(struct cl_store *store, const char *path, uint64_t deadline_ns, char *buf,
		  size_t size, struct cl_error *reterr);
/* An unsigned decimal, as the kernel's drivers write them, and at most `most`. */
int cl_store_number(struct cl_store *store, const char *path, uint64_t deadline_ns, uint64_t most,
		    uint64_t *ret_value, struct cl_error *reterr);
/* The names in a directory, each with its NUL: the length of all. */
int cl_store_list(struct cl_store *store, const char *path, uint64_t deadline_ns, char *buf,
		  size_t size, struct cl_error *reterr);
/* A value without its NUL. */
int cl_store_write(struct cl_store *store, const char *path, const char *value,
		   uint64_t deadline_ns, struct cl_error *reterr);
/* A node, and what is below it. -ENOENT is success: there is none. */
int cl_store_remove(struct cl_store *store, const char *path, uint64_t deadline_ns,
		    struct cl_error *reterr);
int cl_store_watch(struct cl_store *store, const char *path, uint64_t deadline_ns,
		   struct cl_error *reterr);
/* Takes what is there without waiting: events go to event(). -EPIPE: lost, and closed. */
int cl_store_drain(struct cl_store *store, struct cl_error *reterr);

#endif
