/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * numa: on which nodes a process' memory lies, by /proc/PID/numa_maps.
 *
 *   cl_numa_home(pid) -> bytes per node -> cl_numa_nodes(): the nodes that count as home
 *
 * The kernel walks the process' page tables for it: milliseconds for a guest of some GiB. Once when
 * a guest appears, then seldom; never per tick.
 */
#ifndef CLOSER_NUMA_H
#define CLOSER_NUMA_H

#include <closer/base.h>

/*
 * Bytes of pid's memory on each node, all nodes written. -ESRCH: no such process; -ENOENT: this
 * kernel has no numa_maps; -EACCES: not allowed; -EFBIG: more than 64 MiB of text (the sums up to
 * there are lost).
 */
int cl_numa_home(int32_t pid, uint64_t ret_node_bytes[CL_NODES_MAX], struct cl_error *reterr);

/*
 * Adds the whole lines of text to node_bytes, and returns how many bytes these lines were; the rest
 * is the caller's to complete. Lines that are not as the kernel writes them count nothing. Pure,
 * fuzzed.
 */
size_t cl_numa_parse(const char *text, size_t len, uint64_t node_bytes[CL_NODES_MAX]);

/* The nodes that hold at least a sixteenth of it, one bit a node; 0 if there is none. */
uint64_t cl_numa_nodes(const uint64_t node_bytes[CL_NODES_MAX]);

#endif
