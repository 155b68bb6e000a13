/* explain.c - `moongate explain`: what would become of a request; see lua/moongate/commands/explain.lua. */
#include "verbs/verbs.h"

#include "bind/control.h"
#include "net/upstream.h"
#include "script/budget.h"

int verb_explain(int count, char **words)
{
    struct control *control;
    int code = 1;

    upstream_global_start();
    budget_start();
    control = control_new();
    if (control)
        code = control_command(control, "explain", count, words);
    control_free(control);
    budget_stop();
    upstream_global_stop();
    return code;
}
