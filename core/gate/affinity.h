/*
 * affinity.h - which target served a conversation last, and so has its prompt
 * in a cache. Shared by all workers; any thread. It forgets what is old, and
 * what a newer conversation took the place of: it is a hint, not a promise.
 */
#ifndef GATE_AFFINITY_H
#define GATE_AFFINITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct affinity;

struct affinity *affinity_new(void);
void affinity_free(struct affinity *affinity);
/* Bytes of a target's name, with its NUL: longer ones are not kept. */
enum { AFFINITY_TARGET_SIZE = 128 };

/* conversation: bytes that are as good as random (a digest), at least 8 of them. */
void affinity_remember(struct affinity *affinity, const void *conversation, const char *target, int64_t now);
/* False: nobody, or too long ago. */
bool affinity_recall(struct affinity *affinity, const void *conversation, int64_t now,
                     char target[static AFFINITY_TARGET_SIZE]);

#endif
