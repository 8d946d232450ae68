/* SPDX-License-Identifier: GPL-2.0-or-later */
/* adopt: the operator hands over what somebody else has set. */
#include "cli.h"
#include "threads.h"

#include <errno.h>
#include <string.h>

static json_t *thread_json(struct cl_tid id)
{
	return json_pack("{s:i,s:I}", "tid", (int)id.tid, "start", (json_int_t)id.start);
}

static int adopt_thread(const struct cli_call *call, struct cl_tid id, json_t *list,
			struct cl_error *reterr)
{
	const struct cl_object object = { .thread = id, .guest = { CL_NONE } };
	int r = cl_adopt_request(call->v.state_dir, &object, false, reterr);

	if (r == 0)
		json_array_append_new(list, thread_json(id));
	return r;
}

static int adopt_tid(const struct cli_call *call, uint64_t tid, json_t *list,
		     struct cl_error *reterr)
{
	struct cl_tid id;
	int32_t process;

	if (tid == 0 || tid > INT32_MAX)
		return cl_fail(reterr, ESRCH, "there can be no thread %llu",
			       (unsigned long long)tid);
	int r = cl_thread_identify((int32_t)tid, &id, &process, reterr);

	return r < 0 ? r : adopt_thread(call, id, list, reterr);
}

static int adopt_irq(const struct cli_call *call, uint64_t number, json_t *list,
		     struct cl_error *reterr)
{
	struct cl_object object = { .guest = { CL_NONE } };
	char path[64];

	snprintf(path, sizeof(path), "/proc/irq/%llu", (unsigned long long)number);
	if (number > UINT32_MAX || access(path, F_OK) != 0)
		return cl_fail(reterr, ENOENT, "there is no interrupt %llu (no %s)",
			       (unsigned long long)number, path);
	object.irq = (uint32_t)number;
	int r = cl_adopt_request(call->v.state_dir, &object, true, reterr);

	if (r == 0)
		json_array_append_new(list, json_pack("{s:I}", "irq", (json_int_t)number));
	return r;
}

/* Every thread of the guest that somebody else has set. */
static int adopt_guest(const struct cli_call *call, const char *name, json_t *list,
		       struct cl_error *reterr)
{
	cli_autoengine struct cl_engine *engine = NULL;
	struct cl_guest_ix guest;
	int r = cli_open(call, false, NULL, &engine, reterr);

	if (r == 0)
		r = cli_observe_twice(call, engine, reterr);
	if (r == 0)
		r = cli_guest_find(cl_engine_now(engine), name, &guest, reterr);
	if (r < 0)
		return r;
	const struct cl_snapshot *snap = cl_engine_now(engine);
	const struct cl_plan *plan = cl_engine_plan(engine);

	for (uint32_t i = 0; i < snap->n.works && r == 0; i++) {
		if (snap->works[i].guest.v == guest.v &&
		    plan->verdicts[i].left.code == CL_REASON_FOREIGN)
			r = adopt_thread(call, snap->works[i].thread, list, reterr);
	}
	for (uint32_t i = 0; i < snap->n.irqs && r == 0; i++) {
		const struct cl_irq *irq = &snap->irqs[i];

		for (uint32_t k = 0; k < cl_engine_state(engine)->n.irqs && irq->guest.v == guest.v;
		     k++) {
			const struct cl_state_irq *known = &cl_engine_state(engine)->irqs[k];

			if (known->number == irq->number && known->foreign && r == 0)
				r = adopt_irq(call, irq->number, list, reterr);
		}
	}
	return r;
}

enum what { THREAD, IRQ, GUEST };

static enum cli_exit read_args(const struct cli_call *call, enum what *ret_what,
			       uint64_t *ret_number)
{
	const char *text = call->v.args[0];
	const char *end = "";

	if (strcmp(text, "guest") == 0) {
		*ret_what = GUEST;
		if (call->v.arg_count < 2)
			return cli_usage(call, "which guest? closer adopt guest NAME");
		return CLI_OK;
	}
	if (call->v.arg_count > 1)
		return cli_usage(call, "'%s' is one argument too many: closer adopt %s",
				 call->v.args[1], call->verb->args);
	*ret_what = strncmp(text, "irq:", 4) == 0 ? IRQ : THREAD;
	if (!cl_parse_u64(*ret_what == IRQ ? text + 4 : text, ret_number, &end) || *end)
		return cli_usage(call, "'%s' is no thread id, irq:NUMBER, or guest NAME", text);
	return CLI_OK;
}

static enum cli_exit run(const struct cli_call *call)
{
	struct cl_error err;
	enum what what = THREAD;
	uint64_t number = 0;
	enum cli_exit code = read_args(call, &what, &number);

	if (code != CLI_OK)
		return code;
	if (cl_host_simulated(call->v.host))
		return cli_usage(call, "nothing can be handed over on a simulated host: it is gone "
				       "with the command that asks");
	json_t *list = json_array();
	int r = cl_state_dir(call->v.state_dir, &err);

	if (r == 0) {
		switch (what) {
		case THREAD:
			r = adopt_tid(call, number, list, &err);
			break;
		case IRQ:
			r = adopt_irq(call, number, list, &err);
			break;
		case GUEST:
			r = adopt_guest(call, call->v.args[1], list, &err);
			break;
		}
	}
	size_t n = json_array_size(list);

	if (r < 0)
		code = cli_error(call, &err);
	else if (call->v.json)
		code = cli_json(call, json_pack("{s:O}", "adopted", list));
	else if (n == 0)
		cli_say(call, "nothing of it was set by somebody else");
	else
		cli_say(call,
			"%zu handed over: the `closer run` that is on takes %s at its next tick, "
			"else the next `closer apply`",
			n, n == 1 ? "it" : "them");
	json_decref(list);
	return code;
}

const struct cli_verb cli_verb_adopt = {
	.name = "adopt",
	.args = "THREAD | irq:NUMBER | guest NAME",
	.args_least = 1,
	.args_most = 2,
	.groups = CLI_GROUP_HOST | CLI_GROUP_DIR | CLI_GROUP_JSON,
	.doc = "hand over what somebody else has set",
	.text = "closer leaves threads and interrupts alone that somebody else has set (`closer "
		"explain` names them). This hands one over by its thread id or interrupt number, "
		"or all of a guest, by its name or uuid. Undo gives back the setting that it had "
		"before.",
	.run = run,
};
