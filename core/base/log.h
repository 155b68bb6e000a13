/*
 * log.h - one line an event on standard error: JSON, or plain text where a
 * person reads it. Callable from every thread; a line is written whole.
 * Never give it a secret.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_NOTHING };

void log_open(enum log_level least, bool json);
/*
 * Lines go to a file instead of standard error: once, before there are threads. False with errno: it cannot be opened,
 * and log_reopen may try again.
 */
bool log_to(const char *path);
/* Opens the file anew, after somebody moved it away. False with errno: the one that is open stays. */
bool log_reopen(void);
/* Whether a line of that level would be written. */
bool log_writes(enum log_level level);
/* The message, then pairs of name and value (C strings; a NULL value is left out), then NULL. */
void log_line(enum log_level level, const char *message, ...) __attribute__((sentinel));
/* The same with members already in JSON: fields is `"a":1,"b":"c"` or "". */
void log_members(enum log_level level, const char *message, const char *fields);

#endif
