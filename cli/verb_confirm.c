/* SPDX-License-Identifier: GPL-2.0-or-later */
/* confirm: what `closer apply --for` did is to stay. */
#include "cli.h"

#include <errno.h>

static int confirm(const char *dir, uint32_t *ret_objects, bool *ret_before,
		   struct cl_error *reterr)
{
	struct cl_journal_writer *writer = NULL;
	struct cl_journal journal = { 0 };
	int r = cli_journal(dir, &journal, reterr);

	if (r == -ENOENT)
		return cl_fail(
			reterr, ENOENT,
			"there is nothing to confirm: %s has no journal of this boot (was it "
			"undone already?)",
			dir);
	if (r < 0)
		return r;
	*ret_objects = journal.entry_count;
	*ret_before = journal.confirmed;
	if (!journal.confirmed) {
		r = cl_journal_open(dir, journal.host, &writer, reterr);
		if (r == 0)
			r = cl_journal_confirm(writer, reterr);
		cl_journal_close(writer);
	}
	cl_journal_done(&journal);
	return r;
}

static enum cli_exit run(const struct cli_call *call)
{
	cl_autoclose int lock = -1; /* nobody undoes while this is written */
	uint32_t objects = 0;
	bool before = false;
	struct cl_error err;
	int r = 0;

	if (access(call->v.state_dir, F_OK) == 0)
		r = cl_lock(call->v.state_dir, &lock, &err);
	if (r == 0)
		r = confirm(call->v.state_dir, &objects, &before, &err);
	if (r < 0)
		return cli_error(call, &err);
	if (call->v.json)
		return cli_json(call, json_pack("{s:b,s:I}", "confirmed", 1, "objects",
						(json_int_t)objects));
	cli_say(call, "%u objects stay as they are%s until `closer undo`", objects,
		before ? ", as was confirmed before," : "");
	return CLI_OK;
}

const struct cli_verb cli_verb_confirm = {
	.name = "confirm",
	.groups = CLI_GROUP_DIR | CLI_GROUP_JSON,
	.doc = "keep what `closer apply --for` did",
	.text = "Ends the time that `closer apply --for` gave: the changes stay until `closer "
		"undo`.",
	.run = run,
};
