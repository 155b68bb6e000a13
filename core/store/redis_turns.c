/* redis_turns.c - see redis_turns.h. */
#include "store/redis_turns.h"

#include "base/mem.h"
#include "net/redis.h"
#include "net/redis_link.h"
#include "store/redis.h"
#include "store/redis_order.h"
#include "store/redis_scripts.h"
#include "store/redis_standing.h"

static const char TURN[] = "moongate:turn:";

struct asking {
    void (*on_turn)(void *arg, const struct store_turn *turn);
    void *arg;
};

static const struct store_turn ours = { .is_ours = true, .told = "" }, not_known = { .told = "" };

static void on_answer(void *arg, const struct redis_reply *reply)
{
    struct asking *asking = arg;
    struct store_turn turn = ours;

    if (redis_count(reply) == 3) {
        turn.is_ours = redis_integer(redis_item(reply, 0)) == 1;
        turn.told = redis_text(redis_item(reply, 1), NULL);
        turn.wait_ms = redis_integer(redis_item(reply, 2));
    }
    asking->on_turn(asking->arg, &turn);
    mem_free(asking);
}

static void begin(struct redis_order *order, struct redis_script *script, const struct redis *redis, const char *name,
                  int64_t milliseconds)
{
    char *told = mem_format("%s:told", name);

    redis_order_begin(order, script);
    redis_order_key(order, TURN, name);
    redis_order_key(order, TURN, told);
    redis_words_text(&order->words, redis->id);
    redis_words_integer(&order->words, milliseconds);
    mem_free(told);
}

/* One that Redis can be asked by now; NULL: there is none. */
static struct redis_link *link_of(struct redis *redis)
{
    struct redis_link *link = redis_is_online(redis, NULL) ? redis_link_here(redis) : NULL;

    return link && redis_link_is_up(link) ? link : NULL;
}

void redis_turns_take(struct redis *redis, const char *name, int64_t milliseconds,
                      void (*on_turn)(void *arg, const struct store_turn *turn), void *arg)
{
    struct redis_link *link = link_of(redis);
    struct redis_order order = { 0 };
    struct asking *asking;

    if (!link) {
        on_turn(arg, redis_standing_of(redis->shares, NULL) == REDIS_AWAY ? &ours : &not_known);
        return;
    }
    asking = mem_alloc(sizeof *asking);
    *asking = (struct asking){ on_turn, arg };
    begin(&order, &redis_script_take_turn, redis, name, milliseconds);
    redis_order_send(&order, link, on_answer, asking);
    redis_order_free(&order);
}

void redis_turns_tell(struct redis *redis, const char *name, int64_t milliseconds, const char *told)
{
    struct redis_link *link = link_of(redis);
    struct redis_order order = { 0 };

    if (!link)
        return;
    begin(&order, &redis_script_tell_turn, redis, name, milliseconds);
    redis_words_text(&order.words, told);
    redis_order_send(&order, link, NULL, NULL);
    redis_order_free(&order);
}
