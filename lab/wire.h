/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire: what loads and their peer say to each other. UDP packets open with this header; a TCP
 * connection with one of them, and then carries only payload. Big endian.
 */
#ifndef CLOSER_LAB_WIRE_H
#define CLOSER_LAB_WIRE_H

#include <stdint.h>

#define LG_MAGIC        0x434c4c47u /* "CLLG" */
#define LG_UDP_MAX      1472u       /* no fragments on an Ethernet */
#define LG_KEEPALIVE_MS 1000u       /* a receiver asks again this often, */
#define LG_FORGET_MS    3000u       /* and the peer stops sending to one that has not for so long */

enum lg_wire_type {
	LG_WIRE_DATA = 1, /* counted by the peer under its flow */
	LG_WIRE_QUERY,    /* how many DATA of this flow? -> ANSWER: a = packets, b = bytes */
	LG_WIRE_ANSWER,
	LG_WIRE_ECHO, /* comes back as it is, as ECHOED */
	LG_WIRE_ECHOED,
	LG_WIRE_SEND, /* send me DATA: a = a second, 0 as fast as you can, b = bytes each; TCP:
			 likewise */
	LG_WIRE_STOP,
	LG_WIRE_SINK, /* TCP: take what follows */
};

struct lg_wire {
	uint32_t magic;
	uint32_t type;
	uint64_t flow;
	uint64_t a, b;
	uint64_t time_ns; /* the sender's clock */
};

#endif
