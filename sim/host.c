/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The simulated host. */
#include "host.h"

#include "lib.h"
#include "places.h"
#include "view.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

struct sim_host {
	struct cl_host host;
	struct sim_scenario *scenario; /* NULL: the run is somebody else's */
	struct sim_run *run;
	struct sim_view view;
	uint32_t scratch; /* entries */
	bool over;
	struct cl_error why; /* code not 0: over before its time */
};

static struct sim_host *of(struct cl_host *host)
{
	return (struct sim_host *)host;
}

struct cl_host *sim_host_new(struct sim_run *run)
{
	struct sim_host *host = calloc(1, sizeof(*host));

	if (!host)
		return NULL;
	host->host.ops = &cl_host_sim;
	host->run = run;
	host->view.world = sim_run_world(run);
	return &host->host;
}

static void sim_close(struct cl_host *base)
{
	struct sim_host *host = of(base);

	if (!host)
		return;
	if (host->scenario) {
		sim_run_free(host->run);
		sim_scenario_free(host->scenario);
	}
	free(host->view.scratch);
	free(host);
}

/* "two-nodes:seed=7", "many@n8:seed=7" */
static int split(const char *arg, char name[CL_PATH_MAX], const char **ret_variant,
		 uint64_t *ret_seed, struct cl_error *reterr)
{
	const char *end;
	char *colon, *at;

	snprintf(name, CL_PATH_MAX, "%s", arg);
	*ret_seed = 1;
	colon = strrchr(name, ':');
	if (colon && strncmp(colon, ":seed=", 6) == 0) {
		if (!cl_parse_u64(colon + 6, ret_seed, &end) || *end)
			return cl_fail(reterr, EINVAL, "sim:%.200s: a seed is a whole number", arg);
		*colon = '\0';
	}
	at = strrchr(name, '@');
	*ret_variant = NULL;
	if (at && !strchr(at, '/')) {
		*at = '\0';
		*ret_variant = at + 1;
	}
	if (!*name)
		return cl_fail(reterr, EINVAL,
			       "sim: needs a scenario, such as sim:two-nodes or "
			       "sim:two-nodes:seed=2; `closer sim --list` has them");
	return 0;
}

static int sim_open(const char *arg, struct cl_host **ret_host, struct cl_error *reterr)
{
	struct sim_scenario *scenario = NULL;
	char name[CL_PATH_MAX], path[CL_PATH_MAX];
	struct sim_run *run = NULL;
	struct cl_host *base;
	uint64_t seed = 1;
	const char *variant = NULL;
	int r = split(arg, name, &variant, &seed, reterr);

	if (r == 0)
		r = sim_place_scenario(name, path, reterr);
	if (r == 0)
		r = sim_scenario_read_as(path, variant, NULL, 0, &scenario, reterr);
	if (r == 0)
		r = sim_run_new(scenario, seed, &run, reterr);
	if (r < 0) {
		sim_scenario_free(scenario);
		return r;
	}
	base = sim_host_new(run);
	if (!base) {
		sim_run_free(run);
		sim_scenario_free(scenario);
		return cl_fail(reterr, ENOMEM, "opening sim:%.200s: no memory", arg);
	}
	of(base)->scenario = scenario;
	*ret_host = base;
	return 0;
}

/* Makes the run go on. The end of its time is no failure; a bound that was hit is. */
static int go_on(struct sim_host *host, uint64_t until_ns, struct cl_error *reterr)
{
	if (!host->over && !host->why.code)
		host->over = !sim_run_until(host->run, until_ns, &host->why);
	if (host->why.code && reterr)
		*reterr = host->why;
	return -host->why.code;
}

static int make_scratch(struct sim_host *host, const struct cl_limits *cap, struct cl_error *reterr)
{
	uint32_t n = cap->guests > cap->works ? cap->guests : cap->works;
	uint32_t *scratch;

	n = cap->groups > n ? cap->groups : n;
	if (n <= host->scratch)
		return 0;
	scratch = realloc(host->view.scratch, n * sizeof(*scratch));
	if (!scratch)
		return cl_fail(reterr, ENOMEM, "observing the simulated host: no memory");
	host->view.scratch = scratch;
	host->scratch = n;
	return 0;
}

static int sim_observe(struct cl_host *base, uint64_t deadline_ns, struct cl_snapshot *snap,
		       struct cl_error *reterr)
{
	struct sim_host *host = of(base);
	int r = make_scratch(host, &snap->cap, reterr);

	/* A snapshot is of a time that is not zero. */
	if (r == 0 && host->view.world->queue.now_ns == 0)
		r = go_on(host, 1, reterr);
	if (r == 0)
		sim_view_fill(&host->view, snap);
	return r;
}

static int sim_read(struct cl_host *base, const struct cl_change *change,
		    struct cl_setting *ret_setting, struct cl_error *reterr)
{
	return sim_view_read(&of(base)->view, change, ret_setting, reterr);
}

static int sim_apply(struct cl_host *base, const struct cl_change *change, struct cl_error *reterr)
{
	return sim_view_apply(&of(base)->view, change, reterr);
}

static int sim_wait(struct cl_host *base, uint64_t until_ns, int fd, enum cl_wake *ret_why,
		    struct cl_error *reterr)
{
	struct pollfd signal = { .fd = fd, .events = POLLIN };
	struct sim_host *host = of(base);

	if (fd >= 0 && poll(&signal, 1, 0) > 0) {
		*ret_why = CL_WAKE_SIGNAL;
		return 0;
	}
	int r = go_on(host, until_ns, reterr);

	*ret_why = host->over ? CL_WAKE_END : CL_WAKE_TIMER;
	return r;
}

static uint64_t sim_now(struct cl_host *base)
{
	return of(base)->view.world->queue.now_ns;
}

static void sim_check(struct cl_host *base,
		      void (*say)(void *ctx, const char *level, const char *text), void *ctx)
{
	const struct sim_host *host = of(base);
	const struct sim_world *world = host->view.world;
	char text[CL_ERROR_MAX];

	snprintf(text, sizeof(text),
		 "simulated: %u nodes, %u pCPUs, %u domains, seed %llu; nothing of it is on this "
		 "machine, and it is gone with this process",
		 world->node_count, world->pcpu_count, world->domain_count,
		 (unsigned long long)world->seed);
	say(ctx, "note", text);
}

const struct cl_host_ops cl_host_sim = {
	.name = "sim",
	.doc = "a simulated host, see closer-sim(5); its time is its own, and it is gone with the "
	       "program",
	.uri = "SCENARIO[@VARIANT][:seed=N]",
	.simulated = true,
	.open = sim_open,
	.observe = sim_observe,
	.read = sim_read,
	.apply = sim_apply,
	.wait = sim_wait,
	.now_ns = sim_now,
	.check = sim_check,
	.close = sim_close,
};
