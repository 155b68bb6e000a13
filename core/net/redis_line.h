/*
 * redis_line.h - a Redis server as a thread that may wait sees it: one call,
 * one answer. One thread at a time.
 */
#ifndef NET_REDIS_LINE_H
#define NET_REDIS_LINE_H

#include <stdbool.h>
#include <stddef.h>

struct redis_address;
struct redis_line;
struct redis_reply;
struct redis_script;
struct redis_word;

/*
 * Connects, logs in and chooses the database. NULL with a sentence in error (no password in it). timeout in seconds
 * holds for connecting and for every wait for an answer's next bytes; looking a name up may take longer.
 */
struct redis_line *redis_line_open(const struct redis_address *address, double timeout, char *error, size_t error_size);
/* The same. is_refused: something is there that will not let us in, however long one waits. */
struct redis_line *redis_line_try(const struct redis_address *address, double timeout, bool *is_refused, char *error,
                                  size_t error_size);
void redis_line_close(struct redis_line *line);           /* NULL is fine */
bool redis_line_is_broken(const struct redis_line *line); /* a call got no answer, or the server went: close it */
/* The answer, to be freed by redis_reply_free; NULL: none, and the line is broken. */
struct redis_reply *redis_line_call(struct redis_line *line, const struct redis_word *words, size_t count);
/* The same for a script: keys first, then the other arguments. A server that does not know the script is told it. */
struct redis_reply *redis_line_run(struct redis_line *line, struct redis_script *script, size_t key_count,
                                   const struct redis_word *words, size_t count);
/*
 * After SUBSCRIBE: a descriptor to be polled; whenever it is readable, and after every call, messages are read as long
 * as there is one (NULL: no more for now, or broken), each to be freed by redis_reply_free. Never waits.
 */
int redis_line_descriptor(const struct redis_line *line);
struct redis_reply *redis_line_pushed(struct redis_line *line);

#endif
