/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the ledger's reader and writer share. */
#include "bill_file.h"

#include <errno.h>
#include <string.h>

int cl_bill_fail(sqlite3 *db, int rc, const char *what, const char *path, struct cl_error *reterr)
{
	int os = db ? sqlite3_system_errno(db) : 0;

	switch (rc & 0xff) {
	case SQLITE_NOTADB:
		return cl_fail(reterr, EINVAL,
			       "%s ledger %.300s: it is no database; name another file, or move "
			       "this one away",
			       what, path);
	case SQLITE_CORRUPT:
		return cl_fail(reterr, EBADMSG,
			       "%s ledger %.300s: it is damaged; move it away, and `sqlite3 FILE "
			       ".recover` shows what can be saved",
			       what, path);
	case SQLITE_FULL:
		return cl_fail(reterr, ENOSPC,
			       "%s ledger %.300s: the disk is full; nothing of this interval was "
			       "written, it is kept for the next",
			       what, path);
	case SQLITE_READONLY:
	case SQLITE_PERM:
		return cl_fail(reterr, EROFS,
			       "%s ledger %.300s: it, or its folder, cannot be written to", what,
			       path);
	case SQLITE_BUSY:
		return cl_fail(reterr, EBUSY, "%s ledger %.300s: somebody else has it locked", what,
			       path);
	case SQLITE_NOMEM:
		return cl_fail(reterr, ENOMEM, "%s ledger %.300s: no memory", what, path);
	case SQLITE_CANTOPEN:
		return cl_fail(reterr, os ? os : ENOENT, "%s ledger %.300s: %s", what, path,
			       strerror(os ? os : ENOENT));
	default:
		return cl_fail(reterr, os ? os : EIO, "%s ledger %.300s: %s%s%s", what, path,
			       db ? sqlite3_errmsg(db) : sqlite3_errstr(rc), os ? ": " : "",
			       os ? strerror(os) : "");
	}
}

int cl_bill_exec(sqlite3 *db, const char *sql, const char *what, const char *path,
		 struct cl_error *reterr)
{
	int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : cl_bill_fail(db, rc, what, path, reterr);
}

int cl_bill_number(sqlite3 *db, const char *sql, const char *path, int64_t *ret,
		   struct cl_error *reterr)
{
	sqlite3_stmt *statement = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

	*ret = 0;
	if (rc == SQLITE_OK)
		rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return rc == SQLITE_ROW || rc == SQLITE_DONE
		       ? 0
		       : cl_bill_fail(db, rc, "reading", path, reterr);
}

int cl_bill_is_ours(sqlite3 *db, const char *path, struct cl_error *reterr)
{
	int64_t application, version;
	int r = cl_bill_number(db, "PRAGMA application_id", path, &application, reterr);

	if (r == 0)
		r = cl_bill_number(db, "PRAGMA user_version", path, &version, reterr);
	if (r < 0)
		return r;
	if (application != CL_BILL_APPLICATION)
		return cl_fail(reterr, EINVAL,
			       "reading ledger %.300s: it is a database, but no ledger of closer's",
			       path);
	if (version != CL_BILL_VERSION)
		return cl_fail(reterr, EINVAL,
			       "reading ledger %.300s: it is of version %lld, and this closer "
			       "writes version %d: move it away",
			       path, (long long)version, CL_BILL_VERSION);
	return 0;
}
