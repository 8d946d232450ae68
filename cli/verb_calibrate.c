/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * calibrate: what a packet and a request cost this host, by the total that is counted independently
 * of who caused it: under Xen the hypervisor's time of dom0, else the kernel's. Least squares over
 * intervals (lib/fit.h) of
 *
 *   busy - main - guests' own = nobody's + send * sent + receive * received + request * requests
 *
 * each a second, over all guests. Main is part of nobody's where it is not measured.
 */
#include "cli.h"

#include "fit.h"
#include "weights.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define FOR_NS   (60 * CL_NS_PER_S)
#define ROUNDS   5u
#define LEAD_NS  CL_NS_PER_S       /* a load has begun */
#define PATIENCE (5 * CL_NS_PER_S) /* and may take so long to end, when it is told to */
#define WIDEST   0.5               /* half width of what is told, as a share of it */

struct study {
	const struct cli_call *call;
	struct cl_engine *engine;
	struct cl_fit_data data;
	struct cl_fit fit;
	struct cl_weights weights; /* that were kept; with those that were told */
	uint64_t span_ns;
	bool told, was_kept;
};

/* ---- observing ---- */

static void asked_of(const struct cl_guest_books *books, double by, double x[CL_WEIGHT_COUNT])
{
	x[CL_WEIGHT_SEND] += (double)books->sent * by;
	x[CL_WEIGHT_RECEIVE] += (double)books->received * by;
	x[CL_WEIGHT_REQUEST] += (double)books->requests * by;
}

/* The last interval as a row. */
static void take(struct study *s)
{
	const struct cl_snapshot *snap = cl_engine_now(s->engine);
	const struct cl_plan *plan = cl_engine_plan(s->engine);
	const struct cl_books *b = &plan->books;
	double x[CL_WEIGHT_COUNT] = { 0 }, a_second = 1e9 / (double)b->span_ns;
	double y = (double)b->busy_ns - (double)b->main_ns;

	if (!b->span_ns)
		return;
	if (!snap->guests_outside)
		y -= (double)b->guest_ns;
	for (uint32_t i = 0; i < plan->n.guests; i++)
		asked_of(&plan->guest_books[i], a_second, x);
	cl_fit_add(&s->data, x, y * a_second);
	s->span_ns += b->span_ns;
}

static int watch(struct study *s, struct cl_error *reterr)
{
	const struct cli_call *call = s->call;
	uint64_t for_ns = call->v.for_ns ? call->v.for_ns : FOR_NS;
	bool ended = false;
	int r = cli_observe(s->engine, NULL, reterr);

	while (r == 0 && s->span_ns < for_ns) {
		r = cli_sleep(s->engine, call->v.params.interval, &ended, reterr);
		if (r < 0 || ended)
			return r;
		r = cli_observe(s->engine, NULL, reterr);
		if (r == 0)
			take(s);
	}
	return r;
}

/* ---- loads ---- */

static int start(const char *command, pid_t *ret_pid, struct cl_error *reterr)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		return cl_fail(reterr, errno, "starting a load: %s", strerror(errno));
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		dup2(null, STDIN_FILENO);
		dup2(STDERR_FILENO, STDOUT_FILENO); /* stdout is for data */
		if (getppid() == parent)
			execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	setpgid(pid, pid); /* whoever comes first */
	*ret_pid = pid;
	return 0;
}

/* Has it ended by itself, and so too early? */
static int still_runs(const char *command, pid_t pid, struct cl_error *reterr)
{
	char text[CLI_TEXT_MAX];
	int status;

	if (waitpid(pid, &status, WNOHANG) == 0)
		return 0;
	kill(-pid, SIGTERM); /* what it left behind */
	return cl_fail(
		reterr, ECHILD,
		"the load '%s' ended with %d before its window was over: it has to run until it "
		"is ended",
		cl_escape(command, text, sizeof(text)),
		WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static void end(pid_t pid)
{
	uint64_t until_ns = cl_clock_ns() + PATIENCE;

	kill(-pid, SIGTERM);
	while (waitpid(pid, NULL, WNOHANG) == 0) {
		if (cl_clock_ns() > until_ns)
			kill(-pid, SIGKILL);
		usleep(10000);
	}
}

/* What the named guest asked for in the last interval, a second. */
static int rate_of(struct study *s, double *ret_rate, struct cl_error *reterr)
{
	const struct cl_plan *plan = cl_engine_plan(s->engine);
	double x[CL_WEIGHT_COUNT] = { 0 };
	struct cl_guest_ix guest;
	int r = cli_guest_find(cl_engine_now(s->engine), s->call->v.guest, &guest, reterr);

	if (r < 0)
		return r;
	asked_of(&plan->guest_books[guest.v], 1e9 / (double)plan->books.span_ns, x);
	*ret_rate = x[CL_WEIGHT_SEND] + x[CL_WEIGHT_RECEIVE] + x[CL_WEIGHT_REQUEST];
	return 0;
}

static int window(struct study *s, double *ret_rate, struct cl_error *reterr)
{
	bool ended;
	int r = cli_sleep(s->engine, LEAD_NS, &ended, reterr);

	if (r == 0)
		r = cli_observe_twice(s->call, s->engine, reterr);
	if (r < 0)
		return r;
	take(s);
	return rate_of(s, ret_rate, reterr);
}

static int loaded(struct study *s, const char *command, double idle, struct cl_error *reterr)
{
	char text[CLI_TEXT_MAX];
	double rate = 0;
	pid_t pid = 0;
	int r = start(command, &pid, reterr);

	if (r < 0)
		return r;
	r = window(s, &rate, reterr);
	if (r == 0)
		r = still_runs(command, pid, reterr);
	if (r == -ECHILD)
		return r;
	end(pid);
	if (r == 0 && rate <= 2 * idle + 1)
		return cl_fail(
			reterr, ENODATA,
			"with the load '%s' the guest asked for %.1f packets and requests a second, "
			"without for %.1f: it has to be a load of this guest",
			cl_escape(command, text, sizeof(text)), rate, idle);
	return r;
}

/* By turns without a load and with each. */
static int drive(struct study *s, struct cl_error *reterr)
{
	const struct cli_list *loads = &s->call->v.loads;
	uint64_t rounds = s->call->v.rounds ? s->call->v.rounds : ROUNDS;
	double idle;
	int r = 0;

	for (uint64_t round = 0; round < rounds && r == 0; round++) {
		for (uint32_t i = 0; i < loads->count && r == 0; i++) {
			r = window(s, &idle, reterr);
			if (r == 0)
				r = loaded(s, loads->items[i], idle, reterr);
		}
	}
	return r;
}

/* ---- what follows ---- */

static void conclude(struct study *s)
{
	s->told = cl_fit(&s->data, WIDEST, &s->fit);
	for (uint32_t i = 0; i < CL_WEIGHT_COUNT; i++) {
		const struct cl_fit_term *term = &s->fit.terms[i];

		if (term->verdict != CL_FIT_TOLD || term->b > (double)CL_WEIGHT_NS_MAX)
			continue;
		s->weights.of[i] = (struct cl_weight){
			(uint64_t)fmax(1, round(term->b)),
			(uint64_t)fmin(round(term->half_width), (double)CL_WEIGHT_NS_MAX),
		};
	}
}

static json_t *result_json(const struct study *s)
{
	static const char *const words[] = {
#define X(id, text) #id,
		CL_FIT_VERDICTS(X)
#undef X
	};
	json_t *terms = json_object();

	for (uint32_t i = 0; i < CL_WEIGHT_COUNT; i++) {
		const struct cl_fit_term *term = &s->fit.terms[i];
		bool told = term->verdict == CL_FIT_TOLD;
		char verdict[32];
		size_t k = 0;

		for (; words[term->verdict][k]; k++)
			verdict[k] = (char)(words[term->verdict][k] | ' '); /* to small letters */
		verdict[k] = '\0';
		json_object_set_new(
			terms, cl_weight_word((enum cl_weight_id)i),
			json_pack(
				"{s:o,s:o,s:s,s:o}", "ns", told ? json_real(term->b) : json_null(),
				"half_width_ns", told ? json_real(term->half_width) : json_null(),
				"verdict", verdict, "kept_ns",
				s->weights.of[i].ns ? json_integer((json_int_t)s->weights.of[i].ns)
						    : json_null()));
	}
	return json_pack("{s:I,s:I,s:f,s:f,s:f,s:o,s:b}", "intervals", (json_int_t)s->data.rows,
			 "observed_ns", (json_int_t)s->span_ns, "nobody_share",
			 s->fit.intercept / 1e9, "residual_share", s->fit.residual / 1e9, "r2",
			 s->fit.r2, "weights", terms, "kept", s->was_kept);
}

static void print_weights(const struct cl_weights *weights)
{
	for (uint32_t i = 0; i < CL_WEIGHT_COUNT; i++) {
		const struct cl_weight *w = &weights->of[i];
		char ns[32], half[32];

		if (w->ns)
			printf("  %-30s %10s +- %s\n", cl_weight_what((enum cl_weight_id)i),
			       cl_time_text(w->ns, ns, sizeof(ns)),
			       cl_time_text(w->half_width_ns, half, sizeof(half)));
		else
			printf("  %-30s  not known\n", cl_weight_what((enum cl_weight_id)i));
	}
}

static void print_result(const struct study *s)
{
	char span[32], ns[32], half[32];

	printf("host CPU by what guests asked for, over %u intervals, %s in all; +-: 95 %% confidence\n",
	       s->data.rows, cl_time_text(s->span_ns, span, sizeof(span)));
	for (uint32_t i = 0; i < CL_WEIGHT_COUNT; i++) {
		const struct cl_fit_term *term = &s->fit.terms[i];
		const char *what = cl_weight_what((enum cl_weight_id)i);

		if (term->verdict != CL_FIT_TOLD)
			printf("  %-30s  not told: %s\n", what, cl_fit_verdict_text(term->verdict));
		else
			printf("  %-30s %10s +- %s\n", what,
			       cl_time_text(s->weights.of[i].ns, ns, sizeof(ns)),
			       cl_time_text(s->weights.of[i].half_width_ns, half, sizeof(half)));
	}
	if (s->told)
		printf("  %-30s %9.1f %% of a CPU; R2 %.3f, an interval is off by %.2f %% of a CPU\n",
		       "nobody's", s->fit.intercept / 1e7, s->fit.r2, s->fit.residual / 1e7);
	if (s->was_kept)
		printf("kept in %s/" CL_WEIGHTS_FILE ": estimates, until this is done anew\n",
		       s->call->v.state_dir);
}

static int keep(struct study *s, struct cl_error *reterr)
{
	int r = 0;

	/* A replay's or a simulated host's costs are not this one's. */
	if (strncmp(cl_engine_uri(s->engine), "replay:", 7) == 0 ||
	    cl_host_simulated(cl_engine_uri(s->engine)))
		return 0;
	if (access(s->call->v.state_dir, F_OK) != 0)
		r = cl_state_dir(s->call->v.state_dir, reterr);
	if (r == 0)
		r = cl_weights_write(s->call->v.state_dir, &s->weights, reterr);
	s->was_kept = r == 0;
	return r;
}

static enum cli_exit show(const struct cli_call *call)
{
	struct cl_weights weights;
	struct cl_error err;

	if (cl_weights_read(call->v.state_dir, &weights, &err) < 0)
		return cli_error(call, &err);
	printf("host CPU by what guests ask for, as calibrated; +-: 95 %% confidence\n");
	print_weights(&weights);
	return CLI_OK;
}

static enum cli_exit run(const struct cli_call *call)
{
	cli_autoengine struct cl_engine *engine = NULL;
	struct study s = { .call = call };
	enum cli_exit code = CLI_OK;
	struct cl_error err;
	int r;

	if (call->v.show)
		return show(call);
	if ((call->v.guest != NULL) != (call->v.loads.count > 0))
		return cli_usage(call,
				 "--guest NAME and --load COMMAND go together: the load is the "
				 "guest's");
	cl_weights_read(call->v.state_dir, &s.weights, NULL); /* one that is corrupt is replaced */
	r = cli_open_uncalibrated(call, &engine, &err);
	s.engine = engine;
	cl_fit_begin(&s.data, CL_WEIGHT_COUNT);
	if (r == 0)
		r = call->v.guest ? drive(&s, &err) : watch(&s, &err);
	if (r < 0)
		return cli_error(call, &err);
	conclude(&s);
	if (s.told)
		r = keep(&s, &err);
	if (call->v.json)
		code = cli_json(call, result_json(&s));
	else
		print_result(&s);
	if (r < 0)
		return cli_error(call, &err);
	if (s.told)
		return code;
	cli_say(call,
		"these intervals cannot tell what anything costs: guests have to ask for more at "
		"some times than at others, and not for all at once; observe for longer (--for), "
		"or give one of them a load (--guest, --load). Nothing was changed");
	return CLI_FAILED;
}

static const struct cli_option options[] = {
	{ "for", 'f', CLI_TIME, "TIME", CLI_AT(for_ns), CLI_GROUP_ALL,
	  "observe for TIME; default 1m" },
	{ "guest", 'g', CLI_STRING, "GUEST", CLI_AT(guest), CLI_GROUP_ALL,
	  "give GUEST the loads, by turns with none" },
	{ "load", 'l', CLI_LIST, "COMMAND", CLI_AT(loads), CLI_GROUP_ALL,
	  "a shell command that makes GUEST send, receive or use its disk until it is ended; as often "
	  "as needed" },
	{ "rounds", 'r', CLI_COUNT, "N", CLI_AT(rounds), CLI_GROUP_ALL,
	  "windows of an interval with each load; default 5" },
	{ "show", 0, CLI_FLAG, NULL, CLI_AT(show), CLI_GROUP_ALL,
	  "print what was calibrated, and do nothing" },
	{ NULL, 0, CLI_FLAG, NULL, 0, CLI_GROUP_ALL, NULL },
};

const struct cli_verb cli_verb_calibrate = {
	.name = "calibrate",
	.groups = CLI_GROUP_HOST | CLI_GROUP_DIR | CLI_GROUP_JSON,
	.options = options,
	.doc = "find out what a packet and a request cost the host",
	.text = "Where the time that dom0 spends for each guest cannot be measured (no BPF), it is "
		"estimated from packets sent, packets received and disk requests, at costs that are found "
		"out here: by least squares over intervals, from the CPU time that the hypervisor counted, "
		"with their 95 % confidence. It watches what the guests do anyway, or a recording (--host "
		"replay:FILE); or, with --guest and --load, has one guest do each load by turns with none. "
		"A cost is told only if the data can: not where it hardly changed, where it always changed "
		"together with another one (an echo sends as much as it receives), or where its interval "
		"of confidence is wider than half of it. What was told is kept in the state directory, and "
		"used from then on by all verbs; weigh-send, weigh-receive and weigh-request, set by hand, "
		"go before it. `closer status` shows the estimate beside what is measured, and marked where "
		"it takes its place. The cost of a request is that of the requests of that time: of larger "
		"ones it is higher.",
	.run = run,
};
