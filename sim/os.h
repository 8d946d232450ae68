/* SPDX-License-Identifier: GPL-2.0-or-later */
/* os: what os.c, group.c and irq.c share of a simulated kernel. */
#ifndef CLOSER_SIM_OS_H
#define CLOSER_SIM_OS_H

#include "world.h"

/* What the vCPU does is chosen anew; it wakes if it was blocked and now has something to do. */
void sim_os_kick(struct sim_world *world, struct sim_vcpu *vcpu);
/* Its mask or group has changed: it leaves a vCPU that it may not be on. */
void sim_task_resettle(struct sim_world *world, struct sim_task *task);
/* What cpu.max leaves the group in this period; UINT64_MAX: no limit. */
uint64_t sim_group_left(const struct sim_group *group);
void sim_group_charge(struct sim_world *world, struct sim_group *group, uint64_t ns);

#endif
