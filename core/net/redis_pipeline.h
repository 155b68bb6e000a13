/*
 * redis_pipeline.h - a link's commands under way, oldest first, and their
 * bytes: kept until they are answered, so that one can be sent again.
 * Zero-initialised is empty. Knows no socket.
 */
#ifndef NET_REDIS_PIPELINE_H
#define NET_REDIS_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct redis_reply;
struct redis_script;

struct redis_sent {
    void (*on_reply)(void *arg, const struct redis_reply *reply);
    void *arg;
    struct redis_script *script; /* NULL: a plain command */
    bool is_load;                /* the script itself, ahead of a command that needs it */
    bool is_again;
    size_t length;  /* of its bytes */
    int64_t due_us; /* monotonic; INT64_MAX: not written yet */
    int graces;     /* how often it was given more time */
};

struct redis_pipeline {
    struct buf bytes;
    size_t answered, written; /* offsets into bytes: what lies before is done with */
    struct redis_sent *sent;  /* a ring */
    size_t first, count, capacity;
    size_t undated; /* how many, of the youngest, have no due_us yet */
};

/* Adds a command whose bytes, from offset `from` on, are already in pipeline->bytes. */
void redis_pipeline_add(struct redis_pipeline *pipeline, struct redis_sent sent, size_t from);
struct redis_sent *redis_pipeline_oldest(struct redis_pipeline *pipeline); /* NULL: none is under way */
/* Appends the oldest command's bytes as a new command. */
void redis_pipeline_repeat_oldest(struct redis_pipeline *pipeline);
struct redis_sent redis_pipeline_take_oldest(struct redis_pipeline *pipeline);
/* What is still to be written, and that length bytes of it were; all commands so far are then due at due_us. */
const char *redis_pipeline_unwritten(const struct redis_pipeline *pipeline, size_t *length);
void redis_pipeline_wrote(struct redis_pipeline *pipeline, size_t length);
void redis_pipeline_date(struct redis_pipeline *pipeline, int64_t due_us);
/* Whether an answer may come at all: the oldest command has been written whole. */
bool redis_pipeline_awaits(const struct redis_pipeline *pipeline);
/* Moves the commands of `from`, oldest first, behind those of `to`, without their bytes. */
void redis_pipeline_move(struct redis_pipeline *from, struct redis_pipeline *to);
void redis_pipeline_free(struct redis_pipeline *pipeline); /* back to empty */

#endif
