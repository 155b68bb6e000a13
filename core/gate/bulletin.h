/*
 * bulletin.h - what the workers tell those who look on: the newest notices in a
 * ring, for every onlooker to read at its own pace, and a note of each worker that
 * stays until the next. Bounded: a slow reader misses notices, and nobody waits.
 * Any thread may call.
 */
#ifndef GATE_BULLETIN_H
#define GATE_BULLETIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bulletin;

struct bulletin *bulletin_new(size_t workers);
void bulletin_free(struct bulletin *bulletin); /* NULL is fine */

/* One more onlooker; false: there are as many as there may be. */
bool bulletin_watch(struct bulletin *bulletin);
void bulletin_leave(struct bulletin *bulletin);
/* Without onlookers nothing needs to be posted. */
size_t bulletin_watchers(const struct bulletin *bulletin);

/* Takes the notice over. */
void bulletin_post(struct bulletin *bulletin, char *notice);
/*
 * Each notice behind that number (from 0), oldest first, under the lock: copy and return. Returns the number of the
 * newest; older ones that the ring no longer has are left out.
 */
int64_t bulletin_since(struct bulletin *bulletin, int64_t number, void (*each)(void *arg, const char *notice),
                       void *arg);

/* Takes the worker's note over. */
void bulletin_keep(struct bulletin *bulletin, size_t worker, char *note);
char *bulletin_kept(struct bulletin *bulletin, size_t worker); /* a copy */

#endif
