/* redis_mend.h - keys in Redis that hold something else than ours: moved aside, to `<key>:broken`, and said so. */
#ifndef STORE_REDIS_MEND_H
#define STORE_REDIS_MEND_H

#include <stdbool.h>

struct redis_line;
struct redis_reply;

/* Looks whether the key holds that ("hash", "stream", ...), or nothing. False: it does not, and could not be moved. */
bool redis_mend_key(struct redis_line *line, const char *key, const char *kind);
/* The key that an answer names as broken. True: it was moved, ask again. */
bool redis_mend_named(struct redis_line *line, const struct redis_reply *reply);

#endif
