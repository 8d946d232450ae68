/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * journal_words: what a line of the journal is made of. *p stands on the next word and goes on
 * behind it; the text is cut up in place. False: it is no such word.
 */
#ifndef CLOSER_JOURNAL_WORDS_H
#define CLOSER_JOURNAL_WORDS_H

#include "internal.h"

bool next_word(char **p, char **ret);
bool next_is(char **p, const char *word);
bool next_number(char **p, uint64_t most, uint64_t *ret);
/* Escaped as the writer does it; false too if it is too long. */
bool next_text(char **p, char *buf, size_t size);
/* Kind and object of a change. */
bool next_object(char **p, struct cl_change *c);
bool next_setting(char **p, enum cl_change_kind kind, struct cl_setting *ret);
int hex_digit(char c); /* -1: none */

#endif
