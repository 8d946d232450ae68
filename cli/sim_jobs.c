/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs in processes of their own: job j makes the runs j, j + jobs, .. in this order, and writes
 * each into its pipe. They are read in the order of runs, so that the number of jobs changes
 * nothing but the time.
 */
#include "sim.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define JOBS_MAX 256u

struct result { /* as it goes through a pipe, to a copy of the same program */
	int code;
	struct cl_error error;
	struct cl_sim_outcome outcome;
};

struct job {
	pid_t pid; /* 0: ended, and seen to have */
	int fd;
};

static int run_one(const struct sim_trial *trial, uint32_t i, struct result *result)
{
	memset(result, 0, sizeof(*result));
	result->code = cl_simulate(trial->arms[i % trial->arm_count].scenario,
				   trial->first_seed + i / trial->arm_count,
				   trial->arms[i % trial->arm_count].policy, &result->outcome,
				   &result->error);
	return result->code;
}

static bool write_all(int fd, const void *data, size_t size)
{
	const char *at = data;

	while (size > 0) {
		ssize_t n = write(fd, at, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		size -= (size_t)n;
	}
	return true;
}

static bool read_all(int fd, void *data, size_t size)
{
	char *at = data;

	while (size > 0) {
		ssize_t n = read(fd, at, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		size -= (size_t)n;
	}
	return true;
}

static void work(const struct sim_trial *trial, uint32_t first, uint32_t step, int fd)
{
	uint32_t count = trial->seed_count * trial->arm_count;
	struct result *result = malloc(sizeof(*result));

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (uint32_t i = first; result && i < count; i += step) {
		int r = run_one(trial, i, result);

		if (!write_all(fd, result, sizeof(*result)) || r < 0)
			break;
	}
	free(result);
	_exit(0);
}

static int start(const struct sim_trial *trial, struct job *all, uint32_t jobs,
		 struct cl_error *reterr)
{
	for (uint32_t j = 0; j < jobs; j++) {
		int fds[2];

		if (pipe(fds) < 0)
			return cl_fail(reterr, errno, "starting a job: %s", strerror(errno));
		all[j].pid = fork();
		if (all[j].pid == 0) {
			close(fds[0]);
			work(trial, j, jobs, fds[1]);
		}
		close(fds[1]);
		if (all[j].pid < 0) {
			close(fds[0]);
			all[j].pid = 0;
			return cl_fail(reterr, errno, "starting a job: %s", strerror(errno));
		}
		all[j].fd = fds[0];
	}
	return 0;
}

static void stop(struct job *all, uint32_t jobs)
{
	for (uint32_t j = 0; j < jobs; j++) {
		if (all[j].fd >= 0)
			close(all[j].fd);
		if (all[j].pid <= 0)
			continue;
		kill(all[j].pid, SIGKILL);
		while (waitpid(all[j].pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
}

/* It ended without a result. */
static int fail_dead(struct job *job, const struct sim_trial *trial, uint32_t i,
		     struct cl_error *reterr)
{
	int status = 0;

	while (waitpid(job->pid, &status, 0) < 0 && errno == EINTR)
		;
	job->pid = 0;
	return cl_fail(reterr, EPIPE, "%s, seed %llu, %s: its process died%s%s",
		       sim_scenario_id(trial->scenario),
		       (unsigned long long)(trial->first_seed + i / trial->arm_count),
		       trial->arms[i % trial->arm_count].name, WIFSIGNALED(status) ? " of " : "",
		       WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "");
}

static void progress(const struct cli_call *call, const struct sim_trial *trial, uint32_t done)
{
	uint32_t count = trial->seed_count * trial->arm_count;

	if (!isatty(STDERR_FILENO))
		return;
	if (done == count)
		fprintf(stderr, "\r\033[K");
	else
		fprintf(stderr, "\r\033[Kcloser sim: %s: %u of %u runs",
			sim_scenario_id(trial->scenario), done, count);
	fflush(stderr);
}

static int collect(const struct cli_call *call, struct sim_trial *trial, struct job *all,
		   uint32_t jobs, struct result *result, struct cl_error *reterr)
{
	uint32_t count = trial->seed_count * trial->arm_count;

	for (uint32_t i = 0; i < count; i++) {
		progress(call, trial, i);
		if (!read_all(all[i % jobs].fd, result, sizeof(*result)))
			return fail_dead(&all[i % jobs], trial, i, reterr);
		if (result->code < 0)
			return cl_fail(
				reterr, -result->code, "%s, seed %llu, %s: %s",
				sim_scenario_id(trial->scenario),
				(unsigned long long)(trial->first_seed + i / trial->arm_count),
				trial->arms[i % trial->arm_count].name, result->error.text);
		trial->outcomes[i] = result->outcome;
	}
	progress(call, trial, count);
	return 0;
}

int sim_jobs(const struct cli_call *call, struct sim_trial *trial, uint32_t jobs,
	     struct cl_error *reterr)
{
	uint32_t count = trial->seed_count * trial->arm_count;
	cl_autofree struct result *result = malloc(sizeof(*result));
	struct job all[JOBS_MAX];
	int r;

	jobs = jobs > count ? count : jobs;
	jobs = jobs > JOBS_MAX ? JOBS_MAX : jobs;
	for (uint32_t j = 0; j < jobs; j++)
		all[j] = (struct job){ 0, -1 };
	trial->outcomes = calloc(count, sizeof(*trial->outcomes));
	if (!result || !trial->outcomes)
		return cl_fail(reterr, ENOMEM, "simulating: no memory for %u runs", count);
	fflush(stdout);
	r = start(trial, all, jobs, reterr);
	if (r == 0)
		r = collect(call, trial, all, jobs, result, reterr);
	stop(all, jobs);
	return r;
}
