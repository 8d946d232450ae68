/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io: split drivers and the devices behind them.
 *
 *   send     application -> netfront -> ring -> NAPI in the back end's domain -> bridge -> NIC ->
 * wire receive  wire -> NIC -> NAPI -> bridge -> guest-rx thread -> ring -> netfront -> application
 *   disk     application -> blkfront -> ring -> blkback thread -> disk -> its interrupt -> ring ->
 * blkfront
 *
 * Every request, interrupt and dispatch is there; each side works off what it finds in a ring in
 * turns of at most so many, as Linux does. Rings have their real sizes: who finds one full waits.
 */
#ifndef CLOSER_SIM_IO_H
#define CLOSER_SIM_IO_H

#include "world.h"

#define SIM_NET_RING   256u /* XEN_NETIF_TX_RING_SIZE with 4 KiB pages */
#define SIM_NET_COPIED 128u /* XEN_NETBACK_TX_COPY_LEN, bytes: what is beyond is mapped instead */
#define SIM_BLK_RING   32u  /* BLK_RING_SIZE of one page, requests */
#define SIM_NAPI_TURN  64u  /* NAPI_POLL_WEIGHT */
#define SIM_QUEUES_MAX 16u
#define SIM_PAGE       4096u

struct sim_vif;
struct sim_nic;
struct sim_packet;

/* ---- turns: warm.c ---- */

/* What a turn that begins now costs: ns after a long pause, less where there was one lately. */
uint64_t sim_turn_ns(struct sim_domain *back, enum sim_turn turn, uint64_t ns);
/* Another turn has just led to it: what all share is warm. */
bool sim_turn_follows(enum sim_turn turn);
/* The same where so much of its own and of the shared footprint is gone. */
uint64_t sim_turn_of(const struct sim_costs *costs, uint64_t ns, uint64_t own_ppm,
		     uint64_t shared_ppm);
/* exp(-x), of 2^31. */
uint64_t sim_exp_minus(uint64_t x_ppm);

/* ---- packets ---- */

struct sim_packet { /* its owner's, from send to the call of its flow */
	struct sim_packet *next;
	struct sim_flow *flow;
	uint32_t bytes;
	bool inbound;     /* to the guest */
	uint64_t born_ns; /* sent by the application, or arrived at the NIC */
	uint64_t back_ns; /* the back end began with it: t1 is from born to here */
	uint64_t told_ns; /* the guest was told: t2 */
};

struct sim_packets { /* first in, first out */
	struct sim_packet *first, **last;
	uint32_t count;
};

struct sim_flow { /* one direction pair between an application in a guest and somebody outside */
	struct sim_vif *vif;
	uint32_t queue; /* of the vif, by the flow's hash */
	/* A packet is in the guest's stack (inbound; now the application takes it), or at its other
	 * end outside. The packet may be used again. */
	void (*arrived)(struct sim_world *world, struct sim_flow *flow, struct sim_packet *packet);
	/* One was dropped: a queue was full. */
	void (*lost)(struct sim_world *world, struct sim_flow *flow, struct sim_packet *packet);
	/* After sim_send said no: there is room in the ring again. NULL: it need not be said. */
	void (*room)(struct sim_world *world, struct sim_flow *flow);
	struct sim_flow *next_waiting;
	bool waiting;
};

struct sim_vif_queue {
	struct sim_vif *vif;
	uint32_t index, vcpu;          /* the guest's vCPU that is told */
	struct sim_packets tx;         /* in the transmit ring */
	struct sim_packets polled;     /* being worked on by NAPI */
	struct sim_packets backlog;    /* to the guest, in the back end's queue */
	struct sim_packets copied;     /* being copied by guest-rx */
	struct sim_packets rx;         /* in the receive ring, for netfront */
	struct sim_packets taken;      /* being worked on by netfront */
	struct sim_irq tx_irq, rx_irq; /* in the back end's domain */
	struct sim_irq front_irq;      /* in the guest */
	struct sim_irq_work poll, front;
	struct sim_task guest_rx, dealloc, napi; /* napi: where it is threaded */
	uint64_t to_dealloc;
	bool copying, deallocating, napi_on, polling;
	struct sim_flow *waiting, **waiting_last; /* for room in the transmit ring */
};

struct sim_vif {
	struct sim_vif *next; /* of the same guest */
	struct sim_domain *guest, *back;
	struct sim_nic *nic; /* where its bridge leads */
	char name[16];       /* "vif1.0" */
	uint32_t queue_count;
	struct sim_vif_queue *queues;
	bool threaded;
	bool blocked; /* a guard has turned it off */
	/* netback's `rate`: so many bytes each rate_ns; 0: as many as there are. */
	uint64_t rate_bytes, rate_ns, credit, credit_at_ns;
	struct sim_event refill;  /* of credit, for who waits for it */
	uint64_t packets_s;       /* to the guest, the rest is dropped; 0: as many as come */
	uint64_t packets_free_ns; /* when the next one may pass */
	uint64_t sent, sent_bytes, received, received_bytes, dropped;
	uint64_t t_ns[3]; /* sums of t1, t2, t3 of received packets */
	uint64_t t_count;
};

struct sim_vif *sim_vif_new(struct sim_world *world, struct sim_domain *guest,
			    struct sim_domain *back, struct sim_nic *nic, uint32_t queues);
void sim_vif_free(struct sim_world *world, struct sim_vif *vif);
/* The application's burst is over (stack and copy are its own: sim_send_burst). False: the ring is
 * full, the packet stays the caller's, who is told when there is room. */
bool sim_send(struct sim_world *world, struct sim_flow *flow, struct sim_packet *packet);
/* What an application spends for a packet of this size, in the guest. */
struct sim_burst sim_send_burst(const struct sim_flow *flow, uint32_t bytes, uint64_t own_ns);
struct sim_burst sim_receive_burst(const struct sim_flow *flow, uint32_t bytes, uint64_t own_ns);
/* The application has the packet in its buffer: t3 ends. */
void sim_received(struct sim_world *world, struct sim_packet *packet);
void sim_vif_thread(struct sim_world *world, struct sim_vif *vif, bool threaded);
/* What is sent is taken out of the ring at this rate; 0: at any. */
void sim_vif_rate(struct sim_world *world, struct sim_vif *vif, uint64_t bytes, uint64_t period_ns);
/* A guard turns it off: nothing goes through, what comes for the guest is dropped; or on again. */
void sim_vif_block(struct sim_world *world, struct sim_vif *vif, bool blocked);
/* Whom the flow belongs to goes: its packets are taken off wherever they are. Not from within a
 * call of a flow. How many there were. */
uint32_t sim_flow_recall(struct sim_world *world, struct sim_flow *flow);

/* ---- the physical network device: nic.c ---- */

struct sim_nic_queue {
	struct sim_nic *nic;
	struct sim_irq irq;
	struct sim_irq_work poll;
	struct sim_packets arrived, polled;
	struct sim_event moderation; /* an interrupt that waits for more */
};

struct sim_nic {
	struct sim_world *world;
	struct sim_domain *owner; /* dom0, or a driver domain */
	char name[16];
	uint64_t rate;          /* bytes/s of the line, each way */
	uint64_t wire_ns;       /* to whoever is outside */
	uint64_t moderation_ns; /* between interrupts */
	uint32_t node;          /* CL_NONE: equally far from all */
	uint32_t queue_count;
	struct sim_nic_queue *queues;
	uint64_t out_free_ns, in_free_ns; /* when the line is free again */
	struct sim_packets out, in;       /* on the line, by when they are through */
	struct sim_event out_through, in_through;
	uint64_t sent, sent_bytes, received, received_bytes;
};

struct sim_nic *sim_nic_new(struct sim_world *world, struct sim_domain *owner, const char *name,
			    uint64_t rate, uint32_t queues);
void sim_nic_free(struct sim_nic *nic);
/* A packet goes out on the line; at its other end its flow is told. */
void sim_nic_transmit(struct sim_nic *nic, struct sim_packet *packet);
/* Somebody outside sends: it goes over the line to the flow's guest. */
void sim_nic_inject(struct sim_nic *nic, struct sim_packet *packet);
/* Takes the flow's packets off (sim_flow_recall). */
uint32_t sim_nic_recall(struct sim_nic *nic, const struct sim_flow *flow);
/* From the bridge to a guest (vif.c). */
void sim_vif_deliver(struct sim_world *world, struct sim_packet *packet);

void sim_packets_init(struct sim_packets *packets);
void sim_packets_add(struct sim_packets *packets, struct sim_packet *packet);
struct sim_packet *sim_packets_take(struct sim_packets *packets);
/* Those of the flow are taken off; how many. */
uint32_t sim_packets_drop(struct sim_packets *packets, const struct sim_flow *flow);

/* ---- disks ---- */

struct sim_disk;
struct sim_vbd;

struct sim_request {
	struct sim_request *next;
	struct sim_vbd *vbd; /* NULL: of the disk's owner itself, by sim_disk_submit */
	uint32_t ring, id;
	uint32_t bytes;
	bool write;
	uint64_t sector;
	uint64_t born_ns;
	void (*done)(struct sim_world *world, struct sim_request *request);
};

struct sim_requests {
	struct sim_request *first, **last;
	uint32_t count;
};

struct sim_vbd_ring {
	struct sim_vbd *vbd;
	uint32_t index, vcpu;
	struct sim_requests waiting;  /* blkfront's: the ring is full */
	struct sim_requests asked;    /* in the ring, for blkback */
	struct sim_requests worked;   /* being submitted by the blkback thread */
	struct sim_requests answered; /* in the ring, for blkfront */
	struct sim_requests taken;    /* being finished by blkfront */
	uint32_t in_ring;             /* requests without a response yet */
	struct sim_irq irq, front_irq;
	struct sim_irq_work kick, front;
	struct sim_task blkback;
	struct sim_event look; /* of a thread that nobody wakes */
	uint64_t seen_ns;      /* its last turn was over */
	bool working;
};

struct sim_vbd {
	struct sim_vbd *next; /* of the same guest */
	struct sim_domain *guest, *back;
	struct sim_disk *disk;
	char name[16];                       /* "xvda" */
	uint32_t ring_count, indirect_pages; /* of one request; 11 without indirect segments */
	struct sim_vbd_ring *rings;
	bool blocked;
	uint64_t rate;               /* io.max, bytes/s each way; 0: none */
	uint64_t rate_free_ns[2];    /* of reads, of writes */
	struct sim_requests held[2]; /* back by io.max; likewise */
	struct sim_event release;
	uint64_t reads, read_bytes, writes, written_bytes;
	uint64_t latency_ns; /* sum, from blkfront to blkfront */
};

struct sim_vbd *sim_vbd_new(struct sim_world *world, struct sim_domain *guest,
			    struct sim_domain *back, struct sim_disk *disk, uint32_t rings);
void sim_vbd_limit(struct sim_world *world, struct sim_vbd *vbd, uint64_t rate); /* 0: none */
void sim_vbd_free(struct sim_world *world, struct sim_vbd *vbd);
/* The request's bytes may be at most indirect_pages * SIM_PAGE. Queued in the guest if the ring is
 * full; request->done is called in the guest when it is through. */
void sim_submit(struct sim_world *world, struct sim_vbd *vbd, uint32_t ring,
		struct sim_request *request);
struct sim_burst sim_submit_burst(const struct sim_vbd *vbd, uint32_t bytes, uint64_t own_ns);
/* Whom it belongs to goes: it is taken off wherever it is. Not from within a request's done. */
void sim_request_recall(struct sim_world *world, struct sim_request *request);

/*
 * disk.c: depth requests at a time, each for seek_ns (if it does not follow on the last), plus
 * access_ns, plus its bytes at bandwidth, which all share. In memory: no seek, its work is done by
 * who submits it.
 */
struct sim_disk {
	struct sim_world *world;
	struct sim_domain *owner;
	char name[16];
	uint64_t seek_ns, access_ns, bandwidth;
	uint32_t depth, node; /* node: CL_NONE, or of the memory that it is made of */
	bool in_memory;
	struct sim_requests queue, finished, polled;
	uint32_t active;
	uint64_t next_sector, transfer_free_ns;
	struct sim_irq irq;
	struct sim_irq_work poll;
	struct slot *slots; /* one for each request in service */
	struct sim_request **in_service;
	struct sim_random random;
};

struct sim_disk *sim_disk_new(struct sim_world *world, struct sim_domain *owner, const char *name,
			      uint32_t depth);
void sim_disk_free(struct sim_disk *disk);
void sim_disk_submit(struct sim_disk *disk, struct sim_request *request);
/* False: it is not there. */
bool sim_disk_recall(struct sim_disk *disk, struct sim_request *request);
/* From the disk to blkback (vbd.c): write a response. Called in the owner's interrupt, or at once.
 */
void sim_vbd_finished(struct sim_world *world, struct sim_request *request);

void sim_requests_init(struct sim_requests *requests);
void sim_requests_add(struct sim_requests *requests, struct sim_request *request);
struct sim_request *sim_requests_take(struct sim_requests *requests);
/* False: it is not among them. */
bool sim_requests_drop(struct sim_requests *requests, const struct sim_request *request);

#endif
