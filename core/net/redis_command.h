/*
 * redis_command.h - commands as bytes, for links and lines: RESP arrays, with
 * the scripts' digests and the greeting every connection begins with.
 */
#ifndef NET_REDIS_COMMAND_H
#define NET_REDIS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct redis_address;
struct redis_reply;
struct redis_script;
struct redis_word;

void redis_command_write(struct buf *out, const struct redis_word *words, size_t count);
/* EVALSHA, and SCRIPT LOAD. */
void redis_command_write_run(struct buf *out, struct redis_script *script, size_t key_count,
                             const struct redis_word *words, size_t count);
void redis_command_write_load(struct buf *out, const struct redis_script *script);
/* The reply of a server that does not know the script. */
bool redis_command_is_unknown_script(const struct redis_reply *reply);

/* AUTH, SELECT and PING, as far as they are needed. How many answers will come. */
size_t redis_command_greet(struct buf *out, const struct redis_address *address);
/* Looks at an answer to the greeting. False: error says what is wrong, without the password. */
bool redis_command_is_welcome(const struct redis_address *address, const struct redis_reply *reply, char *error,
                              size_t error_size);
/* The reply of a server that will let us in by itself before long. */
bool redis_command_is_loading(const struct redis_reply *reply);

#endif
