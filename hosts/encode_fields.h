/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * encode_fields: what a recording holds of each public struct, each field once, in the struct's
 * order: F(type, member). Encoder, decoder, digest and schema are made from these tables by
 * encode.c, where a field that was added to a struct and forgotten here does not compile. After a
 * change here: raise CL_RECORD_VERSION.
 *
 * Types: u64 u32 i64 bool uuid tid; ix: an index struct; text: an offset of interned text; time:
 * a u64 written relative to the snapshot's; u64s u32s: an array of fixed size; chars: text in
 * place; cpuset; kind, action: bounded enumerations; enum: others; derived: not written, made
 * anew by the reader; struct types by their own name.
 */
#ifndef CLOSER_ENCODE_FIELDS_H
#define CLOSER_ENCODE_FIELDS_H

/* clang-format off */

/* ---- snapshot: one table for each of CL_ARRAYS ---- */
#define FIELDS_cpus(F) \
	F(bool, online) \
	F(ix, node) \
	F(u32, core) \
	F(u64, busy_ns) \
	F(u64, irq_ns) F(u64, idle_ns) F(u64, steal_ns) F(u64, main_ns) F(u64, kernel_ns) \
	F(u64, overhead_ns) F(u32, pcpu) F(ix, pins)
#define FIELDS_nodes(F)  F(u64, mem_total_bytes) F(u64, mem_free_bytes) F(u32s, distance)
#define FIELDS_masks(F)  F(cpuset, set) F(derived, hash)
#define FIELDS_groups(F) F(text, path) F(ix, cpus) F(bool, ours) F(bool, fenced) F(uuid, guest)
#define FIELDS_guests(F) \
	F(uuid, id) \
	F(text, name) \
	F(tid, process) \
	F(u64, home) \
	F(ix, home_most) \
	F(u64, reaped_ns) F(u64, shared_ns) F(u64, wakeup_ns) F(u64, mem_bytes) F(u64, mem_max_bytes) F(u64, balloon_bytes) F(u64, target_bytes) F(u64, used_bytes) \
	F(time, read_ns) F(u32, domid) F(u32, pool) F(u32, driver) F(u64, weight) F(u64, cap) \
	F(u64, period_ns) F(u64, budget_ns) F(u32, vcpu_first) F(u32, vcpu_count) F(u32, work_first) \
	F(u32, work_count) F(bool, described)
#define FIELDS_vcpus(F) \
	F(ix, guest) \
	F(u32, index) \
	F(tid, thread) F(ix, cpu) F(ix, mask) F(ix, pcpus) F(ix, soft) F(ix, group) F(u64, cpu_ns) \
	F(u64, wait_ns)
#define FIELDS_works(F) \
	F(ix, guest) \
	F(kind, kind) \
	F(tid, thread) \
	F(chars, name) \
	F(u32, queue_vcpu) \
	F(ix, cpu) F(ix, mask) F(ix, group) F(u64, cpu_ns) F(u64, wait_ns) F(time, read_ns) \
	F(bool, bound)
#define FIELDS_runs(F) F(ix, work) F(ix, cpu) F(u64, ns)
#define FIELDS_nics(F) \
	F(ix, guest) \
	F(text, name) F(u32, handle) F(u32, threaded) F(u64, rx_packets) F(u64, rx_bytes) F(u64, tx_packets) F(u64, tx_bytes)
#define FIELDS_disks(F) \
	F(ix, guest) F(text, name) F(u64, device) F(u64, rd_ops) F(u64, rd_bytes) F(u64, wr_ops) F(u64, wr_bytes)
#define FIELDS_irqs(F) \
	F(u32, number) \
	F(ix, guest) F(u32, queue_vcpu) F(text, name) F(ix, mask) F(u64, count) F(ix, cpu) F(u64, cpu_ns)
#define FIELDS_pools(F) \
	F(u32, id) F(text, scheduler) F(ix, pcpus) F(u64, slice_ns) F(u64, ratelimit_ns)

/* How many there are of each, and of text. */
#define LIMITS(X) CL_ARRAYS(X) X(text, char)

/* Its own members, less memory and counts, which are written by hand. */
#define FIELDS_snapshot(F) \
	F(times, part_ns) F(u32, can) F(texts, why_not) F(bool, guests_outside) F(ix, allowed) \
	F(ix, pool) F(memory, memory)
#define FIELDS_memory(F) \
	F(u64, bytes) \
	F(u64, target_bytes) F(u64, max_bytes) F(u64, claimed_bytes) F(u64, total_bytes) \
	F(u64, available_bytes) F(u64, cpu_stall_ns) F(u64, mem_stall_ns)

/* ---- state: its arrays, X(member, type) ---- */
#define STATE_ARRAYS(X) \
	X(guests, struct cl_state_guest) \
	X(vcpus, struct cl_state_vcpu) \
	X(works, struct cl_state_work) X(irqs, struct cl_state_irq) X(cpus, struct cl_state_cpu)
#define FIELDS_backoff(F)      F(u64, retry_ns) F(u64, refused)
#define FIELDS_state_guests(F) \
	F(uuid, id) \
	F(backoff, groups) F(backoff, nics) F(u64, seen_ns) F(u64s, given) F(state_guard, guard)
#define FIELDS_state_throttle(F) \
	F(u32, kind) F(u32, foreign) F(u64, key) F(u64, set) F(u64, set_ns) F(backoff, backoff)
#define FIELDS_state_guard(F) \
	F(u64, life) \
	F(u64, window) \
	F(u64, held_ns) F(u64, took) F(u64, below_ns) F(u64, above_ns) F(u32, stage) F(u32, pad) \
	F(throttles, throttles)
#define FIELDS_state_vcpus(F) \
	F(uuid, guest) \
	F(u32, index) \
	F(u32, cpu) F(u64, residency) F(u64, load) F(u64, retry_ns) F(u32, refused) F(u32, newborn) \
	F(u32, domid) F(u32, foreign) F(u64, pcpus_hash)
#define FIELDS_state_cpus(F) F(backoff, pin) F(u64, pins_hash) F(u64, foreign)
#define FIELDS_ledger(F) \
	F(u64, charged_ns) F(u64, repaid_ns) F(u64, owed_ns) F(u64, written_off_ns)
#define FIELDS_state_ledgers(F) \
	F(uuid, id) \
	F(ledger, ledger) F(u64, seen_ns) F(u64, domid) F(u64s, contract) F(u64s, set) \
	F(backoff, levers)
#define FIELDS_state_memories(F) \
	F(uuid, id) \
	F(u64, seen_ns) F(u64, domid) F(u64, contract) F(u64, set) F(u64, full) F(u64, mem) F(u64, level) \
	F(u64, below_ns) F(u64, below_level) F(u64, moved_ns) F(backoff, setting) F(backoff, claims) \
	F(u64, taken) F(u64, lent) F(u64, lent_set) F(u64, active) F(u64, stepped_ns) F(curve, curve)
#define FIELDS_curve(F) F(u64s, count) F(u64s, sum) F(u64s, squares)
#define FIELDS_state_works(F) \
	F(uuid, guest) \
	F(tid, thread) \
	F(u64, mask_hash) \
	F(u64, load) \
	F(u64, wait) \
	F(u64, moved_ns) F(u64, retry_ns) F(u32, refused) F(u32, follow) F(u32, target_cpu) \
	F(u32, adopted) F(u32, foreign) F(u32, crowded) F(u32, newborn) F(u32, pad)
#define FIELDS_state_irqs(F) \
	F(u32, number) \
	F(u32, foreign) \
	F(u64, mask_hash) F(u64, moved_ns) F(u64, retry_ns) F(u32, refused) F(u32, adopted)

/* ---- plan: digest only, but for objects, which outcomes name ---- */
#define FIELDS_why(F)       F(enum, code) F(u64s, number)
#define FIELDS_group_ref(F) F(tag, tag) F(ix, seen) F(uuid, guest) F(ix, node)
#define FIELDS_value(F) \
	F(enum, tag) F(i64, number) F(u64, period_ns) F(ix, mask) F(group_ref, group)
#define FIELDS_object(F) \
	F(tid, thread) \
	F(u32, irq) F(group_ref, group) F(u32, cpu) F(ix, nic) F(u64, key) F(ix, vcpu) F(ix, guest)
#define FIELDS_action(F) \
	F(action, kind) \
	F(object, object) F(value, from) F(value, to) F(why, why) F(bool, possible) F(bool, first)
#define FIELDS_verdict(F)    F(why, placed) F(why, left) F(enum, follow) F(ix, target)
#define FIELDS_work_books(F) F(u64, run_ns) F(u64, main_ns) F(u64, far_ns)
#define FIELDS_charge_books(F) \
	F(u64, charged_ns) \
	F(u64, repaid_ns) F(u64, entitled_ns) F(ledger, ledger) F(enum, lever) F(u64, contract) \
	F(why, why)
#define FIELDS_size_books(F) \
	F(u64, io) F(u64, contract) F(u64, level) F(u64, asked) F(u64, given) F(u64, held) \
	F(u64, ahead) F(why, why)
#define FIELDS_memory_books(F) \
	F(u64, domains) \
	F(u64, free) F(i64, drift) F(u64, flight) F(u64, asked) F(u64, given) F(u64, held) \
	F(u64, ahead) F(u64, contract) F(why, why) F(u64, pressure) F(u64, admit_free) F(u64, admit_idle) F(u64, admit_floor)
#define FIELDS_overcommit_books(F) \
	F(u64, told) \
	F(u64, active) F(u64, need) F(u64, lose) F(u64, taken) F(u64, lent) F(u64, price) \
	F(u64, cpu_spare) F(why, why)
#define FIELDS_write_off(F)  F(uuid, guest) F(ledger, ledger) F(u64, ns)
#define FIELDS_guest_books(F) \
	F(u64, guest_ns) \
	F(u64, host_ns) \
	F(u64s, kind_ns) F(u64, main_ns) F(u64, far_ns) F(u64, sent) F(u64, received) F(u64, requests) F(u64, moved) F(u64, weighed_ns) F(u64, newborn_ns) F(bool, counted) \
	F(charge_books, charge) F(size_books, size) F(overcommit_books, overcommit) \
	F(u64, limit) F(u64, used) F(why, guard)
#define FIELDS_books(F) \
	F(u64, span_ns) \
	F(u64, busy_ns) \
	F(u64, guest_ns) \
	F(u64, host_ns) \
	F(u64, main_part_ns) \
	F(u64, far_part_ns) F(u64, main_ns) F(u64, unattributed_ns) F(u64, overhead_ns) F(i64, gap_ns) \
	F(bool, estimated) F(u64, charged_ns) F(u64, repaid_ns) F(u64, owed_ns) \
	F(u64, written_off_ns) F(bool, main_measured) F(memory_books, memory)

/* ---- the recording's own ---- */
#define FIELDS_edit(F) \
	F(u32, edit) F(uuid, guest) F(tid, thread) F(u32, number) F(u32, domid) F(u64, mask_hash) \
	F(u64, contract) F(ledger, ledger) \
	F(u64, key) F(u64, set) F(u64, since_ns)
#define FIELDS_outcome(F) \
	F(u32, index) F(u32, code) F(u64, now_ns) F(action, kind) F(object, object)

#endif
