/*
 * gate.h - the running gateway: what its workers share, and what the control
 * thread does with them: start, reload, drain, stop.
 */
#ifndef GATE_GATE_H
#define GATE_GATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct affinity;
struct bulletin;
struct doors;
struct exchange;
struct health;
struct heritage;
struct orders;
struct policyset;
struct resolver;
struct settings;
struct store;
struct worker;

/* What the gate asks of Lua; bind/ answers. Each runs on the worker's own thread. */
struct gate_script {
    bool (*on_start)(struct worker *worker);
    void (*on_settings)(struct worker *worker, struct settings *settings);
    void (*on_policies)(struct worker *worker, struct policyset *policies);
    /* Leaves the function that serves the exchange, and its argument, on the worker's Lua stack. */
    void (*on_request)(struct exchange *exchange);
    /* Answers at once, in the shape of the surface that was called. */
    void (*on_refused)(struct exchange *exchange, int status, const char *message);
};

struct gate {
    const struct gate_script *script;
    struct store *store;
    struct health *health;
    struct affinity *affinity;
    struct bulletin *bulletin;
    struct resolver *resolver;
    struct orders *orders; /* the control thread's; set before the workers start */
    struct worker **workers;
    size_t worker_count;
    bool draining;
    struct doors *doors;
    int64_t started;      /* unix milliseconds */
    pthread_mutex_t lock; /* guards what follows */
    char *problems;       /* JSON array for /ready: what is wrong with policies and configuration */
    char *readings;       /* JSON object: what the quota checkers found, for every worker */
    char **reports;       /* JSON arrays for /ready: what each worker found wrong as it served */
};

/*
 * Opens the store and every address, with what the process before left (heritage may be NULL). NULL with a sentence in
 * error.
 */
struct gate *gate_open(const struct gate_script *script, struct settings *settings, struct heritage *heritage,
                       char *error, size_t error_size);
/* Starts the workers, and tells "listening" of every address. False: Lua could not be loaded. */
bool gate_start(struct gate *gate, struct settings *settings, struct policyset *policies);
void gate_configure(struct gate *gate, struct settings *settings);
void gate_install(struct gate *gate, struct policyset *policies);
/* Takes problems over: a JSON array. */
void gate_set_problems(struct gate *gate, char *problems);
char *gate_problems(struct gate *gate); /* a copy */
void gate_set_report(struct gate *gate, int worker, char *report);
char *gate_report(struct gate *gate, int worker);
/* Takes readings over: a JSON object. */
void gate_set_readings(struct gate *gate, char *readings);
char *gate_readings(struct gate *gate); /* a copy */
void gate_drain(struct gate *gate);
/* As worker_leave, for all. */
void gate_leave(struct gate *gate);
/* Asks all workers for a sign of life: NULL, or which of them has owed it for so long, in words. Control thread. */
/* Asks all workers for a sign of life: NULL, or which of them has owed it for so long, in words. Control thread. */
char *gate_pulse(struct gate *gate, int64_t too_long_us);
size_t gate_sessions(const struct gate *gate);
size_t gate_busy(const struct gate *gate);
/* Cancels what is left, writes everything out, frees. */
void gate_close(struct gate *gate);

#endif
