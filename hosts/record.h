/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * record: what a closer saw, was told and did, in one file; replay: the same core on it,
 * elsewhere, later.
 *
 *   engine -> writer: params, state, { edits, snapshot, plan digest, outcomes }* -> file
 *   file -> reader -> replay
 *
 * Format: magic "closer-recording", version, then frames {type, lengths, XXH64, payload}, zstd
 * per frame; payloads are varints field by field from tables, so the file does not depend on the
 * compiler or the machine. A torn last frame ends the recording (said); anything else that is
 * wrong is an error with its offset. See encode.h.
 */
#ifndef CLOSER_RECORD_H
#define CLOSER_RECORD_H

#include <closer/host.h>
#include <closer/state.h>

struct cl_recorder;

/*
 * Makes or empties the file (0600). cap: the limits of the host's snapshots, of plan and state;
 * state: as it is before the first edit and tick. Everything is copied.
 */
int cl_recorder_open(const char *path, const char *host_uri, const struct cl_limits *cap,
		     const struct cl_params *params, const struct cl_state *state,
		     struct cl_recorder **ret_recorder, struct cl_error *reterr);
/*
 * What was told to the state between ticks: the arguments of cl_state_own_* and cl_state_adopt_*;
 * what one does not take is ignored.
 */
enum cl_edit {
	CL_EDIT_OWN_THREAD,
	CL_EDIT_OWN_IRQ,
	CL_EDIT_ADOPT_THREAD,
	CL_EDIT_ADOPT_IRQ,
	CL_EDIT_OWN_CPU,
	CL_EDIT_OWN_VCPU,
	CL_EDIT_OWN_FENCE,
	CL_EDIT_OWN_LEVER,  /* number: enum cl_lever; mask_hash: what closer set */
	CL_EDIT_OWN_LEDGER, /* mask_hash: when it was last seen */
	CL_EDIT_OWN_THROTTLE,
	CL_EDIT_OWN_MEMORY, /* mask_hash: what closer set */
};
struct cl_record_edit {
	uint32_t edit; /* enum cl_edit */
	struct cl_uuid guest;
	struct cl_tid thread;
	uint32_t number; /* of the interrupt or vCPU; a throttle's kind */
	uint32_t domid;
	uint64_t mask_hash;
	uint64_t contract;           /* OWN_LEVER, OWN_MEMORY */
	struct cl_ledger ledger;     /* OWN_LEDGER */
	uint64_t key, set, since_ns; /* of a throttle */
};
/* Tells it, live as in a replay; false: the state does not know the object, or is full. */
bool cl_record_tell(struct cl_state *state, const struct cl_record_edit *edit);
int cl_recorder_edit(struct cl_recorder *recorder, const struct cl_record_edit *edit,
		     struct cl_error *reterr);
/*
 * The snapshot that core decided on and what it decided. The actions' objects are copied, for
 * outcomes.
 */
int cl_recorder_tick(struct cl_recorder *recorder, const struct cl_snapshot *now,
		     const struct cl_plan *plan, struct cl_error *reterr);
/*
 * Outcome of action number `index` of the last tick's plan, at now_ns: the arguments of
 * cl_state_outcome. Written with what comes next.
 */
int cl_recorder_outcome(struct cl_recorder *recorder, uint32_t index, int code, uint64_t now_ns,
			struct cl_error *reterr);
/*
 * After a failure (a full disk) the file is cut back to the last whole frame, which is a sound
 * recording; every later call fails the same way and writes nothing. close: NULL is fine; closes
 * even on failure; fails if the rest could not be written.
 */
int cl_recorder_close(struct cl_recorder *recorder, struct cl_error *reterr);

struct cl_replay;
int cl_replay_open(const char *path, struct cl_replay **ret_replay, struct cl_error *reterr);
void cl_replay_close(struct cl_replay *replay); /* NULL is fine */
/* The URI that was recorded, and the version of the closer that did: hostile, print escaped. */
const char *cl_replay_host(const struct cl_replay *replay);
const struct cl_limits *cl_replay_limits(const struct cl_replay *replay);
/*
 * The next tick: applies recorded edits and outcomes to the replay's own state, reads the
 * snapshot, checks it, decides. 0, -ENODATA at the end, else what is wrong and at which byte:
 * then only close is left.
 */
int cl_replay_next(struct cl_replay *replay, struct cl_error *reterr);
const struct cl_snapshot *cl_replay_prev(const struct cl_replay *replay); /* NULL on the first */
const struct cl_snapshot *cl_replay_now(const struct cl_replay *replay);
const struct cl_plan *cl_replay_plan(const struct cl_replay *replay);
const struct cl_state *cl_replay_state(const struct cl_replay *replay);
/*
 * Is the plan that was made now the one that was made then? (digest of its actions, verdicts and
 * books)
 */
bool cl_replay_same(const struct cl_replay *replay);
bool cl_replay_torn(const struct cl_replay *replay); /* after -ENODATA: the last frame was cut */

/* XXH64 over the plan's actions, masks, verdicts and books, field by field. */
uint64_t cl_plan_digest(const struct cl_plan *plan);

/* The same payloads in memory, for tests and the fuzzer: bytes written or needed; -EBADMSG. */
size_t cl_snapshot_encode(const struct cl_snapshot *snap, uint8_t *buf, size_t size);
int cl_snapshot_decode(const uint8_t *buf, size_t len, struct cl_snapshot *snap,
		       struct cl_error *reterr);

/*
 * Host "replay:FILE": each observe gives the next recorded snapshot (whose capacities must hold
 * it), the time is that of the snapshot, wait does not wait and says END after the last one;
 * nothing can be applied (-EOPNOTSUPP).
 */
extern const struct cl_host_ops cl_host_replay;

#endif
