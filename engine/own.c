/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the state is told before a decision: by the journal what is ours, by requests what is handed
 * over, by the ledger who owes what. */
#include "act.h"

#include "build.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* A request whose object is not known is kept for so many ticks: core may meet it in the first. */
#define ADOPT_TRIES 5u

/* The guest whose process it is, whose container it was put into, or whose work it is now. */
static struct cl_uuid guest_of(const struct cl_snapshot *now, const struct cl_change *c)
{
	static const char prefix[] = "/closer/";
	char text[CL_UUID_TEXT];
	struct cl_uuid id = { 0 };

	for (uint32_t g = 0; g < now->n.guests; g++) {
		if (c->process > 0 && now->guests[g].process.tid == c->process)
			return now->guests[g].id;
	}
	if (c->to.has_path && strncmp(c->to.path, prefix, sizeof(prefix) - 1) == 0) {
		snprintf(text, sizeof(text), "%.36s", c->to.path + sizeof(prefix) - 1);
		if (!cl_uuid_parse(text, &id))
			memset(&id, 0, sizeof(id));
		return id;
	}
	for (uint32_t i = 0; i < now->n.works; i++) {
		const struct cl_work *work = &now->works[i];

		if (work->thread.tid == c->thread.tid && work->thread.start == c->thread.start &&
		    work->guest.v < now->n.guests)
			return now->guests[work->guest.v].id;
	}
	return id;
}

/* The privileged domain's vCPUs have no uuid, and are the snapshot's CPUs. */
static bool is_privileged(const struct cl_change *c)
{
	static const struct cl_uuid none;

	return c->domid == 0 && cl_uuid_compare(&c->domain, &none) == 0;
}

/* Its cap, weight or budget as it is; -1: not known. */
static int64_t number_now(const struct cl_snapshot *now, const struct cl_change *c)
{
	for (uint32_t g = 0; g < now->n.guests; g++) {
		const struct cl_guest *guest = &now->guests[g];

		if (guest->domid == c->domid && cl_uuid_compare(&guest->id, &c->domain) == 0)
			return (int64_t)(c->kind == CL_CHANGE_CAP      ? guest->cap
					 : c->kind == CL_CHANGE_WEIGHT ? guest->weight
								       : guest->budget_ns);
	}
	return -1;
}

/* What its balloon is set to; -1: not known. */
static int64_t target_now(const struct cl_snapshot *now, const struct cl_change *c)
{
	if (is_privileged(c))
		return (int64_t)now->memory.target_bytes;
	for (uint32_t g = 0; g < now->n.guests; g++)
		if (now->guests[g].domid == c->domid &&
		    cl_uuid_compare(&now->guests[g].id, &c->domain) == 0)
			return (int64_t)now->guests[g].target_bytes;
	return -1;
}

/* What holds a guest back: whose it is, and which of its kind. */
static bool throttle_of(const struct cl_snapshot *now, const struct cl_change *c,
			struct cl_record_edit *edit)
{
	static const enum cl_action_kind kinds[] = {
		[CL_CHANGE_RATE] = CL_ACTION_NIC_RATE,
		[CL_CHANGE_QUOTA] = CL_ACTION_GROUP_QUOTA,
		[CL_CHANGE_IO] = CL_ACTION_GROUP_IO,
		[CL_CHANGE_PACKETS] = CL_ACTION_PACKET_RATE,
	};

	edit->edit = CL_EDIT_OWN_THROTTLE;
	edit->number = kinds[c->kind];
	edit->set = c->to.present ? (uint64_t)c->to.number : 0;
	edit->key = c->kind == CL_CHANGE_IO ? c->device : 0;
	if (c->kind == CL_CHANGE_QUOTA || c->kind == CL_CHANGE_IO)
		return cl_build_ours(c->path, &edit->guest);
	for (uint32_t i = 0; i < now->n.nics; i++) {
		const struct cl_nic *nic = &now->nics[i];
		const char *name = cl_snapshot_str(now, nic->name);

		if (nic->guest.v >= now->n.guests ||
		    (c->kind == CL_CHANGE_RATE ? nic->handle != c->handle ||
							 now->guests[nic->guest.v].domid != c->domid
					       : strcmp(name, c->path) != 0))
			continue;
		edit->guest = now->guests[nic->guest.v].id;
		edit->key = cl_throttle_key(name);
		return true;
	}
	return false; /* gone, and its limit with it */
}

/*
 * What core is to remember of an object that the journal has as ours. False: of such a one nothing.
 * A vCPU that is as it was found is none of ours yet: closer ended before it came to that one.
 */
static bool edit_of(const struct cl_snapshot *now, const struct cl_change *c,
		    struct cl_record_edit *ret_edit)
{
	struct cl_record_edit *edit = ret_edit;
	struct cl_mask_ix is = { CL_NONE };

	*edit = (struct cl_record_edit){ .mask_hash = cl_cpuset_hash(&c->to.cpus) };
	switch (c->kind) {
	case CL_CHANGE_THREAD:
		edit->edit = CL_EDIT_OWN_THREAD;
		edit->guest = guest_of(now, c);
		edit->thread = c->thread;
		return true;
	case CL_CHANGE_IRQ:
		edit->edit = CL_EDIT_OWN_IRQ;
		edit->number = c->irq;
		return true;
	case CL_CHANGE_VCPU:
		edit->edit = is_privileged(c) ? CL_EDIT_OWN_CPU : CL_EDIT_OWN_VCPU;
		edit->guest = c->domain;
		edit->domid = c->domid;
		edit->number = c->vcpu;
		if (is_privileged(c) && c->vcpu < now->n.cpus)
			is = now->cpus[c->vcpu].pins;
		for (uint32_t i = 0; !is_privileged(c) && i < now->n.vcpus; i++)
			if (now->vcpus[i].index == c->vcpu &&
			    now->guests[now->vcpus[i].guest.v].domid == c->domid)
				is = now->vcpus[i].pcpus;
		return is.v == CL_NONE || !cl_cpuset_equal(cl_snapshot_set(now, is), &c->from.cpus);
	case CL_CHANGE_FENCE:
		edit->edit = CL_EDIT_OWN_FENCE;
		return true;
	case CL_CHANGE_CAP:
	case CL_CHANGE_WEIGHT:
	case CL_CHANGE_BUDGET:
		edit->edit = CL_EDIT_OWN_LEVER;
		edit->guest = c->domain;
		edit->domid = c->domid;
		edit->number = c->kind == CL_CHANGE_CAP      ? CL_LEVER_CAP
			       : c->kind == CL_CHANGE_WEIGHT ? CL_LEVER_WEIGHT
							     : CL_LEVER_BUDGET;
		edit->contract = (uint64_t)c->from.number;
		edit->mask_hash = (uint64_t)c->to.number;
		return number_now(now, c) != c->from.number;
	case CL_CHANGE_MEMORY:
		edit->edit = CL_EDIT_OWN_MEMORY;
		edit->guest = c->domain;
		edit->domid = c->domid;
		edit->contract = (uint64_t)c->from.number;
		edit->mask_hash = (uint64_t)c->to.number;
		return target_now(now, c) != c->from.number;
	case CL_CHANGE_RATE:
	case CL_CHANGE_QUOTA:
	case CL_CHANGE_IO:
	case CL_CHANGE_PACKETS:
		return throttle_of(now, c, edit);
	case CL_CHANGE_GROUP:
	case CL_CHANGE_NIC:
		break;
	}
	return false;
}

/* When what is in force now was first set, on the clock that snapshots bear. */
static uint64_t since_ns(const struct cl_journal *journal, const struct cl_journal_entry *entry)
{
	uint64_t ticks = 0;

	for (uint32_t i = entry->change_first; i < entry->change_first + entry->change_count; i++)
		if (ticks == 0 || !journal->changes[i].from.present)
			ticks = journal->notes[i].ticks;
	return ticks * (CL_NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK));
}

static int tell(struct cl_engine *e, const struct cl_record_edit *edit, bool *ret_known,
		struct cl_error *reterr)
{
	struct cl_error err;

	*ret_known = cl_record_tell(e->state, edit);
	if (!*ret_known || !e->recorder)
		return 0;
	int r = cl_recorder_edit(e->recorder, edit, &err);

	return cl_engine_recorded(e, r, &err, reterr);
}

static int own_entries(struct cl_engine *e, const struct cl_journal *journal,
		       struct cl_error *reterr)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < journal->entry_count; i++) {
		const struct cl_journal_entry *entry = &journal->entries[i];
		uint32_t last = entry->change_first + entry->change_count - 1;
		struct cl_record_edit edit;
		bool known;

		if (!entry->dropped && !journal->notes[last].inherited &&
		    !journal->notes[last].fenced &&
		    edit_of(cl_engine_now(e), &entry->change, &edit)) {
			edit.since_ns = since_ns(journal, entry);
			r = tell(e, &edit, &known, reterr);
		}
	}
	return r;
}

/* After a restart: what the journal says is ours, so core may go on changing it. Once guests are
 * known. */
static int own_journal(struct cl_engine *e, struct cl_error *reterr)
{
	struct cl_journal journal;
	struct cl_error err;
	int r = cl_journal_read(e->dir, &journal, &err);

	e->owned = true;
	if (r == -ENOENT)
		return 0;
	if (r < 0) {
		if (reterr)
			*reterr = err;
		return r;
	}
	r = own_entries(e, &journal, reterr);
	cl_journal_done(&journal);
	return r;
}

/*
 * Who only looks on learns from the journal what another closer has set, or would take it for
 * somebody else's. Again whenever the file has changed. One that cannot be read hinders nobody.
 */
static int own_others(struct cl_engine *e, struct cl_error *reterr)
{
	char path[CL_PATH_MAX + sizeof(CL_JOURNAL_FILE)], boot[64];
	struct cl_journal journal;
	struct stat st;
	int r = 0;

	snprintf(path, sizeof(path), "%s/" CL_JOURNAL_FILE, e->dir);
	if (e->host->ops == &cl_host_replay || e->host->ops->simulated || stat(path, &st) < 0 ||
	    (st.st_ino == e->looked.st_ino && st.st_size == e->looked.st_size))
		return 0;
	e->looked = st;
	if (cl_journal_read(e->dir, &journal, NULL) < 0)
		return 0;
	if (cl_boot_id(boot, NULL) == 0 && strcmp(boot, journal.boot) == 0)
		r = own_entries(e, &journal, reterr);
	cl_journal_done(&journal);
	return r;
}

static int adopt_one(struct cl_engine *e, struct cl_adopt *a, struct cl_error *reterr)
{
	const struct cl_record_edit edit = {
		.edit = a->irq ? CL_EDIT_ADOPT_IRQ : CL_EDIT_ADOPT_THREAD,
		.thread = a->thread,
		.number = a->number,
	};
	bool known;
	int r = tell(e, &edit, &known, reterr);

	a->tries = known ? ADOPT_TRIES : a->tries + 1;
	return r;
}

static int take_requests(struct cl_engine *e, struct cl_error *reterr)
{
	uint32_t kept = 0;
	int r = cl_adopt_take(e->dir_fd, e->adopt, &e->adopt_count, reterr);

	for (uint32_t i = 0; r == 0 && i < e->adopt_count; i++) {
		r = adopt_one(e, &e->adopt[i], reterr);
		if (e->adopt[i].tries < ADOPT_TRIES)
			e->adopt[kept++] = e->adopt[i];
	}
	if (r == 0)
		e->adopt_count = kept;
	return r;
}

struct owing {
	struct cl_engine *engine;
	struct cl_error *reterr;
};

static int own_debt(void *ctx, const struct cl_uuid *guest, const struct cl_ledger *ledger)
{
	struct owing *o = ctx;
	const struct cl_record_edit edit = { .edit = CL_EDIT_OWN_LEDGER,
					     .guest = *guest,
					     .ledger = *ledger,
					     .mask_hash = cl_engine_now(o->engine)->taken_ns };
	bool known;

	return tell(o->engine, &edit, &known, o->reterr);
}

/* Before the first decision: a debt is not forgotten because closer was started again. */
static int own_debts(struct cl_engine *e, struct cl_error *reterr)
{
	struct owing owing = { e, reterr };

	e->owing = true;
	return e->params.charge == CL_CHARGE_OFF ? 0
						 : cl_bill_owed(e->bill, own_debt, &owing, reterr);
}

int cl_engine_tell(struct cl_engine *e, struct cl_error *reterr)
{
	int r = 0;

	if (!e->act)
		r = own_others(e, reterr);
	else if (e->keeps && !e->owned)
		r = own_journal(e, reterr);
	if (r == 0 && e->keeps)
		r = take_requests(e, reterr);
	if (r == 0 && e->bill && !e->owing)
		r = own_debts(e, reterr);
	return r;
}
