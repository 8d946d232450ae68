/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * build: followed threads and their cgroups, as a snapshot.
 *
 * The groups that were seen are kept, each with a descriptor of its effective CPUs. Which groups of
 * ours there are is asked again when the directory /closer has another inode or link count, which
 * costs one stat(2) a tick; groups below a guest's do not show in it, so also when threads came or
 * went, and after acting.
 */
#include "build.h"

#include "cans.h"
#include "lib.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#define READS_MAX 256u  /* groups read a tick; more are read in turn */
#define IDLE_MAX  64u   /* ticks after which a group that nobody is in is forgotten */
#define VCPUS_MAX 4096u /* of one guest: QEMU's limit on x86 */

#define CONTAINERS "/closer" /* the parent of all containers */

struct group {
	char path[CL_PATH_MAX];
	uint64_t hash;
	uint64_t used; /* the tick when a thread was last in it */
	int fd;        /* effective CPUs, or -errno: read by path in turn */
	bool readable; /* cpus holds what was read */
	bool listed;   /* one of ours that exists */
	bool ours;
	bool fenced; /* a valid partition; read with cpus, of /closer alone */
	struct cl_uuid guest;
	struct cl_cpuset cpus;
	struct cl_group_ix ix; /* in the snapshot being built, or CL_NONE */
};

struct cl_build {
	struct cl_cgroup cgroup;
	uint32_t cap_groups;
	struct group *groups;
	uint32_t n, next; /* next: where reading in turn goes on */
	uint32_t *slots;  /* open addressing by hash: index + 1; slot_count is a power of two */
	uint32_t slot_count;
	uint32_t *scratch; /* cl_snapshot_sort's */
	size_t scratch_count;
	uint64_t tick;
	bool relist, reread;
	ino_t ours_ino;
	nlink_t ours_links;
	int partition_fd; /* of CONTAINERS, or negative */
	bool shows_top;   /* "/" counts as listed */
	bool moves_alone; /* cgroup v2, and threads that are alone are moved */
	struct cl_cans cans;
	/* While a snapshot is built: */
	uint32_t vcpu_guest;
	uint64_t vcpus_seen[VCPUS_MAX / 64];
};

bool cl_build_ours(const char *path, struct cl_uuid *ret_guest)
{
	char text[CL_UUID_TEXT];

	if (strncmp(path, "/closer", 7) != 0 || (path[7] != '/' && path[7] != '\0'))
		return false;
	memset(ret_guest, 0, sizeof(*ret_guest));
	if (path[7] == '/' && strcspn(path + 8, "/") == CL_UUID_TEXT - 1) {
		memcpy(text, path + 8, CL_UUID_TEXT - 1);
		text[CL_UUID_TEXT - 1] = '\0';
		if (!cl_uuid_parse(text, ret_guest))
			memset(ret_guest, 0, sizeof(*ret_guest));
	}
	return true;
}

void cl_build_moves_alone(struct cl_build *build)
{
	if (build->cgroup.version != 2 || build->cgroup.why_not[0])
		return;
	build->moves_alone = true;
	cl_cans_set(&build->cans, CL_CAN_GROUP, true, NULL);
}

void cl_build_fences(struct cl_build *build)
{
	cl_cans_fence(&build->cans, &build->cgroup);
}

void cl_build_shows_top(struct cl_build *build)
{
	build->shows_top = build->cgroup.version != 0;
}

void cl_build_may(struct cl_build *build, enum cl_can can)
{
	cl_cans_set(&build->cans, can, true, NULL);
}

void cl_build_cannot(struct cl_build *build, enum cl_can can, const char *why_not)
{
	cl_cans_set(&build->cans, can, false, why_not);
}

/* ---- the groups that were seen ---- */

static uint32_t *slot_of(const struct cl_build *build, const char *path, uint64_t hash)
{
	uint32_t mask = build->slot_count - 1;

	for (uint32_t at = (uint32_t)hash & mask;; at = (at + 1) & mask) {
		uint32_t i = build->slots[at];

		if (i == 0 || (build->groups[i - 1].hash == hash &&
			       strcmp(build->groups[i - 1].path, path) == 0))
			return &build->slots[at];
	}
}

/* The containers' parent; others that are partitions are somebody's. */
static bool is_fenced(struct cl_build *build, const struct group *group)
{
	char text[256];

	if (!(build->cans.can >> CL_CAN_PARTITION & 1) || strcmp(group->path, CONTAINERS) != 0)
		return false;
	if (build->partition_fd < 0)
		build->partition_fd = cl_cgroup_open_partition(&build->cgroup, group->path);
	if (build->partition_fd < 0)
		return false;
	if (cl_read_fd(build->partition_fd, text, sizeof(text)) >= 0)
		return strcmp(text, "root\n") == 0;
	close(build->partition_fd); /* removed; if it is made again it has another file */
	build->partition_fd = -1;
	return false;
}

static void read_group(struct cl_build *build, struct group *group, bool *ret_changed)
{
	struct cl_cpuset cpus;
	int r;

	if (group->fd < 0) /* too many open files, say: this once */
		r = cl_cgroup_cpus(&build->cgroup, group->path, &cpus, NULL);
	else
		r = cl_cgroup_read_cpus(group->fd, &cpus);
	bool readable = r == 0, fenced = readable && is_fenced(build, group);
	if (readable != group->readable || fenced != group->fenced ||
	    (readable && !cl_cpuset_equal(&cpus, &group->cpus)))
		*ret_changed = true;
	group->readable = readable;
	group->fenced = fenced;
	if (readable)
		group->cpus = cpus;
}

/* Finds or adds; NULL when full, or if there is no such group. */
static struct group *know_group(struct cl_build *build, const char *path)
{
	uint64_t hash = XXH3_64bits(path, strlen(path));
	uint32_t *slot = slot_of(build, path, hash);
	bool changed;

	if (*slot)
		return &build->groups[*slot - 1];
	if (build->n == build->cap_groups)
		return NULL;
	struct group *group = &build->groups[build->n];
	*group = (struct group){ .hash = hash, .used = build->tick, .ix = { CL_NONE } };
	snprintf(group->path, sizeof(group->path), "%s", path);
	group->ours = cl_build_ours(path, &group->guest);
	group->fd = cl_cgroup_open_cpus(&build->cgroup, path);
	read_group(build, group, &changed);
	if (!group->readable) {
		if (group->fd >= 0)
			close(group->fd);
		return NULL;
	}
	*slot = ++build->n;
	return group;
}

/* Forgets groups that are gone or that nobody has been in for long. */
static void forget_groups(struct cl_build *build)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < build->n; i++) {
		struct group *group = &build->groups[i];

		if (group->readable && (group->listed || build->tick - group->used <= IDLE_MAX)) {
			if (kept != i)
				build->groups[kept] = *group;
			kept++;
		} else if (group->fd >= 0) {
			close(group->fd);
		}
	}
	if (kept == build->n)
		return;
	build->n = kept;
	memset(build->slots, 0, build->slot_count * sizeof(build->slots[0]));
	for (uint32_t i = 0; i < kept; i++)
		*slot_of(build, build->groups[i].path, build->groups[i].hash) = i + 1;
}

static int list_one(void *ctx, const char *path)
{
	struct group *group = know_group(ctx, path);

	if (group)
		group->listed = true;
	return 0;
}

/* Lists ours if they may be others than last time. */
static void list_groups(struct cl_build *build, bool *ret_changed)
{
	char name[CL_PATH_MAX + 16];
	struct stat st = { 0 };
	uint32_t before = build->n;

	if (build->cgroup.version == 0)
		return;
	snprintf(name, sizeof(name), "%s/closer", build->cgroup.mount);
	if (stat(name, &st) < 0)
		memset(&st, 0, sizeof(st));
	if (!build->relist && st.st_ino == build->ours_ino && st.st_nlink == build->ours_links)
		return;
	for (uint32_t i = 0; i < build->n; i++)
		build->groups[i].listed = false;
	/* What is gone before it is read is not there; nothing else can fail that a later tick
	 * would not show. */
	cl_cgroup_each_ours(&build->cgroup, list_one, build, NULL);
	if (build->shows_top)
		list_one(build, "/");
	build->relist = false;
	build->ours_ino = st.st_ino;
	build->ours_links = st.st_nlink;
	*ret_changed = *ret_changed || build->n != before;
}

int cl_build_refresh(struct cl_build *build, struct cl_threads *threads, bool *ret_changed,
		     struct cl_error *reterr)
{
	uint32_t reads = build->reread || build->n < READS_MAX ? build->n : READS_MAX;
	bool groups = false, came = false;

	build->tick++;
	for (uint32_t i = 0; i < reads; i++) {
		build->next = build->next + 1 < build->n ? build->next + 1 : 0;
		read_group(build, &build->groups[build->next], &groups);
	}
	build->reread = false;
	list_groups(build, &groups);
	forget_groups(build);
	if (groups)
		cl_threads_recheck(threads);
	int r = cl_threads_refresh(threads, &came, reterr);
	if (r < 0)
		return r;
	build->relist = build->relist || came;
	*ret_changed = came || groups;
	return 0;
}

void cl_build_recheck(struct cl_build *build, struct cl_threads *threads)
{
	build->relist = true;
	build->reread = true;
	cl_threads_recheck(threads);
}

/* ---- filling the snapshot ---- */

static struct cl_group_ix add_group(struct cl_snapshot *snap, struct group *group)
{
	if (group->ix.v != CL_NONE)
		return group->ix;
	struct cl_group *out = cl_snapshot_add_groups(snap);
	if (!out)
		return group->ix;
	out->path = cl_snapshot_text(snap, group->path);
	out->cpus = cl_snapshot_mask(snap, &group->cpus);
	out->ours = group->ours;
	out->fenced = group->fenced;
	out->guest = group->guest;
	group->ix.v = (uint32_t)(out - snap->groups);
	return group->ix;
}

static struct cl_group_ix group_of(struct cl_build *build, struct cl_snapshot *snap,
				   const struct cl_thread *thread, struct group **last)
{
	struct cl_group_ix none = { CL_NONE };
	struct group *group = *last;
	bool changed;

	if (thread->group[0] == '\0')
		return none;
	/* Threads come by process: nearly always it is the group of the one before. */
	if (!group || strcmp(group->path, thread->group) != 0)
		group = know_group(build, thread->group);
	if (!group)
		return none;
	*last = group;
	group->used = build->tick;
	/* No thread may run outside of its group: this one was read after the group had changed. */
	if (group->ix.v == CL_NONE && !cl_cpuset_subset(&thread->mask, &group->cpus))
		read_group(build, group, &changed);
	return group->readable ? add_group(snap, group) : none;
}

/*
 * Core moves what it finds in the root group or in one of ours. On v2 a thread that has siblings
 * cannot be moved: it is shown in no group, which bounds it by all CPUs as the root does. When the
 * root has lost CPUs to the fence, no mask gets it there: it is bound.
 */
static bool is_stuck(const struct cl_build *build, const struct cl_thread *thread,
		     const struct cl_build_role *role)
{
	return build->moves_alone && !role->alone && strcmp(thread->group, "/") == 0;
}

/* Is it the first thread of the guest that claims this index? Threads of one guest come one after
 * the other. */
static bool first_vcpu(struct cl_build *build, const struct cl_build_role *role)
{
	uint64_t bit = UINT64_C(1) << (role->vcpu % 64);

	if (role->vcpu >= VCPUS_MAX)
		return false;
	if (build->vcpu_guest != role->guest.v) {
		memset(build->vcpus_seen, 0, sizeof(build->vcpus_seen));
		build->vcpu_guest = role->guest.v;
	}
	if (build->vcpus_seen[role->vcpu / 64] & bit)
		return false;
	build->vcpus_seen[role->vcpu / 64] |= bit;
	return true;
}

static void add_vcpu(struct cl_snapshot *snap, const struct cl_thread *thread,
		     const struct cl_build_role *role, struct cl_cpu_ix cpu, struct cl_mask_ix mask,
		     struct cl_group_ix group)
{
	struct cl_vcpu *vcpu = cl_snapshot_add_vcpus(snap);

	if (!vcpu)
		return;
	vcpu->guest = role->guest;
	vcpu->index = role->vcpu;
	vcpu->thread = thread->id;
	vcpu->cpu = cpu;
	vcpu->mask = mask;
	vcpu->group = group;
	vcpu->cpu_ns = thread->cpu_ns;
	vcpu->wait_ns = thread->wait_ns;
}

static void add_work(struct cl_snapshot *snap, const struct cl_threads *threads,
		     const struct cl_thread *thread, const struct cl_build_role *role,
		     struct cl_cpu_ix cpu, struct cl_mask_ix mask, struct cl_group_ix group,
		     bool bound)
{
	struct cl_work *work = cl_snapshot_add_works(snap);
	const struct cl_thread_run *runs = cl_threads_runs(threads);

	if (!work)
		return;
	work->guest = role->guest;
	work->kind = role->kind;
	work->thread = thread->id;
	memcpy(work->name, thread->comm, sizeof(work->name));
	work->name[sizeof(work->name) - 1] = '\0';
	work->queue_vcpu = role->vcpu;
	work->cpu = cpu;
	work->mask = mask;
	work->group = group;
	work->cpu_ns = thread->cpu_ns;
	work->wait_ns = thread->wait_ns;
	work->read_ns = thread->read_ns;
	work->bound = thread->bound || bound;
	for (uint32_t i = 0; i < thread->run_count; i++) {
		const struct cl_thread_run *from = &runs[thread->run_first + i];
		struct cl_run *run = from->cpu < snap->n.cpus ? cl_snapshot_add_runs(snap) : NULL;

		if (!run)
			continue;
		run->work.v = (uint32_t)(work - snap->works);
		run->cpu.v = from->cpu;
		run->ns = from->ns;
	}
}

static bool add_classes(const struct cl_threads *threads, struct cl_snapshot *snap)
{
	bool all = snap->n.cpus > 0;
	uint64_t nobody_ns;

	for (uint32_t i = 0; i < snap->n.cpus; i++)
		if (snap->cpus[i].online && snap->cpus[i].busy_ns != CL_UNKNOWN)
			all = cl_threads_classes(threads, i, &snap->cpus[i].main_ns,
						 &snap->cpus[i].kernel_ns) &&
			      all;
	for (uint32_t i = 0; all && i < snap->n.cpus; i++)
		if (cl_threads_rests(threads, i, &nobody_ns, &snap->cpus[i].overhead_ns))
			snap->cpus[i].kernel_ns += nobody_ns;
	for (uint32_t i = 0; !all && i < snap->n.cpus; i++)
		snap->cpus[i].main_ns = snap->cpus[i].kernel_ns = CL_UNKNOWN;
	return all;
}

/* What sorting needs for this snapshot; the engine's capacities do not change, so it is made once.
 */
/* What threads of the guests' processes ran that no entry shows; a steady state has no other cost
 * than this. */
static void add_reaped(const struct cl_threads *threads, struct cl_snapshot *snap)
{
	for (uint32_t g = 0; g < snap->n.guests; g++) {
		struct cl_guest *guest = &snap->guests[g];

		for (uint32_t c = 0; c < snap->n.cpus; c++) {
			uint64_t ns;

			if (cl_threads_rest(threads, guest->process.tid, c, &ns))
				guest->reaped_ns += ns;
		}
	}
}

static int make_scratch(struct cl_build *build, const struct cl_limits *cap,
			struct cl_error *reterr)
{
	size_t count = (size_t)cap->guests + cap->works + cap->groups;

	if (count <= build->scratch_count)
		return 0;
	uint32_t *more = realloc(build->scratch, count * sizeof(*more));
	if (!more)
		return cl_fail(reterr, ENOMEM, "building a snapshot of %zu objects: no memory",
			       count);
	build->scratch = more;
	build->scratch_count = count;
	return 0;
}

int cl_build_threads(struct cl_build *build, const struct cl_threads *threads,
		     struct cl_snapshot *snap, cl_build_role_fn role, void *ctx,
		     struct cl_error *reterr)
{
	struct cl_mask_ix mask = { CL_NONE };
	const struct cl_cpuset *mask_of = NULL;
	struct group *group = NULL;
	uint64_t oldest = UINT64_MAX;
	bool fenced = false;
	int r = make_scratch(build, &snap->cap, reterr);

	if (r < 0)
		return r;
	build->vcpu_guest = CL_NONE;
	for (uint32_t i = 0; i < build->n; i++) {
		build->groups[i].ix.v = CL_NONE;
		fenced = fenced || build->groups[i].fenced;
	}
	for (uint32_t i = 0; i < cl_threads_count(threads); i++) {
		const struct cl_thread *thread = cl_threads_at(threads, i);
		struct cl_build_role is = {
			CL_BUILD_SKIP, { CL_NONE }, CL_NONE, CL_WORK_HELPER, false
		};
		struct cl_cpu_ix cpu = { thread->cpu < snap->n.cpus ? thread->cpu : CL_NONE };

		role(ctx, thread, &is);
		if (is.as == CL_BUILD_SKIP)
			continue;
		assert(is.guest.v < snap->n.guests ||
		       (is.guest.v == CL_NONE && is.as == CL_BUILD_WORK));
		oldest = thread->read_ns < oldest ? thread->read_ns : oldest;
		if (!mask_of || !cl_cpuset_equal(mask_of, &thread->mask))
			mask = cl_snapshot_mask(snap, &thread->mask);
		mask_of = &thread->mask;
		struct cl_group_ix in = { CL_NONE };
		bool stuck = is_stuck(build, thread, &is);

		if (!stuck)
			in = group_of(build, snap, thread, &group);
		if (is.as == CL_BUILD_VCPU && first_vcpu(build, &is)) {
			add_vcpu(snap, thread, &is, cpu, mask, in);
			continue;
		}
		if (is.as == CL_BUILD_VCPU)
			is.vcpu = CL_NONE;
		add_work(snap, threads, thread, &is, cpu, mask, in, stuck && fenced);
	}
	for (uint32_t i = 0; i < build->n; i++)
		if (build->groups[i].listed && build->groups[i].readable)
			add_group(snap, &build->groups[i]);
	add_reaped(threads, snap);
	snap->part_ns[CL_PART_THREADS] = oldest == UINT64_MAX ? snap->taken_ns : oldest;
	return 0;
}

/*
 * The CPUs behind the fence are no more those of the group that we are in ourselves, but still
 * those that work may be given.
 */
static void allow_fenced(const struct cl_build *build, struct cl_snapshot *snap)
{
	for (uint32_t i = 0; i < build->n; i++) {
		struct cl_cpuset allowed;

		if (!build->groups[i].fenced || snap->allowed.v == CL_NONE)
			continue;
		allowed = *cl_snapshot_set(snap, snap->allowed);
		cl_cpuset_or(&allowed, &build->groups[i].cpus);
		snap->allowed = cl_snapshot_mask(snap, &allowed);
	}
}

void cl_build_finish(struct cl_build *build, const struct cl_threads *threads,
		     struct cl_snapshot *snap)
{
	const char *no_bpf = cl_threads_why_not_bpf(threads);
	bool exact = cl_threads_source(threads) == CL_THREADS_BPF;
	bool classes = add_classes(threads, snap);

	allow_fenced(build, snap);
	cl_cans_set(&build->cans, CL_CAN_RUNS, exact, no_bpf);
	cl_cans_set(&build->cans, CL_CAN_CLASSES, classes, no_bpf);
	for (uint32_t i = 0; i < CL_CAN_COUNT; i++) {
		if (i == CL_CAN_MEMORY_NODES)
			continue;
		snap->can |= build->cans.can & UINT32_C(1) << i;
		snap->why_not[i] = cl_snapshot_text(snap, build->cans.why_not[i]);
	}
	assert((size_t)snap->n.guests + snap->n.works + snap->n.groups <= build->scratch_count);
	cl_snapshot_sort(snap, build->scratch);
}

/* ---- life ---- */

int cl_build_new(const struct cl_limits *cap, const struct cl_cgroup *cgroup,
		 struct cl_build **ret_build, struct cl_error *reterr)
{
	struct cl_build *build = calloc(1, sizeof(*build));

	if (!build)
		return cl_fail(reterr, ENOMEM, "preparing to observe: no memory");
	build->cgroup = *cgroup;
	build->cap_groups = cap->groups;
	build->partition_fd = -1;
	build->relist = true;
	for (build->slot_count = 16; build->slot_count < 2 * cap->groups;)
		build->slot_count *= 2;
	build->groups = calloc(cap->groups, sizeof(build->groups[0]));
	build->slots = calloc(build->slot_count, sizeof(build->slots[0]));
	if (!build->groups || !build->slots) {
		cl_build_free(build);
		return cl_fail(reterr, ENOMEM, "preparing to observe %u groups: no memory",
			       cap->groups);
	}
	cl_cans_ask(&build->cans, cgroup);
	*ret_build = build;
	return 0;
}

void cl_build_free(struct cl_build *build)
{
	if (!build)
		return;
	for (uint32_t i = 0; i < build->n; i++)
		if (build->groups[i].fd >= 0)
			close(build->groups[i].fd);
	if (build->partition_fd >= 0)
		close(build->partition_fd);
	free(build->groups);
	free(build->slots);
	free(build->scratch);
	free(build);
}
