/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journal as a file, read: who may have written it, which boot it is of.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define DO_ARCHIVE "move it away, or `closer undo --skip-corrupt`"

int cl_boot_id(char ret_boot[64], struct cl_error *reterr)
{
	ssize_t n = cl_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", ret_boot, 64);
	struct cl_uuid uuid;

	if (n < 0)
		return cl_fail(reterr, (int)-n, "reading the boot id: %s; is /proc mounted?",
			       strerror((int)-n));
	ret_boot[strcspn(ret_boot, "\n")] = '\0';
	if (!cl_uuid_parse(ret_boot, &uuid))
		return cl_fail(reterr, EBADMSG, "the boot id in /proc is not a uuid");
	return 0;
}

/* Ours alone: a link, a pipe, or a file that somebody else may write could make undo do anything.
 */
int cl_journal_file(int dir_fd, const char *dir, int flags, int *ret_fd, struct cl_error *reterr)
{
	cl_autoclose int fd =
		openat(dir_fd, CL_JOURNAL_FILE, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	const char *wrong = NULL;
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return cl_fail(reterr, ENOENT,
			       "there is no journal in %s: nothing of closer's is applied", dir);
	if (fd < 0)
		return cl_fail(reterr, errno, "opening the journal %s/" CL_JOURNAL_FILE ": %s%s",
			       dir, strerror(errno),
			       errno == ELOOP
				       ? "; it is a symbolic link, closer makes none: remove it"
				       : "");
	if (fstat(fd, &st) < 0)
		return cl_fail(reterr, errno, "journal %s/" CL_JOURNAL_FILE ": %s", dir,
			       strerror(errno));
	if (!S_ISREG(st.st_mode))
		wrong = "is not a file";
	else if (st.st_uid != geteuid() && st.st_uid != 0)
		wrong = "belongs to somebody else";
	else if (st.st_mode & 022)
		wrong = "can be written to by others";
	if (wrong)
		return cl_fail(reterr, EPERM,
			       "the journal %s/" CL_JOURNAL_FILE
			       " %s, so it is not believed: look at "
			       "it, then move it away",
			       dir, wrong);
	*ret_fd = fd;
	fd = -1;
	return 0;
}

int cl_journal_peek(int dir_fd, const char *dir, char ret_boot[64], struct cl_error *reterr)
{
	static const char head[] = CL_JOURNAL_MAGIC " #";
	cl_autoclose int fd = -1;
	char buf[256];
	const char *line;
	struct cl_uuid uuid;
	ssize_t n;
	int r = cl_journal_file(dir_fd, dir, O_RDONLY, &fd, reterr);

	if (r < 0)
		return r;
	n = pread(fd, buf, sizeof(buf) - 1, 0);
	if (n < 0)
		return cl_fail(reterr, errno, "reading the journal in %s: %s", dir,
			       strerror(errno));
	buf[n] = '\0';
	ret_boot[0] = '\0';
	/* "closer-journal 1 #........\nboot <uuid> #........\n"; anything else is left to the
	 * parser's words. */
	line = strchr(buf, '\n');
	if (memcmp(buf, head, sizeof(head) - 1) != 0 || !line ||
	    strncmp(line + 1, "boot ", 5) != 0 || strlen(line + 6) < 36)
		return 0;
	memcpy(ret_boot, line + 6, 36);
	ret_boot[36] = '\0';
	if (!cl_uuid_parse(ret_boot, &uuid))
		ret_boot[0] = '\0';
	return 0;
}

int cl_journal_load(int dir_fd, const char *dir, bool skip, struct cl_journal *ret_journal,
		    struct cl_error *reterr)
{
	cl_autoclose int fd = -1;
	cl_autofree char *text = NULL;
	struct stat st;
	size_t len = 0;
	int r = cl_journal_file(dir_fd, dir, O_RDONLY, &fd, reterr);

	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return cl_fail(reterr, errno, "journal in %s: %s", dir, strerror(errno));
	if (st.st_size > (off_t)CL_JOURNAL_BYTES_MAX)
		return cl_fail(
			reterr, EFBIG,
			"the journal in %s is longer than closer ever makes one (%u bytes): " DO_ARCHIVE,
			dir, CL_JOURNAL_BYTES_MAX);
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return cl_fail(reterr, ENOMEM, "reading the journal in %s: no memory", dir);
	while (len < (size_t)st.st_size) {
		ssize_t n = pread(fd, text + len, (size_t)st.st_size - len, (off_t)len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cl_fail(reterr, errno, "reading the journal in %s: %s", dir,
				       strerror(errno));
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return cl_journal_parse_with(text, len, skip, ret_journal, reterr);
}

int cl_journal_read(const char *dir, struct cl_journal *ret_journal, struct cl_error *reterr)
{
	cl_autoclose int dir_fd = -1;
	int r = cl_dir_open(dir, &dir_fd, reterr);

	return r < 0 ? r : cl_journal_load(dir_fd, dir, false, ret_journal, reterr);
}

int cl_journal_archive(int dir_fd, const char *dir, bool *ret_archived, struct cl_error *reterr)
{
	char boot[64], now[64], name[80];
	int r = cl_journal_peek(dir_fd, dir, boot, reterr);

	*ret_archived = false;
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = cl_boot_id(now, reterr);
	if (r < 0 || !boot[0] || strcmp(boot, now) == 0)
		return r;
	snprintf(name, sizeof(name), CL_JOURNAL_FILE ".%s", boot);
	if (renameat(dir_fd, CL_JOURNAL_FILE, dir_fd, name) < 0)
		return cl_fail(reterr, errno, "archiving another boot's journal as %s/%s: %s", dir,
			       name, strerror(errno));
	*ret_archived = true;
	return 0;
}
