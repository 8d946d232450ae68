/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clock: loads clock.bpf.c, maps its arrays, and reads them against a moving scheduler. */
#include "clock_private.h"
#include "lib.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

/* libbpf explains failed loads on stderr; the caller gets one sentence instead. */
static int silent(enum libbpf_print_level level, const char *format, va_list ap)
{
	return 0;
}

int cl_clock_refused(int code, const char *what, struct cl_error *reterr)
{
	if (code == EPERM || code == EACCES)
		return cl_fail(
			reterr, code,
			"%s: not permitted; run closer as root or with CAP_BPF and CAP_PERFMON",
			what);
	return cl_fail(
		reterr, code,
		"%s: the kernel refused it: %s; Linux 5.8 with CONFIG_DEBUG_INFO_BTF is needed",
		what, strerror(code));
}

static bool kernel_has(const struct btf *btf, const char *function)
{
	return btf__find_by_name_kind(btf, function, BTF_KIND_FUNC) >= 0;
}

/* Chooses walk and clock by what the running kernel has. */
static int choose(struct cl_clock *clock, enum cl_clock_walk walk, enum cl_clock_time time,
		  struct cl_error *reterr)
{
	struct btf *btf = btf__load_vmlinux_btf();

	if (!btf)
		return cl_fail(reterr, ENOENT,
			       "reading /sys/kernel/btf/vmlinux: %s; a kernel with "
			       "CONFIG_DEBUG_INFO_BTF is needed",
			       strerror(errno));
	bool has = kernel_has(btf, "bpf_iter_task_new") && kernel_has(btf, "bpf_task_from_pid") &&
		   kernel_has(btf, "bpf_rcu_read_lock") && kernel_has(btf, "bpf_iter_num_new");

	int r = cl_honest_prepare(clock, time, btf, reterr);

	btf__free(btf);
	if (walk == CL_CLOCK_WALK_AUTO)
		walk = has ? CL_CLOCK_WALK_PROCESSES : CL_CLOCK_WALK_ALL;
	bpf_program__set_autoload(clock->bpf->progs.walk_processes,
				  walk == CL_CLOCK_WALK_PROCESSES);
	bpf_program__set_autoload(clock->bpf->progs.walk_all, walk == CL_CLOCK_WALK_ALL);
	return r;
}

void *cl_clock_map(struct bpf_map *map, size_t value, uint32_t entries, int protection,
		   size_t *ret_bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t bytes = (value * entries + page - 1) & ~(page - 1);
	void *p = mmap(NULL, bytes, protection, MAP_SHARED, bpf_map__fd(map), 0);

	*ret_bytes = bytes;
	return p == MAP_FAILED ? NULL : p;
}

static int map_all(struct cl_clock *clock, struct cl_error *reterr)
{
	struct cl_clock_bpf *bpf = clock->bpf;
	uint32_t cells = clock->row_count * clock->cpu_count;

	clock->tasks = cl_clock_map(bpf->maps.tasks, sizeof(*clock->tasks), clock->capacity,
				    PROT_READ, &clock->tasks_bytes);
	clock->processes_map =
		cl_clock_map(bpf->maps.processes, sizeof(uint32_t) * 2, clock->capacity,
			     PROT_READ | PROT_WRITE, &clock->processes_bytes);
	clock->runs = cl_clock_map(bpf->maps.runs, sizeof(*clock->runs), cells, PROT_READ,
				   &clock->runs_bytes);
	clock->marks = cl_clock_map(bpf->maps.marks, sizeof(*clock->marks), clock->row_count,
				    PROT_READ | PROT_WRITE, &clock->marks_bytes);
	clock->cpus = cl_clock_map(bpf->maps.cpus, sizeof(*clock->cpus), clock->cpu_count,
				   PROT_READ, &clock->cpus_bytes);
	if (!clock->tasks || !clock->processes_map || !clock->runs || !clock->marks || !clock->cpus)
		return cl_fail(reterr, errno, "mapping the BPF arrays: %s", strerror(errno));
	clock->told = calloc(cells, sizeof(*clock->told));
	clock->free_rows = calloc(clock->row_count, sizeof(*clock->free_rows));
	clock->processes = calloc(clock->capacity, sizeof(*clock->processes));
	if (!clock->told || !clock->free_rows || !clock->processes)
		return cl_fail(reterr, ENOMEM, "BPF clock of %u threads: out of memory",
			       clock->capacity);
	memset(clock->marks, 0xff, clock->row_count * sizeof(*clock->marks)); /* CL_NO_MARK */
	for (uint32_t row = clock->row_count; row-- > CL_ROW_FIRST;)
		clock->free_rows[clock->free_count++] = row;
	return 0;
}

static int set_sizes(struct cl_clock *clock)
{
	struct cl_clock_bpf *bpf = clock->bpf;
	uint64_t rows =
		CL_ROW_FIRST + 2 * (uint64_t)clock->capacity; /* threads, and processes' rests */
	int r = 0;

	if (rows * clock->cpu_count > CL_CLOCK_CELLS_MAX)
		rows = CL_CLOCK_CELLS_MAX / clock->cpu_count;
	clock->row_count = (uint32_t)rows;
	bpf->rodata->cpu_count = clock->cpu_count;
	r |= bpf_map__set_max_entries(bpf->maps.tasks, clock->capacity);
	r |= bpf_map__set_max_entries(bpf->maps.processes, clock->capacity);
	r |= bpf_map__set_max_entries(bpf->maps.followed, clock->capacity);
	r |= bpf_map__set_max_entries(bpf->maps.rows, clock->capacity);
	r |= bpf_map__set_max_entries(bpf->maps.runs, clock->row_count * clock->cpu_count);
	r |= bpf_map__set_max_entries(bpf->maps.marks, clock->row_count);
	r |= bpf_map__set_max_entries(bpf->maps.cpus, clock->cpu_count);
	return r;
}

static int attach(struct cl_clock *clock, struct cl_error *reterr)
{
	if (clock->honest) {
		int r = cl_honest_attach(clock, reterr);

		if (r < 0)
			return r;
	} else {
		clock->on_switch = bpf_program__attach(clock->bpf->progs.on_switch);
		if (!clock->on_switch)
			return cl_clock_refused(errno, "attaching the BPF clock to sched_switch",
						reterr);
	}
	if (bpf_program__autoload(clock->bpf->progs.walk_all)) {
		clock->walk_all = bpf_program__attach_iter(clock->bpf->progs.walk_all, NULL);
		if (!clock->walk_all)
			return cl_clock_refused(errno, "attaching the BPF task iterator", reterr);
	}
	return 0;
}

static int load(struct cl_clock *clock, enum cl_clock_walk walk, enum cl_clock_time time,
		struct cl_error *reterr)
{
	int cpus = libbpf_num_possible_cpus();

	if (cpus <= 0 || (uint32_t)cpus > CL_CPUS_MAX)
		return cl_fail(reterr, E2BIG, "BPF clock: %d possible CPUs; at most %u are handled",
			       cpus, CL_CPUS_MAX);
	clock->cpu_count = (uint32_t)cpus;
	clock->bpf = cl_clock_bpf__open();
	if (!clock->bpf)
		return cl_clock_refused(errno, "opening the BPF clock", reterr);
	int r = choose(clock, walk, time, reterr);

	if (r < 0)
		return r;
	if (set_sizes(clock) != 0)
		return cl_fail(reterr, EINVAL, "BPF clock: %u threads do not fit a BPF map",
			       clock->capacity);
	r = cl_clock_bpf__load(clock->bpf);
	if (r < 0)
		return cl_clock_refused(-r, "loading the BPF clock", reterr);
	r = map_all(clock, reterr);
	return r < 0 ? r : attach(clock, reterr);
}

int cl_clock_open(uint32_t capacity, enum cl_clock_walk walk, enum cl_clock_time time,
		  struct cl_clock **ret_clock, struct cl_error *reterr)
{
	struct cl_clock *clock = calloc(1, sizeof(*clock));

	assert(capacity > 0);
	if (!clock)
		return cl_fail(reterr, ENOMEM, "BPF clock: out of memory");
	clock->capacity = capacity;

	libbpf_print_fn_t before = libbpf_set_print(silent);
	int r = load(clock, walk, time, reterr);

	libbpf_set_print(before);
	if (r < 0) {
		cl_clock_close(clock);
		return r;
	}
	*ret_clock = clock;
	return 0;
}

void cl_clock_close(struct cl_clock *clock)
{
	if (!clock)
		return;
	cl_honest_close(clock->honest);
	bpf_link__destroy(clock->on_switch);
	bpf_link__destroy(clock->walk_all);
	if (clock->tasks)
		munmap(clock->tasks, clock->tasks_bytes);
	if (clock->processes_map)
		munmap(clock->processes_map, clock->processes_bytes);
	if (clock->runs)
		munmap(clock->runs, clock->runs_bytes);
	if (clock->marks)
		munmap(clock->marks, clock->marks_bytes);
	if (clock->cpus)
		munmap(clock->cpus, clock->cpus_bytes);
	cl_clock_bpf__destroy(clock->bpf);
	free(clock->told);
	free(clock->free_rows);
	free(clock->processes);
	free(clock);
}

enum cl_clock_walk cl_clock_walk(const struct cl_clock *clock)
{
	return clock->walk_all ? CL_CLOCK_WALK_ALL : CL_CLOCK_WALK_PROCESSES;
}

/* The place of tgid in the sorted list, or where it belongs. */
static uint32_t process_at(const struct cl_clock *clock, uint32_t tgid)
{
	uint32_t low = 0, high = clock->process_count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (clock->processes[mid].tgid < tgid)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool is_followed(const struct cl_clock *clock, uint32_t tgid, uint32_t *ret_at)
{
	*ret_at = process_at(clock, tgid);
	return *ret_at < clock->process_count && clock->processes[*ret_at].tgid == tgid;
}

/* BPF reads 8-byte aligned elements: an array map rounds its values up. */
static void write_processes(struct cl_clock *clock, uint32_t from)
{
	for (uint32_t i = from; i < clock->process_count; i++)
		clock->processes_map[2 * (size_t)i] =
			clock->processes[i].ended ? 0 : clock->processes[i].tgid;
}

/* A free row, with what is in its cells from its last owner taken as told. */
static uint32_t take_row(struct cl_clock *clock, uint32_t none)
{
	if (!clock->free_count)
		return none;
	uint32_t row = clock->free_rows[--clock->free_count];

	memcpy(told_of(clock, row), cells_of(clock, row), clock->cpu_count * sizeof(uint64_t));
	clock->marks[row] = CL_NO_MARK;
	return row;
}

static void give_row(struct cl_clock *clock, uint32_t row)
{
	if (row >= CL_ROW_FIRST)
		clock->free_rows[clock->free_count++] = row;
}

static int write_followed(struct cl_clock *clock, const struct process *process)
{
	struct cl_clock_process is = { .row = process->row, .owner = process->owner };
	int r = bpf_map_update_elem(bpf_map__fd(clock->bpf->maps.followed), &process->tgid, &is,
				    BPF_ANY);

	clock->bpf->bss->rows_change++;
	return r;
}

int cl_clock_follow(struct cl_clock *clock, uint32_t tgid, struct cl_error *reterr)
{
	uint32_t at;

	if (is_followed(clock, tgid, &at)) {
		if (!clock->processes[at].ended)
			return 0;
		cl_clock_unfollow(clock, tgid);
	}
	if (clock->process_count == clock->capacity)
		return cl_fail(reterr, ENOSPC, "following process %u: %u are followed already",
			       tgid, clock->capacity);
	struct process process = { .tgid = tgid, .row = take_row(clock, CL_ROW_UNSEEN) };
	int r = write_followed(clock, &process);

	if (r < 0) {
		give_row(clock, process.row);
		return cl_fail(reterr, -r, "following process %u by BPF: %s", tgid, strerror(-r));
	}
	memmove(&clock->processes[at + 1], &clock->processes[at],
		(clock->process_count - at) * sizeof(clock->processes[0]));
	clock->processes[at] = process;
	clock->process_count++;
	write_processes(clock, at);
	return 0;
}

void cl_clock_own(struct cl_clock *clock, uint32_t tgid, uint32_t domid)
{
	uint32_t at, owner = domid + 1;

	if (!is_followed(clock, tgid, &at) || clock->processes[at].ended ||
	    clock->processes[at].owner == owner)
		return;
	clock->processes[at].owner = owner;
	write_followed(clock, &clock->processes[at]);
}

void cl_clock_end(struct cl_clock *clock, uint32_t tgid)
{
	uint32_t at;

	if (!is_followed(clock, tgid, &at) || clock->processes[at].ended)
		return;
	bpf_map_delete_elem(bpf_map__fd(clock->bpf->maps.followed), &tgid);
	clock->bpf->bss->rows_change++;
	clock->processes[at].ended = true;
	write_processes(clock, at);
}

void cl_clock_unfollow(struct cl_clock *clock, uint32_t tgid)
{
	uint32_t at;

	if (!is_followed(clock, tgid, &at))
		return;
	cl_clock_end(clock, tgid);
	give_row(clock, clock->processes[at].row);
	clock->process_count--;
	memmove(&clock->processes[at], &clock->processes[at + 1],
		(clock->process_count - at) * sizeof(clock->processes[0]));
	write_processes(clock, at);
}

static int run_walk_all(struct cl_clock *clock, struct cl_clock_args *args, struct cl_error *reterr)
{
	clock->bpf->bss->walked = (struct cl_clock_args){ .processes = clock->process_count };

	cl_autoclose int fd = bpf_iter_create(bpf_link__fd(clock->walk_all));
	char nothing[64];
	ssize_t n;

	if (fd < 0)
		return cl_fail(reterr, errno, "starting the BPF task iterator: %s",
			       strerror(errno));
	while ((n = read(fd, nothing, sizeof(nothing))) > 0 ||
	       (n < 0 && (errno == EINTR || errno == EAGAIN)))
		;
	if (n < 0)
		return cl_fail(reterr, errno, "running the BPF task iterator: %s", strerror(errno));
	*args = clock->bpf->bss->walked;
	return 0;
}

static int run_walk_processes(struct cl_clock *clock, struct cl_clock_args *args,
			      struct cl_error *reterr)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = args, .ctx_size_in = sizeof(*args));
	int r = bpf_prog_test_run_opts(bpf_program__fd(clock->bpf->progs.walk_processes), &opts);

	return r < 0 ? cl_fail(reterr, -r, "running the BPF task iterator: %s", strerror(-r)) : 0;
}

/*
 * One CPU's record together with a cell of it, as they were at one moment: the cell's owner may be
 * switched out meanwhile, and its slice must not be seen both open and closed.
 */
static struct cl_clock_cpu read_cpu(const struct cl_clock *clock, uint32_t cpu,
				    const uint64_t *cell, uint64_t *ret_cell)
{
	const struct cl_clock_cpu *shared = &clock->cpus[cpu];

	for (;;) {
		uint64_t before = __atomic_load_n(&shared->seq, __ATOMIC_ACQUIRE);
		struct cl_clock_cpu copy;

		memcpy(&copy, shared, sizeof(copy));
		*ret_cell = __atomic_load_n(cell, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!(before & 1) && __atomic_load_n(&shared->seq, __ATOMIC_RELAXED) == before)
			return copy;
	}
}

/* The classes' times with what runs now; BPF cannot see the end of a slice that has none yet. */
static void read_classes(struct cl_clock *clock, uint32_t cpu)
{
	for (uint32_t row = CL_ROW_USER; row <= CL_ROW_KERNEL; row++) {
		uint64_t *told = told_of(clock, row) + cpu;
		uint64_t sum;
		struct cl_clock_cpu now = read_cpu(clock, cpu, cells_of(clock, row) + cpu, &sum);
		bool kernel = now.flags & CL_PF_KTHREAD;
		uint64_t time_ns = cl_clock_ns();
		uint32_t at;

		if (now.valid && now.tid && kernel == (row == CL_ROW_KERNEL) &&
		    time_ns > now.since_ns &&
		    !(is_followed(clock, now.tgid, &at) && !clock->processes[at].ended))
			sum += time_ns - now.since_ns;
		/* An open slice is measured by another clock than a closed one: never let it go
		 * back. */
		if (sum > *told)
			*told = sum;
	}
}

int cl_clock_read(struct cl_clock *clock, const struct cl_clock_task **ret_tasks,
		  uint32_t *ret_count, uint32_t *ret_lost, struct cl_error *reterr)
{
	struct cl_clock_args args = { .processes = clock->process_count };
	int r = clock->honest ? cl_honest_flush(clock, reterr) : 0;

	if (r < 0)
		return r;
	r = clock->walk_all ? run_walk_all(clock, &args, reterr)
			    : run_walk_processes(clock, &args, reterr);

	if (r < 0)
		return r;
	assert(args.found <= clock->capacity);
	for (uint32_t cpu = 0; cpu < clock->cpu_count; cpu++)
		read_classes(clock, cpu);
	*ret_tasks = clock->tasks;
	*ret_count = args.found;
	*ret_lost = args.lost;
	return 0;
}

uint32_t cl_clock_row_new(struct cl_clock *clock, const struct cl_clock_task *task)
{
	struct cl_clock_row row = { .start_ns = task->start_ns };

	if (task->cpu >= clock->cpu_count)
		return 0;
	row.row = take_row(clock, 0);
	if (!row.row)
		return 0;
	clock->marks[row.row] = task->run_ns;
	if (bpf_map_update_elem(bpf_map__fd(clock->bpf->maps.rows), &task->tid, &row, BPF_ANY) <
	    0) {
		give_row(clock, row.row);
		return 0;
	}
	clock->bpf->bss->rows_change++;
	return row.row;
}

void cl_clock_row_free(struct cl_clock *clock, uint32_t tgid, uint32_t tid, uint32_t row)
{
	uint32_t at;

	if (!row)
		return;
	bpf_map_delete_elem(bpf_map__fd(clock->bpf->maps.rows), &tid);
	clock->bpf->bss->rows_change++;
	if (is_followed(clock, tgid, &at) && clock->processes[at].row >= CL_ROW_FIRST) {
		const uint64_t *cells = cells_of(clock, row), *told = told_of(clock, row);
		uint64_t *rest = told_of(clock, clock->processes[at].row);

		/* What it ran after it was last read; the rest is its cells less this base, modulo
		 * 2^64. */
		for (uint32_t cpu = 0; cpu < clock->cpu_count; cpu++)
			rest[cpu] -= cells[cpu] - told[cpu];
	}
	give_row(clock, row);
}

/* Slices that ended after the thread was read are in the cells already: left for the next time. */
static void trim(struct cl_thread_run *buf, uint32_t count, uint64_t excess)
{
	while (excess) {
		uint32_t most = 0;

		for (uint32_t i = 1; i < count; i++)
			if (buf[i].ns > buf[most].ns)
				most = i;
		uint64_t cut = excess < buf[most].ns ? excess : buf[most].ns;

		buf[most].ns -= cut;
		excess -= cut;
	}
}

/* What a full buf has no room for is told as its last CPU's. */
static uint32_t add_rest(struct cl_thread_run *buf, uint32_t count, uint64_t *told, uint32_t cpu,
			 uint64_t ns)
{
	if (!count)
		buf[count++] = (struct cl_thread_run){ .cpu = cpu };
	buf[count - 1].ns += ns;
	told[buf[count - 1].cpu] += ns;
	return count;
}

uint32_t cl_clock_runs(struct cl_clock *clock, uint32_t row, const struct cl_clock_task *task,
		       uint64_t ran, struct cl_thread_run *buf, uint32_t size)
{
	uint64_t sum = 0;
	uint32_t count = 0, kept = 0;

	if (!ran || !row || !size || task->cpu >= clock->cpu_count)
		return 0;
	/* Before the cells: a slice that ends meanwhile is then in one of them too much, not too
	 * little. */
	uint64_t mark = __atomic_load_n(&clock->marks[row], __ATOMIC_ACQUIRE);
	uint64_t open = task->run_ns > mark ? task->run_ns - mark : 0;
	const uint64_t *cells = cells_of(clock, row);
	uint64_t *told = told_of(clock, row);

	for (uint32_t cpu = 0; cpu < clock->cpu_count && count < size; cpu++) {
		uint64_t has = __atomic_load_n(&cells[cpu], __ATOMIC_RELAXED) +
			       (cpu == task->cpu ? open : 0);

		if (has <= told[cpu])
			continue;
		buf[count++] = (struct cl_thread_run){ .cpu = cpu, .ns = has - told[cpu] };
		sum += has - told[cpu];
	}
	if (sum > ran)
		trim(buf, count, sum - ran);
	for (uint32_t i = 0; i < count; i++) {
		told[buf[i].cpu] += buf[i].ns;
		if (buf[i].ns)
			buf[kept++] = buf[i];
	}
	return sum < ran ? add_rest(buf, kept, told, task->cpu, ran - sum) : kept;
}

bool cl_clock_classes(const struct cl_clock *clock, uint32_t cpu, uint64_t *ret_user_ns,
		      uint64_t *ret_kernel_ns)
{
	if (cpu >= clock->cpu_count)
		return false;
	*ret_user_ns = told_of(clock, CL_ROW_USER)[cpu];
	*ret_kernel_ns = told_of(clock, CL_ROW_KERNEL)[cpu];
	return true;
}

bool cl_clock_rest(const struct cl_clock *clock, uint32_t tgid, uint32_t cpu, uint64_t *ret_ns)
{
	uint32_t at;

	if (cpu >= clock->cpu_count || !is_followed(clock, tgid, &at) ||
	    clock->processes[at].row < CL_ROW_FIRST)
		return false;
	uint32_t row = clock->processes[at].row;

	*ret_ns = __atomic_load_n(&cells_of(clock, row)[cpu], __ATOMIC_RELAXED) -
		  told_of(clock, row)[cpu];
	return true;
}
