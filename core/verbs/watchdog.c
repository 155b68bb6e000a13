/*
 * watchdog.c - what the control thread looks at every second: whether each
 * worker still turns (else the service manager gets no sign of life, and
 * restarts the gateway), and which system calls were refused.
 */
#include <stdio.h>

#include "base/confine.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/notify.h"
#include "bind/control.h"
#include "gate/gate.h"
#include "verbs/serving.h"

/* How long a worker may owe a sign of life, where no service manager says how long is long; and at least. */
static const int64_t HUNG_US = 15 * 1000000, HUNG_LEAST_US = 2 * 1000000;

void watchdog_tell_refused(void)
{
    int call;

    while ((call = confine_refused()) >= 0) {
        char number[16];

        snprintf(number, sizeof number, "%d", call);
        log_line(LOG_ERROR, "a system call was refused: seccomp does not allow it", "number", number, NULL);
    }
}

bool watchdog_look(struct serving *serving)
{
    int64_t watchdog_us = notify_watchdog_us();
    int64_t too_long_us = watchdog_us ? watchdog_us / 4 : HUNG_US;
    char *hung = gate_pulse(serving->gate, too_long_us > HUNG_LEAST_US ? too_long_us : HUNG_LEAST_US);
    bool is_hung = hung != NULL, is_news = is_hung != serving->is_hung;

    watchdog_tell_refused();
    if (is_news && is_hung)
        log_line(LOG_ERROR, hung, "then", watchdog_us ? "the service manager restarts the gateway" : NULL, NULL);
    else if (is_news)
        log_line(LOG_WARN, "every worker works again", NULL);
    if (is_news)
        control_note(serving->control, "worker", hung);
    serving->is_hung = is_hung;
    if (!is_hung && watchdog_us && !serving->is_succeeded)
        notify("WATCHDOG=1");
    mem_free(hung);
    return is_news;
}
