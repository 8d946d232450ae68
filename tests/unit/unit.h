/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit: cmocka with the headers that it wants before it. */
#ifndef CLOSER_TESTS_UNIT_H
#define CLOSER_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#endif
