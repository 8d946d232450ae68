/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * list: queues whose links are embedded in what they hold. A link that is all zeros is on no list;
 * a head is a link to itself when empty. What is on a list must not move.
 */
#ifndef CLOSER_SIM_LIST_H
#define CLOSER_SIM_LIST_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

struct sim_link {
	struct sim_link *prev, *next;
};

static inline void sim_list_init(struct sim_link *head)
{
	head->prev = head->next = head;
}

static inline bool sim_list_empty(const struct sim_link *head)
{
	return head->next == head;
}

static inline bool sim_linked(const struct sim_link *link)
{
	return link->next != NULL;
}

/* Before at: with at the list's head, as its last. */
static inline void sim_link_before(struct sim_link *link, struct sim_link *at)
{
	assert(!sim_linked(link));
	link->prev = at->prev;
	link->next = at;
	at->prev->next = link;
	at->prev = link;
}

static inline void sim_unlink(struct sim_link *link)
{
	assert(sim_linked(link));
	link->prev->next = link->next;
	link->next->prev = link->prev;
	link->prev = link->next = NULL;
}

/* Not for loops that take the present one off. */
#define sim_list_each(at, head) for ((at) = (head)->next; (at) != (head); (at) = (at)->next)

#endif
