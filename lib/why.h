/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * why: reasons and numbers made text, for people. The templates are CL_REASONS in <closer/plan.h>.
 */
#ifndef CLOSER_WHY_H
#define CLOSER_WHY_H

#include "lib.h"

#define CL_WHY_MAX 192u /* bytes that hold every reason with any numbers, NUL included */

/* Fills the reason's template; writes at most size bytes with NUL (cut if longer); returns buf. */
char *cl_why_text(const struct cl_why *why, char *buf, size_t size);

/* "12.3%", "100%", "0%"; shares above 0 that would round to it are "<0.1%". */
char *cl_share_text(uint64_t ppm, char *buf, size_t size);
/*
 * Three digits and a unit: "0s", "850ns", "12.3us", "4.56ms", "1.50s", "12m 5s", "3h 20m", "2d
 * 4h"; CL_UNKNOWN is "-".
 */
char *cl_time_text(uint64_t ns, char *buf, size_t size);
/* "512MiB" where it is whole, else three digits: "1.50GiB", "300B"; CL_UNKNOWN is "-". */
char *cl_bytes_text(uint64_t bytes, char *buf, size_t size);

#endif
