/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Recordings used: the replay, which decides again, and the host, which only shows.
 *
 *   reader -> edits, outcomes -> state; snapshot -> cl_decide -> plan
 */
#include "record.h"

#include "reader.h"

#include <errno.h>
#include <poll.h>

/* ---- replay ---- */

struct cl_replay {
	struct cl_reader reader;
	struct cl_params params;
	struct cl_snapshot *now, *prev; /* as of ticks: none, now, both */
	struct cl_state *state;
	struct cl_plan *plan;
	uint64_t ticks;
	uint64_t recorded, digest;
	int failed;
};

void cl_replay_close(struct cl_replay *replay)
{
	if (!replay)
		return;
	cl_reader_close(&replay->reader);
	cl_snapshot_free(replay->now);
	cl_snapshot_free(replay->prev);
	cl_state_free(replay->state);
	cl_plan_free(replay->plan);
	free(replay);
}

static bool same_group(const struct cl_group_ref *a, const struct cl_group_ref *b)
{
	return a->tag == b->tag && a->seen.v == b->seen.v && a->node.v == b->node.v &&
	       cl_uuid_compare(&a->guest, &b->guest) == 0;
}

/* Are these the same object of the same host? Compares what the kind of action uses. */
static bool same_object(enum cl_action_kind kind, const struct cl_object *a,
			const struct cl_object *b)
{
	switch (kind) {
	case CL_ACTION_GROUP_CREATE:
	case CL_ACTION_GROUP_WIDEN:
	case CL_ACTION_GROUP_NARROW:
	case CL_ACTION_GROUP_REMOVE:
	case CL_ACTION_FENCE:
		return same_group(&a->group, &b->group);
	case CL_ACTION_VCPU_RESTORE:
	case CL_ACTION_THREAD_PLACE:
	case CL_ACTION_THREAD_RELEASE:
		return a->thread.tid == b->thread.tid && a->thread.start == b->thread.start;
	case CL_ACTION_IRQ_PLACE:
	case CL_ACTION_IRQ_RELEASE:
		return a->irq == b->irq;
	case CL_ACTION_CPU_PIN:
	case CL_ACTION_CPU_RELEASE:
		return a->cpu == b->cpu;
	case CL_ACTION_VCPU_KEEP:
	case CL_ACTION_VCPU_RELEASE:
		return a->vcpu.v == b->vcpu.v;
	case CL_ACTION_NAPI_THREAD:
		return a->nic.v == b->nic.v;
	case CL_ACTION_CAP_SET:
	case CL_ACTION_WEIGHT_SET:
	case CL_ACTION_BUDGET_SET:
	case CL_ACTION_CAP_RELEASE:
	case CL_ACTION_WEIGHT_RELEASE:
	case CL_ACTION_MEMORY_TARGET:
	case CL_ACTION_MEMORY_RELEASE:
	case CL_ACTION_BUDGET_RELEASE:
		return a->guest.v == b->guest.v;
	case CL_ACTION_NIC_RATE:
	case CL_ACTION_GROUP_QUOTA:
	case CL_ACTION_GROUP_IO:
	case CL_ACTION_PACKET_RATE:
		return a->guest.v == b->guest.v && a->key == b->key;
	case CL_ACTION_KIND_COUNT:
		break;
	}
	return false;
}

static int read_start(struct cl_replay *replay, struct cl_error *reterr)
{
	struct cl_reader *reader = &replay->reader;
	const struct cl_limits *cap = &reader->head.cap;
	const char *name;
	int r = cl_reader_expect(reader, CL_FRAME_PARAMS, reterr);

	if (r == 0)
		r = CL_DECODE(reader, cl_get_params(&source, &replay->params), reterr);
	if (r < 0)
		return r;
	if (!cl_params_check(&replay->params, &name))
		return cl_fail(reterr, EBADMSG, "%s, byte %llu: %s is outside its range",
			       reader->path, (unsigned long long)reader->frame_at, name);
	replay->now = cl_snapshot_new(cap);
	replay->prev = cl_snapshot_new(cap);
	replay->state = cl_state_new(cap);
	replay->plan = cl_plan_new(cap);
	if (!replay->now || !replay->prev || !replay->state || !replay->plan)
		return cl_fail(reterr, ENOMEM, "replaying %s: no memory", reader->path);
	r = cl_reader_expect(reader, CL_FRAME_STATE, reterr);
	if (r == 0)
		r = CL_DECODE(reader, cl_get_state(&source, replay->state), reterr);
	return r;
}

int cl_replay_open(const char *path, struct cl_replay **ret_replay, struct cl_error *reterr)
{
	struct cl_replay *replay = calloc(1, sizeof(*replay));
	int r;

	if (!replay)
		return cl_fail(reterr, ENOMEM, "replaying %s: no memory", path);
	r = cl_reader_open(&replay->reader, path, reterr);
	if (r < 0) {
		free(replay);
		return r;
	}
	r = read_start(replay, reterr);
	if (r < 0) {
		cl_replay_close(replay);
		return r;
	}
	*ret_replay = replay;
	return 0;
}

bool cl_record_tell(struct cl_state *state, const struct cl_record_edit *edit)
{
	switch ((enum cl_edit)edit->edit) {
	case CL_EDIT_OWN_THREAD:
		return cl_state_own_thread(state, &edit->guest, edit->thread, edit->mask_hash);
	case CL_EDIT_OWN_IRQ:
		return cl_state_own_irq(state, edit->number, edit->mask_hash);
	case CL_EDIT_ADOPT_THREAD:
		return cl_state_adopt_thread(state, edit->thread);
	case CL_EDIT_ADOPT_IRQ:
		return cl_state_adopt_irq(state, edit->number);
	case CL_EDIT_OWN_CPU:
		return cl_state_own_cpu(state, edit->number, edit->mask_hash);
	case CL_EDIT_OWN_VCPU:
		return cl_state_own_vcpu(state, &edit->guest, edit->domid, edit->number,
					 edit->mask_hash);
	case CL_EDIT_OWN_FENCE:
		return cl_state_own_fence(state);
	case CL_EDIT_OWN_LEVER:
		return edit->number < CL_LEVER_COUNT &&
		       cl_state_own_lever(state, &edit->guest, edit->domid,
					  (enum cl_lever)edit->number, edit->contract,
					  edit->mask_hash);
	case CL_EDIT_OWN_LEDGER:
		return cl_state_own_ledger(state, &edit->guest, &edit->ledger, edit->mask_hash);
	case CL_EDIT_OWN_THROTTLE:
		return cl_state_own_throttle(state, &edit->guest, edit->number, edit->key,
					     edit->set, edit->since_ns);
	case CL_EDIT_OWN_MEMORY:
		return cl_state_own_memory(state, &edit->guest, edit->domid, edit->contract,
					   edit->mask_hash);
	}
	return false;
}

/*
 * The action that had the outcome, in the plan made now. Another core may plan otherwise: then
 * the outcome goes to the action of the same kind on the same object, or to none.
 */
static const struct cl_action *action_of(const struct cl_plan *plan,
					 const struct cl_record_outcome *outcome)
{
	for (uint32_t i = 0; i <= plan->n.actions; i++) {
		uint32_t at = i == 0 ? outcome->index : i - 1;

		if (at < plan->n.actions && plan->actions[at].kind == outcome->kind &&
		    plan->actions[at].possible &&
		    same_object(outcome->kind, &plan->actions[at].object, &outcome->object))
			return &plan->actions[at];
	}
	return NULL;
}

static void get_outcomes(struct cl_source *source, struct cl_replay *replay)
{
	while (!source->fault && source->at < source->end) {
		struct cl_record_outcome outcome;

		cl_get_outcome(source, &outcome);
		if (source->fault)
			return;
		const struct cl_action *action = action_of(replay->plan, &outcome);

		if (action)
			cl_state_outcome(replay->state, &replay->params, replay->plan, action,
					 (int)outcome.code, outcome.now_ns);
	}
}

static int next_tick(struct cl_replay *replay, struct cl_error *reterr)
{
	struct cl_snapshot *next = replay->prev;
	int r = cl_reader_tick(&replay->reader, replay->ticks ? replay->now : NULL, next,
			       &replay->recorded, reterr);

	if (r < 0)
		return r;
	replay->prev = replay->now;
	replay->now = next;
	replay->ticks++;
	cl_decide(cl_replay_prev(replay), replay->now, &replay->params, replay->state,
		  replay->plan);
	replay->digest = cl_plan_digest(replay->plan);
	return 0;
}

static int next(struct cl_replay *replay, struct cl_error *reterr)
{
	for (;;) {
		enum cl_frame_type type;
		struct cl_record_edit edit;
		int r = cl_reader_next(&replay->reader, &type, reterr);

		if (r < 0)
			return r;
		switch (type) {
		case CL_FRAME_EDIT:
			r = CL_DECODE(&replay->reader, cl_get_edit(&source, &edit), reterr);
			if (r == 0)
				(void)cl_record_tell(replay->state, &edit);
			break;
		case CL_FRAME_OUTCOMES:
			if (replay->ticks == 0)
				return cl_reader_bad(&replay->reader, reterr,
						     "outcomes before the first tick");
			r = CL_DECODE(&replay->reader, get_outcomes(&source, replay), reterr);
			break;
		case CL_FRAME_TICK:
			return next_tick(replay, reterr);
		case CL_FRAME_HEAD:
		case CL_FRAME_PARAMS:
		case CL_FRAME_STATE:
		case CL_FRAME_TYPE_COUNT:
			return cl_reader_bad(&replay->reader, reterr, "a frame is out of order");
		}
		if (r < 0)
			return r;
	}
}

int cl_replay_next(struct cl_replay *replay, struct cl_error *reterr)
{
	if (replay->failed)
		return cl_fail(reterr, -replay->failed, "%s: the replay has ended",
			       replay->reader.path);
	int r = next(replay, reterr);

	if (r < 0)
		replay->failed = r;
	return r;
}

const char *cl_replay_host(const struct cl_replay *replay)
{
	return replay->reader.head.host;
}
const struct cl_limits *cl_replay_limits(const struct cl_replay *replay)
{
	return &replay->reader.head.cap;
}
const struct cl_snapshot *cl_replay_now(const struct cl_replay *replay)
{
	return replay->now;
}
const struct cl_plan *cl_replay_plan(const struct cl_replay *replay)
{
	return replay->plan;
}
const struct cl_state *cl_replay_state(const struct cl_replay *replay)
{
	return replay->state;
}
bool cl_replay_torn(const struct cl_replay *replay)
{
	return replay->reader.torn;
}

const struct cl_snapshot *cl_replay_prev(const struct cl_replay *replay)
{
	return replay->ticks > 1 ? replay->prev : NULL;
}

bool cl_replay_same(const struct cl_replay *replay)
{
	return replay->ticks > 0 && replay->digest == replay->recorded;
}

/* ---- host "replay:FILE" ---- */

struct replay_host {
	struct cl_host host;
	struct cl_reader reader;
	uint64_t now_ns; /* of the last snapshot given */
	bool pending;    /* raw holds a tick that was not given yet */
};

static struct replay_host *of(struct cl_host *host)
{
	return (struct replay_host *)host;
}

/* The next TICK into raw; what lies between is for those who decide. */
static int peek(struct replay_host *host, struct cl_error *reterr)
{
	enum cl_frame_type type = CL_FRAME_HEAD;

	while (!host->pending) {
		int r = cl_reader_next(&host->reader, &type, reterr);

		if (r < 0)
			return r;
		host->pending = type == CL_FRAME_TICK;
	}
	return 0;
}

static int replay_open(const char *arg, struct cl_host **ret_host, struct cl_error *reterr)
{
	struct replay_host *host = calloc(1, sizeof(*host));
	int r;

	if (!host)
		return cl_fail(reterr, ENOMEM, "replaying %s: no memory", arg);
	r = cl_reader_open(&host->reader, arg, reterr);
	if (r == 0)
		r = peek(host, reterr);
	if (r < 0) {
		if (host->reader.path)
			cl_reader_close(&host->reader);
		free(host);
		return r;
	}
	host->host.ops = &cl_host_replay;
	*ret_host = &host->host;
	return 0;
}

static int replay_observe(struct cl_host *base, uint64_t deadline_ns, struct cl_snapshot *snap,
			  struct cl_error *reterr)
{
	struct replay_host *host = of(base);
	uint64_t digest;
	int r = peek(host, reterr);

	if (r < 0)
		return r;
	r = cl_reader_tick(&host->reader, NULL, snap, &digest, reterr);
	if (r < 0)
		return r;
	host->pending = false;
	host->now_ns = snap->taken_ns;
	return 0;
}

static int replay_apply(struct cl_host *base, const struct cl_change *change,
			struct cl_error *reterr)
{
	return cl_fail(reterr, EOPNOTSUPP,
		       "%s is a recording: nothing can be read or changed on it; name a real host",
		       of(base)->reader.path);
}

static int replay_read(struct cl_host *base, const struct cl_change *change,
		       struct cl_setting *ret_setting, struct cl_error *reterr)
{
	return replay_apply(base, change, reterr);
}

static int replay_wait(struct cl_host *base, uint64_t until_ns, int fd, enum cl_wake *ret_why,
		       struct cl_error *reterr)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	int r;

	if (fd >= 0 && poll(&poll_fd, 1, 0) > 0) {
		*ret_why = CL_WAKE_SIGNAL;
		return 0;
	}
	r = peek(of(base), reterr);
	if (r < 0 && r != -ENODATA)
		return r;
	*ret_why = r == 0 ? CL_WAKE_TIMER : CL_WAKE_END;
	return 0;
}

static uint64_t replay_now(struct cl_host *base)
{
	return of(base)->now_ns;
}

static void replay_check(struct cl_host *base,
			 void (*say)(void *ctx, const char *level, const char *text), void *ctx)
{
	const struct cl_record_head *head = &of(base)->reader.head;
	char host[CL_PATH_MAX], closer[4 * sizeof(head->closer)], text[2 * CL_PATH_MAX];

	snprintf(text, sizeof(text),
		 "a recording of %s by closer %s: plans can be made, not applied",
		 cl_escape(head->host, host, sizeof(host)),
		 cl_escape(head->closer, closer, sizeof(closer)));
	say(ctx, "note", text);
}

static void replay_close(struct cl_host *base)
{
	if (!base)
		return;
	cl_reader_close(&of(base)->reader);
	free(base);
}

const struct cl_host_ops cl_host_replay = {
	.name = "replay",
	.doc = "a recording made by `closer record`: to look at, not to change",
	.uri = "FILE",
	.open = replay_open,
	.observe = replay_observe,
	.read = replay_read,
	.apply = replay_apply,
	.wait = replay_wait,
	.now_ns = replay_now,
	.check = replay_check,
	.close = replay_close,
};
