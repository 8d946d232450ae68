/* SPDX-License-Identifier: GPL-2.0-or-later */
/* explain: each thread that works for a guest: where it runs, where it belongs by which rule, why
 * it is left. */
#include "cli.h"

#include <errno.h>
#include <string.h>

struct explain {
	const struct cli_call *call;
	const struct cl_snapshot *snap;
	const struct cl_plan *plan;
	const struct cl_state *state;
	const struct cl_journal *journal;
	struct cl_guest_ix guest; /* only this one, or CL_NONE */
	int32_t tid;              /* only this one, or 0 */
};

static bool same_thread(struct cl_tid a, struct cl_tid b)
{
	return a.tid == b.tid && a.start == b.start;
}

/* What closer has set on a thread, by the journal; NULL: nothing. */
static const struct cl_journal_entry *owned(const struct cl_journal *journal, struct cl_tid id)
{
	for (uint32_t i = 0; i < journal->entry_count; i++) {
		const struct cl_journal_entry *e = &journal->entries[i];

		if (!e->dropped && e->change.kind == CL_CHANGE_THREAD &&
		    same_thread(e->change.thread, id))
			return e;
	}
	return NULL;
}

static const struct cl_action *action_of(const struct cl_plan *plan, struct cl_tid id)
{
	for (uint32_t i = 0; i < plan->n.actions; i++) {
		enum cl_action_kind kind = plan->actions[i].kind;

		if ((kind == CL_ACTION_THREAD_PLACE || kind == CL_ACTION_VCPU_RESTORE ||
		     kind == CL_ACTION_THREAD_RELEASE) &&
		    same_thread(plan->actions[i].object.thread, id))
			return &plan->actions[i];
	}
	return NULL;
}

static void mask_text(const struct cl_snapshot *snap, struct cl_mask_ix mask, char *buf,
		      size_t size)
{
	if (mask.v < snap->n.masks)
		cli_cpus_text(cl_snapshot_set(snap, mask), buf, size);
	else
		snprintf(buf, size, "?");
}

static void print_runs(const struct explain *x, uint32_t i)
{
	const struct cl_work *work = &x->snap->works[i];
	const struct cl_work_books *books = &x->plan->work_books[i];
	char percent[32], main_part[32], far_part[32];

	printf("    runs     %s %% of a CPU",
	       cli_work_percent(x->snap, books->run_ns, x->plan->books.span_ns, percent,
				sizeof(percent)));
	if (work->cpu.v != CL_NONE)
		printf(", last on CPU %u", work->cpu.v);
	if (books->run_ns > 0)
		printf("; %s of it on the main container's CPUs, %s far from the guest's memory",
		       cl_share_text(
			       (uint64_t)(cl_share(books->main_ns, books->run_ns) * (double)CL_PPM),
			       main_part, sizeof(main_part)),
		       cl_share_text(
			       (uint64_t)(cl_share(books->far_ns, books->run_ns) * (double)CL_PPM),
			       far_part, sizeof(far_part)));
	printf("\n");
}

static void print_belongs(const struct explain *x, uint32_t i)
{
	const struct cl_verdict *verdict = &x->plan->verdicts[i];
	char why[CL_WHY_MAX], cpus[256] = "";

	if (verdict->placed.code == CL_REASON_NONE)
		return;
	if (verdict->target.v < x->plan->n.masks)
		cli_cpus_text(cl_plan_set(x->plan, verdict->target), cpus, sizeof(cpus));
	printf("    belongs  %s%s%s%s\n", *cpus ? "on " : "", cpus, *cpus ? ": " : "",
	       cl_why_text(&verdict->placed, why, sizeof(why)));
}

static void print_outcome(const struct explain *x, uint32_t i)
{
	const struct cl_verdict *verdict = &x->plan->verdicts[i];
	const struct cl_work *work = &x->snap->works[i];
	const struct cl_action *action = action_of(x->plan, work->thread);
	char why[CL_WHY_MAX], to[CLI_TEXT_MAX], mask[256];

	if (action && action->possible)
		printf("    would be %s: %s\n", cl_action_kind_name(action->kind),
		       cli_value_text(x->snap, x->plan, &action->to, to, sizeof(to)));
	else if (action)
		printf("    left     not possible: %s\n",
		       cl_why_text(&action->why, why, sizeof(why)));
	if (verdict->left.code == CL_REASON_NONE)
		return;
	if (verdict->left.code == CL_REASON_FOREIGN) {
		mask_text(x->snap, work->mask, mask, sizeof(mask));
		printf("    left     %s (it is set to %s; `closer adopt %d` hands it over)\n",
		       cl_why_text(&verdict->left, why, sizeof(why)), mask, work->thread.tid);
		return;
	}
	printf("    left     %s\n", cl_why_text(&verdict->left, why, sizeof(why)));
}

static void print_work(const struct explain *x, uint32_t i)
{
	const struct cl_work *work = &x->snap->works[i];
	const struct cl_journal_entry *ours = owned(x->journal, work->thread);
	char name[4 * sizeof(work->name)], mask[256], path[CL_PATH_MAX], from[CLI_TEXT_MAX];

	printf("  thread %d (%s), %s\n", work->thread.tid,
	       cl_escape(work->name, name, sizeof(name)), cl_work_kind_name(work->kind));
	print_runs(x, i);
	mask_text(x->snap, work->mask, mask, sizeof(mask));
	printf("    may use  %s", mask);
	if (work->group.v < x->snap->n.groups)
		printf(" in %s",
		       cl_escape(cl_snapshot_str(x->snap, x->snap->groups[work->group.v].path),
				 path, sizeof(path)));
	printf("\n");
	if (ours)
		printf("    set by   closer; undo gives back %s\n",
		       cli_setting_text(CL_CHANGE_THREAD, &ours->change.from, from, sizeof(from)));
	print_belongs(x, i);
	print_outcome(x, i);
}

static bool wanted(const struct explain *x, uint32_t i)
{
	const struct cl_work *work = &x->snap->works[i];

	if (x->tid != 0)
		return work->thread.tid == x->tid;
	return x->guest.v == CL_NONE || work->guest.v == x->guest.v;
}

/* "physical CPUs 0-3, set by somebody else" */
static void pins_text(const struct explain *x, struct cl_mask_ix pins, bool ours, bool foreign,
		      char *buf, size_t size)
{
	char cpus[256] = "physical CPUs ?";

	if (pins.v < x->snap->n.masks)
		cli_pcpus_text(cl_snapshot_set(x->snap, pins), cpus, sizeof(cpus));
	snprintf(buf, size, "%s%s", cpus,
		 ours      ? ", set by closer"
		 : foreign ? ", set by somebody else: left alone"
			   : "");
}

static void print_vcpu(const struct explain *x, uint32_t i)
{
	const struct cl_vcpu *v = &x->snap->vcpus[i];
	const struct cl_state_vcpu *state = &x->state->vcpus[i];
	char mask[256], cpu[32] = "?", thread[32] = "", pins[320];

	mask_text(x->snap, v->mask, mask, sizeof(mask));
	if (v->cpu.v != CL_NONE)
		snprintf(cpu, sizeof(cpu), "%u", v->cpu.v);
	if (v->thread.tid != 0)
		snprintf(thread, sizeof(thread), "thread %d, ", v->thread.tid);
	printf("  vCPU %u: %slast on CPU %s, may use %s", v->index, thread, cpu, mask);
	if (v->pcpus.v != CL_NONE) {
		pins_text(x, v->pcpus, state->pcpus_hash != 0, state->foreign != 0, pins,
			  sizeof(pins));
		printf(" (%s)", pins);
	}
	printf("\n");
}

/* Which of dom0's vCPUs are places, and which only somewhere. */
static void print_dom0(const struct explain *x)
{
	for (uint32_t c = 0; c < x->snap->n.cpus; c++) {
		const struct cl_cpu *cpu = &x->snap->cpus[c];
		const struct cl_state_cpu *state = &x->state->cpus[c];
		char pins[320];

		if (cpu->pins.v >= x->snap->n.masks || !cpu->online || x->tid != 0 ||
		    x->guest.v != CL_NONE)
			continue;
		pins_text(x, cpu->pins, state->pins_hash != 0, state->foreign != 0, pins,
			  sizeof(pins));
		printf("vCPU %u of dom0 (CPU %u): may use %s%s\n", c, c, pins,
		       cl_cpuset_count(cl_snapshot_set(x->snap, cpu->pins)) == 1
			       ? ""
			       : "; not pinned: where work on it runs is a guess");
	}
}

/* What it is charged, where it is. */
static void print_charge(const struct explain *x, const struct cl_charge_books *c)
{
	char charged[32], repaid[32], owed[32], is[32], why[CL_WHY_MAX];

	if (x->tid != 0 || c->entitled_ns == 0) /* nobody is charged */
		return;
	printf("  charged %s, repaid %s, owes %s; out of its %s",
	       cl_time_text(c->charged_ns, charged, sizeof(charged)),
	       cl_time_text(c->repaid_ns, repaid, sizeof(repaid)),
	       cl_time_text(c->ledger.owed_ns, owed, sizeof(owed)), cl_lever_name(c->lever));
	if (c->lever != CL_LEVER_COUNT)
		printf(" of %s", cli_lever_text(c->lever, c->contract, is, sizeof(is)));
	if (c->why.code != CL_REASON_NONE)
		printf(": %s", cl_why_text(&c->why, why, sizeof(why)));
	printf("\n");
}

/* "transmit-rate of vif1.0 at 1250 kB/s" */
static void print_throttle(const struct explain *x, const struct cl_state_throttle *t)
{
	enum cl_action_kind kind = (enum cl_action_kind)t->kind;
	char to[64];

	cli_limit_text(cli_limited_by(kind), (int64_t)t->set, cl_throttle_period_ns(kind), to,
		       sizeof(to));
	printf(" %s %s", cl_action_kind_name(kind), to);
	if (kind == CL_ACTION_GROUP_IO)
		printf(" (disk %u:%u)", (unsigned)(t->key >> 32), (unsigned)(t->key & UINT32_MAX));
	for (uint32_t i = 0; i < x->snap->n.nics; i++) {
		const char *name = cl_snapshot_str(x->snap, x->snap->nics[i].name);
		char shown[CLI_NAME_MAX];

		if ((kind == CL_ACTION_NIC_RATE || kind == CL_ACTION_PACKET_RATE) &&
		    t->key == cl_throttle_key(name))
			printf(" (%s)", cl_escape(name, shown, sizeof(shown)));
	}
}

/* How it stands with its limit: who holds it back, by what, since when, what letting go would cost.
 */
static void print_limit(const struct explain *x, struct cl_guest_ix guest)
{
	const struct cl_guest_books *books = &x->plan->guest_books[guest.v];
	const struct cl_state_guard *guard = &x->state->guests[guest.v].guard;
	char why[CL_WHY_MAX], since[64], took[32];
	bool held = false;

	if (books->guard.code != CL_REASON_NONE)
		printf("  limit    %s\n", cl_why_text(&books->guard, why, sizeof(why)));
	for (uint32_t i = 0; i < CL_THROTTLES_MAX; i++) {
		if (guard->throttles[i].set == 0)
			continue;
		printf("%s", held ? "," : "  held by");
		print_throttle(x, &guard->throttles[i]);
		held = true;
	}
	if (!held)
		return;
	cl_time_text(x->snap->taken_ns > guard->held_ns ? x->snap->taken_ns - guard->held_ns : 0,
		     since, sizeof(since));
	printf("\n           for %s; ", since);
	if (guard->took)
		printf("let go, it would use up to %s of a CPU, as before\n",
		       cl_share_text(guard->took, took, sizeof(took)));
	else
		printf("what it used before is not known: it was another closer that saw it\n");
}

/* What it contributes to the privileged side's memory, where it does. */
static void print_size(const struct explain *x, const struct cl_size_books *b)
{
	char contract[32], io[32], asked[32], given[32], held[32], why[CL_WHY_MAX];

	if (x->tid != 0 || b->contract == 0)
		return;
	printf("  memory target %s; I/O %s/s, level %llu: asked for %s, gave %s, of it %s held",
	       cl_bytes_text(b->contract, contract, sizeof(contract)),
	       cl_bytes_text(b->io, io, sizeof(io)), (unsigned long long)b->level,
	       cl_bytes_text(b->asked, asked, sizeof(asked)),
	       cl_bytes_text(b->given, given, sizeof(given)),
	       cl_bytes_text(b->held, held, sizeof(held)));
	if (b->why.code != CL_REASON_NONE)
		printf(": %s", cl_why_text(&b->why, why, sizeof(why)));
	printf("\n");
}

/* What it could lose without noticing, where that is looked at. */
static void print_overcommit(const struct explain *x, const struct cl_overcommit_books *b)
{
	char lose[32], taken[32], lent[32], price[32], spare[32], why[CL_WHY_MAX];

	if (x->tid != 0 || b->why.code == CL_REASON_NONE)
		return;
	printf("  could lose %s of memory and %s of a CPU; %s taken for others, %s lent; price %s: %s\n",
	       cl_bytes_text(b->lose, lose, sizeof(lose)),
	       cl_share_text(b->cpu_spare, spare, sizeof(spare)),
	       cl_bytes_text(b->taken, taken, sizeof(taken)),
	       cl_bytes_text(b->lent, lent, sizeof(lent)),
	       cl_share_text(b->price, price, sizeof(price)),
	       cl_why_text(&b->why, why, sizeof(why)));
}

static void print_guest(const struct explain *x, struct cl_guest_ix guest)
{
	const struct cl_guest *g = &x->snap->guests[guest.v];
	char name[CLI_NAME_MAX], uuid[CL_UUID_TEXT], nodes[64];

	cl_uuid_format(&g->id, uuid);
	printf("%s%s%s (%s): %u vCPU%s, memory on node %s%s\n", cli_colour(x->call, "title"),
	       cli_guest_name(x->snap, guest, name, sizeof(name)), cli_colour_off(x->call), uuid,
	       g->vcpu_count, g->vcpu_count == 1 ? "" : "s",
	       cli_nodes_text(g->home, nodes, sizeof(nodes)),
	       g->described ? "" : ", not described by its monitor");
	if (x->tid == 0)
		print_limit(x, guest);
	for (uint32_t i = 0; i < g->vcpu_count && x->tid == 0; i++)
		print_vcpu(x, g->vcpu_first + i);
	print_charge(x, &x->plan->guest_books[guest.v].charge);
	print_size(x, &x->plan->guest_books[guest.v].size);
	print_overcommit(x, &x->plan->guest_books[guest.v].overcommit);
}

static uint32_t print_works(const struct explain *x)
{
	struct cl_guest_ix last = { CL_NONE };
	uint32_t n = 0;

	for (uint32_t g = 0; g < x->snap->n.guests && x->tid == 0; g++) {
		if (x->snap->guests[g].work_count == 0 &&
		    (x->guest.v == CL_NONE || x->guest.v == g))
			print_guest(x, (struct cl_guest_ix){ g });
	}
	for (uint32_t i = 0; i < x->snap->n.works; i++) {
		struct cl_guest_ix guest = x->snap->works[i].guest;

		if (!wanted(x, i))
			continue;
		if (guest.v < x->snap->n.guests && guest.v != last.v)
			print_guest(x, guest);
		last = guest;
		print_work(x, i);
		n++;
	}
	return n;
}

static void print_irqs(const struct explain *x)
{
	for (uint32_t i = 0; i < x->snap->n.irqs; i++) {
		const struct cl_irq *irq = &x->snap->irqs[i];
		char name[CLI_NAME_MAX], guest[CLI_NAME_MAX], mask[256];

		if (x->tid != 0 || (x->guest.v != CL_NONE && irq->guest.v != x->guest.v))
			continue;
		mask_text(x->snap, irq->mask, mask, sizeof(mask));
		printf("interrupt %u (%s) of %s: may use %s\n", irq->number,
		       cl_escape(cl_snapshot_str(x->snap, irq->name), name, sizeof(name)),
		       cli_guest_name(x->snap, irq->guest, guest, sizeof(guest)), mask);
	}
}

/* Threads that are nobody's work are told of here alone. */
static void print_fence(const struct explain *x)
{
	char why[CL_WHY_MAX];

	if (x->tid != 0 || x->guest.v != CL_NONE || x->plan->fence.code == CL_REASON_NONE)
		return;
	printf("fence: %s\n", cl_why_text(&x->plan->fence, why, sizeof(why)));
}

static void print_journal(const struct explain *x)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < x->journal->entry_count; i++) {
		const struct cl_journal_entry *e = &x->journal->entries[i];
		char what[CL_PATH_MAX + 32], from[CLI_TEXT_MAX], to[CLI_TEXT_MAX];

		if (e->dropped || x->tid != 0 || x->guest.v != CL_NONE)
			continue;
		if (n++ == 0)
			printf("\nset by closer, by the journal; undo gives back what is on the "
			       "left:\n");
		printf("  %s: %s -> %s\n", cli_change_text(&e->change, what, sizeof(what)),
		       cli_setting_text(e->change.kind, &e->change.from, from, sizeof(from)),
		       cli_setting_text(e->change.kind, &e->change.to, to, sizeof(to)));
	}
}

static json_t *journal_json(const struct cl_journal *journal)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < journal->entry_count; i++) {
		const struct cl_journal_entry *e = &journal->entries[i];
		char what[CL_PATH_MAX + 32], from[CLI_TEXT_MAX], to[CLI_TEXT_MAX];

		json_array_append_new(
			list,
			json_pack("{s:s,s:s,s:s,s:b}", "object",
				  cli_change_text(&e->change, what, sizeof(what)), "from",
				  cli_setting_text(e->change.kind, &e->change.from, from,
						   sizeof(from)),
				  "to",
				  cli_setting_text(e->change.kind, &e->change.to, to, sizeof(to)),
				  "dropped", (int)e->dropped));
	}
	return list;
}

/* The books have all works with their verdicts, in the snapshot's order: those not asked for are
 * taken out. */
static enum cli_exit print_json(const struct explain *x, const char *uri)
{
	json_t *json = cl_json_books(uri, x->snap, x->plan);
	json_t *works = json_object_get(json, "works");
	uint32_t left = 0;

	for (uint32_t i = x->snap->n.works; i-- > 0;) {
		if (wanted(x, i))
			left++;
		else
			json_array_remove(works, i);
	}
	if (json)
		json_object_set_new(json, "journal", journal_json(x->journal));
	enum cli_exit code = cli_json(x->call, json);

	if (code == CLI_OK && x->tid != 0 && left == 0) {
		cli_say(x->call, "thread %d works for no guest that is known", x->tid);
		return CLI_FAILED;
	}
	return code;
}

static int choose(struct explain *x, struct cl_error *reterr)
{
	uint64_t tid;
	const char *end;

	if (x->call->v.arg_count == 0)
		return 0;
	int r = cli_guest_find(x->snap, x->call->v.args[0], &x->guest, reterr);

	/* a guest may be called 100; only what is no guest's name is a thread */
	if (r == -ENOENT && cl_parse_u64(x->call->v.args[0], &tid, &end) && !*end && tid > 0 &&
	    tid <= INT32_MAX) {
		x->tid = (int32_t)tid;
		return 0;
	}
	return r;
}

static enum cli_exit run(const struct cli_call *call)
{
	cli_autoengine struct cl_engine *engine = NULL;
	struct cl_journal journal = { 0 };
	struct cl_error err, journal_err;
	int r = cli_open(call, false, NULL, &engine, &err);

	if (r == 0)
		r = cli_observe_twice(call, engine, &err);
	if (r < 0)
		return cli_error(call, &err);
	/* the journal is of this machine, where a simulated thread's number is another's */
	int j = cl_engine_host(engine)->ops->simulated
			? -ENOENT
			: cli_journal(call->v.state_dir, &journal, &journal_err);

	if (j < 0 && j != -ENOENT)
		cli_say(call, "what closer has set is not known: %s", journal_err.text);
	struct explain x = {
		.call = call,
		.snap = cl_engine_now(engine),
		.plan = cl_engine_plan(engine),
		.state = cl_engine_state(engine),
		.journal = &journal,
		.guest = { CL_NONE },
	};
	enum cli_exit code = CLI_OK;

	if (choose(&x, &err) < 0) {
		code = cli_error(call, &err);
	} else if (call->v.json) {
		code = print_json(&x, cl_engine_uri(engine));
	} else if (print_works(&x) == 0 && x.tid != 0) {
		cli_say(call,
			"thread %d works for no guest that is known, and no guest is called that",
			x.tid);
		code = CLI_FAILED;
	} else {
		print_irqs(&x);
		print_dom0(&x);
		print_fence(&x);
		print_journal(&x);
		cli_estimate_note(x.snap);
	}
	if (j == 0)
		cl_journal_done(&journal);
	return code;
}

const struct cli_verb cli_verb_explain = {
	.name = "explain",
	.args = "[GUEST | THREAD]",
	.args_most = 1,
	.groups = CLI_GROUP_HOST | CLI_GROUP_DIR | CLI_GROUP_JSON,
	.doc = "say why each thread is where it is",
	.text = "Per thread that works for a guest: what it used and where, what it may use, "
		"which rule says where it belongs and by what evidence, and why nothing is done "
		"about it. Of a guest with a limit: how it stands, what holds it back and since when, "
		"what letting go would cost. What somebody else has set is shown with its CPUs. At the end, what "
		"closer itself has set, from its journal. One guest by name or uuid, or one thread "
		"by its id.",
	.run = run,
};
