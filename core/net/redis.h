/*
 * redis.h - what is common to a link (redis_link.h: on a loop, nothing waits)
 * and a line (redis_line.h: on a thread that may wait) to one Redis server:
 * its address, replies, scripts. RESP2 over TCP or a Unix socket, no TLS.
 */
#ifndef NET_REDIS_H
#define NET_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct redis_reply;

struct redis_address {
    char host[256]; /* or the path of a Unix socket, then port is 0 */
    int port;
    int database;
    char user[64]; /* "": none */
    char password[256];
    int deadline_ms; /* how long a command on a link may take; 0: not told */
};

enum { REDIS_NAME_SIZE = 320 };

/*
 * "//[user][:password@]host[:port][/db]" or "//[user][:password@]/path/to/socket", both with ?db=N&deadline_ms=N if
 * need be, percent-decoded; what follows a scheme. False: error says what is wrong, without the password.
 */
bool redis_parse(const char *place, struct redis_address *address, char *error, size_t error_size);
/* The address for messages: "127.0.0.1:6379/2", without user and password. */
void redis_name(const struct redis_address *address, char name[static REDIS_NAME_SIZE]);

/* ---- replies: from any of them, NULL (no answer) gives REDIS_NIL, 0, "", NULL ---- */

enum redis_kind { REDIS_NIL, REDIS_INTEGER, REDIS_TEXT, REDIS_STATUS, REDIS_ARRAY, REDIS_ERROR };

enum redis_kind redis_kind(const struct redis_reply *reply);
int64_t redis_integer(const struct redis_reply *reply); /* of a text too; 0 if it is none */
/* Text, status or error, ended by a NUL; "" for everything else. length may be NULL. */
const char *redis_text(const struct redis_reply *reply, size_t *length);
size_t redis_count(const struct redis_reply *reply);
const struct redis_reply *redis_item(const struct redis_reply *reply, size_t index); /* NULL past the end */
/* No answer, or an error by which the server says that it can't serve now: LOADING, READONLY, MASTERDOWN, OOM, ... */
bool redis_is_unavailable(const struct redis_reply *reply);
void redis_reply_free(struct redis_reply *reply); /* of a line's; NULL is fine */

/* ---- commands ---- */

struct redis_word {
    const char *text;
    size_t length;
};

/* One for the whole program: links and lines of all threads may share it. Give name and source, nothing else. */
struct redis_script {
    const char *name; /* for messages */
    const char *source;
    char digest[41]; /* filled at the first use */
    bool has_digest;
};

#endif
