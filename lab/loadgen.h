/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loadgen: the lab's load generator. One static program: in a guest it is the agent that runs
 * loads, on the host the peer that guests talk to, and the client that asks agents and QMP
 * monitors.
 *
 *   text -> lg_parse -> loads -> lg_job_start -> threads, paced -> lg_job_report -> one JSON line
 *
 * A load is offered open loop: operation i is due at start + i / rate, however long the others
 * took, and its latency counts from then. What was not begun when the time was over was not
 * achieved. rate 0: as fast as it can.
 */
#ifndef CLOSER_LOADGEN_H
#define CLOSER_LOADGEN_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define LG_LOADS_MAX 8u
#define LG_DEPTH_MAX 64u
#define LG_LINE_MAX  4096u /* bytes of a command or a reply, newline and NUL included */
#define LG_NS_PER_S  UINT64_C(1000000000)
#define LG_NS_PER_MS UINT64_C(1000000)
#define LG_POLL_NS   (50 * LG_NS_PER_MS) /* how late a stop may be seen */

/* Kinds of load: X(ID, name, what one operation is) */
#define LG_KINDS(X)                                                                                \
	X(CPU, "cpu", "work rounds of integer arithmetic")                                         \
	X(DIRTY, "dirty", "one page written")                                                      \
	X(DISK_READ, "disk-read", "one block read past the cache")                                 \
	X(DISK_WRITE, "disk-write", "one block written past the cache")                            \
	X(UDP_OUT, "udp-out", "one packet that the peer has received")                             \
	X(UDP_IN, "udp-in", "one packet received from the peer")                                   \
	X(UDP_ECHO, "udp-echo", "one packet that came back from the peer")                         \
	X(TCP_OUT, "tcp-out", "one message that the peer has acknowledged")                        \
	X(TCP_IN, "tcp-in", "one message received from the peer")

enum lg_kind {
#define X(id, name, op) LG_##id,
	LG_KINDS(X)
#undef X
		LG_KIND_COUNT
};

struct lg_load {
	enum lg_kind kind;
	uint64_t rate;   /* operations a second; 0: as fast as it can */
	uint64_t for_ns; /* 0: until stopped */
	uint64_t size;   /* bytes of a packet, message or block */
	uint64_t depth;  /* operations in flight: threads */
	uint64_t span;   /* bytes of the disk or of memory that are touched; 0: all of the disk */
	uint64_t work;   /* cpu: rounds an operation */
	uint64_t seq;    /* disk: 1 in order, 0 at random */
	char dev[64];
	struct sockaddr_in to;
};

/* ---- spec.c ---- */
const char *lg_kind_name(enum lg_kind kind);
/*
 * "KIND KEY=VALUE.. + KIND .." into at most LG_LOADS_MAX loads; returns how many, or 0 with the
 * reason in error. text is cut into words in place.
 */
uint32_t lg_parse(char *text, struct lg_load ret_loads[LG_LOADS_MAX], char *error, size_t size);
/* "10.0.0.1:7077". False: not that. */
bool lg_parse_address(const char *text, struct sockaddr_in *ret_address);
/* "5s", "200ms", "1m"; a bare number is seconds. */
bool lg_parse_time(const char *text, uint64_t *ret_ns);
void lg_usage(FILE *out);

/* ---- pace.c ---- */
#define LG_HIST_SUB   16u /* buckets a power of two: 6 % wide */
#define LG_HIST_COUNT (64u * LG_HIST_SUB)

uint64_t lg_now(void); /* CLOCK_MONOTONIC */
void lg_sleep_until(uint64_t due_ns);
uint32_t lg_hist_bucket(uint64_t ns);
uint64_t lg_hist_value(uint32_t bucket); /* the middle of it */
/* The value below which `ppm` of the counts lie; 0 if there are none. */
uint64_t lg_hist_quantile(const uint32_t hist[LG_HIST_COUNT], uint64_t ppm);
/* When operation i is due, ns after the start. */
uint64_t lg_due(uint64_t rate, uint64_t i);
/* How many operations are due before ns after the start. */
uint64_t lg_due_count(uint64_t rate, uint64_t ns);
/* xorshift64*: spreads disk offsets; state must not be 0. */
uint64_t lg_random(uint64_t *state);

/* ---- load.c, net.c: one running load ---- */
struct lg_seen {
	uint64_t ns, ops, bytes, errors;
	uint32_t hist[LG_HIST_COUNT];
};

struct lg_run {
	struct lg_load load;
	struct lg_job *job;
	uint64_t start_ns, end_ns;
	int fd;          /* disk or socket, or -1 */
	uint64_t flow;   /* udp */
	uint64_t span;   /* disk: its size, or the part of it asked for */
	uint8_t *memory; /* dirty */
	pthread_t threads[LG_DEPTH_MAX];
	uint32_t threads_count;
	_Atomic uint64_t ticket, ops, bytes, errors;
	_Atomic uint32_t hist[LG_HIST_COUNT];
	struct lg_seen last; /* at the last report */
};

/* Waits for the next operation's time. False: the load is over. *ret_due: from when its latency
 * counts. */
bool lg_next(struct lg_run *run, uint64_t *ret_due);
bool lg_over(struct lg_run *run);
void lg_done(struct lg_run *run, uint64_t due_ns, uint64_t bytes); /* one operation */
/* net.c: sockets before the threads start; 0 or -errno with text. */
int lg_net_open(struct lg_run *run, char *error, size_t size);
void *lg_net_thread(void *arg);   /* sends, or receives where that is all */
void *lg_net_receiver(void *arg); /* udp-echo's other half */
/* What has arrived at the other end, where only that end or the kernel knows. */
void lg_net_count(struct lg_run *run, uint64_t *ops, uint64_t *bytes, uint64_t *errors);

/* ---- load.c: loads that run side by side ---- */
struct lg_job;
/* NULL with the reason in error. */
struct lg_job *lg_job_start(const struct lg_load *loads, uint32_t n, char *error, size_t size);
bool lg_job_over(struct lg_job *job);
/* Writes the member "loads" of a JSON object: what was done since the last report. */
void lg_job_report(struct lg_job *job, FILE *out);
void lg_job_stop(struct lg_job *job); /* stops and joins; the counters stay */
void lg_job_free(struct lg_job *job); /* NULL is fine; stops first */
bool lg_job_stopping(const struct lg_job *job);

/* ---- agent.c, peer.c, ask.c: the modes; exit codes ---- */
/* path: a tty or virtio port to open, or "unix:PATH" to listen on. */
int lg_agent(const char *path);
int lg_run(char *spec);
int lg_peer(const struct sockaddr_in *address);
/* Sends one command to an agent behind a unix socket and prints its reply; 1 if that says it
 * failed. */
int lg_ask(const char *path, const char *command, uint64_t timeout_ns);
/* The same for a QMP monitor. */
int lg_qmp(const char *path, const char *command, uint64_t timeout_ns);
/* text as the inside of a JSON string. */
void lg_json_text(FILE *out, const char *text);

#endif
