/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file of calibrated costs: lines of a word and two numbers. */
#include "weights.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define FILE_MAX 4096u

static const char *const words[] = {
#define X(id, word, param, what) word,
	CL_WEIGHTS(X)
#undef X
};
static const char *const whats[] = {
#define X(id, word, param, what) what,
	CL_WEIGHTS(X)
#undef X
};

const char *cl_weight_word(enum cl_weight_id id)
{
	return words[id];
}

const char *cl_weight_what(enum cl_weight_id id)
{
	return whats[id];
}

/* "WORD NS NS". False: it is none. */
static bool parse_line(const char *line, struct cl_weights *weights)
{
	size_t len = strcspn(line, " ");
	struct cl_weight is;
	const char *p;

	for (uint32_t i = 0; i < CL_WEIGHT_COUNT; i++) {
		if (strlen(words[i]) != len || memcmp(words[i], line, len) != 0)
			continue;
		return line[len] == ' ' && cl_parse_u64(line + len + 1, &is.ns, &p) && *p == ' ' &&
		       cl_parse_u64(p + 1, &is.half_width_ns, &p) && *p == '\0' && is.ns > 0 &&
		       is.ns <= CL_WEIGHT_NS_MAX && is.half_width_ns <= CL_WEIGHT_NS_MAX &&
		       weights->of[i].ns == 0 && (weights->of[i] = is, true);
	}
	return false;
}

int cl_weights_parse(char *text, struct cl_weights *ret_weights, struct cl_error *reterr)
{
	struct cl_weights weights = { 0 };
	uint32_t number = 0;
	char *next;

	for (char *line = text; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		number++;
		if (*line && *line != '#' && !parse_line(line, &weights))
			return cl_fail(
				reterr, EBADMSG,
				"line %u of the calibrated costs is not a new WORD NS NS with "
				"the word send, receive or request: calibrate anew, or remove "
				"the file",
				number);
	}
	*ret_weights = weights;
	return 0;
}

int cl_weights_read(const char *dir, struct cl_weights *ret_weights, struct cl_error *reterr)
{
	char path[CL_PATH_MAX], text[FILE_MAX];
	struct cl_error why;

	snprintf(path, sizeof(path), "%s/" CL_WEIGHTS_FILE, dir);
	ssize_t len = cl_read_file(AT_FDCWD, path, text, sizeof(text));

	if (len < 0)
		return cl_fail(reterr, (int)-len, "reading %s: %s%s", path, strerror((int)-len),
			       len == -ENOENT ? ": nothing was calibrated yet (closer calibrate)"
					      : "");
	int r = cl_weights_parse(text, ret_weights, &why);

	return r < 0 ? cl_fail(reterr, -r, "%s: %s", path, why.text) : 0;
}

int cl_weights_write(const char *dir, const struct cl_weights *weights, struct cl_error *reterr)
{
	char path[CL_PATH_MAX], fresh[CL_PATH_MAX], text[FILE_MAX];
	int len = snprintf(text, sizeof(text),
			   "# ns of host CPU, and the half width of the 95 %% confidence interval: "
			   "closer calibrate\n");

	for (uint32_t i = 0; i < CL_WEIGHT_COUNT; i++)
		if (weights->of[i].ns)
			len += snprintf(text + len, sizeof(text) - (size_t)len, "%s %llu %llu\n",
					words[i], (unsigned long long)weights->of[i].ns,
					(unsigned long long)weights->of[i].half_width_ns);
	snprintf(path, sizeof(path), "%s/" CL_WEIGHTS_FILE, dir);
	snprintf(fresh, sizeof(fresh), "%s/" CL_WEIGHTS_FILE ".new", dir);
	cl_autoclose int fd =
		open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);

	if (fd < 0)
		return cl_fail(reterr, errno, "writing %s: %s", fresh, strerror(errno));
	ssize_t n = write(fd, text, (size_t)len);

	if (n != len || fsync(fd) < 0 || rename(fresh, path) < 0) {
		int code = n >= 0 && n != len ? ENOSPC : errno;

		unlink(fresh);
		return cl_fail(reterr, code, "writing %s: %s", path, strerror(code));
	}
	return 0;
}

void cl_weights_into(const struct cl_weights *weights, struct cl_params *params)
{
	uint64_t *const to[] = {
#define X(id, word, param, what) &params->param,
		CL_WEIGHTS(X)
#undef X
	};

	for (uint32_t i = 0; i < CL_WEIGHT_COUNT; i++)
		if (*to[i])
			return;
	for (uint32_t i = 0; i < CL_WEIGHT_COUNT; i++)
		*to[i] = weights->of[i].ns;
}
