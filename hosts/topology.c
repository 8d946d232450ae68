/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * topology: the shape of the machine, loaded when the set of online CPUs changes, and the times of
 * its CPUs and the free memory of its nodes, read each tick through kept descriptors.
 *
 * Nodes keep the kernel's numbers: a hole is a node without memory that is as far as any.
 */
#include "topology.h"
#include "cgroup.h"
#include "lib.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>

#if HAVE_HWLOC
#include <hwloc.h>
#endif

#define CPU_LINE_MAX 256u /* "cpu4095" and ten numbers of 20 digits */
#define CPU_FIELDS                                                                                 \
	8u /* user nice system idle iowait irq softirq steal; guest time is inside user and nice   \
	    */
#define FAR    255u /* ACPI: unreachable */
#define HERE   10u
#define REMOTE 20u

struct cl_topology {
	int stat_fd;
	int cpuset_fd; /* effective CPUs of our own cpuset; -1: no cpuset controller */
	int meminfo_fd[CL_NODES_MAX];
	int memory_fd, cpu_stall_fd, mem_stall_fd; /* of all of it; -1: not there */
	char *stat_text;
	uint64_t stat_ns; /* when it was read */
	size_t stat_size;
	uint64_t unit_ns;          /* of /proc/stat */
	struct cl_cpuset online;   /* as of the last load */
	struct cl_cpuset affinity; /* ours at the start, where there is no cpuset */
	uint32_t cpu_count;        /* highest online CPU + 1 */
	uint32_t node_count;
	uint32_t node[CL_CPUS_MAX];
	uint32_t core[CL_CPUS_MAX];
	uint64_t idle_ns[CL_CPUS_MAX]; /* the kernel's idle time goes back at times: never let it */
	uint32_t distance[CL_NODES_MAX][CL_NODES_MAX];
};

/* One node, no siblings: what is true of every machine if nobody says more. */
static void load_flat(struct cl_topology *topology)
{
	topology->node_count = 1;
	for (uint32_t cpu = 0; cpu < CL_CPUS_MAX; cpu++) {
		topology->node[cpu] = 0;
		topology->core[cpu] = cpu;
	}
	for (uint32_t a = 0; a < CL_NODES_MAX; a++)
		for (uint32_t b = 0; b < CL_NODES_MAX; b++)
			topology->distance[a][b] = a == b ? HERE : REMOTE;
}

#if HAVE_HWLOC
static void load_cpus(struct cl_topology *topology, hwloc_topology_t hwloc)
{
	hwloc_obj_t pu = NULL;

	while ((pu = hwloc_get_next_obj_by_type(hwloc, HWLOC_OBJ_PU, pu))) {
		hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(hwloc, HWLOC_OBJ_CORE, pu);
		int node = hwloc_bitmap_first(pu->nodeset);

		if (pu->os_index >= CL_CPUS_MAX)
			continue;
		/* A core is called by its first CPU: unique over the host, which core numbers are
		 * not. */
		if (core)
			topology->core[pu->os_index] = (uint32_t)hwloc_bitmap_first(core->cpuset);
		if (node >= 0 && node < (int)CL_NODES_MAX)
			topology->node[pu->os_index] = (uint32_t)node;
	}
}

static void load_distances(struct cl_topology *topology, hwloc_topology_t hwloc)
{
	struct hwloc_distances_s *matrix;
	unsigned count = 1;

	if (hwloc_distances_get_by_type(
		    hwloc, HWLOC_OBJ_NUMANODE, &count, &matrix,
		    HWLOC_DISTANCES_KIND_FROM_OS | HWLOC_DISTANCES_KIND_MEANS_LATENCY, 0) < 0 ||
	    !count)
		return;
	for (unsigned i = 0; i < matrix->nbobjs; i++) {
		for (unsigned j = 0; j < matrix->nbobjs; j++) {
			unsigned a = matrix->objs[i]->os_index, b = matrix->objs[j]->os_index;
			uint64_t value = matrix->values[i * matrix->nbobjs + j];

			if (a < CL_NODES_MAX && b < CL_NODES_MAX)
				topology->distance[a][b] = value < FAR ? (uint32_t)value : FAR;
		}
	}
	hwloc_distances_release(hwloc, matrix);
}

static int load_shape(struct cl_topology *topology, struct cl_error *reterr)
{
	hwloc_topology_t hwloc;

	if (hwloc_topology_init(&hwloc) < 0)
		return cl_fail(reterr, ENOMEM, "hwloc: out of memory");
	/* Also what our own cpuset keeps from us: other guests' threads run there. */
	hwloc_topology_set_flags(hwloc, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
	hwloc_topology_set_all_types_filter(hwloc, HWLOC_TYPE_FILTER_KEEP_NONE);
	hwloc_topology_set_type_filter(hwloc, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL);
	if (hwloc_topology_load(hwloc) < 0) {
		int code = errno ? errno : EIO;

		hwloc_topology_destroy(hwloc);
		return cl_fail(reterr, code, "hwloc cannot read the topology of this machine: %s",
			       strerror(code));
	}
	int last = hwloc_bitmap_last(hwloc_topology_get_topology_nodeset(hwloc));

	if (last >= (int)CL_NODES_MAX) {
		hwloc_topology_destroy(hwloc);
		return cl_fail(reterr, E2BIG, "node %d: at most %u NUMA nodes are handled", last,
			       CL_NODES_MAX);
	}
	topology->node_count = last < 0 ? 1 : (uint32_t)last + 1;
	load_cpus(topology, hwloc);
	load_distances(topology, hwloc);
	hwloc_topology_destroy(hwloc);
	return 0;
}
#else
static int load_shape(struct cl_topology *topology, struct cl_error *reterr)
{
	return 0;
}
#endif

static void close_files(struct cl_topology *topology)
{
	for (uint32_t node = 0; node < CL_NODES_MAX; node++) {
		if (topology->meminfo_fd[node] >= 0)
			close(topology->meminfo_fd[node]);
		topology->meminfo_fd[node] = -1;
	}
	if (topology->cpuset_fd >= 0)
		close(topology->cpuset_fd);
	topology->cpuset_fd = -1;
}

/* The effective CPUs of our own group; where the controller is not enabled for it, of the nearest
 * one above. */
static int open_cpuset(void)
{
	static const char *const names[] = { "cpuset.effective_cpus", "effective_cpus",
					     "cpuset.cpus.effective" };
	char group[CL_PATH_MAX], path[2 * CL_PATH_MAX + 64];
	struct cl_cgroup cgroup;

	cl_cgroup_find(&cgroup);
	if (!cgroup.version || cl_cgroup_of(&cgroup, getpid(), group, NULL) < 0)
		return -1;
	for (char *slash = group;; *slash = '\0') {
		for (size_t i = 0; i < CL_COUNT(names); i++) {
			snprintf(path, sizeof(path), "%s%s/%s", cgroup.mount, group, names[i]);
			int fd = open(path, O_RDONLY | O_CLOEXEC);

			if (fd >= 0)
				return fd;
		}
		slash = strrchr(group, '/');
		if (!slash)
			return -1;
	}
}

static int load(struct cl_topology *topology, struct cl_error *reterr)
{
	char path[64];

	load_flat(topology);
	int r = load_shape(topology, reterr);

	if (r < 0)
		return r;
	close_files(topology);
	/* The only node has all of it; kernels leave memory that was plugged in out of its own
	 * count. */
	if (topology->node_count == 1)
		topology->meminfo_fd[0] = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	for (uint32_t node = 0; topology->node_count > 1 && node < topology->node_count; node++) {
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%u/meminfo", node);
		topology->meminfo_fd[node] = open(path, O_RDONLY | O_CLOEXEC);
	}
	topology->cpuset_fd = open_cpuset();
	return 0;
}

/* The start of /proc/stat, which has the CPUs first; the rest (interrupts: long) is cut off. */
static int read_stat(struct cl_topology *topology, struct cl_error *reterr)
{
	ssize_t n;

	do
		n = pread(topology->stat_fd, topology->stat_text, topology->stat_size - 1, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return cl_fail(reterr, errno, "reading /proc/stat: %s", strerror(errno));
	topology->stat_text[n] = '\0';
	topology->stat_ns = cl_clock_ns();
	return 0;
}

struct times {
	uint32_t cpu;
	uint64_t field[CPU_FIELDS];
};

/* The next "cpuN ..." line; false when there is none. Kernels before 2.6.11 had fewer fields: not
 * handled. */
static bool next_cpu(const char **text, struct times *ret_times)
{
	const char *p = *text;
	uint64_t cpu;

	if (strncmp(p, "cpu", 3) != 0 || !cl_parse_u64(p + 3, &cpu, &p) || cpu >= CL_CPUS_MAX)
		return false;
	ret_times->cpu = (uint32_t)cpu;
	for (uint32_t i = 0; i < CPU_FIELDS; i++)
		if (*p++ != ' ' || !cl_parse_u64(p, &ret_times->field[i], &p))
			return false;
	p = strchr(p, '\n');
	if (!p)
		return false;
	*text = p + 1;
	return true;
}

/* Past the line of the sum over all CPUs. */
static const char *first_cpu(const char *text)
{
	const char *end = strchr(text, '\n');

	return end ? end + 1 : text + strlen(text);
}

static int check_online(struct cl_topology *topology, struct cl_error *reterr)
{
	struct cl_cpuset online = { 0 };
	const char *text = first_cpu(topology->stat_text);
	struct times times;
	uint32_t count = 0;

	while (next_cpu(&text, &times)) {
		cl_cpuset_add(&online, times.cpu);
		count = times.cpu + 1 > count ? times.cpu + 1 : count;
	}
	if (!count)
		return cl_fail(reterr, EBADMSG,
			       "/proc/stat has no line of a CPU in the format of proc(5)");
	if (cl_cpuset_equal(&online, &topology->online))
		return 0;
	int r = load(topology, reterr);

	if (r < 0)
		return r;
	topology->online = online;
	topology->cpu_count = count;
	return 0;
}

static void add_cpus(struct cl_topology *topology, struct cl_snapshot *snap)
{
	const char *text = first_cpu(topology->stat_text);
	struct times times;
	bool more = next_cpu(&text, &times);

	for (uint32_t number = 0; number < topology->cpu_count; number++) {
		struct cl_cpu *cpu = cl_snapshot_add_cpus(snap);

		if (!cpu)
			return;
		cpu->node.v = topology->node[number];
		cpu->core = topology->core[number];
		if (!more || times.cpu != number)
			continue;
		const uint64_t *f = times.field, unit = topology->unit_ns;
		uint64_t idle_ns = (f[3] + f[4]) * unit;

		if (idle_ns > topology->idle_ns[number])
			topology->idle_ns[number] = idle_ns;
		cpu->online = true;
		cpu->irq_ns = (f[5] + f[6]) * unit;
		cpu->idle_ns = topology->idle_ns[number];
		cpu->steal_ns = f[7] * unit;
		uint64_t away_ns = cpu->idle_ns + cpu->steal_ns;

		cpu->busy_ns = topology->stat_ns > away_ns ? topology->stat_ns - away_ns : 0;
		more = next_cpu(&text, &times);
	}
}

/* "[Node N ]NAME:   VALUE kB" */
static bool meminfo_value(const char *text, const char *name, uint64_t *ret_bytes)
{
	size_t len = strlen(name);

	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		uint64_t node, value;

		line += *line == '\n';
		const char *p = line;

		if (strncmp(p, "Node ", 5) == 0) {
			if (!cl_parse_u64(p + 5, &node, &p) || *p++ != ' ')
				continue;
		}
		if (strncmp(p, name, len) != 0 || p[len] != ':')
			continue;
		p += len + 1;
		p += strspn(p, " ");
		if (!cl_parse_u64(p, &value, &p) || strncmp(p, " kB", 3) != 0 ||
		    value > UINT64_MAX / 1024)
			return false;
		*ret_bytes = value * 1024;
		return true;
	}
	return false;
}

static void add_nodes(const struct cl_topology *topology, struct cl_snapshot *snap)
{
	char text[8192];

	for (uint32_t number = 0; number < topology->node_count; number++) {
		struct cl_node *node = cl_snapshot_add_nodes(snap);
		int fd = topology->meminfo_fd[number];

		if (!node)
			return;
		memcpy(node->distance, topology->distance[number], sizeof(node->distance));
		if (fd < 0) { /* a hole in the numbers: no memory here */
			node->mem_total_bytes = 0;
			node->mem_free_bytes = 0;
		} else if (cl_read_fd(fd, text, sizeof(text)) >= 0) {
			meminfo_value(text, "MemTotal", &node->mem_total_bytes);
			meminfo_value(text, "MemFree", &node->mem_free_bytes);
		}
	}
}

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=N": N in us (Documentation/accounting/psi.rst). */
static uint64_t stall_ns(int fd)
{
	char text[256];
	uint64_t us;

	if (fd < 0 || cl_read_fd(fd, text, sizeof(text)) <= 0)
		return CL_UNKNOWN;
	const char *total = strstr(text, " total=");

	return strncmp(text, "some ", 5) == 0 && total && cl_parse_u64(total + 7, &us, NULL) &&
			       us < UINT64_MAX / CL_NS_PER_US
		       ? us * CL_NS_PER_US
		       : CL_UNKNOWN;
}

static void add_memory(const struct cl_topology *topology, struct cl_snapshot *snap)
{
	char text[8192];

	if (topology->memory_fd >= 0 && cl_read_fd(topology->memory_fd, text, sizeof(text)) >= 0) {
		meminfo_value(text, "MemTotal", &snap->memory.total_bytes);
		meminfo_value(text, "MemAvailable", &snap->memory.available_bytes);
	}
	snap->memory.cpu_stall_ns = stall_ns(topology->cpu_stall_fd);
	snap->memory.mem_stall_ns = stall_ns(topology->mem_stall_fd);
}

/* What the administrator's cpuset leaves us; not our own mask, which says only where closer itself
 * runs. */
static void set_allowed(const struct cl_topology *topology, struct cl_snapshot *snap)
{
	struct cl_cpuset allowed;
	char text[16384];
	ssize_t n =
		topology->cpuset_fd < 0 ? -1 : cl_read_fd(topology->cpuset_fd, text, sizeof(text));

	if (n < 0 || !cl_cpuset_parse(text, (size_t)n, &allowed) || cl_cpuset_empty(&allowed))
		allowed = topology->affinity;
	cl_cpuset_and(&allowed, &topology->online);
	snap->allowed = cl_snapshot_mask(snap, &allowed);
}

int cl_topology_new(struct cl_topology **ret_topology, struct cl_error *reterr)
{
	struct cl_topology *topology = calloc(1, sizeof(*topology));
	long cpus = sysconf(_SC_NPROCESSORS_CONF), unit = sysconf(_SC_CLK_TCK);

	if (!topology)
		return cl_fail(reterr, ENOMEM, "topology: out of memory");
	topology->cpuset_fd = -1;
	for (uint32_t node = 0; node < CL_NODES_MAX; node++)
		topology->meminfo_fd[node] = -1;
	topology->unit_ns = CL_NS_PER_S / (unit > 0 ? (uint64_t)unit : 100);
	topology->stat_size = ((cpus > 0 ? (size_t)cpus : CL_CPUS_MAX) + 2) * CPU_LINE_MAX;
	topology->stat_text = malloc(topology->stat_size);
	topology->stat_fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
	topology->memory_fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	topology->cpu_stall_fd = open("/proc/pressure/cpu", O_RDONLY | O_CLOEXEC);
	topology->mem_stall_fd = open("/proc/pressure/memory", O_RDONLY | O_CLOEXEC);
	/* The first process': a fence of masks leaves it alone, and we may be inside one. */
	if (sched_getaffinity(1, sizeof(topology->affinity),
			      (cpu_set_t *)(void *)&topology->affinity) < 0 &&
	    sched_getaffinity(0, sizeof(topology->affinity),
			      (cpu_set_t *)(void *)&topology->affinity) < 0)
		memset(&topology->affinity, 0xff, sizeof(topology->affinity));
	int r = 0;

	if (!topology->stat_text)
		r = cl_fail(reterr, ENOMEM, "topology: out of memory");
	else if (topology->stat_fd < 0)
		r = cl_fail(reterr, errno, "opening /proc/stat: %s; is /proc mounted?",
			    strerror(errno));
	if (r == 0)
		r = read_stat(topology, reterr);
	if (r == 0)
		r = check_online(topology, reterr);
	if (r < 0) {
		cl_topology_free(topology);
		return r;
	}
	*ret_topology = topology;
	return 0;
}

void cl_topology_free(struct cl_topology *topology)
{
	if (!topology)
		return;
	const int fds[] = { topology->stat_fd, topology->memory_fd, topology->cpu_stall_fd,
			    topology->mem_stall_fd };

	close_files(topology);
	for (size_t i = 0; i < CL_COUNT(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(topology->stat_text);
	free(topology);
}

int cl_topology_observe(struct cl_topology *topology, struct cl_snapshot *snap,
			struct cl_error *reterr)
{
	int r = read_stat(topology, reterr);

	if (r == 0)
		r = check_online(topology, reterr);
	if (r < 0)
		return r;
	uint64_t now_ns = cl_clock_ns();

	add_cpus(topology, snap);
	add_nodes(topology, snap);
	add_memory(topology, snap);
	set_allowed(topology, snap);
	snap->part_ns[CL_PART_TOPOLOGY] = now_ns;
	snap->part_ns[CL_PART_CPU] = now_ns;
	snap->part_ns[CL_PART_MEMORY] = now_ns;
	return 0;
}
