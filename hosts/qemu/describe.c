/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Replies of a monitor -> facts. Each reply is checked against what QEMU's schema says (its qapi
 * folder). */
#include "describe.h"

#include "lib.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

void cl_qemu_facts_init(struct cl_qemu_facts *ret_facts)
{
	*ret_facts = (struct cl_qemu_facts){ .mem_bytes = CL_UNKNOWN, .balloon_bytes = CL_UNKNOWN };
}

void cl_qemu_facts_done(struct cl_qemu_facts *facts)
{
	free(facts->vcpus);
	free(facts->iothreads);
	free(facts->disks);
	cl_qemu_facts_init(facts);
}

/* A member that is a number >= 0; false: absent or anything else. */
static bool get_u64(const json_t *object, const char *key, uint64_t *ret_value)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return false;
	*ret_value = (uint64_t)json_integer_value(value);
	return true;
}

static bool get_tid(const json_t *object, int32_t *ret_tid)
{
	uint64_t tid;

	if (!get_u64(object, "thread-id", &tid) || tid == 0 || tid > INT32_MAX)
		return false;
	*ret_tid = (int32_t)tid;
	return true;
}

/* An array of objects with at most `most` of them, and room for their entries. */
static int get_array(const json_t *reply, enum cl_qmp_query query, size_t most, size_t entry,
		     void **ret_entries, struct cl_error *reterr)
{
	const char *name = cl_qmp_query_name(query);
	size_t n = json_array_size(reply);

	if (!json_is_array(reply))
		return cl_fail(reterr, EBADMSG, "its answer to %s is no list", name);
	if (n > most)
		return cl_fail(reterr, EBADMSG, "its answer to %s has %zu entries, more than %zu",
			       name, n, most);
	for (size_t i = 0; i < n; i++)
		if (!json_is_object(json_array_get(reply, i)))
			return cl_fail(reterr, EBADMSG,
				       "its answer to %s has an entry that is no object", name);
	*ret_entries = calloc(n + 1, entry);
	return *ret_entries ? 0 : cl_fail(reterr, ENOMEM, "no memory for the answer to %s", name);
}

static int compare_index(const void *a, const void *b)
{
	const struct cl_qemu_thread *x = a, *y = b;

	return (x->index > y->index) - (x->index < y->index);
}

static int compare_tid(const void *a, const void *b)
{
	const struct cl_qemu_thread *x = a, *y = b;

	return (x->tid > y->tid) - (x->tid < y->tid);
}

/* By tid and then index: of two vCPUs on one thread (TCG, thread=single) the first is the one. */
static int compare_both(const void *a, const void *b)
{
	int r = compare_tid(a, b);

	return r ? r : compare_index(a, b);
}

/* Sorts by tid, for the search, and leaves one entry a thread. */
static uint32_t settle(struct cl_qemu_thread *threads, size_t n)
{
	uint32_t kept = 0;

	if (n > 1)
		qsort(threads, n, sizeof(*threads), compare_both);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || threads[kept - 1].tid != threads[i].tid)
			threads[kept++] = threads[i];
	return kept;
}

static int take_vcpus(struct cl_qemu_facts *facts, const json_t *reply, struct cl_error *reterr)
{
	cl_autofree struct cl_qemu_thread *vcpus = NULL;
	size_t n = json_array_size(reply);
	int r = get_array(reply, CL_QMP_CPUS, CL_QEMU_VCPUS_MAX, sizeof(*vcpus), (void **)&vcpus,
			  reterr);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		const json_t *cpu = json_array_get(reply, i);
		uint64_t index;

		if (!get_u64(cpu, "cpu-index", &index) || index >= CL_QEMU_VCPUS_MAX ||
		    !get_tid(cpu, &vcpus[i].tid))
			return cl_fail(
				reterr, EBADMSG,
				"its answer to query-cpus-fast has an index or a thread id that is none");
		vcpus[i].index = (uint32_t)index;
	}
	qsort(vcpus, n, sizeof(*vcpus), compare_index);
	for (size_t i = 1; i < n; i++)
		if (vcpus[i - 1].index == vcpus[i].index)
			return cl_fail(reterr, EBADMSG,
				       "its answer to query-cpus-fast has vCPU %u twice",
				       vcpus[i].index);
	free(facts->vcpus);
	facts->vcpus = vcpus;
	facts->vcpu_count = settle(vcpus, n);
	vcpus = NULL;
	return 0;
}

static int take_iothreads(struct cl_qemu_facts *facts, const json_t *reply, struct cl_error *reterr)
{
	cl_autofree struct cl_qemu_thread *threads = NULL;
	size_t n = json_array_size(reply);
	int r = get_array(reply, CL_QMP_IOTHREADS, CL_QEMU_IOTHREADS_MAX, sizeof(*threads),
			  (void **)&threads, reterr);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		threads[i].index = (uint32_t)i;
		if (!get_tid(json_array_get(reply, i), &threads[i].tid))
			return cl_fail(
				reterr, EBADMSG,
				"its answer to query-iothreads has a thread id that is none");
	}
	free(facts->iothreads);
	facts->iothreads = threads;
	facts->iothread_count = settle(threads, n);
	threads = NULL;
	return 0;
}

/*
 * -drive id=d0 gives "device": "d0". -blockdev and -device give no "device" but a "qdev": an id, or
 * the path
 * "/machine/peripheral/ID/virtio-backend", of which the id is what the operator wrote.
 */
static void name_disk(const json_t *disk, char *ret_name, size_t size)
{
	static const char peripheral[] = "/machine/peripheral/";
	const char *device = json_string_value(json_object_get(disk, "device"));
	const char *qdev = json_string_value(json_object_get(disk, "qdev"));
	const char *node = json_string_value(json_object_get(disk, "node-name"));
	const char *name = device && *device ? device : qdev && *qdev ? qdev : node ? node : "";
	size_t len;

	if (strncmp(name, peripheral, sizeof(peripheral) - 1) == 0)
		name += sizeof(peripheral) - 1;
	len = strcspn(name, name[0] == '/' ? "" : "/");
	snprintf(ret_name, size, "%.*s", (int)(len < size ? len : size - 1), name);
}

static int take_disks(struct cl_qemu_facts *facts, const json_t *reply, struct cl_error *reterr)
{
	cl_autofree struct cl_qemu_disk *disks = NULL;
	size_t n = json_array_size(reply);
	int r = get_array(reply, CL_QMP_BLOCKSTATS, CL_QMP_VALUES_MAX, sizeof(*disks),
			  (void **)&disks, reterr);
	uint32_t kept = 0;

	if (r < 0)
		return r;
	for (size_t i = 0; i < n && kept < CL_QEMU_DISKS_MAX; i++) {
		const json_t *disk = json_array_get(reply, i),
			     *stats = json_object_get(disk, "stats");
		struct cl_qemu_disk *entry = &disks[kept];

		if (!get_u64(stats, "rd_operations", &entry->rd_ops) ||
		    !get_u64(stats, "rd_bytes", &entry->rd_bytes) ||
		    !get_u64(stats, "wr_operations", &entry->wr_ops) ||
		    !get_u64(stats, "wr_bytes", &entry->wr_bytes))
			return cl_fail(reterr, EBADMSG,
				       "its answer to query-blockstats has no counters");
		name_disk(disk, entry->name, sizeof(entry->name));
		kept++;
	}
	free(facts->disks);
	facts->disks = disks;
	facts->disk_count = kept;
	disks = NULL;
	return 0;
}

static int take_uuid(struct cl_qemu_facts *facts, const json_t *reply, struct cl_error *reterr)
{
	const char *text = json_string_value(json_object_get(reply, "UUID"));

	if (!text || !cl_uuid_parse(text, &facts->uuid))
		return cl_fail(reterr, EBADMSG, "its answer to query-uuid is no uuid");
	facts->has_uuid = !cl_qemu_uuid_is_zero(&facts->uuid);
	return 0;
}

static int take_memory(struct cl_qemu_facts *facts, const json_t *reply, struct cl_error *reterr)
{
	uint64_t base, plugged = 0;

	if (!get_u64(reply, "base-memory", &base))
		return cl_fail(reterr, EBADMSG,
			       "its answer to query-memory-size-summary has no size");
	get_u64(reply, "plugged-memory", &plugged);
	facts->mem_bytes = base + plugged; /* both below 2^63 */
	return 0;
}

static int take_status(struct cl_qemu_facts *facts, const json_t *reply, struct cl_error *reterr)
{
	const json_t *running = json_object_get(reply, "running");

	if (!json_is_boolean(running))
		return cl_fail(reterr, EBADMSG,
			       "its answer to query-status does not say whether it runs");
	facts->stopped = !json_is_true(running);
	return 0;
}

static void take_migration(struct cl_qemu_facts *facts, const json_t *reply)
{
	static const char *const under_way[] = { "setup",          "active", "postcopy-active",
						 "pre-switchover", "device", "wait-unplug" };
	const char *status = json_string_value(json_object_get(reply, "status"));

	facts->migrating = false;
	for (size_t i = 0; status && i < CL_COUNT(under_way); i++)
		facts->migrating |= strcmp(status, under_way[i]) == 0;
}

int cl_qemu_facts_take(struct cl_qemu_facts *facts, enum cl_qmp_query query, const json_t *reply,
		       struct cl_error *reterr)
{
	const char *text;

	switch (query) {
	case CL_QMP_NAME:
		text = json_string_value(json_object_get(reply, "name"));
		snprintf(facts->name, sizeof(facts->name), "%s", text ? text : "");
		return 0;
	case CL_QMP_UUID:
		return take_uuid(facts, reply, reterr);
	case CL_QMP_CPUS:
		return take_vcpus(facts, reply, reterr);
	case CL_QMP_IOTHREADS:
		return take_iothreads(facts, reply, reterr);
	case CL_QMP_MEMORY:
		return take_memory(facts, reply, reterr);
	case CL_QMP_BALLOON:
		return get_u64(reply, "actual", &facts->balloon_bytes)
			       ? 0
			       : cl_fail(reterr, EBADMSG,
					 "its answer to query-balloon has no size");
	case CL_QMP_BLOCKSTATS:
		return take_disks(facts, reply, reterr);
	case CL_QMP_STATUS:
		return take_status(facts, reply, reterr);
	case CL_QMP_MIGRATE:
		take_migration(facts, reply);
		return 0;
	case CL_QMP_QUERY_COUNT:
		break;
	}
	assert(!"a query that is none");
	return -EINVAL;
}

static const struct cl_qemu_thread *find(const struct cl_qemu_thread *threads, uint32_t n,
					 int32_t tid)
{
	struct cl_qemu_thread key = { .tid = tid };

	return n > 0 ? bsearch(&key, threads, n, sizeof(key), compare_tid) : NULL;
}

const struct cl_qemu_thread *cl_qemu_facts_vcpu(const struct cl_qemu_facts *facts, int32_t tid)
{
	return find(facts->vcpus, facts->vcpu_count, tid);
}

bool cl_qemu_facts_iothread(const struct cl_qemu_facts *facts, int32_t tid)
{
	return find(facts->iothreads, facts->iothread_count, tid) != NULL;
}

static uint32_t confine(struct cl_qemu_thread *threads, uint32_t *n,
			bool (*is_own)(void *ctx, int32_t tid), void *ctx)
{
	uint32_t kept = 0, had = *n;

	for (uint32_t i = 0; i < had; i++)
		if (is_own(ctx, threads[i].tid))
			threads[kept++] = threads[i];
	*n = kept;
	return had - kept;
}

uint32_t cl_qemu_facts_confine(struct cl_qemu_facts *facts, bool (*is_own)(void *ctx, int32_t tid),
			       void *ctx)
{
	return confine(facts->vcpus, &facts->vcpu_count, is_own, ctx) +
	       confine(facts->iothreads, &facts->iothread_count, is_own, ctx);
}
