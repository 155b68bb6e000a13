/* replay.c - `moongate replay`: recorded decisions under a changed policy; see lua/moongate/commands/replay.lua. */
#include "verbs/verbs.h"

#include "bind/control.h"
#include "net/upstream.h"
#include "script/budget.h"

int verb_replay(int count, char **words)
{
    struct control *control;
    int code = 1;

    upstream_global_start();
    budget_start();
    control = control_new();
    if (control)
        code = control_command(control, "replay", count, words);
    control_free(control);
    budget_stop();
    upstream_global_stop();
    return code;
}
