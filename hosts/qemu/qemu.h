/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu: QEMU guests of this machine, by their monitors (QMP) and their processes.
 *
 *   "qemu:DIR"  "qemu:PATTERN" (Proxmox: '/run/qemu-server/[0-9]*.qmp')  "qemu:auto" (whatever runs
 * here)
 *
 * A guest is a process; a monitor is a way to ask it. Monitors are not held: closer connects, asks
 * all in one go and hangs up within milliseconds, when a guest appears, when a thread appears that
 * nothing explains, and about every 9 s for counters and balloon. So a monitor stays free for its
 * owner's tools, and one that is taken (QEMU serves one client at a time; libvirt's always is) is
 * left alone, asked again ever more seldom, and the guest is known by its arguments and its
 * threads' names meanwhile (QEMU: -name X,debug-threads=on).
 *
 * What a monitor claims counts only inside its own process: thread ids that are not that process'
 * are refused. A guest's uuid is the one of its arguments, else the monitor's, else derived from
 * the socket and the process' start; of two guests that claim one uuid the process that started
 * later gets a derived one.
 *
 * In a snapshot, a guest's read_ns is when its threads were last seen to be those that were
 * described (or named): the description of a thread that lives does not age. It is 0 for a guest of
 * which nothing is known, neither by description nor by names: core leaves such threads alone,
 * since any of them may be a vCPU.
 */
#ifndef CLOSER_QEMU_QEMU_H
#define CLOSER_QEMU_QEMU_H

#include <closer/host.h>

extern const struct cl_host_ops cl_host_qemu;

#endif
