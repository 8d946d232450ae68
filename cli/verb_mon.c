/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mon: what each domain had of the CPUs, waited and was blocked, out of Xen's trace. */
#include "mon.h"

#include "xen/tbuf.h"
#include "xen/xen.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define LEAST_WINDOW_NS (10 * CL_NS_PER_MS)
/* Between two looks at the buffers; Xen wakes us when one is half full. */
#define POLL_NS (500 * CL_NS_PER_MS)

/* ---- a file ---- */

struct map {
	const uint8_t *bytes;
	size_t len;
};

static int map_file(const char *path, struct map *ret_map, struct cl_error *reterr)
{
	cl_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return cl_fail(reterr, errno, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return cl_fail(reterr, EINVAL,
			       "it is no file: write one with xentrace, and give that");
	*ret_map = (struct map){ (const uint8_t *)"", (size_t)st.st_size };
	if (st.st_size == 0)
		return 0;
	void *bytes = mmap(NULL, ret_map->len, PROT_READ, MAP_PRIVATE, fd, 0);

	if (bytes == MAP_FAILED)
		return cl_fail(reterr, errno, "mapping it: %s", strerror(errno));
	ret_map->bytes = bytes;
	return 0;
}

static int choose_rate(struct mon *mon, const struct cl_trace *trace, struct cl_error *reterr)
{
	uint64_t asked = mon->call->v.cpu_hz;

	mon->hz = asked > 0 ? asked : cl_trace_hz(trace);
	if (mon->hz == 0)
		return cl_fail(reterr, ENODATA,
			       "the trace has no switch of vCPUs by which to tell the rate of its "
			       "clock: take it with xentrace -e 0x0002f000, or give --cpu-hz (`xl "
			       "dmesg` says it)");
	return 0;
}

/* Twice over the records: first for what each vCPU was before. */
static int sum_file(struct mon *mon, struct cl_trace *trace, struct cl_error *reterr)
{
	uint64_t window_ns = mon->call->v.window_ns ? mon->call->v.window_ns : CL_NS_PER_S;
	struct cl_trace_sum *sum;
	struct cl_trace_record record;
	int r = choose_rate(mon, trace, reterr);

	if (r < 0)
		return r;
	sum = cl_trace_sum_new(mon->hz, window_ns, mon_window, mon);
	if (!sum)
		return cl_fail(reterr, ENOMEM, "no memory");
	while (cl_trace_next(trace, &record))
		cl_trace_sum_scout(sum, &record);
	cl_trace_rewind(trace);
	while (!mon->ended && cl_trace_next(trace, &record))
		cl_trace_sum_take(sum, &record);
	mon->jumps = cl_trace_jumps(trace);
	cl_trace_sum_finish(sum);
	if (cl_trace_sum_failed(sum))
		r = cl_fail(reterr, ENOMEM, "no memory for all of its vCPUs");
	cl_trace_sum_free(sum);
	return r;
}

static enum cli_exit print_file_json(struct mon *mon, const struct cl_error *torn)
{
	const char *path = mon->call->v.trace;
	char clean[4 * CL_PATH_MAX];

	json_object_set_new(mon->total, "trace",
			    json_string(cl_escape(path, clean, sizeof(clean))));
	json_object_set_new(mon->total, "cpu_hz", json_integer((json_int_t)mon->hz));
	json_object_set_new(mon->total, "torn", torn ? json_string(torn->text) : json_null());
	json_object_set_new(mon->total, "windows", mon->windows);
	return cli_json(mon->call, mon->total);
}

static enum cli_exit file_error(const struct cli_call *call, const struct cl_error *err)
{
	struct cl_error named;

	cl_fail(&named, err->code, "reading the trace %s: %s", call->v.trace, err->text);
	return cli_error(call, &named);
}

static enum cli_exit run_file(struct mon *mon)
{
	const struct cli_call *call = mon->call;
	struct map map = { NULL, 0 };
	struct cl_error err, torn;
	struct cl_trace *trace = cl_trace_new();
	int r = trace ? map_file(call->v.trace, &map, &err) : cl_fail(&err, ENOMEM, "no memory");
	int whole = 0;

	mon->windows = json_array();
	if (r == 0)
		whole = cl_trace_add_file(trace, map.bytes, map.len, &torn);
	if (whole < 0 && whole != -EBADMSG) {
		r = whole;
		err = torn;
	}
	if (r == 0)
		r = sum_file(mon, trace, &err);
	cl_trace_free(trace);
	if (map.len > 0 && map.bytes)
		munmap((void *)(uintptr_t)map.bytes, map.len);
	if (r == 0 && call->v.json)
		mon->code = print_file_json(mon, whole < 0 ? &torn : NULL);
	else
		json_decref(mon->windows);
	if (r < 0)
		return file_error(call, &err);
	return whole < 0 ? file_error(call, &torn) : mon->code;
}

/* ---- live ---- */

struct first_state {
	uint32_t domid, vcpu, pcpu;
	enum cl_trace_state state;
};

struct live {
	struct mon *mon;
	const struct cl_xen_tbuf *ops;
	struct cl_tbuf *tbuf;
	struct cl_trace *trace;
	struct cl_trace_sum *sum;
	uint64_t begun_ns, cpu_begun_ns;
	uint32_t looks;
	/* what vCPUs were after tracing began: for those that have no record until then */
	struct first_state *firsts;
	uint32_t first_count, first_cap;
};

static uint64_t cpu_ns(void)
{
	struct rusage used;

	getrusage(RUSAGE_SELF, &used);
	return (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * CL_NS_PER_S +
	       (uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * CL_NS_PER_US;
}

static int take_bytes(void *ctx, uint32_t pcpu, const uint8_t *bytes, size_t len,
		      struct cl_error *reterr)
{
	return cl_trace_add(((struct live *)ctx)->trace, pcpu, bytes, len, reterr);
}

static void take_state(void *ctx, uint32_t domid, uint32_t vcpu, enum cl_trace_state state,
		       uint32_t pcpu)
{
	struct live *live = ctx;

	if (live->first_count == live->first_cap) {
		uint32_t cap = live->first_cap ? 2 * live->first_cap : 64;
		struct first_state *firsts = realloc(live->firsts, cap * sizeof(firsts[0]));

		if (!firsts)
			return; /* that one is known from its first record on */
		live->firsts = firsts;
		live->first_cap = cap;
	}
	live->firsts[live->first_count++] = (struct first_state){ domid, vcpu, pcpu, state };
}

static int look(struct live *live, struct cl_error *reterr)
{
	struct cl_trace_record record;
	int r = live->ops->read(live->tbuf, take_bytes, live, reterr);

	if (r < 0)
		return r;
	cl_trace_pass(live->trace);
	live->mon->own_ns = cpu_ns() - live->cpu_begun_ns;
	live->mon->own_span_ns = cl_clock_ns() - live->begun_ns;
	while (cl_trace_next(live->trace, &record))
		cl_trace_sum_take(live->sum, &record);
	/* All records up to the first look are in, which came after the states were asked for. */
	for (uint32_t i = 0; live->looks == 1 && i < live->first_count; i++) {
		const struct first_state *f = &live->firsts[i];

		cl_trace_sum_know(live->sum, f->domid, f->vcpu, f->state, f->pcpu);
	}
	live->looks++;
	if (cl_trace_sum_failed(live->sum))
		return cl_fail(reterr, ENOMEM, "reading Xen's trace: no memory for all vCPUs");
	return 0;
}

/* False: a signal, or `q`. */
static bool wait_a_little(struct live *live, int signals, uint64_t ns)
{
	struct pollfd polls[] = { { live->ops->fd(live->tbuf), POLLIN, 0 },
				  { signals, POLLIN, 0 },
				  { live->mon->screen ? STDIN_FILENO : -1, POLLIN, 0 } };
	struct timespec ts = { (time_t)(ns / CL_NS_PER_S), (long)(ns % CL_NS_PER_S) };

	ppoll(polls, CL_COUNT(polls), &ts, NULL);
	if (polls[1].revents && cli_signalled(signals))
		return false;
	return !live->mon->screen || !mon_screen_keys(live->mon);
}

static int watch(struct live *live, int signals, struct cl_error *reterr)
{
	const struct cli_values *v = &live->mon->call->v;
	uint64_t step_ns =
		v->window_ns > 0 && v->window_ns < 2 * POLL_NS ? v->window_ns / 2 : POLL_NS;
	uint64_t until_ns = v->for_ns > 0 ? live->begun_ns + v->for_ns : UINT64_MAX;
	int r = 0;

	for (uint64_t now = live->begun_ns; r == 0 && now < until_ns && !live->mon->ended;
	     now = cl_clock_ns()) {
		if (!wait_a_little(live, signals,
				   until_ns - now < step_ns ? until_ns - now : step_ns))
			break;
		r = look(live, reterr);
	}
	if (r == 0)
		r = look(live, reterr);
	cl_trace_flush(live->trace);
	struct cl_trace_record record;

	while (cl_trace_next(live->trace, &record))
		cl_trace_sum_take(live->sum, &record);
	live->mon->jumps = cl_trace_jumps(live->trace);
	cl_trace_sum_finish(live->sum); /* what there was before an error is shown, too */
	return r;
}

static int open_live(struct live *live, struct cl_error *reterr)
{
	const struct cli_values *v = &live->mon->call->v;
	uint32_t mask = CL_TBUF_SCHED | CL_TBUF_MEM | (v->hypercalls ? CL_TBUF_PV : 0);
	int r = cl_xen_tbuf_load(&live->ops, reterr);

	live->begun_ns = cl_clock_ns();
	live->cpu_begun_ns = cpu_ns();
	if (r == 0)
		r = live->ops->open(mask, &live->tbuf, reterr);
	if (r < 0)
		return r;
	live->mon->hz = live->ops->hz(live->tbuf);
	live->trace = cl_trace_new();
	live->sum = cl_trace_sum_new(live->mon->hz, v->window_ns ? v->window_ns : CL_NS_PER_S,
				     mon_window, live->mon);
	if (!live->trace || !live->sum)
		return cl_fail(reterr, ENOMEM, "reading Xen's trace: no memory");
	return live->ops->states(live->tbuf, take_state, live, reterr);
}

static enum cli_exit run_live(struct mon *mon)
{
	const struct cli_call *call = mon->call;
	struct live live = { .mon = mon };
	struct cl_error err;
	cl_autoclose int signals = cli_signals(&err);
	int r = signals < 0 ? signals : open_live(&live, &err);

	mon->live = true;
	if (r == 0) {
		if (!call->v.json && !call->v.csv && isatty(STDOUT_FILENO) && isatty(STDIN_FILENO))
			mon->screen = mon_screen_open();
		r = watch(&live, signals, &err);
		mon_screen_close(mon->screen);
		cli_say(call, "closer itself used %.3f s in %.1f s: %.2f %% of a CPU",
			(double)mon->own_ns / 1e9, (double)mon->own_span_ns / 1e9,
			100.0 * (double)mon->own_ns / (double)mon->own_span_ns);
	}
	if (live.tbuf)
		live.ops->close(live.tbuf);
	free(live.firsts);
	cl_trace_sum_free(live.sum);
	cl_trace_free(live.trace);
	return r < 0 ? cli_error(call, &err) : mon->code;
}

static enum cli_exit run(const struct cli_call *call)
{
	const struct cli_values *v = &call->v;
	struct mon mon = { .call = call,
			   .sort = v->sort ? (enum mon_sort)v->sort : MON_SORT_DOMID,
			   .per_vcpu = v->per_vcpu };

	if (v->json && v->csv)
		return cli_usage(call, "--json or --csv, not both");
	if (v->window_ns > 0 && v->window_ns < LEAST_WINDOW_NS)
		return cli_usage(call, "--window is 10ms at least");
	if (v->cpu_hz > 0 && (v->cpu_hz < CL_TRACE_HZ_LEAST || v->cpu_hz > CL_TRACE_HZ_MOST))
		return cli_usage(call, "--cpu-hz is cycles a second, such as 2400000000");
	if (!v->trace)
		return v->cpu_hz ? cli_usage(call, "--cpu-hz is for --trace: Xen says its own")
				 : run_live(&mon);
	if (v->for_ns > 0 || v->hypercalls)
		return cli_usage(call, "--for and --hypercalls are for a trace that is taken now, "
				       "not for --trace");
	return run_file(&mon);
}

static const struct cli_option options[] = {
	{ "trace", 't', CLI_STRING, "FILE", CLI_AT(trace), CLI_GROUP_ALL,
	  "read FILE, as xentrace writes it, and not Xen's own buffers" },
	{ "window", 'w', CLI_TIME, "TIME", CLI_AT(window_ns), CLI_GROUP_ALL,
	  "a window's length, from 10ms; default 1s; with --trace each is printed, not the whole "
	  "alone" },
	{ "per-vcpu", 'v', CLI_FLAG, NULL, CLI_AT(per_vcpu), CLI_GROUP_ALL,
	  "a line for each vCPU, too" },
	{ "sort", 'S', CLI_CHOICE, MON_SORTS, CLI_AT(sort), CLI_GROUP_ALL,
	  "the order of domains: the most first, but for domid" },
	{ "csv", 'c', CLI_FLAG, NULL, CLI_AT(csv), CLI_GROUP_ALL,
	  "print CSV: a line for each window and domain" },
	{ "for", 'f', CLI_TIME, "TIME", CLI_AT(for_ns), CLI_GROUP_ALL, "end after TIME" },
	{ "hypercalls", 'y', CLI_FLAG, NULL, CLI_AT(hypercalls), CLI_GROUP_ALL,
	  "have Xen trace PV guests' hypercalls, so that their event channel calls count as I/O; "
	  "many more records" },
	{ "cpu-hz", 'z', CLI_COUNT, "HZ", CLI_AT(cpu_hz), CLI_GROUP_ALL,
	  "the rate of a file's clock; by default its own records tell it" },
	{ NULL, 0, CLI_FLAG, NULL, 0, CLI_GROUP_ALL, NULL },
};

const struct cli_verb cli_verb_mon = {
	.name = "mon",
	.groups = CLI_GROUP_JSON,
	.options = options,
	.doc = "print what each Xen domain had of the CPUs, from Xen's trace",
	.text = "Reads Xen's trace buffers, in dom0, or a file that xentrace wrote, anywhere. Per "
		"domain and vCPU, for each window and for the last ten together: gotten (it ran), "
		"waited (it could have run, and another did), blocked (it had nothing to do), in "
		"percent of one CPU; the slices that the scheduler gave; how often it was put on a "
		"CPU; its I/O, and the blocked time for each. I/O is what the trace shows of it: "
		"granted pages that a back end maps or takes, and where hypercalls are traced calls "
		"of event_channel_op; of back ends that copy or keep pages mapped it shows nothing. "
		"Where Xen lost records, since the buffers were full, it says how many, and by how "
		"much each figure may be off (\"+-\", uncertain_ns). Its own cost is shown; Xen's for "
		"writing the records is not in it. The buffers have one reader: where another has "
		"them, it refuses. Xen traces while it runs, and no longer when it has ended, or when the next "
		"reader has, if it was killed. On a "
		"terminal: s sorts by another column, v shows vCPUs, p pauses, q ends. --json is "
		"one object for a file, with windows; live a line for each window, and a last one "
		"for all. A file that is torn is shown up to there, and the exit code is 1.",
	.run = run,
};
