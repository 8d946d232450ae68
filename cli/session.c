/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The engine as verbs use it: opened from the options, observed, waited for; signals; the journal;
 * guests by name. */
#include "cli.h"

#include "weights.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <strings.h>
#include <sys/signalfd.h>

static int open_with(const struct cli_call *call, const struct cl_params *params, bool act,
		     const char *record, struct cl_engine **ret_engine, struct cl_error *reterr)
{
	const struct cl_engine_options options = {
		.host_uri = call->v.host,
		.state_dir = call->v.state_dir,
		.params = *params,
		.act = act,
		.record = record,
		.ledger = call->v.ledger,
	};

	return cl_engine_open(&options, ret_engine, reterr);
}

int cli_open(const struct cli_call *call, bool act, const char *record,
	     struct cl_engine **ret_engine, struct cl_error *reterr)
{
	struct cl_params params = call->v.params;
	struct cl_weights weights;
	int r = -ENOENT;

	/* A simulated host is another one than was calibrated. */
	if (!call->v.host || !cl_host_simulated(call->v.host))
		r = cl_weights_read(call->v.state_dir, &weights, reterr);
	if (r == 0)
		cl_weights_into(&weights, &params);
	if (r < 0 && r != -ENOENT)
		return r;
	return open_with(call, &params, act, record, ret_engine, reterr);
}

int cli_open_uncalibrated(const struct cli_call *call, struct cl_engine **ret_engine,
			  struct cl_error *reterr)
{
	return open_with(call, &call->v.params, false, NULL, ret_engine, reterr);
}

int cli_observe(struct cl_engine *engine, struct cl_tick *ret_tick, struct cl_error *reterr)
{
	struct cl_tick tick = { 0 };
	int r = cl_engine_observe(engine, &tick, reterr);

	if (ret_tick)
		*ret_tick = tick;
	if (r == 0 && tick.fault != CL_SNAPSHOT_NONE)
		return cl_fail(reterr, EBADMSG,
			       "the host's account of itself was refused: %s; if it repeats, "
			       "report it with a recording",
			       cl_snapshot_fault_text(tick.fault));
	return r;
}

int cli_sleep(struct cl_engine *engine, uint64_t ns, bool *ret_ended, struct cl_error *reterr)
{
	uint64_t until = cl_engine_clock_ns(engine) + ns;
	enum cl_wake why = CL_WAKE_EVENT;

	*ret_ended = false;
	while (why == CL_WAKE_EVENT) {
		uint64_t now = cl_engine_clock_ns(engine);
		int r = cl_engine_wait(engine, now < until ? until - now : 0, -1, &why, reterr);

		if (r < 0)
			return r;
		if (why == CL_WAKE_EVENT && now >= until)
			break;
	}
	*ret_ended = why == CL_WAKE_END;
	return 0;
}

/* What is left out of a plan is said: it looks complete. */
static void say_undescribed(const struct cli_call *call, const struct cl_snapshot *snap)
{
	uint32_t n = 0;

	for (uint32_t g = 0; g < snap->n.guests; g++)
		n += !snap->guests[g].described;
	if (n > 0)
		cli_say(call,
			"%u of %u guests could not be described in time: what works for them may "
			"be missing below; `closer check` says more",
			n, snap->n.guests);
}

int cli_observe_twice(const struct cli_call *call, struct cl_engine *engine,
		      struct cl_error *reterr)
{
	bool ended;
	int r = cli_observe(engine, NULL, reterr);

	if (r == 0)
		r = cli_sleep(engine, call->v.params.interval, &ended, reterr);
	if (r == 0 && ended)
		return cl_fail(reterr, ENODATA, "%s holds one observation only: two are needed",
			       cl_engine_uri(engine));
	if (r == 0)
		r = cli_observe(engine, NULL, reterr);
	if (r == 0)
		say_undescribed(call, cl_engine_now(engine));
	return r;
}

void cli_cleanup_engine(struct cl_engine **engine)
{
	cl_engine_close(*engine, CL_END_KEEP, 0, NULL, NULL);
}

int cli_signals(struct cl_error *reterr)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd >= 0 ? fd
		       : cl_fail(reterr, errno, "cannot watch for signals: %s", strerror(errno));
}

bool cli_signalled(int fd)
{
	struct signalfd_siginfo info;

	return read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info);
}

static bool this_boot(const char *boot)
{
	char now[64];
	ssize_t n = cl_read_file(-1, "/proc/sys/kernel/random/boot_id", now, sizeof(now));

	if (n <= 0)
		return true; /* not known to be another's: treated as ours, undo compares anyway */
	now[strcspn(now, "\n")] = '\0';
	return strcmp(now, boot) == 0;
}

int cli_journal(const char *dir, struct cl_journal *ret_journal, struct cl_error *reterr)
{
	int r = cl_journal_read(dir, ret_journal, reterr);

	if (r == 0 && ret_journal->undone) {
		cl_journal_done(ret_journal);
		return cl_fail(reterr, ENOENT, "the journal in %s says that all was put back", dir);
	}
	if (r == 0 && !this_boot(ret_journal->boot)) {
		cl_journal_done(ret_journal);
		return cl_fail(reterr, ENOENT,
			       "the journal in %s is of an earlier boot: what it changed is gone "
			       "with that boot",
			       dir);
	}
	return r;
}

int cli_guest_find(const struct cl_snapshot *snap, const char *text, struct cl_guest_ix *ret_guest,
		   struct cl_error *reterr)
{
	struct cl_uuid id;
	bool by_id = cl_uuid_parse(text, &id);
	uint32_t found = 0;

	for (uint32_t g = 0; g < snap->n.guests; g++) {
		const char *name = cl_snapshot_str(snap, snap->guests[g].name);
		char clean[CLI_NAME_MAX];

		if (by_id && cl_uuid_compare(&snap->guests[g].id, &id) == 0) {
			ret_guest->v = g;
			return 0;
		}
		/* as it is, or as tables print it */
		if (strcmp(name, text) == 0 ||
		    strcmp(cl_escape(name, clean, sizeof(clean)), text) == 0) {
			if (found++ == 0)
				ret_guest->v = g;
		}
	}
	if (found == 1)
		return 0;
	if (found > 1)
		return cl_fail(
			reterr, EEXIST,
			"%u guests are called '%s': name one by its uuid (`closer status --json` "
			"has it)",
			found, text);
	return cl_fail(reterr, ENOENT, "there is no guest '%s'; `closer status` lists them", text);
}
