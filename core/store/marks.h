/* marks.h - targets that said "no more", and until when. Any thread. */
#ifndef STORE_MARKS_H
#define STORE_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct marks;

struct mark_state {
    char *target; /* in each_changed the receiver frees both */
    int64_t until;
    int64_t step; /* seconds that the last untold wait took; 0: none yet */
    char *reason;
    int64_t pardoned; /* when it was last: what it was before that is void; 0: never */
};

struct marks *marks_new(void);
void marks_free(struct marks *marks);
/*
 * As store_exhaust. Untold waits double when the target says no again after its wait is over; what comes in while it
 * still waits (calls that were under way) is the same refusal heard twice.
 */
int64_t marks_exhaust(struct marks *marks, const char *target, int64_t until, const char *reason, int64_t now);
int64_t marks_exhausted(struct marks *marks, const char *target, int64_t now, char *reason, size_t size);
/* True: there was something to start over. */
bool marks_recovered(struct marks *marks, const char *target);
/* True: it was out, and is no longer. */
bool marks_pardon(struct marks *marks, const char *target, int64_t now);
void marks_load(struct marks *marks, const struct mark_state *state);
/* As another process told it: an expiry is only raised, unless the target was pardoned since. Nothing that changed
 * here. */
void marks_hear(struct marks *marks, const struct mark_state *state);
/* The same, to be kept here: as the process told it that this one takes over from. */
void marks_inherit(struct marks *marks, const struct mark_state *state);
/* All of them; the receiver frees both texts. */
void marks_each(struct marks *marks, void (*each)(void *arg, const struct mark_state *), void *arg);
void marks_each_changed(struct marks *marks, void (*each)(void *arg, const struct mark_state *), void *arg);

#endif
