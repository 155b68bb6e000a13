/* redis_keeper.c - see redis_keeper.h. */
#include "store/redis_keeper.h"

#include "base/mem.h"
#include "store/redis.h"

struct redis_keeper {
    struct redis *redis;
};

struct redis_keeper *redis_keeper_start(struct redis *redis, char *error, size_t error_size)
{
    struct redis_keeper *keeper = mem_zero(sizeof *keeper);

    (void)error;
    (void)error_size;
    keeper->redis = redis;
    return keeper;
}

void redis_keeper_stop(struct redis_keeper *keeper)
{
    mem_free(keeper);
}

void redis_keeper_wake(struct redis_keeper *keeper)
{
    (void)keeper;
}

bool redis_keeper_problem(struct redis_keeper *keeper, char *text, size_t size)
{
    (void)keeper;
    (void)text;
    (void)size;
    return false;
}
