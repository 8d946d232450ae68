/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench_events: the simulator's event loop against a bare heap, ns-3's and SimGrid's.
 *
 *   bench_events [--rounds N] [--json FILE]
 *
 * Each figure is the least of N rounds, and rounds of all take turns: what else runs on this
 * machine only adds.
 */
#include "bench.h"
#include "event.h"
#include "lib.h"
#include "peers.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZES 4u

static const uint64_t sizes[SIZES] = { 1000, 10000, 100000, 1000000 };

/* ---- the floor ---- */

/*
 * A 4-ary heap of 16-byte entries, four siblings a cache line, whose first entry is replaced by its
 * next turn: no handlers, no records, no cancelling. Written for itself, with what makes such a
 * heap fast (the least of four without branches), so that it is a floor.
 */
struct bare {
	uint64_t at_ns, key;
};

static bool bare_before(const struct bare *a, const struct bare *b)
{
	return ((unsigned __int128)a->at_ns << 64 | a->key) <
	       ((unsigned __int128)b->at_ns << 64 | b->key);
}

static void bare_replace(struct bare *heap, uint64_t n, uint64_t i, struct bare entry)
{
	for (uint64_t child; (child = 4 * i + 1) < n;) {
		uint64_t a = child + bare_before(&heap[child + 1], &heap[child]);
		uint64_t b = child + 2 + bare_before(&heap[child + 3], &heap[child + 2]);
		uint64_t least = a ^ ((a ^ b) & -(uint64_t)bare_before(&heap[b], &heap[a]));

		if (!bare_before(&heap[least], &entry))
			break;
		heap[i] = heap[least];
		i = least;
	}
	heap[i] = entry;
}

static struct peers_result bare_hold(const char *unused, struct peers_task task)
{
	const uint64_t room = 3, slots = (task.count + room + 7) / 4 * 4;
	uint64_t dice = 88172645463325252u, key = 0, begin_ns = 0;
	struct bare *all = aligned_alloc(64, slots * sizeof(*all)), *heap = all + room;

	if (!all)
		return (struct peers_result){ 0 };
	memset(all, 0xff, slots * sizeof(*all));
	for (uint64_t i = 0; i < task.count; i++)
		heap[i] = (struct bare){ peers_pause(&dice), ++key };
	for (uint64_t i = task.count / 4 + 1; i-- > 0;)
		bare_replace(heap, task.count, i, heap[i]);
	for (uint64_t i = 0; i < task.count + task.events; i++) {
		if (i == task.count)
			begin_ns = peers_cpu_ns();
		struct bare next = { heap[0].at_ns + peers_pause(&dice), ++key };

		bare_replace(heap, task.count, 0, next);
	}
	double ns = (double)(peers_cpu_ns() - begin_ns) / (double)task.events;

	free(all);
	return (struct peers_result){ ns, sizeof(struct bare) };
}

/* ---- the engine ---- */

struct actor {
	struct sim_event event;
	uint64_t turns;
};

struct stage {
	struct sim_queue queue; /* first */
	uint64_t dice;
	struct actor *actors;
};

static void turn(struct sim_queue *queue, struct sim_event *event)
{
	struct stage *stage = (struct stage *)queue;

	((struct actor *)event)->turns++;
	sim_after(queue, event, peers_pause(&stage->dice));
}

static struct peers_result engine_run(const char *unused, struct peers_task task)
{
	double before = peers_resident();
	struct stage stage = { .dice = 88172645463325252u };
	uint64_t begin_ns = 0, end_ns;

	sim_queue_init(&stage.queue);
	stage.actors = malloc(task.count * sizeof(*stage.actors));
	for (uint64_t i = 0; stage.actors && i < task.count; i++) {
		stage.actors[i].turns = 0;
		sim_event_init(&stage.queue, &stage.actors[i].event, turn);
		sim_after(&stage.queue, &stage.actors[i].event, peers_pause(&stage.dice));
	}
	for (uint64_t i = 0; i < task.count; i++)
		sim_step(&stage.queue, UINT64_MAX);
	begin_ns = peers_cpu_ns();
	for (uint64_t i = 0; i < task.events; i++)
		sim_step(&stage.queue, UINT64_MAX);
	end_ns = peers_cpu_ns();
	if (stage.queue.fired != task.count + task.events)
		end_ns = begin_ns; /* no memory */
	double bytes = (peers_resident() - before) / (double)task.count;

	sim_queue_done(&stage.queue);
	free(stage.actors);
	return (struct peers_result){ (double)(end_ns - begin_ns) / (double)task.events, bytes };
}

/* ---- who takes part ---- */

#ifdef BENCH_SIMGRID
static struct peers_result simgrid_sleep(const char *unused, struct peers_task task)
{
	return peers_simgrid_sleep(task);
}
#endif

struct runner {
	const char *name, *json, *detail;
	struct peers_result (*run)(const char *detail, struct peers_task task);
	uint64_t most; /* with more at a time it takes minutes, or tens of GB */
};

/* clang-format off */
static const struct runner runners[] = {
	{ "bare 4-ary heap, no handlers", "bare", NULL, bare_hold, UINT64_MAX },
	{ "engine, with handlers", "engine", NULL, engine_run, UINT64_MAX },
#ifdef BENCH_NS3
	{ "ns-3, MapScheduler (default)", "ns3_map", "ns3::MapScheduler", peers_ns3_hold, UINT64_MAX },
	{ "ns-3, HeapScheduler", "ns3_heap", "ns3::HeapScheduler", peers_ns3_hold, UINT64_MAX },
	{ "ns-3, PriorityQueueScheduler", "ns3_priority", "ns3::PriorityQueueScheduler", peers_ns3_hold,
	  UINT64_MAX },
	{ "ns-3, CalendarScheduler", "ns3_calendar", "ns3::CalendarScheduler", peers_ns3_hold, 100000 },
#endif
#ifdef BENCH_SIMGRID
	{ "SimGrid, sleeping actors", "simgrid", NULL, simgrid_sleep, 100000 },
#endif
};
/* clang-format on */

#define RUNNERS CL_COUNT(runners)

static bool starts(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* In a process of its own. */
static bool measure(const struct runner *runner, uint64_t count, struct peers_result *ret)
{
	const struct peers_task task = { count, count > 300000 ? count : 300000 };
	int ends[2], status;
	pid_t pid;

	if (pipe(ends) < 0)
		return false;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		struct peers_result result = runner->run(runner->detail, task);

		_exit(write(ends[1], &result, sizeof(result)) == sizeof(result) ? 0 : 1);
	}
	close(ends[1]);
	bool ok = pid > 0 && read(ends[0], ret, sizeof(*ret)) == sizeof(*ret) && ret->ns > 0;

	close(ends[0]);
	if (pid > 0)
		waitpid(pid, &status, 0);
	if (!ok)
		fprintf(stderr, "bench_events: %s did not end well at %llu\n", runner->name,
			(unsigned long long)count);
	return ok;
}

static bool measure_all(uint32_t rounds, struct peers_result best[][SIZES])
{
	struct peers_result one;

	for (uint32_t round = 0; round < rounds; round++)
		for (uint32_t r = 0; r < RUNNERS; r++)
			for (uint32_t s = 0; s < SIZES && sizes[s] <= runners[r].most; s++) {
				if (!measure(&runners[r], sizes[s], &one))
					return false;
				if (round == 0 || one.ns < best[r][s].ns)
					best[r][s] = one;
			}
	return true;
}

/* ---- what comes out ---- */

/* The least of those whose name begins like this, at this size; 0: none took part. */
static double least(struct peers_result best[][SIZES], const char *json, uint32_t s)
{
	double ns = 0;

	for (uint32_t r = 0; r < RUNNERS; r++)
		if (starts(runners[r].json, json) && best[r][s].ns > 0 &&
		    (ns == 0 || best[r][s].ns < ns))
			ns = best[r][s].ns;
	return ns;
}

static void print_ratio(const char *text, const char *above, const char *below,
			struct peers_result best[][SIZES])
{
	printf("%-44s", text);
	for (uint32_t s = 0; s < SIZES; s++) {
		double a = least(best, above, s), b = least(best, below, s);

		if (a > 0 && b > 0)
			printf(" %9.2f", a / b);
		else
			printf(" %9s", "-");
	}
	printf("\n");
}

static void print(struct peers_result best[][SIZES], uint32_t rounds)
{
	printf("hold model and sleeping actors: CPU time of an event, ns, the least of %u rounds\n\n"
	       "%-44s",
	       rounds, "pending");
	for (uint32_t s = 0; s < SIZES; s++)
		printf(" %9llu", (unsigned long long)sizes[s]);
	printf("\n");
	for (uint32_t r = 0; r < RUNNERS; r++) {
		printf("%-44s", runners[r].name);
		for (uint32_t s = 0; s < SIZES; s++)
			printf(" %9.1f", best[r][s].ns);
		printf("\n");
	}
	printf("\n");
	print_ratio("engine / bare heap (wanted: <= 2)", "engine", "bare", best);
	print_ratio("best of ns-3 / engine (1,000, 10,000: >= 2)", "ns3", "engine", best);
	print_ratio("SimGrid / engine (>= 10)", "simgrid", "engine", best);
	printf("\nmemory of each that is pending, bytes:");
	for (uint32_t r = 0; r < RUNNERS; r++)
		printf("%s %s %.0f", r ? "," : "", runners[r].json, best[r][2].bytes);
	printf(" (100,000; engine <= 256)\n");
}

static void write_json(FILE *json, struct peers_result best[][SIZES])
{
	fprintf(json, "{\"events\": {");
	for (uint32_t r = 0; r < RUNNERS; r++)
		for (uint32_t s = 0; s < SIZES; s++)
			fprintf(json, "%s\"%s_%llu\": {\"ns\": %.2f, \"bytes\": %.0f}",
				r || s ? ", " : "", runners[r].json, (unsigned long long)sizes[s],
				best[r][s].ns, best[r][s].bytes);
	fprintf(json, "}}\n");
}

int main(int argc, char **argv)
{
	static struct peers_result best[RUNNERS][SIZES];
	const char *file = NULL;
	uint64_t rounds = 3;

	for (int i = 1; i < argc; i += 2) {
		if (i + 1 < argc && strcmp(argv[i], "--json") == 0) {
			file = argv[i + 1];
		} else if (i + 1 >= argc || strcmp(argv[i], "--rounds") != 0 ||
			   !cl_parse_u64(argv[i + 1], &rounds, NULL) || rounds < 1 ||
			   rounds > 10000) {
			fprintf(stderr, "usage: bench_events [--rounds 1..10000] [--json FILE]\n");
			return 2;
		}
	}
	cl_autofclose FILE *json = file ? fopen(file, "w") : NULL;

	if (file && !json) {
		fprintf(stderr, "%s: %s\n", file, strerror(errno));
		return 1;
	}
	if (!measure_all((uint32_t)rounds, best))
		return 1;
	print(best, (uint32_t)rounds);
	if (json)
		write_json(json, best);
	return 0;
}
