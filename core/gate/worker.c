/* worker.c - see worker.h. What the control thread wants is posted to the worker's own loop. */
#include "gate/worker.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/attempt.h"
#include "gate/counters.h"
#include "gate/doors.h"
#include "gate/exchange.h"
#include "gate/gate.h"
#include "gate/settings.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/upstream.h"
#include "script/policyset.h"
#include "script/vm.h"
#include "store/store.h"

/* Cancelled requests get two seconds to settle. */
static const double STOP_TICK = 0.02;
enum { STOP_TICKS = 100, STOP_ROUNDS = 3 };

/* A message from the control thread. */
struct order {
    struct worker *worker;
    struct settings *settings;
    struct policyset *policies;
};

static void on_accept(void *arg, int descriptor, struct tls *tls, const char *peer)
{
    exchange_accept(arg, descriptor, tls, peer);
}

struct worker *worker_new(struct gate *gate, int index, const struct door_socket *sockets, size_t count)
{
    struct worker *worker = mem_zero(sizeof *worker);

    worker->gate = gate;
    worker->index = index;
    worker->loop = loop_new();
    worker->vm = vm_new(worker);
    worker->upstream = upstream_new(worker->loop, gate->resolver);
    worker->counters = counters_new();
    worker->listener_count = count;
    worker->listeners = mem_zero(count * sizeof *worker->listeners);
    for (size_t i = 0; i < count; i++) {
        worker->listeners[i] =
            listener_start(worker->loop, sockets[i].descriptor, sockets[i].certificate, on_accept, worker);
        listener_watch(worker->listeners[i], &worker->starved);
    }
    return worker;
}

static void apply(struct order *order)
{
    struct worker *worker = order->worker;

    if (order->policies)
        worker->gate->script->on_policies(worker, order->policies);
    if (order->settings) {
        vm_compile(worker->vm, order->settings->is_compiled);
        settings_drop(worker->settings);
        worker->settings = settings_take(order->settings);
        worker->gate->script->on_settings(worker, order->settings);
    }
}

static struct order *order_new(struct worker *worker, struct settings *settings, struct policyset *policies)
{
    struct order *order = mem_zero(sizeof *order);

    order->worker = worker;
    order->settings = settings ? settings_take(settings) : NULL;
    order->policies = policies ? policyset_take(policies) : NULL;
    return order;
}

static void order_free(struct order *order)
{
    settings_drop(order->settings);
    policyset_drop(order->policies);
    mem_free(order);
}

static void on_order(void *arg)
{
    apply(arg);
    order_free(arg);
}

static void send(struct worker *worker, struct settings *settings, struct policyset *policies)
{
    loop_post(worker->loop, on_order, order_new(worker, settings, policies));
}

/* Before the first request comes its first order: a request finds its settings and policies there. */
static void *run(void *arg)
{
    struct order *order = arg;
    struct worker *worker = order->worker;
    char name[32];

    snprintf(name, sizeof name, "worker %d", worker->index + 1);
    name[15] = '\0'; /* as much as the system takes */
    pthread_setname_np(pthread_self(), name);
    store_join(worker->gate->store, worker->loop);
    on_order(order);
    loop_run(worker->loop);
    store_leave(worker->gate->store);
    return NULL;
}

bool worker_start(struct worker *worker, struct settings *settings, struct policyset *policies)
{
    pthread_attr_t attributes;
    struct order *order;
    int fault;

    if (!worker->gate->script->on_start(worker))
        return false;
    order = order_new(worker, settings, policies);
    pthread_attr_init(&attributes);
    /* A size of our choosing, so that the depth bounds for scripts hold wherever the program runs. */
    pthread_attr_setstacksize(&attributes, 8u * 1024 * 1024);
    fault = pthread_create(&worker->thread, &attributes, run, order);
    pthread_attr_destroy(&attributes);
    worker->running = fault == 0;
    if (worker->running)
        return true;
    log_line(LOG_ERROR, "a worker's thread does not start", "error", strerrordesc_np(fault), NULL);
    order_free(order);
    return false;
}

void worker_configure(struct worker *worker, struct settings *settings)
{
    send(worker, settings, NULL);
}

void worker_install(struct worker *worker, struct policyset *policies)
{
    send(worker, NULL, policies);
}

static void stop_listening(struct worker *worker)
{
    for (size_t i = 0; i < worker->listener_count; i++)
        listener_stop(worker->listeners[i]);
    worker->listener_count = 0;
}

static void on_drain(void *arg)
{
    struct worker *worker = arg;

    worker->draining = true;
    stop_listening(worker);
    exchange_retire_all(worker);
}

void worker_drain(struct worker *worker)
{
    loop_post(worker->loop, on_drain, worker);
}

static void on_leave(void *arg)
{
    struct worker *worker = arg;

    for (size_t i = 0; i < worker->listener_count; i++)
        listener_leave(worker->listeners[i]);
    worker->listener_count = 0;
    exchange_wind_down_all(worker);
}

void worker_leave(struct worker *worker)
{
    loop_post(worker->loop, on_leave, worker);
}

size_t worker_sessions(const struct worker *worker)
{
    return __atomic_load_n(&worker->session_count, __ATOMIC_ACQUIRE);
}

bool worker_is_starved(const struct worker *worker)
{
    return __atomic_load_n(&worker->starved, __ATOMIC_RELAXED);
}

size_t worker_busy(const struct worker *worker)
{
    return __atomic_load_n(&worker->exchange_count, __ATOMIC_ACQUIRE);
}

static void on_pulse(void *arg)
{
    struct worker *worker = arg;

    __atomic_store_n(&worker->owes_pulse, false, __ATOMIC_RELEASE);
}

int64_t worker_pulse(struct worker *worker)
{
    int64_t now = clock_monotonic_us();

    if (__atomic_load_n(&worker->owes_pulse, __ATOMIC_ACQUIRE))
        return now - worker->asked_us;
    worker->asked_us = now;
    __atomic_store_n(&worker->owes_pulse, true, __ATOMIC_RELEASE);
    loop_post(worker->loop, on_pulse, worker);
    return 0;
}

static void on_stop_tick(void *arg)
{
    struct worker *worker = arg;

    if (worker->exchanges && --worker->ticks_left > 0) {
        loop_after(worker->loop, STOP_TICK, on_stop_tick, worker);
        return;
    }
    /* Who is still settling now must not wait any more; each of them may have settled itself into one more wait. */
    for (int round = 0; round < STOP_ROUNDS && worker->exchanges; round++)
        exchange_cancel_all(worker, "shutdown");
    exchange_cut_all(worker);
    loop_stop(worker->loop);
}

static void on_stop(void *arg)
{
    struct worker *worker = arg;

    worker->draining = true;
    worker->ticks_left = STOP_TICKS;
    stop_listening(worker);
    exchange_cancel_all(worker, "shutdown");
    exchange_retire_all(worker);
    /* A tick at least: what the cancelled ones answer is still to be sent. */
    loop_after(worker->loop, STOP_TICK, on_stop_tick, worker);
}

void worker_stop(struct worker *worker)
{
    if (worker->running)
        loop_post(worker->loop, on_stop, worker);
    else
        stop_listening(worker);
}

void worker_join(struct worker *worker)
{
    if (worker->running)
        pthread_join(worker->thread, NULL);
    worker->running = false;
}

void worker_free(struct worker *worker)
{
    exchange_drop_all(worker);
    vm_free(worker->vm); /* closes what its handles hold, which needs the loop and the connections */
    attempt_drop_all(worker);
    upstream_free(worker->upstream);
    loop_free(worker->loop);
    counters_free(worker->counters);
    settings_drop(worker->settings);
    mem_free(worker->listeners);
    mem_free(worker);
}
