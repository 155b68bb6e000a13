/*
 * redis_usage.h - adds ledger rows up out of Redis without their texts: the
 * index of the ledger by time has beside each entry's id the few fields that
 * usage goes by.
 */
#ifndef STORE_REDIS_USAGE_H
#define STORE_REDIS_USAGE_H

#include <stdbool.h>

struct redis_line;
struct usage;

/* Which those are, parted by blanks: for the script that puts them there. */
extern const char redis_usage_fields[];

/* All that its query asks for, which is not by request. Waits. False: Redis does not answer, or it was cancelled. */
bool redis_usage_read(struct redis_line *line, struct usage *usage);

#endif
