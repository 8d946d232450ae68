/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cli: what the verbs share.
 *
 *   main -> verb table -> option tables -> struct cli_call -> verb->run(call) -> exit code
 *
 * One verb is one const struct at the foot of its file (verb_NAME.c), listed in verbs.c. Help, man
 * page and completions are made from these tables by docs.c. Data goes to stdout, talk to stderr.
 */
#ifndef CLOSER_CLI_H
#define CLOSER_CLI_H

#include "engine.h"
#include "json.h"
#include "lib.h"
#include "why.h"

enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_NOT_EMPTY = 3, /* plan: there is something to change */
	CLI_NO_DAEMON = 4,
};

#define CLI_ARGS_MAX 2u
#define CLI_TEXT_MAX 1536u /* one line of output: two cgroup paths and what is around them */
#define CLI_NAME_MAX (4u * CL_NAME_MAX) /* a hostile name, every byte of it escaped */

/* What an option takes, and the member of struct cli_values that it goes to. */
enum cli_type {
	CLI_FLAG,   /* nothing: bool */
	CLI_STRING, /* const char * */
	CLI_TIME,   /* "10m": uint64_t ns, never 0 */
	CLI_COUNT,  /* uint64_t, never 0 */
	CLI_CHOICE, /* one of the words of arg, "a|b|c": uint64_t, 1 for the first; 0: not given */
	CLI_PARAM,  /* the value of the parameter that has the option's name */
	CLI_SET,    /* NAME=VALUE, any parameter */
	CLI_LIST,   /* as often as it is given: struct cli_list */
};

#define CLI_LIST_MAX 64u

struct cli_list {
	const char *items[CLI_LIST_MAX];
	uint32_t count;
};

/* Options that several verbs have: a verb says which groups it takes. */
enum cli_group {
	CLI_GROUP_ALL = 0,
	CLI_GROUP_HOST = 1,
	CLI_GROUP_DIR = 2,
	CLI_GROUP_JSON = 4,
};

struct cli_option {
	const char *name; /* long, without dashes; NULL ends a table */
	char letter;      /* 0: none */
	enum cli_type type;
	const char *arg; /* what --help calls its argument; NULL for a flag */
	size_t offset;
	enum cli_group group; /* in the common table */
	const char *doc;
};

#define CLI_AT(member) offsetof(struct cli_values, member)

struct cli_values {
	const char *host;
	const char *state_dir;
	const char *output;
	bool json, help;
	bool works, watch;                   /* status */
	bool skip_corrupt;                   /* undo */
	bool verify;                         /* replay */
	bool scdoc, params_scdoc, sim_scdoc; /* help */
	bool list, keys, check_fluid;        /* sim */
	const char *ledger;                  /* run, bill */
	const char *since, *until, *tenants; /* bill */
	uint64_t by;                         /* bill: choice */
	const char *seeds, *compare, *policy, *report, *variant;
	const char *stack; /* advise */
	const char *guest; /* calibrate */
	struct cli_list loads;
	uint64_t rounds;
	bool show;
	uint64_t seed, jobs;
	const char *trace; /* mon */
	bool csv, per_vcpu, hypercalls;
	uint64_t sort, window_ns, cpu_hz; /* sort: choice */
	struct cli_list sets;
	uint64_t completion;          /* help: choice */
	uint64_t mode;                /* run: choice */
	uint64_t for_ns, ticks, tick; /* 0: not given */
	const char *args[CLI_ARGS_MAX];
	uint32_t arg_count;
	struct cl_params params;
};

struct cli_verb;

struct cli_call {
	const struct cli_verb *verb;
	struct cli_values v;
	bool colour; /* stdout is a terminal that wants it */
};

struct cli_verb {
	const char *name;
	const char *args; /* for the usage line, or NULL */
	uint32_t args_least, args_most;
	unsigned int groups;              /* enum cli_group, or-ed */
	const struct cli_option *options; /* its own, or NULL */
	const char *doc;                  /* one line */
	const char *text; /* paragraphs for --help and the man page, "\n" between them */
	enum cli_exit (*run)(const struct cli_call *call);
};

/* ---- verbs.c ---- */
extern const struct cli_verb *const cli_verbs[]; /* NULL-terminated */
const struct cli_verb *cli_verb_find(const char *name);

/* ---- options.c ---- */
/* The options of a verb, common ones last: for (i = 0; (o = cli_option_at(verb, i)); i++) */
const struct cli_option *cli_option_at(const struct cli_verb *verb, uint32_t i);
/* Fills call->v from argv (after the verb). CLI_USAGE: said on stderr what is wrong. */
enum cli_exit cli_parse(struct cli_call *call, int argc, char *const *argv);
/* "10m" -> ns; suffixes ns us ms s m h, a bare number is seconds. False: not a time, 0, or too
 * long. */
bool cli_parse_time(const char *text, uint64_t *ret_ns);

/* ---- docs.c ---- */
void cli_help(FILE *out, const struct cli_verb *verb); /* NULL: all verbs */
void cli_scdoc(FILE *out);                             /* the generated part of closer(1) */
void cli_params_scdoc(FILE *out);                      /* the generated part of closer-params(5) */
void cli_sim_scdoc(FILE *out);                         /* sim_docs.c: of closer-sim(5) */
void cli_sim_keys(FILE *out);                          /* the same for a terminal */
/* A parameter's name as options are written: with dashes. */
char *cli_param_name(const char *name, char *buf, size_t size);
/* A bound of a parameter in the form in which it is written. */
void cli_param_bound(const struct cl_param_info *info, uint64_t value, char *buf, size_t size);
/* ---- completion.c ---- shell: 1 bash, 2 zsh, 3 fish */
void cli_completion(FILE *out, uint64_t shell);

/* ---- talk.c: stderr, stdout as JSON, signals ---- */
void cli_say(const struct cli_call *call, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* "closer VERB: TEXT", escaped, with a hint where privilege was missing. Always CLI_FAILED. */
enum cli_exit cli_error(const struct cli_call *call, const struct cl_error *err);
enum cli_exit cli_usage(const struct cli_call *call, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Prints and frees; NULL is no memory. Lines: compact, one object a line, flushed. */
enum cli_exit cli_json(const struct cli_call *call, json_t *json);
enum cli_exit cli_json_line(const struct cli_call *call, json_t *json);
bool cli_output_lost(void); /* nobody reads stdout any more: a loop ends */
const char *cli_colour(const struct cli_call *call,
		       const char *level); /* escape sequence of a level, or "" */
const char *cli_colour_off(const struct cli_call *call);

/* ---- session.c: the engine as verbs use it ---- */
int cli_open(const struct cli_call *call, bool act, const char *record,
	     struct cl_engine **ret_engine, struct cl_error *reterr);
/* The same to find weights out: those that are kept are not read. */
int cli_open_uncalibrated(const struct cli_call *call, struct cl_engine **ret_engine,
			  struct cl_error *reterr);
/* One observation; a refused snapshot is an error here. ret_tick may be NULL. */
int cli_observe(struct cl_engine *engine, struct cl_tick *ret_tick, struct cl_error *reterr);
/* Sleeps the whole time, whatever events come. *ret_ended: a replay is over. */
int cli_sleep(struct cl_engine *engine, uint64_t ns, bool *ret_ended, struct cl_error *reterr);
/* Two observations an interval apart: what most verbs need. */
int cli_observe_twice(const struct cli_call *call, struct cl_engine *engine,
		      struct cl_error *reterr);
void cli_cleanup_engine(struct cl_engine **engine); /* for engines that do not act */
#define cli_autoengine __attribute__((cleanup(cli_cleanup_engine)))
/* A descriptor that becomes readable with SIGINT, SIGTERM or SIGHUP, which are blocked from then
 * on. -errno. */
int cli_signals(struct cl_error *reterr);
/* Is there a signal on it? Takes it. */
bool cli_signalled(int fd);
/* This boot's journal: -ENOENT if there is none or if it is another boot's. */
int cli_journal(const char *dir, struct cl_journal *ret_journal, struct cl_error *reterr);
/* The guest meant by a name or uuid: -ENOENT, -EEXIST (two of that name). */
int cli_guest_find(const struct cl_snapshot *snap, const char *text, struct cl_guest_ix *ret_guest,
		   struct cl_error *reterr);

/* ---- show.c: values as text ---- */
char *cli_guest_name(const struct cl_snapshot *snap, struct cl_guest_ix guest, char *buf,
		     size_t size);
/* "1234 (IO io0) of web", "45 (tap0) of web", "/closer/...": what follows the kind of action */
char *cli_object_text(const struct cl_snapshot *snap, const struct cl_action *action, char *buf,
		      size_t size);
char *cli_value_text(const struct cl_snapshot *snap, const struct cl_plan *plan,
		     const struct cl_value *value, char *buf, size_t size);
/* A cap as a share of a CPU, a weight, a budget as a time. */
char *cli_lever_text(enum cl_lever lever, uint64_t value, char *buf, size_t size);
/* "place-thread 1234 (IO io0) of web: CPUs 0-1 in / -> CPU 1 in /closer/...", without the reason */
char *cli_action_text(const struct cl_snapshot *snap, const struct cl_plan *plan,
		      const struct cl_action *action, char *buf, size_t size);
char *cli_change_text(const struct cl_change *change, char *buf, size_t size);
/* Which change an action makes that limits. */
enum cl_change_kind cli_limited_by(enum cl_action_kind kind);
/* Of a limit: "1250 kB/s", "5% of a CPU". */
char *cli_limit_text(enum cl_change_kind kind, int64_t number, uint64_t period_ns, char *buf,
		     size_t size);
char *cli_setting_text(enum cl_change_kind kind, const struct cl_setting *setting, char *buf,
		       size_t size);
/* A host's URI in a sentence: escaped, and "xen" where there is but one. */
char *cli_host_text(const char *uri, char *buf, size_t size);
/* "0-1,3"; "none" if empty, cut with "..." */
char *cli_list_text(const struct cl_cpuset *set, char *buf, size_t size);
/* "CPU 1", "CPUs 0-1,3", "no CPU" */
char *cli_cpus_text(const struct cl_cpuset *set, char *buf, size_t size);
/* "physical CPU 1": as the hypervisor numbers them */
char *cli_pcpus_text(const struct cl_cpuset *set, char *buf, size_t size);
char *cli_nodes_text(uint64_t nodes, char *buf, size_t size);
/* ns of span as "12.3"; "-" if there is no span */
char *cli_percent(uint64_t ns, uint64_t span_ns, char *buf, size_t size);
/* The same of work's time: "~12.3" where that is an estimate, which cli_estimate_note explains. */
char *cli_work_percent(const struct cl_snapshot *snap, uint64_t ns, uint64_t span_ns, char *buf,
		       size_t size);
/* "~" before a figure that is an estimate, else "". */
const char *cli_estimate(const struct cl_snapshot *snap);
void cli_estimate_note(const struct cl_snapshot *snap);
void cli_plan_print(const struct cli_call *call, const struct cl_snapshot *snap,
		    const struct cl_plan *plan);
void cli_undo_print(const struct cli_call *call, const struct cl_undo_report *report);
json_t *cli_undo_json(const struct cl_undo_report *report);
/* A cl_undo_say that prints each object which was left or failed; ctx is the call. */
void cli_undo_say(void *ctx, const struct cl_change *change, const char *text);

/* ---- table.c ---- */
struct cli_row { /* what a cell is made of */
	const struct cl_snapshot *snap;
	const struct cl_plan *plan;
	uint32_t at;      /* guest or work */
	const void *data; /* of a table that is of neither */
};
struct cli_column {
	const char *title;
	bool right;      /* numbers */
	bool spare;      /* not shown where every cell of it is "" */
	uint32_t number; /* the cell function's own */
	void (*cell)(const struct cli_column *column, const struct cli_row *row, char *buf,
		     size_t size);
};
void cli_table(const struct cli_call *call, const struct cli_column *columns, uint32_t column_count,
	       const struct cl_snapshot *snap, const struct cl_plan *plan, uint32_t rows);

/* The same to any file, of rows made of of->data. */
void cli_table_to(FILE *out, const struct cli_call *call, const struct cli_column *columns,
		  uint32_t column_count, const struct cli_row *of, uint32_t rows);

extern const struct cli_verb cli_verb_check, cli_verb_status, cli_verb_plan, cli_verb_apply,
	cli_verb_bill, cli_verb_confirm, cli_verb_undo, cli_verb_adopt, cli_verb_advise,
	cli_verb_admit, cli_verb_calibrate, cli_verb_explain, cli_verb_record, cli_verb_replay,
	cli_verb_run, cli_verb_sim, cli_verb_mon, cli_verb_help, cli_verb_version;

#endif
