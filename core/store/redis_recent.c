/* redis_recent.c - see redis_recent.h. */
#include "store/redis_recent.h"

#include <pthread.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/row.h"

/* A power of two. What is more than this in 10 s, or bigger, is not all held. */
enum { ROWS_MOST = 16384, BYTES_MOST = 32 * 1024 * 1024 };
static const int64_t HELD_US = INT64_C(10) * 1000000;

struct held {
    struct row *row;
    int64_t since_us;
};

struct redis_recent {
    pthread_mutex_t lock;
    struct held ring[ROWS_MOST];
    size_t first, next;   /* count up for ever */
    size_t again, behind; /* what lies between is to be sent again */
    size_t bytes;
};

struct redis_recent *redis_recent_new(void)
{
    struct redis_recent *recent = mem_zero(sizeof *recent);

    pthread_mutex_init(&recent->lock, NULL);
    return recent;
}

static struct held *at(struct redis_recent *recent, size_t number)
{
    return &recent->ring[number % ROWS_MOST];
}

static void drop_first(struct redis_recent *recent)
{
    struct row *row = at(recent, recent->first++)->row;

    recent->bytes -= row_size(row);
    row_drop(row);
}

void redis_recent_free(struct redis_recent *recent)
{
    if (!recent)
        return;
    while (recent->first < recent->next)
        drop_first(recent);
    pthread_mutex_destroy(&recent->lock);
    mem_free(recent);
}

void redis_recent_add(struct redis_recent *recent, struct row *row)
{
    int64_t now = clock_monotonic_us();

    pthread_mutex_lock(&recent->lock);
    while (recent->first < recent->next && (at(recent, recent->first)->since_us < now - HELD_US ||
                                            recent->next - recent->first == ROWS_MOST || recent->bytes > BYTES_MOST))
        drop_first(recent);
    *at(recent, recent->next++) = (struct held){ row_take(row), now };
    recent->bytes += row_size(row);
    pthread_mutex_unlock(&recent->lock);
}

struct row *redis_recent_rewind(struct redis_recent *recent)
{
    struct row *newest = NULL;

    pthread_mutex_lock(&recent->lock);
    recent->again = recent->first;
    recent->behind = recent->next;
    if (recent->first < recent->next)
        newest = row_take(at(recent, recent->next - 1)->row);
    pthread_mutex_unlock(&recent->lock);
    return newest;
}

void redis_recent_skip(struct redis_recent *recent)
{
    pthread_mutex_lock(&recent->lock);
    recent->again = recent->behind;
    pthread_mutex_unlock(&recent->lock);
}

size_t redis_recent_next(struct redis_recent *recent, struct row **rows, size_t count)
{
    size_t got = 0;

    pthread_mutex_lock(&recent->lock);
    if (recent->again < recent->first)
        recent->again = recent->first;
    while (got < count && recent->again < recent->behind)
        rows[got++] = row_take(at(recent, recent->again++)->row);
    pthread_mutex_unlock(&recent->lock);
    return got;
}
