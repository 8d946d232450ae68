/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * template: the skeleton for a new host, and a real one: processes that it is told of are its
 * guests.
 *
 *   "template:PID[=NAME],PID[=NAME],..." or "template:@FILE", a file with one "PID [NAME]" a line
 *
 * A thread whose name is "CPU <number>", alone or followed by '/', is the vCPU of that number (as
 * QEMU's debug-threads names are); all others are work of kind "thread". See template.c.
 */
#ifndef CLOSER_TEMPLATE_H
#define CLOSER_TEMPLATE_H

#include <closer/host.h>

extern const struct cl_host_ops cl_host_template;

#endif
