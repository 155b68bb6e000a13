/* TEMPORARY keeper for trying redis_rows and redis_news. */
#include "store/redis_keeper.h"
#include <poll.h>
#include <stdio.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include "base/mem.h"
#include "net/redis_line.h"
#include "net/redis_link.h"
#include "store/backend.h"
#include "store/redis.h"
#include "store/redis_news.h"
#include "store/redis_rows.h"

struct redis_keeper {
    struct redis *redis;
    pthread_t thread;
    int wake;
    atomic_bool stop, online;
};
static _Thread_local struct redis_link *link_here;

bool redis_is_online(struct redis *redis)
{
    return redis->keeper && atomic_load(&redis->keeper->online);
}
struct redis_link *redis_link_here(struct redis *redis)
{
    (void)redis;
    return link_here && redis_link_is_up(link_here) ? link_here : NULL;
}
void redis_go_away(struct redis *redis, const char *why)
{
    (void)why;
    atomic_store(&redis->keeper->online, false);
}
void temp_join(struct store *store, struct loop *loop);
void temp_leave(struct store *store);
static void on_state(void *arg, bool up)
{
    struct redis *redis = arg;
    if (!up)
        redis_go_away(redis, "link");
    else
        redis_keeper_wake(redis->keeper);
}
void temp_join(struct store *store, struct loop *loop)
{
    struct redis *redis = store->own;
    link_here = redis_link_new(loop, &redis->address, 0.02, on_state, redis);
}
void temp_leave(struct store *store)
{
    (void)store;
    redis_link_close(link_here);
    link_here = NULL;
}

static void *run(void *arg)
{
    struct redis_keeper *keeper = arg;
    struct redis_line *line = NULL, *sub = NULL;
    char error[400];
    while (!atomic_load(&keeper->stop)) {
        bool more = false;
        uint64_t n;
        if (!line || !sub || redis_line_is_broken(line) || redis_line_is_broken(sub) || !atomic_load(&keeper->online)) {
            redis_line_close(line);
            redis_line_close(sub);
            line = sub = NULL;
            atomic_store(&keeper->online, false);
            line = redis_line_open(&keeper->redis->address, 0.2, error, sizeof error);
            sub = line ? redis_line_open(&keeper->redis->address, 0.2, error, sizeof error) : NULL;
            if (sub) {
                struct redis_word words[] = { { "SUBSCRIBE", 9 }, { "moongate:news", 13 } };
                redis_reply_free(redis_line_call(sub, words, 2));
                if (redis_news_load(keeper->redis->news, line))
                    atomic_store(&keeper->online, true);
            }
        }
        if (atomic_load(&keeper->online)) {
            struct redis_reply *pushed;
            while ((pushed = redis_line_pushed(sub))) {
                size_t length;
                const char *text = redis_text(redis_item(pushed, 2), &length);
                redis_news_heard(keeper->redis->news, text, length);
                redis_reply_free(pushed);
            }
            redis_news_publish(keeper->redis->news, line);
            more = redis_rows_deliver(keeper->redis->rows, line);
        }
        if (!more) {
            struct pollfd fds[2] = { { keeper->wake, POLLIN, 0 },
                                     { sub ? redis_line_descriptor(sub) : -1, POLLIN, 0 } };
            poll(fds, 2, 50);
            if (fds[0].revents) {
                if (read(keeper->wake, &n, 8) < 0)
                    break;
            }
        }
    }
    redis_line_close(line);
    redis_line_close(sub);
    return NULL;
}
struct redis_keeper *redis_keeper_start(struct redis *redis, char *error, size_t error_size)
{
    struct redis_keeper *keeper = mem_zero(sizeof *keeper);
    (void)error;
    (void)error_size;
    keeper->redis = redis;
    keeper->wake = eventfd(0, EFD_CLOEXEC);
    redis->keeper = keeper;
    pthread_create(&keeper->thread, NULL, run, keeper);
    for (int i = 0; i < 200 && !atomic_load(&keeper->online); i++)
        usleep(2500);
    return keeper;
}
void redis_keeper_stop(struct redis_keeper *keeper)
{
    if (!keeper)
        return;
    atomic_store(&keeper->stop, true);
    redis_keeper_wake(keeper);
    pthread_join(keeper->thread, NULL);
    keeper->redis->keeper = NULL;
    mem_free(keeper);
}
void redis_keeper_wake(struct redis_keeper *keeper)
{
    uint64_t one = 1;
    if (keeper && write(keeper->wake, &one, 8) < 0)
        return;
}
bool redis_keeper_problem(struct redis_keeper *keeper, char *text, size_t size)
{
    if (atomic_load(&keeper->online))
        return false;
    snprintf(text, size, "Redis is away");
    return true;
}
