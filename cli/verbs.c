/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of verbs. */
#include "cli.h"

#include <string.h>

const struct cli_verb *const cli_verbs[] = {
	&cli_verb_check,  &cli_verb_status,  &cli_verb_mon,       &cli_verb_plan,
	&cli_verb_apply,  &cli_verb_confirm, &cli_verb_undo,      &cli_verb_adopt,
	&cli_verb_advise, &cli_verb_admit,   &cli_verb_calibrate, &cli_verb_explain,
	&cli_verb_bill,   &cli_verb_record,  &cli_verb_replay,    &cli_verb_run,
	&cli_verb_sim,    &cli_verb_help,    &cli_verb_version,   NULL,
};

const struct cli_verb *cli_verb_find(const char *name)
{
	for (uint32_t i = 0; cli_verbs[i]; i++) {
		if (strcmp(cli_verbs[i]->name, name) == 0)
			return cli_verbs[i];
	}
	return NULL;
}
