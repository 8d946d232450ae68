/* SPDX-License-Identifier: GPL-2.0-or-later */
/* os: what os.c, group.c and irq.c share of a simulated kernel. */
#ifndef CLOSER_SIM_OS_H
#define CLOSER_SIM_OS_H

#include "world.h"

/* What the vCPU does is chosen anew; it wakes if it was blocked and now has something to do. */
void sim_os_kick(struct sim_world *world, struct sim_vcpu *vcpu);
/* The group's tasks may run again: what they could not run meanwhile they do not make up for. */
void sim_os_unthrottled(struct sim_vcpu *vcpu, const struct sim_group *group);
/* Its mask or group has changed: it leaves a vCPU that it may not be on. */
void sim_task_resettle(struct sim_world *world, struct sim_task *task);
/* What cpu.max leaves the group in this period, at most what a vCPU takes of it at a time;
 * UINT64_MAX: no limit. */
uint64_t sim_group_left(const struct sim_group *group);
void sim_group_charge(struct sim_world *world, struct sim_group *group, uint64_t ns);

#endif
