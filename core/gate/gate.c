/* gate.c - see gate.h. On the control thread but where it says otherwise. */
#include "gate/gate.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/affinity.h"
#include "gate/bulletin.h"
#include "gate/health.h"
#include "gate/settings.h"
#include "gate/worker.h"
#include "net/listener.h"
#include "net/resolver.h"
#include "net/upstream.h"
#include "store/store.h"

/* The address with the port that the system chose, where the configuration left it open with 0. */
static void real_address(char *address, size_t size, const char *configured, int descriptor)
{
    const char *colon = strrchr(configured, ':');

    snprintf(address, size, "%.*s:%d", colon ? (int)(colon - configured) : 0, configured, listener_port(descriptor));
}

/* Every worker has a socket of its own for every address; the first one of an address fixes its port. */
static bool bind_all(int *descriptors, char (*addresses)[GATE_ADDRESS], const struct settings *settings, size_t workers,
                     char *error, size_t error_size)
{
    for (size_t i = 0; i < settings->listen_count; i++) {
        const char *address = settings->listen[i];
        descriptors[i * workers] = listener_bind(address, true, error, error_size);
        if (descriptors[i * workers] < 0)
            return false;
        real_address(addresses[i], GATE_ADDRESS, address, descriptors[i * workers]);
        for (size_t j = 1; j < workers; j++) {
            descriptors[i * workers + j] = listener_bind(addresses[i], false, error, error_size);
            if (descriptors[i * workers + j] < 0)
                return false;
        }
    }
    return true;
}

struct gate *gate_open(const struct gate_script *script, struct settings *settings, char *error, size_t error_size)
{
    size_t workers = (size_t)settings->workers, total = workers * settings->listen_count;
    int *descriptors = mem_alloc(total * sizeof *descriptors);
    int *own = mem_alloc(settings->listen_count * sizeof *own);
    struct gate *gate = NULL;
    char(*addresses)[GATE_ADDRESS] = mem_zero(settings->listen_count * sizeof *addresses);
    struct store *store = store_open(settings->store, error, error_size);

    for (size_t i = 0; i < total; i++)
        descriptors[i] = -1;
    if (!store || !bind_all(descriptors, addresses, settings, workers, error, error_size))
        goto out;
    gate = mem_zero(sizeof *gate);
    pthread_mutex_init(&gate->lock, NULL);
    gate->script = script;
    gate->store = store;
    store_keep_rows(store, settings->retention_days);
    gate->started = clock_wall_ms();
    gate->health = health_new();
    gate->affinity = affinity_new();
    gate->bulletin = bulletin_new(workers);
    gate->resolver = resolver_new();
    gate->problems = mem_text("[]");
    gate->readings = mem_text("{}");
    gate->addresses = addresses;
    gate->worker_count = workers;
    gate->workers = mem_zero(workers * sizeof *gate->workers);
    gate->reports = mem_zero(workers * sizeof *gate->reports);
    for (size_t i = 0; i < workers; i++)
        gate->reports[i] = mem_text("[]");
    for (size_t i = 0; i < workers; i++) {
        for (size_t j = 0; j < settings->listen_count; j++)
            own[j] = descriptors[j * workers + i];
        gate->workers[i] = worker_new(gate, (int)i, own, settings->listen_count);
    }
out:
    for (size_t i = 0; !gate && i < total; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
    if (!gate)
        mem_free(addresses);
    if (!gate && store)
        store_close(store);
    mem_free(own);
    mem_free(descriptors);
    return gate;
}

bool gate_start(struct gate *gate, struct settings *settings, struct policyset *policies)
{
    for (size_t i = 0; i < gate->worker_count; i++)
        if (!worker_start(gate->workers[i], settings, policies))
            return false;
    for (size_t i = 0; i < settings->listen_count; i++)
        log_line(LOG_INFO, "listening", "address", gate->addresses[i], NULL);
    return true;
}

void gate_configure(struct gate *gate, struct settings *settings)
{
    store_keep_rows(gate->store, settings->retention_days);
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

size_t gate_busy(const struct gate *gate)
{
    size_t busy = 0;

    for (size_t i = 0; i < gate->worker_count; i++)
        busy += worker_busy(gate->workers[i]);
    return busy;
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
    mem_free(gate->addresses);
    mem_free(gate->workers);
    mem_free(gate->reports);
    mem_free(gate->problems);
    mem_free(gate->readings);
    mem_free(gate);
}
