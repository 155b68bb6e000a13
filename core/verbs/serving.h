/* serving.h - a gateway that runs, as its control thread sees it: for serve.c, watchdog.c, which looks at it,
 * and upgrade.c, which replaces it. */
#ifndef VERBS_SERVING_H
#define VERBS_SERVING_H

#include <stdbool.h>
#include <stdint.h>

#include "verbs/options.h"

struct control;
struct gate;
struct heritage;
struct loop;
struct loop_timer;
struct orders;
struct policyset;
struct settings;
struct successor;
struct watch;

struct serving {
    struct options options;
    struct control *control;
    struct settings *settings;
    struct policyset *policies;
    struct gate *gate;
    struct orders *orders;
    struct loop *loop;
    struct watch *watch;
    struct loop_timer *look; /* at certificates, workers, refused calls */
    struct loop_timer *drain;
    int64_t drain_until_us;      /* 0: not draining */
    struct heritage *heritage;   /* what the process before left; NULL: there was none */
    struct successor *successor; /* that is to take over, or has */
    bool is_succeeded;           /* it has: this process only ends what is under way */
    bool is_handed_over;         /* it has the store */
    bool is_hung;                /* a worker is, as was told */
    bool is_over;                /* what was posted to the loop comes too late */
};

/* Looks at workers and refused calls, and tells the service manager. True: there are other problems than before. */
bool watchdog_look(struct serving *serving);
void watchdog_tell_refused(void);
/* SIGUSR2: starts the program anew, which takes over. */
void upgrade_begin(struct serving *serving);
/* Ends a new process that does not serve yet; one that does goes on. */
void upgrade_abandon(struct serving *serving);

#endif
