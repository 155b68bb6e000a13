/*
 * scripted.c - the commands whose work is done in Lua, each in
 * lua/moongate/commands/ under its own name: explain, key, models, probe, reload,
 * replay, status, top, usage.
 */
#include "verbs/verbs.h"

#include "bind/control.h"
#include "net/upstream.h"
#include "script/budget.h"

static int run(const char *name, int count, char **words)
{
    struct control *control;
    int code = 1;

    upstream_global_start();
    budget_start();
    control = control_new();
    if (control)
        code = control_command(control, name, count, words);
    control_free(control);
    budget_stop();
    upstream_global_stop();
    return code;
}

int verb_explain(int count, char **words)
{
    return run("explain", count, words);
}

int verb_key(int count, char **words)
{
    return run("key", count, words);
}

int verb_models(int count, char **words)
{
    return run("models", count, words);
}

int verb_probe(int count, char **words)
{
    return run("probe", count, words);
}

int verb_reload(int count, char **words)
{
    return run("reload", count, words);
}

int verb_replay(int count, char **words)
{
    return run("replay", count, words);
}

int verb_status(int count, char **words)
{
    return run("status", count, words);
}

int verb_top(int count, char **words)
{
    return run("top", count, words);
}

int verb_usage(int count, char **words)
{
    return run("usage", count, words);
}
