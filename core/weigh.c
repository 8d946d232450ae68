/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * weigh: what guests asked for, at what it costs here.
 *
 *   w_i = weigh_send * sent_i + weigh_receive * received_i + weigh_request * requests_i
 *
 * Gupta et al. (Middleware 2006) divide all of the driver domain's time by w_i, so that its own
 * housekeeping is somebody's, and only the ratio of the factors counts. Here the factors are ns, as
 * `closer calibrate` measured them, and what they do not explain stays unattributed: w_i is the
 * guest's, unless all w_i are more than there was, and then its part of that. Of all guests it is
 * told beside the books; where the host has no true clock it takes the place of the times of the
 * devices' work.
 */
#include "ledger.h"
#include "tick.h"

uint64_t weighed(uint64_t count, uint64_t cost_ns)
{
	uint64_t ns;

	return __builtin_mul_overflow(count, cost_ns, &ns) ? UINT64_MAX : ns;
}

static uint64_t sum(uint64_t a, uint64_t b)
{
	return b <= UINT64_MAX - a ? a + b : UINT64_MAX;
}

/* Does a packet or a request cause it? */
static bool is_device(enum cl_work_kind kind)
{
	return kind == CL_WORK_NETBACK_RX || kind == CL_WORK_NETBACK_DEALLOC ||
	       kind == CL_WORK_NAPI || kind == CL_WORK_BLKBACK || kind == CL_WORK_INTERRUPT ||
	       kind == CL_WORK_SHARED || kind == CL_WORK_WAKEUP || kind == CL_WORK_VHOST;
}

static void replace(struct cl_guest_books *mine)
{
	uint64_t was = mine->host_ns;

	for (uint32_t k = 0; k < CL_WORK_KIND_COUNT; k++) {
		if (!is_device((enum cl_work_kind)k))
			continue;
		mine->host_ns -= mine->kind_ns[k];
		mine->kind_ns[k] = 0;
	}
	mine->kind_ns[CL_WORK_COUNTED] = mine->weighed_ns;
	mine->host_ns += mine->weighed_ns;
	/* Where it was is known of what was seen: the rest is taken to have been there, too. */
	mine->main_ns = was ? mul_div(mine->main_ns, mine->host_ns, was, NULL) : 0;
	mine->far_ns = was ? mul_div(mine->far_ns, mine->host_ns, was, NULL) : 0;
}

void weigh_asked(struct tick *tick)
{
	const struct cl_params *params = tick->params;
	bool known = params->weigh_send || params->weigh_receive || params->weigh_request;
	struct cl_books *books = &tick->plan->books;
	uint64_t all = 0,
		 most = books->busy_ns > books->main_ns ? books->busy_ns - books->main_ns : 0;

	for (uint32_t i = 0; i < tick->now->n.guests; i++) {
		struct cl_guest_books *mine = &tick->plan->guest_books[i];
		struct asked asked;

		ask_devices(tick, i, &asked);
		mine->sent = asked.sent;
		mine->received = asked.received;
		mine->requests = asked.requests;
		mine->moved = asked.bytes;
		mine->weighed_ns = CL_UNKNOWN;
		if (!known)
			continue;
		mine->weighed_ns = sum(weighed(asked.sent, params->weigh_send),
				       sum(weighed(asked.received, params->weigh_receive),
					   weighed(asked.requests, params->weigh_request)));
		all = sum(all, mine->weighed_ns);
	}
	for (uint32_t i = 0; known && i < tick->now->n.guests; i++) {
		struct cl_guest_books *mine = &tick->plan->guest_books[i];

		if (all > most)
			mine->weighed_ns = mul_div(most, mine->weighed_ns, all, NULL);
		if (!CL_CAN(tick->now, CLOCK))
			replace(mine);
	}
}
