/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qmp: one conversation with a QEMU monitor, and nothing but the wire.
 *
 *   new(fd) -> service() when poll says so -> greeting, qmp_capabilities, all queries at once ->
 * taker, once a reply
 *           -> done: free()                                      without a descriptor: feed()
 * bytes, see out()
 *
 * The peer is hostile until proven otherwise: whoever broke out of a guest writes these bytes. So a
 * line, a conversation, the depth and the number of values in a line are bounded before jansson
 * sees it; a reply must carry the id of a query that waits for one; events are skipped. QMP:
 * docs/interop/qmp-spec.txt of QEMU.
 */
#ifndef CLOSER_QEMU_QMP_H
#define CLOSER_QEMU_QMP_H

#include <closer/base.h>

#include <jansson.h>

#define CL_QMP_LINE_MAX  (1u << 20)  /* bytes of one message */
#define CL_QMP_TALK_MAX  (4u << 20)  /* bytes of one conversation, and so of one tick */
#define CL_QMP_READ_MAX  (64u << 10) /* bytes taken at one service(): nobody holds the loop */
#define CL_QMP_DEPTH_MAX 24u
#define CL_QMP_VALUES_MAX                                                                          \
	65536u /* in a message: 4,096 vCPUs have 10 each; at worst 20 MB in jansson */
#define CL_QMP_MESSAGES_MAX 512u /* in a conversation: events are few */

/* What is asked, in this order: X(ID, command, does a description need it) */
#define CL_QMP_QUERIES(X)                                                                          \
	X(NAME, "query-name", false)                                                               \
	X(UUID, "query-uuid", false)                                                               \
	X(CPUS, "query-cpus-fast", true)                                                           \
	X(IOTHREADS, "query-iothreads", false)                                                     \
	X(MEMORY, "query-memory-size-summary", false)                                              \
	X(BALLOON, "query-balloon", false)                                                         \
	X(BLOCKSTATS, "query-blockstats", false)                                                   \
	X(STATUS, "query-status", false)                                                           \
	X(MIGRATE, "query-migrate", false)

enum cl_qmp_query {
#define X(id, command, needed) CL_QMP_##id,
	CL_QMP_QUERIES(X)
#undef X
		CL_QMP_QUERY_COUNT
};

const char *cl_qmp_query_name(enum cl_qmp_query query);

/*
 * Gets each reply's "return" (borrowed). An error reply to a query that a description can do
 * without does not come here. A failure ends the conversation.
 */
struct cl_qmp_taker {
	int (*take)(void *ctx, enum cl_qmp_query query, const json_t *reply,
		    struct cl_error *reterr);
	void *ctx;
};

struct cl_qmp;

/* fd: a connected, non-blocking stream socket, the conversation's from here on (closed even on
 * failure); -1: none. */
int cl_qmp_new(int fd, const struct cl_qmp_taker *taker, struct cl_qmp **ret_qmp,
	       struct cl_error *reterr);
void cl_qmp_free(struct cl_qmp *qmp); /* NULL is fine */

/* Writes and reads what can be. 1: all is answered; 0: go on; -EBADMSG: broke the protocol; -EPIPE:
 * hung up. */
int cl_qmp_service(struct cl_qmp *qmp, struct cl_error *reterr);
bool cl_qmp_wants_write(const struct cl_qmp *qmp);
int cl_qmp_fd(const struct cl_qmp *qmp);
/* Has the peer said anything at all? If not, the monitor is somebody else's (it serves one client
 * at a time). */
bool cl_qmp_heard(const struct cl_qmp *qmp);
/* Did something happen meanwhile that may make the answers old (a device or a vCPU came, a reset, a
 * migration)? */
bool cl_qmp_stirred(const struct cl_qmp *qmp);

/* The same without a socket, for tests and the fuzzer: bytes in, and what would be sent. */
int cl_qmp_feed(struct cl_qmp *qmp, const char *data, size_t len, struct cl_error *reterr);
const char *cl_qmp_out(const struct cl_qmp *qmp, size_t *ret_len);

#endif
