/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fit: ordinary least squares of a few variables, y = b0 + sum b_j x_j, with what the data can tell
 * of each b_j. Doubles: not for core.
 *
 *   begin -> add(x, y) for each row -> cl_fit
 */
#ifndef CLOSER_FIT_H
#define CLOSER_FIT_H

#include <stdbool.h>
#include <stdint.h>

#define CL_FIT_MAX  8u
#define CL_FIT_FREE 5u /* least degrees of freedom */

struct cl_fit_data { /* sums over rows, about the first row: large offsets cancel */
	uint32_t n;  /* variables */
	uint32_t rows;
	double x0[CL_FIT_MAX], y0;
	double sx[CL_FIT_MAX], sy;
	double sxx[CL_FIT_MAX][CL_FIT_MAX], sxy[CL_FIT_MAX], syy;
};

/* X(ID, what it says of a variable) */
/* clang-format off */
#define CL_FIT_VERDICTS(X) \
	X(TOLD, "told") \
	X(ROWS, "too few intervals") \
	X(CONSTANT, "it did not change") \
	X(COLLINEAR, "it changed together with another one") \
	X(WIDE, "the interval of confidence is too wide") \
	X(NEGATIVE, "no cost was seen")
/* clang-format on */
enum cl_fit_verdict {
#define X(id, text) CL_FIT_##id,
	CL_FIT_VERDICTS(X)
#undef X
};

struct cl_fit_term {
	double b;          /* the coefficient */
	double half_width; /* of its 95 % confidence interval (Student's t) */
	double inflation;  /* of its variance, by the others: 1 / (1 - R^2 of it on them) */
	enum cl_fit_verdict verdict;
};

struct cl_fit {
	struct cl_fit_term terms[CL_FIT_MAX];
	double intercept;
	double residual; /* standard error of a row */
	double r2;
};

void cl_fit_begin(struct cl_fit_data *ret_data, uint32_t n);
void cl_fit_add(struct cl_fit_data *data, const double *x, double y);
/*
 * True if some variable could be told. Variables that did not change are left out; where two or
 * more changed together none of them is told, since any division between them would do. A cost is
 * told if it is above 0 and its half width is at most `widest` of it.
 */
bool cl_fit(const struct cl_fit_data *data, double widest, struct cl_fit *ret_fit);
const char *cl_fit_verdict_text(enum cl_fit_verdict verdict);

#endif
