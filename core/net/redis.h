/*
 * redis.h - one Redis server, spoken to in two ways. A link belongs to a loop:
 * nothing waits, commands are pipelined, each has a deadline. A line belongs to
 * a thread that may wait. Both speak RESP2 over TCP or a Unix socket, log in
 * and choose the database by themselves, and load scripts as they are needed.
 */
#ifndef NET_REDIS_H
#define NET_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct redis_reply;

struct redis_address {
    char host[256]; /* or the path of a Unix socket, then port is 0 */
    int port;
    int database;
    char user[64]; /* "": none */
    char password[256];
};

/*
 * "//[user][:password@]host[:port][/db]" or "//[user][:password@]/path/to/socket[?db=N]", percent-decoded; what follows
 * a scheme. False: error says what is wrong, without the password.
 */
bool redis_parse(const char *place, struct redis_address *address, char *error, size_t error_size);

/* ---- replies ---- */

enum redis_kind { REDIS_NIL, REDIS_INTEGER, REDIS_TEXT, REDIS_STATUS, REDIS_ARRAY, REDIS_ERROR };

enum redis_kind redis_kind(const struct redis_reply *reply);
int64_t redis_integer(const struct redis_reply *reply); /* of a text too; 0 if it is none */
/* Text, status or error, ended by a NUL; "" for everything else. length may be NULL. */
const char *redis_text(const struct redis_reply *reply, size_t *length);
size_t redis_count(const struct redis_reply *reply);
const struct redis_reply *redis_item(const struct redis_reply *reply, size_t index);
/* An error by which the server says that it cannot serve now: LOADING, READONLY, MASTERDOWN, OOM, MISCONF, BUSY, ... */
bool redis_is_unavailable(const struct redis_reply *reply);

/* ---- scripts ---- */

struct redis_script {
    const char *name; /* for messages */
    const char *source;
    char digest[41]; /* filled at the first use */
};

struct redis_word {
    const char *text;
    size_t length;
};

/* ---- a link: on a loop's thread ---- */

struct redis_link;

/*
 * Connects, and again with growing waits (20 ms to 1 s, with jitter) whenever the connection is lost. on_state: it can
 * take commands, or no more. A command unanswered after deadline seconds, or a connection that does not come about in
 * half a second, costs the connection: whatever is under way gets no answer.
 */
struct redis_link *redis_link_new(struct loop *loop, const struct redis_address *address, double deadline,
                                  void (*on_state)(void *arg, bool is_up), void *arg);
void redis_link_close(struct redis_link *link); /* what is under way gets no answer */
bool redis_link_is_up(const struct redis_link *link);
/* Gives the present connection up and connects anew: what was late must not come through any more. */
void redis_link_reset(struct redis_link *link);
/*
 * Sends a command. on_reply (may be NULL) comes exactly once, never before this returns; reply NULL: no answer, whether
 * it was carried out is unknown. The reply is valid inside on_reply. The words are copied.
 */
void redis_link_send(struct redis_link *link, const struct redis_word *words, size_t count,
                     void (*on_reply)(void *arg, const struct redis_reply *reply), void *arg);
/* The same for a script: keys first, then the other arguments. A server that has forgotten the script is told it. */
void redis_link_run(struct redis_link *link, struct redis_script *script, size_t key_count,
                    const struct redis_word *words, size_t count,
                    void (*on_reply)(void *arg, const struct redis_reply *reply), void *arg);

/* ---- a line: on a thread that may wait ---- */

struct redis_line;

/* NULL with a sentence in error (no password in it). timeout in seconds holds for connecting and for every call. */
struct redis_line *redis_line_open(const struct redis_address *address, double timeout, char *error, size_t error_size);
void redis_line_close(struct redis_line *line);        /* NULL is fine */
bool redis_line_is_broken(const struct redis_line *line); /* a call got no answer: close it */
/* The answer, to be freed; NULL: none, and the line is broken. */
struct redis_reply *redis_line_call(struct redis_line *line, const struct redis_word *words, size_t count);
struct redis_reply *redis_line_run(struct redis_line *line, struct redis_script *script, size_t key_count,
                                   const struct redis_word *words, size_t count);
/* After SUBSCRIBE: to be polled; then read, as long as there is one (NULL: no more for now, or broken). */
int redis_line_descriptor(const struct redis_line *line);
struct redis_reply *redis_line_pushed(struct redis_line *line);
void redis_reply_free(struct redis_reply *reply); /* of a line's; NULL is fine */

#endif
