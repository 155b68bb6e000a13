/* orders.c - see orders.h. */
#include "gate/orders.h"

#include <stdbool.h>

#include "base/mem.h"
#include "net/loop.h"

struct orders {
    struct loop *control;
    char *(*on_order)(void *arg, const char *name, const char *text, size_t length);
    void *arg;
    bool is_stopped; /* the control thread's */
};

/* Handed from thread to thread: only one has it at a time, but for is_forgotten, which is home's. */
struct order {
    struct orders *orders;
    char *name, *text, *answer;
    size_t length;
    struct loop *home;
    void (*on_answer)(void *arg, const char *answer);
    void *arg;
    bool is_forgotten;
};

struct orders *orders_new(struct loop *control,
                          char *(*on_order)(void *arg, const char *name, const char *text, size_t length), void *arg)
{
    struct orders *orders = mem_zero(sizeof *orders);

    *orders = (struct orders){ .control = control, .on_order = on_order, .arg = arg };
    return orders;
}

void orders_stop(struct orders *orders)
{
    orders->is_stopped = true;
}

void orders_free(struct orders *orders)
{
    mem_free(orders);
}

static void free_order(struct order *order)
{
    mem_free(order->name);
    mem_free(order->text);
    mem_free(order->answer);
    mem_free(order);
}

static void on_answered(void *arg)
{
    struct order *order = arg;

    if (!order->is_forgotten)
        order->on_answer(order->arg, order->answer);
    free_order(order);
}

static void on_turn(void *arg)
{
    struct order *order = arg;
    struct orders *orders = order->orders;

    if (orders->is_stopped) { /* home may be gone, and who waited there was cancelled */
        free_order(order);
        return;
    }
    order->answer = orders->on_order(orders->arg, order->name, order->text, order->length);
    loop_post(order->home, on_answered, order);
}

struct order *orders_ask(struct orders *orders, const char *name, const char *text, size_t length, struct loop *home,
                         void (*on_answer)(void *arg, const char *answer), void *arg)
{
    struct order *order = mem_zero(sizeof *order);

    *order = (struct order){
        .orders = orders,
        .name = mem_text(name),
        .text = mem_copy(text, length),
        .length = length,
        .home = home,
        .on_answer = on_answer,
        .arg = arg,
    };
    loop_post(orders->control, on_turn, order);
    return order;
}

void order_forget(struct order *order)
{
    order->is_forgotten = true;
}
