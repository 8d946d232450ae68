/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * packets: how many packets a second go out of a network device, to the guest behind it; the rest
 * is dropped (CL_CHANGE_PACKETS). nftables, through libnftables: a chain on the device's egress
 * hook (Linux 5.16), in a table of closer's own, "netdev closer"; no other table is touched. A
 * device that goes takes its chain with it; from Linux 6.16 on the chain waits for another of that
 * name.
 */
#ifndef CLOSER_PACKETS_H
#define CLOSER_PACKETS_H

#include <closer/host.h>

/* Can it be done here? The kernel is asked, without changing anything. */
bool cl_packets_can(char *ret_why, size_t size);
/* As cl_host_ops. -ENOENT: no such device. A chain that is not as we make them: a number of -1. */
int cl_packets_read(const struct cl_change *change, struct cl_setting *ret_setting,
		    struct cl_error *reterr);
int cl_packets_apply(const struct cl_change *change, struct cl_error *reterr);
/* Out of what `nft -j list chain` prints: packets a second, or -1. Pure, fuzzed. */
int64_t cl_packets_parse(const char *json);

#endif
