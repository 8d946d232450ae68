/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * places: where scenarios and testbeds are: $CLOSER_SIM_DIR, the source tree that the program was
 * built in, or where they are installed; scenarios/NAME.ini and testbeds/NAME.ini below it.
 */
#ifndef CLOSER_SIM_PLACES_H
#define CLOSER_SIM_PLACES_H

#include <closer/base.h>

/* A path (with a / or .ini in it) as it is, else the scenario of that name. */
int sim_place_scenario(const char *name, char ret_path[CL_PATH_MAX], struct cl_error *reterr);
/* dir: of the scenario, whose neighbour testbeds/ is looked into first. */
int sim_place_testbed(const char *dir, const char *name, char ret_path[CL_PATH_MAX],
		      struct cl_error *reterr);

struct sim_place {
	char name[64];
	char path[CL_PATH_MAX];
};
/* All scenarios by name, at most max. Returns how many. */
uint32_t sim_place_list(struct sim_place *places, uint32_t max);

#endif
