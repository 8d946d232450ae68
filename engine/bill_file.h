/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bill_file: the database behind bill.c and bill_read.c. */
#ifndef CLOSER_BILL_FILE_H
#define CLOSER_BILL_FILE_H

#include "bill.h"

#include <sqlite3.h>

/* "PRAGMA application_id", so that no other program's database is taken for ours. */
#define CL_BILL_APPLICATION 0x636c6f62
#define CL_BILL_VERSION     1

/* What SQLite says in errno's and closer's words; what: "writing". Always negative. */
int cl_bill_fail(sqlite3 *db, int rc, const char *what, const char *path, struct cl_error *reterr);
int cl_bill_exec(sqlite3 *db, const char *sql, const char *what, const char *path,
		 struct cl_error *reterr);
/* One number that a statement answers; 0: it answers nothing. */
int cl_bill_number(sqlite3 *db, const char *sql, const char *path, int64_t *ret,
		   struct cl_error *reterr);
/* Is it a ledger of this version? -EINVAL. */
int cl_bill_is_ours(sqlite3 *db, const char *path, struct cl_error *reterr);

#endif
