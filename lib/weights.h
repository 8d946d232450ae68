/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * weights: what a packet and a request cost the host, as `closer calibrate` measured it, in the
 * file "weights" of the state directory. A line each, "send 12345 678": the cost and the half width
 * of its 95 % confidence interval, ns. A cost that is not known has no line; # begins a comment.
 */
#ifndef CLOSER_WEIGHTS_H
#define CLOSER_WEIGHTS_H

#include "lib.h"

#define CL_WEIGHTS_FILE  "weights"
#define CL_WEIGHT_NS_MAX CL_NS_PER_S

/* X(ID, word in the file, parameter, what it is of) */
/* clang-format off */
#define CL_WEIGHTS(X) \
	X(SEND, "send", weigh_send, "packet that a guest sends") \
	X(RECEIVE, "receive", weigh_receive, "packet that a guest receives") \
	X(REQUEST, "request", weigh_request, "request to its disks")
/* clang-format on */
enum cl_weight_id {
#define X(id, word, param, what) CL_WEIGHT_##id,
	CL_WEIGHTS(X)
#undef X
		CL_WEIGHT_COUNT
};

struct cl_weight {
	uint64_t ns, half_width_ns; /* 0: not known */
};
struct cl_weights {
	struct cl_weight of[CL_WEIGHT_COUNT];
};

/* -ENOENT: there is none. -EBADMSG: which line is wrong. */
int cl_weights_read(const char *dir, struct cl_weights *ret_weights, struct cl_error *reterr);
/* text: NUL-terminated, is changed. */
int cl_weights_parse(char *text, struct cl_weights *ret_weights, struct cl_error *reterr);
/* In place of what was there, whole or not at all. */
int cl_weights_write(const char *dir, const struct cl_weights *weights, struct cl_error *reterr);
/* Into the parameters, unless one of them was set by hand. */
void cl_weights_into(const struct cl_weights *weights, struct cl_params *params);
const char *cl_weight_word(enum cl_weight_id id);
const char *cl_weight_what(enum cl_weight_id id);

#endif
