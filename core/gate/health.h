/*
 * health.h - how each target has been doing lately: circuit breaker, moving
 * latency, moving error rate. Shared by all workers; any thread.
 */
#ifndef GATE_HEALTH_H
#define GATE_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

struct health;

struct health_state {
    bool open;          /* the breaker refuses calls at this moment */
    int64_t open_until; /* unix milliseconds, 0 if closed */
    double latency_ms;  /* moving average of answered calls; below 0: none yet */
    double error_rate;  /* moving, 0 to 1 */
};

struct health *health_new(void);
void health_free(struct health *health);
/* True if a call may begin. When an open breaker's time is over, one caller is let through to try. */
bool health_admit(struct health *health, const char *target, int64_t now);
/* How the admitted call went. A call that tells nothing of the target (the caller left, its own mistake) is released.
 */
void health_succeeded(struct health *health, const char *target, double latency_ms);
void health_failed(struct health *health, const char *target, int64_t now, int failures, double open_s);
void health_released(struct health *health, const char *target);
struct health_state health_state(struct health *health, const char *target, int64_t now);

#endif
