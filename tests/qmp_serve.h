/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qmp_serve: a QMP server for tests: a process with real threads that answers as QEMU does, or in
 * one of the ways in which a peer can be hostile. Used by tests/unit/test_qemu.c and
 * tests/system/qmp_peer.c.
 */
#ifndef CLOSER_TESTS_QMP_SERVE_H
#define CLOSER_TESTS_QMP_SERVE_H

#include <stdbool.h>
#include <stdint.h>

/* X(ID, name, what it does) */
#define QMP_MODES(X)                                                                               \
	X(HONEST, "honest", "answers all, truthfully")                                             \
	X(DEAF, "deaf", "listens and never accepts")                                               \
	X(SILENT, "silent", "accepts and says nothing")                                            \
	X(MUTE, "mute", "greets and answers nothing")                                              \
	X(DRIP, "drip", "a greeting that never ends, a byte at a time")                            \
	X(GARBAGE, "garbage", "bytes that are no JSON")                                            \
	X(FLOOD, "flood", "bytes without end, no line end")                                        \
	X(EVENTS, "events", "greets, then events without end")                                     \
	X(BIG, "big", "a reply of 100 MB in one line")                                             \
	X(DEEP, "deep", "a reply of depth 10,000")                                                 \
	X(WIDE, "wide", "a reply of as many small values as a line holds")                         \
	X(WRONG_ID, "wrong-id", "replies with ids that were not asked")                            \
	X(TWICE, "twice", "replies twice to one query")                                            \
	X(HANGS_UP, "hangs-up", "closes in the middle of a reply")                                 \
	X(MANY_CPUS, "many-cpus", "claims a million vCPUs")                                        \
	X(SAME_CPUS, "same-cpus", "claims one vCPU index twice")                                   \
	X(LIES, "lies", "claims threads of another process as its vCPUs")                          \
	X(LONG_NAME, "long-name", "a name of 900 kB; else honest")                                 \
	X(ODD_NAME, "odd-name", "control characters in its name; else honest")                     \
	X(NO_UUID, "no-uuid", "an all-zero uuid; else honest")                                     \
	X(ZERO_TID, "zero-tid", "a vCPU with thread id 0")

enum qmp_mode {
#define X(id, name, doc) QMP_##id,
	QMP_MODES(X)
#undef X
		QMP_MODE_COUNT
};

extern const char *const qmp_mode_names[QMP_MODE_COUNT];

struct qmp_server {
	enum qmp_mode mode;
	const char *uuid, *name;
	int32_t lie_tid;                  /* LIES: whose thread */
	int32_t cpu_tid[2], iothread_tid; /* filled by qmp_threads_start */
};

/* Sleeping threads named as QEMU's are: two "CPU N/KVM", "IO io0", "worker", "live_migration"; and
 * "something". */
void qmp_threads_start(struct qmp_server *server);
/* A listening socket at that path, or -1. */
int qmp_listen(const char *path);
/* Serves one client after the other; does not return. */
_Noreturn void qmp_serve(const struct qmp_server *server, int listener);

#endif
