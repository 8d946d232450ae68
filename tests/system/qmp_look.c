/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looks at a QEMU host and prints what it sees, one line a thing, for tests/system/qmp_hostile.sh
 * and for a look by hand.
 *
 *   qmp_look URI-ARG TICKS INTERVAL_MS
 *
 * Each tick: observe with half of the interval as deadline, then wait as the engine does. Lines:
 * "tick N took_ms guests described", and after the last: guest, vcpu, work, disk, nic, check, and
 * "rss_kb" (the most that this process had).
 */
#include "lib.h"
#include "qemu/qemu.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

static void say(void *ctx, const char *level, const char *text)
{
	printf("check %s %s\n", level, text);
}

static void show_guest(const struct cl_snapshot *snap, uint32_t i)
{
	const struct cl_guest *guest = &snap->guests[i];
	char uuid[CL_UUID_TEXT], name[256];

	cl_uuid_format(&guest->id, uuid);
	printf("guest %s name=%s pid=%d described=%d vcpus=%u works=%u known=%d home=%llx mem=%llu max=%llu "
	       "balloon=%lld\n",
	       uuid, cl_escape(cl_snapshot_str(snap, guest->name), name, sizeof(name)),
	       guest->process.tid, guest->described, guest->vcpu_count, guest->work_count,
	       guest->read_ns != 0, (unsigned long long)guest->home,
	       (unsigned long long)guest->mem_bytes, (unsigned long long)guest->mem_max_bytes,
	       (long long)guest->balloon_bytes);
	for (uint32_t j = 0; j < guest->vcpu_count; j++) {
		const struct cl_vcpu *vcpu = &snap->vcpus[guest->vcpu_first + j];

		printf("vcpu %d.%u tid=%d cpu_ns=%llu\n", guest->process.tid, vcpu->index,
		       vcpu->thread.tid, (unsigned long long)vcpu->cpu_ns);
	}
	for (uint32_t j = 0; j < guest->work_count; j++) {
		const struct cl_work *work = &snap->works[guest->work_first + j];

		printf("work %d kind=%s tid=%d name=%s\n", guest->process.tid,
		       cl_work_kind_name(work->kind), work->thread.tid,
		       cl_escape(work->name, name, sizeof(name)));
	}
}

static void show(const struct cl_snapshot *snap)
{
	char name[256];

	for (uint32_t i = 0; i < snap->n.guests; i++)
		show_guest(snap, i);
	for (uint32_t i = 0; i < snap->n.disks; i++) {
		const struct cl_disk *disk = &snap->disks[i];

		printf("disk %s rd=%llu/%llu wr=%llu/%llu\n",
		       cl_escape(cl_snapshot_str(snap, disk->name), name, sizeof(name)),
		       (unsigned long long)disk->rd_ops, (unsigned long long)disk->rd_bytes,
		       (unsigned long long)disk->wr_ops, (unsigned long long)disk->wr_bytes);
	}
	for (uint32_t i = 0; i < snap->n.nics; i++) {
		const struct cl_nic *nic = &snap->nics[i];

		printf("nic %s rx=%llu/%llu tx=%llu/%llu\n",
		       cl_escape(cl_snapshot_str(snap, nic->name), name, sizeof(name)),
		       (unsigned long long)nic->rx_packets, (unsigned long long)nic->rx_bytes,
		       (unsigned long long)nic->tx_packets, (unsigned long long)nic->tx_bytes);
	}
	for (uint32_t i = 0; i < CL_CAN_COUNT; i++)
		printf("can %s %u %s\n", cl_can_name(i), snap->can >> i & 1u,
		       cl_snapshot_str(snap, snap->why_not[i]));
}

static int look(struct cl_host *host, uint64_t ticks, uint64_t interval_ns,
		struct cl_snapshot *snap, struct cl_error *err)
{
	static const char *const wakes[] = { "timer", "event", "signal", "end" };
	enum cl_wake why;

	for (uint64_t i = 0; i < ticks; i++) {
		uint64_t begun = cl_clock_ns(), took;
		uint32_t described = 0;
		enum cl_snapshot_fault fault;
		int r = host->ops->observe(host, begun + interval_ns / 2, snap, err);

		took = cl_clock_ns() - begun;
		if (r < 0)
			return r;
		fault = cl_snapshot_check(NULL, snap);
		for (uint32_t j = 0; j < snap->n.guests; j++)
			described += snap->guests[j].described;
		printf("tick %llu took_ms=%.1f guests=%u described=%u vcpus=%u works=%u fault=%s\n",
		       (unsigned long long)i, (double)took / 1e6, snap->n.guests, described,
		       snap->n.vcpus, snap->n.works, cl_snapshot_fault_text(fault));
		fflush(stdout);
		if (fault != CL_SNAPSHOT_NONE)
			return cl_fail(err, EBADMSG, "the snapshot is not sound: %s",
				       cl_snapshot_fault_text(fault));
		if (i + 1 == ticks)
			break;
		r = host->ops->wait(host, begun + interval_ns, -1, &why, err);
		if (r < 0)
			return r;
		printf("wake %s after_ms=%.0f\n", wakes[why],
		       (double)(cl_clock_ns() - begun) / 1e6);
	}
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t ticks = 0, interval_ms = 0;
	struct cl_snapshot *snap = cl_snapshot_new(&cl_limits_default);
	struct cl_host *host = NULL;
	struct cl_error err = { 0 };
	struct rusage usage;
	int r;

	if (argc != 4 || !cl_parse_u64(argv[2], &ticks, NULL) ||
	    !cl_parse_u64(argv[3], &interval_ms, NULL) || !snap) {
		fprintf(stderr, "usage: qmp_look URI-ARG TICKS INTERVAL_MS\n");
		return 2;
	}
	r = cl_host_qemu.open(argv[1], &host, &err);
	if (r == 0)
		r = look(host, ticks, interval_ms * CL_NS_PER_MS, snap, &err);
	if (r < 0) {
		fprintf(stderr, "qmp_look: %s\n", err.text);
		cl_host_qemu.close(host);
		cl_snapshot_free(snap);
		return 1;
	}
	show(snap);
	host->ops->check(host, say, NULL);
	getrusage(RUSAGE_SELF, &usage);
	printf("rss_kb %ld\n", usage.ru_maxrss);
	host->ops->close(host);
	cl_snapshot_free(snap);
	return 0;
}
