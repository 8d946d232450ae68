/* SPDX-License-Identifier: GPL-2.0-or-later */
/* value: what a scenario's keys may be set to, as text. */
#ifndef CLOSER_SIM_VALUE_H
#define CLOSER_SIM_VALUE_H

#include "load.h"

/* Ended by one without a name. */
extern const struct sim_load_param sim_no_params[];

/*
 * Sets the parameter in the struct at base: digits with a fraction and a suffix of its unit, exact,
 * inside its range; a text as it is. -EINVAL, -ERANGE: *reterr says what would be right.
 */
int sim_value_set(const struct sim_load_param *param, const char *text, void *base,
		  struct cl_error *reterr);
/* The text that sim_value_set takes back. */
char *sim_value_text(const struct sim_load_param *param, uint64_t value, char *buf, size_t size);
/* "time", "bytes", "number": what a key of this unit takes. */
const char *sim_unit_doc(enum sim_load_unit unit);
/*
 * A figure of a paper, which may be negative: in the unit of the metric (ns, bytes), or in per cent
 * where it ends in %.
 */
bool sim_figure_parse(const char *text, double *ret_value, bool *ret_percent);

#endif
