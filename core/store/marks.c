/* marks.c - see marks.h. Marks are read for every candidate of every request and written seldom: a read-write lock. */
#include "store/marks.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

enum { FIRST_STEP = 60, LAST_STEP = 3600, REASON_MAX = 512 };

struct mark {
    struct mark *next_dirty;
    bool is_dirty;
    char *target;
    char *reason;
    int64_t until;
    int64_t step;
    int64_t pardoned;
};

struct marks {
    pthread_rwlock_t lock;
    struct hash targets;
    struct mark *dirty;
};

struct marks *marks_new(void)
{
    struct marks *marks = mem_zero(sizeof *marks);

    pthread_rwlock_init(&marks->lock, NULL);
    return marks;
}

void marks_free(struct marks *marks)
{
    struct mark *mark;
    size_t at = 0;

    if (!marks)
        return;
    while ((mark = hash_next(&marks->targets, &at))) {
        mem_free(mark->target);
        mem_free(mark->reason);
        mem_free(mark);
    }
    hash_free(&marks->targets);
    pthread_rwlock_destroy(&marks->lock);
    mem_free(marks);
}

static void mark_dirty(struct marks *marks, struct mark *mark)
{
    if (mark->is_dirty)
        return;
    mark->is_dirty = true;
    mark->next_dirty = marks->dirty;
    marks->dirty = mark;
}

static struct mark *mark_of(struct marks *marks, const char *target)
{
    struct mark *mark = hash_get(&marks->targets, target, strlen(target));

    if (!mark) {
        mark = mem_zero(sizeof *mark);
        mark->target = mem_text(target);
        hash_put(&marks->targets, mark->target, strlen(mark->target), mark);
    }
    return mark;
}

static void set_reason(struct mark *mark, const char *reason)
{
    mem_free(mark->reason);
    mark->reason = mem_copy(reason ? reason : "", reason ? strnlen(reason, REASON_MAX) : 0);
}

int64_t marks_exhaust(struct marks *marks, const char *target, int64_t until, const char *reason, int64_t now)
{
    struct mark *mark;

    pthread_rwlock_wrlock(&marks->lock);
    mark = mark_of(marks, target);
    if (until <= 0) {
        if (mark->step == 0)
            mark->step = FIRST_STEP;
        else if (now >= mark->until)
            mark->step = mark->step * 2 > LAST_STEP ? LAST_STEP : mark->step * 2;
        until = now + mark->step * 1000;
    }
    if (until > mark->until || !mark->reason)
        set_reason(mark, reason);
    if (until > mark->until)
        mark->until = until;
    until = mark->until;
    mark_dirty(marks, mark);
    pthread_rwlock_unlock(&marks->lock);
    return until;
}

int64_t marks_exhausted(struct marks *marks, const char *target, int64_t now, char *reason, size_t size)
{
    const struct mark *mark;
    int64_t until = 0;

    if (reason && size)
        reason[0] = '\0';
    pthread_rwlock_rdlock(&marks->lock);
    mark = hash_get(&marks->targets, target, strlen(target));
    if (mark && mark->until > now) {
        until = mark->until;
        if (reason && size)
            snprintf(reason, size, "%s", mark->reason);
    }
    pthread_rwlock_unlock(&marks->lock);
    return until;
}

bool marks_recovered(struct marks *marks, const char *target)
{
    struct mark *mark;
    bool changed;

    /* Called after every good answer, and nearly always there is nothing to do. */
    pthread_rwlock_rdlock(&marks->lock);
    mark = hash_get(&marks->targets, target, strlen(target));
    changed = mark && mark->step > 0;
    pthread_rwlock_unlock(&marks->lock);
    if (!changed)
        return false;
    pthread_rwlock_wrlock(&marks->lock);
    mark->step = 0; /* marks are never removed */
    mark_dirty(marks, mark);
    pthread_rwlock_unlock(&marks->lock);
    return true;
}

bool marks_pardon(struct marks *marks, const char *target, int64_t now)
{
    struct mark *mark;
    bool was_out;

    pthread_rwlock_wrlock(&marks->lock);
    mark = hash_get(&marks->targets, target, strlen(target));
    was_out = mark && mark->until > now;
    if (was_out) {
        mark->until = 0;
        mark->step = 0;
        mark->pardoned = now > mark->pardoned ? now : mark->pardoned + 1;
        set_reason(mark, "");
        mark_dirty(marks, mark);
    }
    pthread_rwlock_unlock(&marks->lock);
    return was_out;
}

void marks_load(struct marks *marks, const struct mark_state *state)
{
    struct mark *mark = mark_of(marks, state->target);

    mark->until = state->until;
    mark->step = state->step;
    set_reason(mark, state->reason);
}

/* Under the lock. */
static struct mark *hear(struct marks *marks, const struct mark_state *state)
{
    struct mark *mark = mark_of(marks, state->target);

    if (state->pardoned > mark->pardoned) {
        mark->pardoned = state->pardoned;
        mark->until = 0;
    }
    if (state->pardoned == mark->pardoned) {
        if (state->until >= mark->until || !mark->reason)
            set_reason(mark, state->reason);
        if (state->until > mark->until)
            mark->until = state->until;
        mark->step = state->step;
    }
    if (!mark->reason)
        set_reason(mark, "");
    return mark;
}

void marks_hear(struct marks *marks, const struct mark_state *state)
{
    pthread_rwlock_wrlock(&marks->lock);
    hear(marks, state);
    pthread_rwlock_unlock(&marks->lock);
}

void marks_inherit(struct marks *marks, const struct mark_state *state)
{
    pthread_rwlock_wrlock(&marks->lock);
    mark_dirty(marks, hear(marks, state));
    pthread_rwlock_unlock(&marks->lock);
}

static struct mark_state state_of(const struct mark *mark)
{
    return (struct mark_state){ mem_text(mark->target), mark->until, mark->step, mem_text(mark->reason),
                                mark->pardoned };
}

void marks_each(struct marks *marks, void (*each)(void *arg, const struct mark_state *), void *arg)
{
    const struct mark *mark;
    size_t at = 0;

    pthread_rwlock_rdlock(&marks->lock);
    while ((mark = hash_next(&marks->targets, &at)))
        each(arg, (const struct mark_state[]){ state_of(mark) });
    pthread_rwlock_unlock(&marks->lock);
}

void marks_each_changed(struct marks *marks, void (*each)(void *arg, const struct mark_state *), void *arg)
{
    pthread_rwlock_wrlock(&marks->lock);
    while (marks->dirty) {
        struct mark *mark = marks->dirty;
        struct mark_state state = state_of(mark);

        marks->dirty = mark->next_dirty;
        mark->is_dirty = false;
        each(arg, &state);
    }
    pthread_rwlock_unlock(&marks->lock);
}
