/*
 * orders.h - what workers ask of the control thread (a reload, an import): one
 * after the other, each answered on the loop of the worker that asked.
 */
#ifndef GATE_ORDERS_H
#define GATE_ORDERS_H

#include <stddef.h>

struct loop;
struct order;
struct orders;

/* Runs them on the control thread's loop: on_order answers a new text, which is theirs. */
struct orders *orders_new(struct loop *control,
                          char *(*on_order)(void *arg, const char *name, const char *text, size_t length), void *arg);
/* Those that come from here on are neither run nor answered. On the control thread, before the workers are freed. */
void orders_stop(struct orders *orders);
/* After the control loop is freed: that still takes its last calls. NULL is fine. */
void orders_free(struct orders *orders);

/*
 * Copies name and text. on_answer(arg, answer) comes once on home's thread, unless it is forgotten before; the answer
 * is valid inside. Any thread may ask, whose loop is home.
 */
struct order *orders_ask(struct orders *orders, const char *name, const char *text, size_t length, struct loop *home,
                         void (*on_answer)(void *arg, const char *answer), void *arg);
/* Nobody waits for it any more; on home's thread. */
void order_forget(struct order *order);

#endif
