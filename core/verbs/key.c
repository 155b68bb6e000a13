/* key.c - `moongate key`: callers' keys; the work is in lua/moongate/commands/key.lua. */
#include "verbs/verbs.h"

#include "bind/control.h"
#include "net/upstream.h"

int verb_key(int count, char **words)
{
    struct control *control;
    int code = 1;

    upstream_global_start();
    control = control_new();
    if (control)
        code = control_command(control, "key", count, words);
    control_free(control);
    upstream_global_stop();
    return code;
}
