/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host: a run of a scenario as a host like any other: its clock is the run's, waiting for it makes
 * events happen. It is gone with its process, and so is all that was changed on it.
 */
#ifndef CLOSER_SIM_HOST_H
#define CLOSER_SIM_HOST_H

#include "scenario.h"

#include <closer/host.h>

/* "sim:SCENARIO", "sim:SCENARIO@VARIANT:seed=7" */
extern const struct cl_host_ops cl_host_sim;

/* The run stays the caller's, and must stay as long as the host. NULL: no memory. */
struct cl_host *sim_host_new(struct sim_run *run);

#endif
