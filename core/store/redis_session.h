/*
 * redis_session.h - what the keeper has with Redis: two lines, a session's name
 * that fences what an older one left on its way, and the steps from nothing to
 * agreement, and to the end. On the keeper's thread.
 */
#ifndef STORE_REDIS_SESSION_H
#define STORE_REDIS_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/id.h"

struct redis;
struct redis_line;
struct redis_reply;
struct redis_script;
struct redis_words;

/* Zero-initialised but for redis: there is none. */
struct redis_session {
    struct redis *redis;
    struct redis_line *line, *news; /* for commands; for what others publish */
    char name[ID_LENGTH + 1];
    bool had_one;   /* Redis should know this process */
    bool is_ending; /* atomic; no more waiting */
};

/* Gateways that were away as we were tell their figures within so many seconds, or are left out. */
#define REDIS_SESSION_PATIENCE_S 2.5

/*
 * Connects, tells all figures, waits for those of the other gateways and for the workers' links, and goes online; with
 * less patience only if all others have told theirs. False: why says what is in the way; is_refused: waiting will not
 * help.
 */
bool redis_session_open(struct redis_session *session, double timeout, double patience, bool *is_refused, char *why,
                        size_t size);
/* Drops the lines. */
void redis_session_close(struct redis_session *session);
/* Tells the last figures, and that this process is no more. */
void redis_session_end(struct redis_session *session);

/* The answer, to be freed; NULL: none. */
struct redis_reply *redis_session_run(struct redis_session *session, struct redis_script *script,
                                      struct redis_words *words);
/* The first number that a script answers; -1: none, or REDIS_AGAIN, REDIS_BROKEN: why says so. */
int64_t redis_session_status(struct redis_session *session, struct redis_script *script, struct redis_words *words,
                             char *why, size_t size);
/* False: it is none, or an error, and why says so. */
bool redis_session_is_answer(const struct redis_reply *reply, char *why, size_t size);
/* What a dead gateway had reserved and lent itself becomes free. */
bool redis_session_bury(struct redis_session *session, const char *name);
/* The same for those whose ledger rows are ours now. */
void redis_session_bury_predecessors(struct redis_session *session);

#endif
