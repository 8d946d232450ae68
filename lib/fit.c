/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fit: normal equations about the means, scaled to correlations, inverted by Gauss and Jordan with
 * pivoting (n <= 8). The diagonal of the inverse is each variable's variance inflation factor.
 */
#include "fit.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define INFLATION_MOST 10.0  /* the customary bound for a variance inflation factor */
#define FLAT           1e-12 /* of a sum of squares: nothing but rounding */

void cl_fit_begin(struct cl_fit_data *ret_data, uint32_t n)
{
	assert(n > 0 && n <= CL_FIT_MAX);
	memset(ret_data, 0, sizeof(*ret_data));
	ret_data->n = n;
}

void cl_fit_add(struct cl_fit_data *d, const double *x, double y)
{
	double dx[CL_FIT_MAX];

	if (d->rows == 0) {
		memcpy(d->x0, x, d->n * sizeof(*x));
		d->y0 = y;
	}
	d->rows++;
	y -= d->y0;
	d->sy += y;
	d->syy += y * y;
	for (uint32_t i = 0; i < d->n; i++) {
		dx[i] = x[i] - d->x0[i];
		d->sx[i] += dx[i];
		d->sxy[i] += dx[i] * y;
		for (uint32_t j = 0; j <= i; j++)
			d->sxx[i][j] += dx[i] * dx[j];
	}
}

/*
 * Of Student's t with `free` degrees of freedom the quantile 0.975, by the expansion of Cornish and
 * Fisher about the normal one's (Abramowitz and Stegun 26.7.5): within 0.3 % from 5 on.
 */
static double student(double free)
{
	const double z = 1.959963984540054, z2 = z * z;
	double g1 = z * (z2 + 1) / 4;
	double g2 = z * ((5 * z2 + 16) * z2 + 3) / 96;
	double g3 = z * (((3 * z2 + 19) * z2 + 17) * z2 - 15) / 384;
	double g4 = z * ((((79 * z2 + 776) * z2 + 1482) * z2 - 1920) * z2 - 945) / 92160;

	return z + (g1 + (g2 + (g3 + g4 / free) / free) / free) / free;
}

struct equations { /* of the variables that changed */
	uint32_t n;
	uint32_t which[CL_FIT_MAX];
	double norm[CL_FIT_MAX]; /* root of the sum of squares about the mean */
	double r[CL_FIT_MAX][CL_FIT_MAX], inverse[CL_FIT_MAX][CL_FIT_MAX], ry[CL_FIT_MAX];
	double yy;
};

static double about_mean(const struct cl_fit_data *d, uint32_t i, uint32_t j)
{
	return (i > j ? d->sxx[i][j] : d->sxx[j][i]) - d->sx[i] * d->sx[j] / d->rows;
}

static void set_up(const struct cl_fit_data *d, struct cl_fit *fit, struct equations *e)
{
	e->yy = d->syy - d->sy * d->sy / d->rows;
	for (uint32_t i = 0; i < d->n; i++) {
		double squares = about_mean(d, i, i);

		fit->terms[i].verdict = CL_FIT_CONSTANT;
		if (squares <= FLAT * d->sxx[i][i])
			continue;
		fit->terms[i].verdict = CL_FIT_TOLD;
		e->norm[e->n] = sqrt(squares);
		e->which[e->n++] = i;
	}
	for (uint32_t a = 0; a < e->n; a++) {
		uint32_t i = e->which[a];

		for (uint32_t b = 0; b < e->n; b++)
			e->r[a][b] = about_mean(d, i, e->which[b]) / (e->norm[a] * e->norm[b]);
		e->ry[a] = (d->sxy[i] - d->sx[i] * d->sy / d->rows) / e->norm[a];
	}
}

/* False: there is none. */
static bool invert(struct equations *e)
{
	double m[CL_FIT_MAX][CL_FIT_MAX];

	memcpy(m, e->r, sizeof(m));
	for (uint32_t i = 0; i < e->n; i++)
		for (uint32_t j = 0; j < e->n; j++)
			e->inverse[i][j] = i == j;
	for (uint32_t k = 0; k < e->n; k++) {
		uint32_t best = k;

		for (uint32_t i = k + 1; i < e->n; i++)
			best = fabs(m[i][k]) > fabs(m[best][k]) ? i : best;
		if (fabs(m[best][k]) < FLAT)
			return false;
		for (uint32_t j = 0; j < e->n; j++) {
			double a = m[k][j], b = e->inverse[k][j];

			m[k][j] = m[best][j];
			m[best][j] = a;
			e->inverse[k][j] = e->inverse[best][j];
			e->inverse[best][j] = b;
		}
		for (uint32_t i = 0; i < e->n; i++) {
			double by = i == k ? (m[k][k] - 1) / m[k][k] : m[i][k] / m[k][k];

			for (uint32_t j = 0; j < e->n; j++) {
				m[i][j] -= by * m[k][j];
				e->inverse[i][j] -= by * e->inverse[k][j];
			}
		}
	}
	return true;
}

static void judge(struct cl_fit_term *term, double widest)
{
	if (term->inflation > INFLATION_MOST)
		term->verdict = CL_FIT_COLLINEAR;
	else if (term->b + term->half_width <= 0)
		term->verdict = CL_FIT_NEGATIVE;
	else if (!(term->half_width <= widest * term->b))
		term->verdict = CL_FIT_WIDE;
}

static bool all_are(struct cl_fit *fit, const struct equations *e, enum cl_fit_verdict verdict)
{
	for (uint32_t a = 0; a < e->n; a++)
		fit->terms[e->which[a]].verdict = verdict;
	return false;
}

bool cl_fit(const struct cl_fit_data *d, double widest, struct cl_fit *ret_fit)
{
	struct equations e = { 0 };
	double explained = 0, free, s2;
	bool any = false;

	memset(ret_fit, 0, sizeof(*ret_fit));
	for (uint32_t i = 0; i < d->n; i++)
		ret_fit->terms[i].verdict = CL_FIT_ROWS;
	if (d->rows < 2)
		return false;
	set_up(d, ret_fit, &e);
	free = (double)d->rows - 1 - e.n;
	if (free < CL_FIT_FREE)
		return all_are(ret_fit, &e, CL_FIT_ROWS);
	if (!invert(&e))
		return all_are(ret_fit, &e, CL_FIT_COLLINEAR);
	ret_fit->intercept = d->y0 + d->sy / d->rows;
	for (uint32_t a = 0; a < e.n; a++) {
		struct cl_fit_term *term = &ret_fit->terms[e.which[a]];
		double beta = 0;

		for (uint32_t b = 0; b < e.n; b++)
			beta += e.inverse[a][b] * e.ry[b];
		explained += beta * e.ry[a];
		term->b = beta / e.norm[a];
		term->inflation = e.inverse[a][a];
		ret_fit->intercept -= term->b * (d->x0[e.which[a]] + d->sx[e.which[a]] / d->rows);
	}
	s2 = e.yy > explained ? (e.yy - explained) / free : 0;
	ret_fit->residual = sqrt(s2);
	ret_fit->r2 = e.yy > 0 ? explained / e.yy : 0;
	for (uint32_t a = 0; a < e.n; a++) {
		struct cl_fit_term *term = &ret_fit->terms[e.which[a]];

		term->half_width = student(free) * sqrt(s2 * term->inflation) / e.norm[a];
		judge(term, widest);
		any = any || term->verdict == CL_FIT_TOLD;
	}
	return any;
}

const char *cl_fit_verdict_text(enum cl_fit_verdict verdict)
{
	static const char *const texts[] = {
#define X(id, text) text,
		CL_FIT_VERDICTS(X)
#undef X
	};

	return texts[verdict];
}
