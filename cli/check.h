/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check: what the two files of `closer check` share. */
#ifndef CLOSER_CLI_CHECK_H
#define CLOSER_CLI_CHECK_H

#include "cli.h"

struct cli_check {
	const struct cli_call *call;
	const char *about; /* what the next lines are about */
	json_t *lines;     /* with --json */
	char host[CL_PATH_MAX];
	uint32_t bad;
};

/* The say of cl_host_ops.check; ctx: struct cli_check. */
void cli_check_say(void *ctx, const char *level, const char *text);
/* check_system.c: the machine around the host. */
void cli_check_privileges(struct cli_check *check);
void cli_check_managers(struct cli_check *check);
void cli_check_journal(struct cli_check *check);

#endif
