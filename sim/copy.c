/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory on its way out of the host, or into it.
 *
 *   guest's pages -> helper maps and copies a batch -> socket or page cache -> line or disk
 *
 * The helper is a task of dom0: where it runs decides whether the pages are near or far. It waits
 * while its buffer is full. Pre-copy: all pages, then those that were written meanwhile, until they
 * are few or it was tried often enough; then the guest stands still for what is left.
 *
 * Left out: who receives is never slower than the line; log-dirty mode costs the guest nothing.
 */
#include "manage_op.h"

#include <errno.h>

#define BATCH_PAGES 1024u                /* MAX_BATCH_SIZE, xg_sr_common.h */
#define BUFFER      (UINT64_C(4) << 20)  /* net.ipv4.tcp_wmem's third figure; page cache: as much */
#define SEGMENT     (UINT32_C(64) << 10) /* GSO_MAX_SIZE */
#define WRITE       (UINT32_C(1) << 20)  /* to or from a disk at a time */
#define WRITES      4u                   /* of them at a time */
#define QUEUED_MS   1000u                /* TCP small queues: a 1000th of a second's bytes .. */
#define QUEUED_MIN  2u                   /* .. and at least two segments are below the socket */

static uint64_t sum(const struct sim_op *op)
{
	uint64_t bytes = 0;

	for (uint32_t node = 0; node < op->manager->world->node_count; node++)
		bytes += op->copy.left[node];
	return bytes;
}

static uint32_t most_left(const struct sim_op *op)
{
	uint32_t most = 0;

	for (uint32_t node = 1; node < op->manager->world->node_count; node++)
		if (op->copy.left[node] > op->copy.left[most])
			most = node;
	return most;
}

static void take_all(struct sim_op *op)
{
	for (uint32_t node = 0; node < op->manager->world->node_count; node++)
		op->copy.left[node] = op->guest->mem[node];
}

/* What the helper does for the next batch; its pages are of one node. */
static struct sim_burst next_batch(struct sim_op *op)
{
	const struct sim_costs *costs = &op->manager->world->costs;
	struct sim_copy *copy = &op->copy;
	uint64_t pages, pieces, each = costs->disk_driver_ns;

	copy->node = most_left(op);
	copy->batch = BATCH_PAGES * SIM_PAGE;
	if (copy->left[copy->node] < copy->batch)
		copy->batch = copy->left[copy->node];
	pages = (copy->batch + SIM_PAGE - 1) / SIM_PAGE;
	pieces = (copy->batch + copy->piece - 1) / copy->piece;
	if (copy->nic)
		each = costs->stack_ns + costs->bridge_ns + costs->nic_ns;
	return (struct sim_burst){ pages * costs->page_ns + pieces * each, copy->batch, CL_NONE,
				   CL_NONE };
}

/* ---- the line, the disk ---- */

static void sent(struct sim_op *op);
static void read_in(struct sim_op *op, uint32_t bytes);

static void carried(struct sim_carry *carry)
{
	struct sim_op *op = carry->op;
	uint32_t bytes = carry->bytes;

	carry->busy = false;
	if (!sim_op_back(op))
		return;
	op->copy.on_way -= bytes;
	if (op->order.kind == SIM_OP_RESTORE) {
		read_in(op, bytes);
		return;
	}
	op->copy.buffered -= bytes;
	sent(op);
}

static void packet_over(struct sim_world *world, struct sim_flow *flow, struct sim_packet *packet)
{
	carried(sim_of(packet, struct sim_carry, packet));
}

static void request_over(struct sim_world *world, struct sim_request *request)
{
	carried(sim_of(request, struct sim_carry, request));
}

static void submit(struct sim_op *op, struct sim_carry *carry, uint64_t bytes)
{
	struct sim_copy *copy = &op->copy;

	carry->op = op;
	carry->bytes = (uint32_t)bytes;
	carry->busy = true;
	copy->on_way += bytes;
	op->under_way++;
	if (copy->nic) {
		carry->packet = (struct sim_packet){ .flow = &copy->flow,
						     .bytes = carry->bytes,
						     .born_ns = op->manager->world->queue.now_ns };
		sim_nic_transmit(copy->nic, &carry->packet);
		return;
	}
	carry->request = (struct sim_request){ .bytes = carry->bytes,
					       .write = op->order.kind == SIM_OP_SAVE,
					       .sector = copy->sector,
					       .done = request_over };
	copy->sector += (bytes + 511) / 512;
	sim_disk_submit(copy->disk, &carry->request);
}

static struct sim_carry *idle_carry(struct sim_copy *copy)
{
	for (uint32_t i = 0; i < copy->carry_count; i++)
		if (!copy->carries[i].busy)
			return &copy->carries[i];
	return NULL;
}

static void use_nic(struct sim_copy *copy, struct sim_nic *nic)
{
	uint64_t segments = nic->rate / QUEUED_MS / SEGMENT;

	copy->nic = nic;
	copy->piece = SEGMENT;
	copy->flow.arrived = packet_over;
	copy->carry_count = segments < QUEUED_MIN       ? QUEUED_MIN
			    : segments > SIM_CARRY_MOST ? SIM_CARRY_MOST
							: (uint32_t)segments;
}

/* The file lies where no other's is: what lies before it is not this run's. */
static void use_disk(struct sim_op *op, struct sim_disk *disk)
{
	op->copy.disk = disk;
	op->copy.piece = WRITE;
	op->copy.carry_count = WRITES;
	op->copy.sector = UINT64_C(1) << 60 | (uint64_t)op->guest->id << 40;
}

/* ---- out ---- */

static void send_next(struct sim_op *op);

static void pump(struct sim_op *op)
{
	struct sim_copy *copy = &op->copy;
	struct sim_carry *carry;

	while (copy->buffered > copy->on_way && (carry = idle_carry(copy))) {
		uint64_t bytes = copy->buffered - copy->on_way;

		submit(op, carry, bytes < copy->piece ? bytes : copy->piece);
	}
}

/* The last byte is over: here the guest is no more. */
static void over(struct sim_op *op)
{
	uint64_t now = op->manager->world->queue.now_ns;

	op->copy.closing = false;
	op->result.copied_ns = now - op->began_ns;
	op->result.standstill_ns = now - op->copy.stopped_ns;
	sim_op_destroy(op);
}

static void stand_still(struct sim_op *op)
{
	op->copy.stopped_ns = op->manager->world->queue.now_ns;
	op->copy.last = true;
	sim_domain_pause(op->manager->world, op->guest, true);
}

/* What was written since the round began, as far as it is known, where the guest's memory is. */
static void take_written(struct sim_op *op)
{
	const struct sim_domain *guest = op->guest;
	uint64_t pages = guest->dirty_writes - op->copy.seen_writes, all = sim_domain_bytes(guest);
	uint64_t bytes, rest;

	if (guest->dirty_set && pages > guest->dirty_set)
		pages = guest->dirty_set;
	bytes = rest = pages < all / SIM_PAGE ? pages * SIM_PAGE : all;
	op->copy.seen_writes = guest->dirty_writes;
	for (uint32_t node = 0; all && node < op->manager->world->node_count; node++) {
		op->copy.left[node] =
			(uint64_t)((unsigned __int128)bytes * guest->mem[node] / all) / SIM_PAGE *
			SIM_PAGE;
		rest -= op->copy.left[node];
	}
	op->copy.left[sim_domain_node(guest)] += rest;
}

static void round_over(struct sim_op *op)
{
	uint32_t most = op->order.rounds ? op->order.rounds : SIM_ROUNDS_MOST;

	if (op->copy.last) {
		op->copy.closing = true;
		if (op->copy.buffered == 0)
			over(op);
		return;
	}
	op->result.rounds++;
	take_written(op);
	if (sum(op) < SIM_FEW_PAGES * SIM_PAGE || op->result.rounds >= most)
		stand_still(op);
	send_next(op);
}

static void copied(struct sim_op *op)
{
	struct sim_copy *copy = &op->copy;

	copy->copying = false;
	copy->left[copy->node] -= copy->batch;
	copy->buffered += copy->batch;
	op->result.copied_bytes += copy->batch;
	pump(op);
	send_next(op);
}

static void send_next(struct sim_op *op)
{
	struct sim_copy *copy = &op->copy;
	struct sim_burst burst;

	/* It has not written the last batch before all of that is in the buffer. */
	copy->waiting = copy->buffered > BUFFER;
	if (copy->waiting)
		return;
	if (sum(op) == 0) {
		round_over(op);
		return;
	}
	burst = next_batch(op);
	burst.from = copy->node;
	if (copy->disk && copy->disk->in_memory)
		burst.to = copy->disk->node;
	copy->copying = true;
	sim_op_run(op, &burst, copied);
}

static void sent(struct sim_op *op)
{
	pump(op);
	if (op->copy.waiting && op->copy.buffered <= BUFFER)
		send_next(op);
	else if (op->copy.closing && op->copy.buffered == 0)
		over(op);
}

static int begin_send(struct sim_op *op, struct cl_error *reterr)
{
	if (!sim_op_task(op, op->manager->world->domains[0], "libxl-save-help"))
		return cl_fail(reterr, ENOMEM, "%s of %s: no memory", sim_op_name(op->order.kind),
			       op->guest->name);
	take_all(op);
	op->copy.seen_writes = op->guest->dirty_writes;
	if (op->order.kind == SIM_OP_SAVE || op->guest->paused)
		stand_still(op);
	send_next(op);
	return 0;
}

int sim_op_migrate(struct sim_op *op, struct cl_error *reterr)
{
	struct sim_nic *nic = op->order.nic ? op->order.nic : op->manager->nic;

	if (!nic)
		return cl_fail(reterr, ENODEV, "migrating %s: there is no line to another host",
			       op->guest->name);
	use_nic(&op->copy, nic);
	return begin_send(op, reterr);
}

int sim_op_save(struct sim_op *op, struct cl_error *reterr)
{
	struct sim_disk *disk = op->order.disk ? op->order.disk : op->manager->disk;

	if (!disk)
		return cl_fail(reterr, ENODEV, "saving %s: there is no disk to write it to",
			       op->guest->name);
	use_disk(op, disk);
	return begin_send(op, reterr);
}

/* ---- in ---- */

static void receive_next(struct sim_op *op);

static void read_more(struct sim_op *op)
{
	struct sim_copy *copy = &op->copy;
	struct sim_carry *carry;

	while (copy->to_read > 0 && copy->buffered + copy->on_way < 2 * BUFFER &&
	       (carry = idle_carry(copy))) {
		uint64_t bytes = copy->to_read < copy->piece ? copy->to_read : copy->piece;

		copy->to_read -= bytes;
		submit(op, carry, bytes);
	}
}

static void read_in(struct sim_op *op, uint32_t bytes)
{
	op->copy.buffered += bytes;
	read_more(op);
	receive_next(op);
}

static void put(struct sim_op *op)
{
	struct sim_copy *copy = &op->copy;

	copy->copying = false;
	copy->left[copy->node] -= copy->batch;
	copy->buffered -= copy->batch;
	op->result.copied_bytes += copy->batch;
	if (sum(op) == 0) {
		op->result.copied_ns = op->manager->world->queue.now_ns - op->began_ns;
		sim_domain_pause(op->manager->world, op->guest, false);
		sim_op_end(op, 0);
		return;
	}
	read_more(op);
	receive_next(op);
}

static void receive_next(struct sim_op *op)
{
	struct sim_copy *copy = &op->copy;
	struct sim_burst burst;

	if (copy->copying || sum(op) == 0)
		return;
	burst = next_batch(op);
	if (copy->buffered < copy->batch)
		return;
	burst.to = copy->node;
	if (copy->disk->in_memory)
		burst.from = copy->disk->node;
	copy->copying = true;
	sim_op_run(op, &burst, put);
}

/* The guest is built; now its pages. */
void sim_copy_receive(struct sim_op *op)
{
	use_disk(op, op->copy.disk);
	take_all(op);
	op->copy.to_read = sum(op);
	if (op->copy.to_read == 0) {
		sim_domain_pause(op->manager->world, op->guest, false);
		sim_op_end(op, 0);
		return;
	}
	read_more(op);
}
