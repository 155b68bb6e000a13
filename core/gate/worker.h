/*
 * worker.h - one thread of the gateway: its loop, its Lua, its upstream
 * connections, the callers it serves.
 */
#ifndef GATE_WORKER_H
#define GATE_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct attempt;
struct counters;
struct door_socket;
struct exchange;
struct gate;
struct listener;
struct loop;
struct policyset;
struct session;
struct settings;
struct upstream;
struct vm;

struct worker {
    int index;
    struct gate *gate;
    struct loop *loop;
    struct vm *vm;
    struct upstream *upstream;
    struct counters *counters;
    struct settings *settings;
    struct listener **listeners;
    size_t listener_count;
    bool starved;               /* callers are turned away: there are no descriptors */
    struct session *sessions;   /* callers' connections */
    struct exchange *exchanges; /* requests under way */
    size_t exchange_count, session_count;
    struct attempt *lingering; /* closed ones whose last bytes are awaited */
    bool draining;
    bool running;
    int ticks_left; /* while it stops */
    bool owes_pulse;
    int64_t asked_us; /* for the control thread: when it was asked for its pulse */
    pthread_t thread;
};

/* Makes the worker's parts on the calling thread; the listening sockets are its own from now on. */
struct worker *worker_new(struct gate *gate, int index, const struct door_socket *sockets, size_t count);
/* Runs its thread until worker_stop. False: its Lua could not be loaded (logged). */
bool worker_start(struct worker *worker, struct settings *settings, struct policyset *policies);
/* From the control thread. Settings and policies are taken (counted). */
void worker_configure(struct worker *worker, struct settings *settings);
void worker_install(struct worker *worker, struct policyset *policies);
/* No new connections; idle ones close, busy ones end after their reply. */
void worker_drain(struct worker *worker);
/* Another process listens on the same sockets: leaves them to it; connections get one more reply, and close. */
void worker_leave(struct worker *worker);
/* Callers' connections at this moment. */
size_t worker_sessions(const struct worker *worker);
/* True while it turns callers away because no more files may be open. */
bool worker_is_starved(const struct worker *worker);
/* Requests under way at this moment. */
size_t worker_busy(const struct worker *worker);
/* Asks it for a sign of life; for how many microseconds it has owed the last one, 0: for none. */
int64_t worker_pulse(struct worker *worker);
/* Cancels what is still under way and ends the thread, soon; worker_join waits for that. */
void worker_stop(struct worker *worker);
void worker_join(struct worker *worker);
/* Only once all workers have been joined. */
void worker_free(struct worker *worker);

#endif
