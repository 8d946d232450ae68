/* SPDX-License-Identifier: GPL-2.0-or-later */
/* talk: what guests.c and talk.c need of each other. */
#ifndef CLOSER_QEMU_TALK_H
#define CLOSER_QEMU_TALK_H

#include "guests.h"

/* The guest that is this process, known already or added. NULL: it is gone, or there is no room. */
struct cl_qemu_guest *cl_qemu_guest_of(struct cl_qemu *q, int32_t pid, const char *where,
				       struct cl_error *reterr);
/* Reads anew which interfaces and vhost threads a guest has. */
void cl_qemu_look_inside(struct cl_qemu *q, struct cl_qemu_guest *guest);
/* Ends a conversation, if there is one. */
void cl_qemu_hang_up(struct cl_qemu *q, struct cl_qemu_monitor *monitor);

#endif
