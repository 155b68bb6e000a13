/* redis_imports.c - see redis_imports.h. */
#include "store/redis_imports.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "net/redis.h"
#include "net/redis_line.h"
#include "store/backend.h"
#include "store/imports.h"
#include "store/redis.h"
#include "store/redis_keeper.h"
#include "store/redis_models.h"

static const double READ_TIMEOUT = 5;
/* How long whoever imports waits for Redis to be back. */
static const int64_t WAIT_US = INT64_C(1) * 1000000;

struct import_wait {
    struct import_wait *next;
    struct store_import *import;
    int64_t until_us;
    struct answer answer;
};

struct redis_imports {
    struct redis *redis;
    pthread_mutex_t lock;
    struct import_wait *waiting;
    struct buf heard; /* the keeper's: names of sources, each ended by a NUL */
};

struct redis_imports *redis_imports_new(struct redis *redis)
{
    struct redis_imports *imports = mem_zero(sizeof *imports);

    imports->redis = redis;
    pthread_mutex_init(&imports->lock, NULL);
    return imports;
}

static void end(struct import_wait *wait, bool is_kept)
{
    answer_give(&wait->answer, is_kept);
    mem_free(wait->import);
    mem_free(wait);
}

void redis_imports_free(struct redis_imports *imports)
{
    struct import_wait *wait;

    if (!imports)
        return;
    while ((wait = imports->waiting)) {
        imports->waiting = wait->next;
        end(wait, false);
    }
    buf_free(&imports->heard);
    pthread_mutex_destroy(&imports->lock);
    mem_free(imports);
}

static void let_wait(struct redis_imports *imports, struct import_wait *wait)
{
    pthread_mutex_lock(&imports->lock);
    wait->next = imports->waiting;
    imports->waiting = wait;
    pthread_mutex_unlock(&imports->lock);
}

void redis_imports_keep(struct redis_imports *imports, const struct store_import *import, struct answer answer)
{
    struct import_wait *wait = mem_alloc(sizeof *wait);

    *wait = (struct import_wait){ NULL, imports_copy(import), clock_monotonic_us() + WAIT_US, answer };
    let_wait(imports, wait);
    redis_keeper_wake(imports->redis->keeper);
}

bool redis_imports_each(struct redis_imports *imports, int64_t since,
                        void (*each)(void *arg, const struct store_import *), void *arg)
{
    char error[320];
    struct redis_line *line = NULL;
    bool is_read;

    if (redis_is_online(imports->redis, NULL))
        line = redis_line_open(&imports->redis->address, READ_TIMEOUT, error, sizeof error);
    is_read = line && redis_models_each_import(line, since, each, arg);
    redis_line_close(line);
    return is_read;
}

/* ---- on the keeper's thread ---- */

bool redis_imports_load(struct redis_imports *imports, struct redis_line *line)
{
    buf_clear(&imports->heard);
    return redis_models_mend(line) && redis_models_load(imports->redis->store->imports, line);
}

bool redis_imports_heard(struct redis_imports *imports, const char *text, size_t length)
{
    char *message = mem_copy(text, length), *source;
    int64_t time = strtoll(message, &source, 10);
    bool is_news = *source == ' ' && time != imports_time(imports->redis->store->imports, source + 1);

    if (is_news)
        buf_add(&imports->heard, source + 1, strlen(source + 1) + 1);
    mem_free(message);
    return is_news;
}

static void keep(struct redis_imports *imports, struct import_wait *wait, struct redis_line *line)
{
    int64_t time = -1;
    bool is_asked = line && !redis_line_is_broken(line);

    if (is_asked)
        time = redis_models_keep(line, wait->import, false);
    if (time >= 0) {
        wait->import->time = time;
        imports_put(imports->redis->store->imports, wait->import);
        end(wait, true);
    } else if ((is_asked && !redis_line_is_broken(line)) || clock_monotonic_us() >= wait->until_us) {
        end(wait, false);
    } else {
        let_wait(imports, wait);
    }
}

void redis_imports_turn(struct redis_imports *imports, struct redis_line *line)
{
    struct import_wait *wait, *next;

    pthread_mutex_lock(&imports->lock);
    wait = imports->waiting;
    imports->waiting = NULL;
    pthread_mutex_unlock(&imports->lock);
    for (; wait; wait = next) {
        next = wait->next;
        keep(imports, wait, line);
    }
    /* If Redis goes away meanwhile, all is loaded when it is back. */
    for (size_t at = 0; line && at < imports->heard.length; at += strlen(imports->heard.data + at) + 1)
        redis_models_fetch(imports->redis->store->imports, line, imports->heard.data + at);
    buf_clear(&imports->heard);
}
