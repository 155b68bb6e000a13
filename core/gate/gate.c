/* gate.c - see gate.h. On the control thread but where it says otherwise. */
#include "gate/gate.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/affinity.h"
#include "gate/bulletin.h"
#include "gate/doors.h"
#include "gate/health.h"
#include "gate/settings.h"
#include "gate/worker.h"
#include "net/heritage.h"
#include "net/resolver.h"
#include "net/upstream.h"
#include "store/store.h"

struct gate *gate_open(const struct gate_script *script, struct settings *settings, struct heritage *heritage,
                       char *error, size_t error_size)
{
    size_t workers = (size_t)settings->workers;
    struct store *store = store_open_after(settings->store, heritage_take_store(heritage), error, error_size);
    struct doors *doors = store ? doors_open(settings, workers, heritage, error, error_size) : NULL;
    struct gate *gate;

    if (!doors) {
        store_close(store);
        return NULL;
    }
    gate = mem_zero(sizeof *gate);
    pthread_mutex_init(&gate->lock, NULL);
    gate->script = script;
    gate->store = store;
    gate->doors = doors;
    store_keep_rows(store, settings->retention_days);
    gate->started = clock_wall_ms();
    gate->health = health_new();
    gate->affinity = affinity_new();
    gate->bulletin = bulletin_new(workers);
    gate->resolver = resolver_new();
    gate->problems = mem_text("[]");
    gate->readings = mem_text("{}");
    gate->worker_count = workers;
    gate->workers = mem_zero(workers * sizeof *gate->workers);
    gate->reports = mem_zero(workers * sizeof *gate->reports);
    for (size_t i = 0; i < workers; i++)
        gate->reports[i] = mem_text("[]");
    for (size_t i = 0; i < workers; i++) {
        size_t count;
        struct door_socket *sockets = doors_of_worker(doors, i, &count);

        gate->workers[i] = worker_new(gate, (int)i, sockets, count);
        mem_free(sockets);
    }
    return gate;
}

bool gate_start(struct gate *gate, struct settings *settings, struct policyset *policies)
{
    for (size_t i = 0; i < gate->worker_count; i++)
        if (!worker_start(gate->workers[i], settings, policies))
            return false;
    for (size_t i = 0; i < doors_count(gate->doors); i++)
        log_line(LOG_INFO, "listening", "address", doors_address(gate->doors, i), "tls",
                 doors_is_tls(gate->doors, i) ? "yes" : NULL, NULL);
    return true;
}

void gate_configure(struct gate *gate, struct settings *settings)
{
    store_keep_rows(gate->store, settings->retention_days);
    doors_reload(gate->doors, settings);
    for (size_t i = 0; i < gate->worker_count; i++)
        worker_configure(gate->workers[i], settings);
}

void gate_install(struct gate *gate, struct policyset *policies)
{
    for (size_t i = 0; i < gate->worker_count; i++)
        worker_install(gate->workers[i], policies);
}

static void replace(struct gate *gate, char **place, char *text)
{
    pthread_mutex_lock(&gate->lock);
    mem_free(*place);
    *place = text;
    pthread_mutex_unlock(&gate->lock);
}

static char *copy_of(struct gate *gate, char *const *place)
{
    char *copy;

    pthread_mutex_lock(&gate->lock);
    copy = mem_text(*place);
    pthread_mutex_unlock(&gate->lock);
    return copy;
}

void gate_set_problems(struct gate *gate, char *problems)
{
    replace(gate, &gate->problems, problems);
}

char *gate_problems(struct gate *gate)
{
    return copy_of(gate, &gate->problems);
}

void gate_set_report(struct gate *gate, int worker, char *report)
{
    replace(gate, &gate->reports[worker], report);
}

char *gate_report(struct gate *gate, int worker)
{
    return copy_of(gate, &gate->reports[worker]);
}

void gate_set_readings(struct gate *gate, char *readings)
{
    replace(gate, &gate->readings, readings);
}

char *gate_readings(struct gate *gate)
{
    return copy_of(gate, &gate->readings);
}

void gate_drain(struct gate *gate)
{
    __atomic_store_n(&gate->draining, true, __ATOMIC_RELAXED);
    for (size_t i = 0; i < gate->worker_count; i++)
        worker_drain(gate->workers[i]);
}

void gate_leave(struct gate *gate)
{
    for (size_t i = 0; i < gate->worker_count; i++)
        worker_leave(gate->workers[i]);
}

size_t gate_sessions(const struct gate *gate)
{
    size_t sessions = 0;

    for (size_t i = 0; i < gate->worker_count; i++)
        sessions += worker_sessions(gate->workers[i]);
    return sessions;
}

size_t gate_busy(const struct gate *gate)
{
    size_t busy = 0;

    for (size_t i = 0; i < gate->worker_count; i++)
        busy += worker_busy(gate->workers[i]);
    return busy;
}

char *gate_pulse(struct gate *gate, int64_t too_long_us)
{
    char *words = NULL;

    for (size_t i = 0; i < gate->worker_count; i++) {
        int64_t owed_us = worker_pulse(gate->workers[i]);

        if (owed_us >= too_long_us && !words)
            words = mem_format("worker %zu does nothing any more, for more than %lld s: it hangs in one call", i + 1,
                               (long long)(too_long_us / 1000000));
    }
    return words;
}

void gate_close(struct gate *gate)
{
    /* All have come to a halt before the first is freed: they read each other's counters. */
    for (size_t i = 0; i < gate->worker_count; i++)
        worker_stop(gate->workers[i]);
    for (size_t i = 0; i < gate->worker_count; i++)
        worker_join(gate->workers[i]);
    /* Its last answers are posted to loops that are still there. */
    store_close(gate->store);
    for (size_t i = 0; i < gate->worker_count; i++)
        worker_free(gate->workers[i]);
    for (size_t i = 0; i < gate->worker_count; i++)
        mem_free(gate->reports[i]);
    resolver_free(gate->resolver);
    health_free(gate->health);
    affinity_free(gate->affinity);
    bulletin_free(gate->bulletin);
    pthread_mutex_destroy(&gate->lock);
    doors_free(gate->doors);
    mem_free(gate->workers);
    mem_free(gate->reports);
    mem_free(gate->problems);
    mem_free(gate->readings);
    mem_free(gate);
}
