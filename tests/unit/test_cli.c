/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line's own parts: the reading of options, times and misspelt words, and values as
 * text. */
#include "cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static enum cli_exit parse(const struct cli_verb *verb, struct cli_call *ret_call,
			   const char *const *words)
{
	char *argv[16];
	int argc = 0;

	memset(ret_call, 0, sizeof(*ret_call));
	ret_call->verb = verb;
	cl_params_default(&ret_call->v.params);
	for (; words[argc]; argc++)
		argv[argc] = (char *)words[argc];
	return cli_parse(ret_call, argc, argv);
}

#define PARSE(verb, call, ...)                                                                     \
	parse(verb, call, (const char *const[]){ __VA_ARGS__ __VA_OPT__(, ) NULL })

static void test_times(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} good[] = {
		{ "1", CL_NS_PER_S },
		{ "500ms", 500 * CL_NS_PER_MS },
		{ "3us", 3000 },
		{ "7ns", 7 },
		{ "10m", 600 * CL_NS_PER_S },
		{ "2h", 7200 * CL_NS_PER_S },
		{ "30s", 30 * CL_NS_PER_S },
	};
	static const char *const bad[] = {
		"",
		"0",
		"0s",
		"s",
		"-1s",
		"+1s",
		" 1s",
		"1 s",
		"1s ",
		"1.5s",
		"1S",
		"1d",
		"1mm",
		"9999999h",
		"18446744073709551616",
		"18446744073709551615h",
	};
	uint64_t ns;

	for (size_t i = 0; i < CL_COUNT(good); i++) {
		assert_true(cli_parse_time(good[i].text, &ns));
		assert_int_equal(ns, good[i].ns);
	}
	for (size_t i = 0; i < CL_COUNT(bad); i++) {
		ns = 42;
		assert_false(cli_parse_time(bad[i], &ns));
		assert_int_equal(ns, 42);
	}
}

static void test_nearest(void **state)
{
	static const char *const words[] = { "status", "plan", "apply", "undo", "run", NULL };
	static const char *const none[] = { NULL };
	char all_long[300];

	memset(all_long, 'a', sizeof(all_long) - 1);
	all_long[sizeof(all_long) - 1] = '\0';
	assert_string_equal(cl_nearest("stauts", words), "status");
	assert_string_equal(cl_nearest("statu", words), "status");
	assert_string_equal(cl_nearest("aply", words), "apply");
	assert_string_equal(cl_nearest("rum", words), "run");
	assert_null(cl_nearest("xyzzyplugh", words));
	assert_null(cl_nearest("", words));
	assert_null(cl_nearest(all_long, words));
	assert_null(cl_nearest("run", none));
}

static void test_forms(void **state)
{
	struct cli_call call;

	assert_int_equal(PARSE(&cli_verb_status, &call, "--host", "a:b", "--works", "-j"), CLI_OK);
	assert_string_equal(call.v.host, "a:b");
	assert_true(call.v.works && call.v.json && !call.v.watch);
	assert_int_equal(PARSE(&cli_verb_status, &call, "--host=a=b", "-jwW"), CLI_OK);
	assert_string_equal(call.v.host, "a=b");
	assert_true(call.v.works && call.v.json && call.v.watch);
	assert_int_equal(PARSE(&cli_verb_status, &call, "-jHa:b", "-i", "2s", "-s", "moves=3"),
			 CLI_OK);
	assert_string_equal(call.v.host, "a:b");
	assert_int_equal(call.v.params.interval, 2 * CL_NS_PER_S);
	assert_int_equal(call.v.params.moves, 3);
	assert_int_equal(PARSE(&cli_verb_run, &call, "--mode", "observe", "--for", "1m"), CLI_OK);
	assert_int_equal(call.v.mode, 3);
	assert_int_equal(call.v.for_ns, 60 * CL_NS_PER_S);
	assert_int_equal(PARSE(&cli_verb_run, &call, "--mode=enforce"), CLI_OK);
	assert_int_equal(call.v.mode, 1);
	assert_int_equal(PARSE(&cli_verb_plan, &call, "--main-cpus", "0,2-3"), CLI_OK);
	assert_int_equal(cl_cpuset_count(&call.v.params.main_cpus), 3);
}

static void test_arguments(void **state)
{
	struct cli_call call;

	assert_int_equal(PARSE(&cli_verb_adopt, &call, "guest", "-j", "web"), CLI_OK);
	assert_int_equal(call.v.arg_count, 2);
	assert_string_equal(call.v.args[1], "web");
	assert_int_equal(PARSE(&cli_verb_explain, &call, "--", "--json"), CLI_OK);
	assert_string_equal(call.v.args[0], "--json");
	assert_false(call.v.json);
	assert_int_equal(PARSE(&cli_verb_explain, &call, "-"), CLI_OK);
	assert_string_equal(call.v.args[0], "-");
	assert_int_equal(PARSE(&cli_verb_explain, &call, "a", "b"), CLI_USAGE);
	assert_int_equal(PARSE(&cli_verb_replay, &call), CLI_USAGE);
	assert_int_equal(PARSE(&cli_verb_replay, &call, "--help"), CLI_OK);
	assert_true(call.v.help);
}

static void test_refused(void **state)
{
	struct cli_call call;

	assert_int_equal(PARSE(&cli_verb_plan, &call, "--works"), CLI_USAGE); /* another verb's */
	assert_int_equal(PARSE(&cli_verb_plan, &call, "--hos", "x"),
			 CLI_USAGE); /* nothing by prefix */
	assert_int_equal(PARSE(&cli_verb_plan, &call, "--json=yes"), CLI_USAGE);
	assert_int_equal(PARSE(&cli_verb_plan, &call, "--host"), CLI_USAGE);
	assert_int_equal(PARSE(&cli_verb_plan, &call, "--host="), CLI_USAGE);
	assert_int_equal(PARSE(&cli_verb_plan, &call, "--set", "=1"), CLI_USAGE);
	assert_int_equal(PARSE(&cli_verb_plan, &call, "--set", "moves"), CLI_USAGE);
	assert_int_equal(PARSE(&cli_verb_plan, &call, "--set", "moves=0"), CLI_USAGE);
	assert_int_equal(PARSE(&cli_verb_plan, &call, "--set", "interval-min=5s"), CLI_USAGE);
	assert_int_equal(PARSE(&cli_verb_plan, &call, "--main-cpus", "0-"), CLI_USAGE);
	assert_int_equal(PARSE(&cli_verb_run, &call, "--mode", "enf"), CLI_USAGE);
	assert_int_equal(PARSE(&cli_verb_run, &call, "--mode", ""), CLI_USAGE);
	assert_int_equal(PARSE(&cli_verb_run, &call, "--mode", "enforce|advise"), CLI_USAGE);
}

/* Tables are data: what a reader of them relies on. */
static void test_tables(void **state)
{
	for (uint32_t v = 0; cli_verbs[v]; v++) {
		const struct cli_verb *verb = cli_verbs[v];
		const struct cli_option *o, *p;

		assert_ptr_equal(cli_verb_find(verb->name), verb);
		assert_non_null(verb->run);
		assert_true(strlen(verb->doc) > 0 && strlen(verb->text) > 0);
		assert_true(verb->args_least <= verb->args_most && verb->args_most <= CLI_ARGS_MAX);
		assert_true((verb->args_most > 0) == (verb->args != NULL));
		for (uint32_t i = 0; (o = cli_option_at(verb, i)); i++) {
			assert_true((o->type == CLI_FLAG) == (o->arg == NULL));
			assert_true(o->offset < sizeof(struct cli_values));
			for (uint32_t k = 0; k < i && (p = cli_option_at(verb, k)); k++) {
				assert_string_not_equal(o->name, p->name);
				assert_false(o->letter && o->letter == p->letter);
			}
		}
	}
}

static void test_text(void **state)
{
	struct cl_cpuset set;
	char buf[8], wide[16];

	cl_cpuset_zero(&set);
	assert_string_equal(cli_list_text(&set, buf, sizeof(buf)), "none");
	assert_string_equal(cli_cpus_text(&set, wide, sizeof(wide)), "no CPU");
	cl_cpuset_add(&set, 0);
	assert_string_equal(cli_cpus_text(&set, wide, sizeof(wide)), "CPU 0");
	for (uint32_t c = 2; c < 40; c += 2)
		cl_cpuset_add(&set, c);
	assert_string_equal(cli_list_text(&set, buf, sizeof(buf)), "0,2,...");
	assert_string_equal(cli_cpus_text(&set, wide, sizeof(wide)), "CPUs 0,2,4,6...");
	assert_string_equal(cli_nodes_text(0, buf, sizeof(buf)), "?");
	assert_string_equal(cli_nodes_text(0xb, buf, sizeof(buf)), "0-1,3");
	assert_string_equal(cli_percent(1, 8, buf, sizeof(buf)), "12.5");
	assert_string_equal(cli_percent(CL_UNKNOWN, 8, buf, sizeof(buf)), "-");
	assert_string_equal(cli_percent(1, 0, buf, sizeof(buf)), "-");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_times),   cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_forms),   cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_tables),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
