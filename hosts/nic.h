/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nic: does a network device's NAPI run in threads of its own? /sys/class/net/DEV/threaded, which
 * Linux has from 5.12 on.
 *
 * Before Linux 6.17 the threads stay when it is switched off again, and sleep.
 */
#ifndef CLOSER_NIC_H
#define CLOSER_NIC_H

#include <closer/host.h>

/* Can this kernel do it, and may we? */
bool cl_nic_can(void);
/* Of a CL_CHANGE_NIC: -ENOENT: there is no such device. */
int cl_nic_read(const struct cl_change *change, struct cl_setting *ret_setting,
		struct cl_error *reterr);
int cl_nic_write(const struct cl_change *change, struct cl_error *reterr);
/* The same by what was opened: 0, 1, or CL_NONE. */
uint32_t cl_nic_threaded(int fd);

#endif
