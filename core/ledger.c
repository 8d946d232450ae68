/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The arithmetic of charging; see ledger.h. */
#include "ledger.h"

#include <assert.h>

uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c, uint64_t *ret_rest)
{
	unsigned __int128 product = (unsigned __int128)a * b;
	uint64_t quotient = 0, high = (uint64_t)(product >> 64), low = (uint64_t)product;

	assert(c > 0);
	if (high == 0) {
		quotient = low / c;
		high = low % c;
	} else {
		/* Long division, bit by bit: 128 by 64 bits is a call to libgcc. */
		bool over = high >= c;

		high %= c;
		for (int bit = 63; bit >= 0; bit--) {
			bool carry = high >> 63;

			high = high << 1 | (low >> bit & 1);
			quotient <<= 1;
			if (carry || high >= c) {
				high -= c;
				quotient |= 1;
			}
		}
		if (over)
			quotient = UINT64_MAX;
	}
	if (ret_rest)
		*ret_rest = high;
	return quotient;
}

bool cl_ledger_sound(const struct cl_ledger *l)
{
	uint64_t sum = l->charged_ns;

	if (l->repaid_ns > sum)
		return false;
	sum -= l->repaid_ns;
	return l->owed_ns <= sum && l->written_off_ns == sum - l->owed_ns;
}

uint64_t ledger_charge(struct cl_ledger *l, uint64_t ns)
{
	uint64_t room = UINT64_MAX - l->charged_ns;

	if (ns > room)
		ns = room;
	l->charged_ns += ns;
	l->owed_ns += ns;
	assert(cl_ledger_sound(l));
	return ns;
}

uint64_t ledger_repay(struct cl_ledger *l, uint64_t unspent_ns)
{
	uint64_t ns = unspent_ns < l->owed_ns ? unspent_ns : l->owed_ns;

	l->owed_ns -= ns;
	l->repaid_ns += ns;
	assert(cl_ledger_sound(l));
	return ns;
}

uint64_t ledger_write_off(struct cl_ledger *l)
{
	uint64_t ns = l->owed_ns;

	l->owed_ns = 0;
	l->written_off_ns += ns;
	assert(cl_ledger_sound(l));
	return ns;
}

/* How many of the remainders are above this. */
static uint32_t above(const uint64_t *rests, uint32_t n, uint64_t than)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < n; i++)
		count += rests[i] > than;
	return count;
}

void ledger_split(uint64_t total_ns, const uint64_t *weights, uint32_t n, uint64_t *ret_ns,
		  uint64_t *rests)
{
	uint64_t sum = 0, left = total_ns, low = 0, high = UINT64_MAX;

	for (uint32_t i = 0; i < n; i++) {
		assert(weights[i] <= UINT64_MAX - sum);
		sum += weights[i];
		ret_ns[i] = rests[i] = 0;
	}
	if (sum == 0)
		return;
	for (uint32_t i = 0; i < n; i++) {
		ret_ns[i] = mul_div(total_ns, weights[i], sum, &rests[i]);
		left -= ret_ns[i];
	}
	/* The smallest remainder that is passed by no more of them than there are ns left. */
	while (low < high) {
		uint64_t mid = low + (high - low) / 2;

		if (above(rests, n, mid) <= left)
			high = mid;
		else
			low = mid + 1;
	}
	left -= above(rests, n, low);
	for (uint32_t i = 0; i < n; i++) {
		bool more = rests[i] > low;

		if (!more && rests[i] == low && left > 0 && weights[i] > 0) {
			more = true;
			left--;
		}
		ret_ns[i] += more;
	}
	assert(left == 0);
}

uint64_t ledger_left(uint64_t contract, uint64_t owed_ns, uint64_t worth_ns, uint64_t floor_ppm)
{
	uint64_t floor = contract - mul_div(contract, CL_PPM - floor_ppm, CL_PPM, NULL);
	uint64_t held;

	if (worth_ns == 0)
		return contract;
	held = mul_div(contract, owed_ns, worth_ns, NULL);
	return held < contract - floor ? contract - held : floor;
}
