/* SPDX-License-Identifier: GPL-2.0-or-later */
/* speak: the lines of a host's check(), formatted. */
#ifndef CLOSER_SPEAK_H
#define CLOSER_SPEAK_H

#include <stdarg.h>
#include <stdio.h>

struct speaker {
	void (*say)(void *ctx, const char *level, const char *text);
	void *ctx;
};

__attribute__((format(printf, 3, 4))) static inline void
speak(const struct speaker *to, const char *level, const char *format, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	to->say(to->ctx, level, text);
}

#endif
