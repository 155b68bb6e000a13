/* check.c - `moongate check`: the configuration and every policy, without starting anything. */
#include "verbs/verbs.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "bind/control.h"
#include "gate/doors.h"
#include "gate/settings.h"
#include "net/upstream.h"
#include "script/budget.h"
#include "script/policyset.h"
#include "verbs/options.h"

/* The configuration does not load: why is told along with what is wrong with its policies. */
static int check_rest(struct control *control, const struct options *options, char *problem)
{
    char path[4096];
    char *words[] = { path };

    snprintf(path, sizeof path, "%s", options->config ? options->config : "");
    control_note(control, "configuration", problem);
    mem_free(problem);
    return control_command(control, "check", 1, words);
}

static int check(struct control *control, const struct options *options)
{
    char error[512], *problem, *certificates;
    struct settings *settings =
        control_load(control, options->config, options->listen, options->listen_count, &problem);
    struct policyset *policies;

    if (!settings)
        return check_rest(control, options, problem);
    policies = settings->policies ? policyset_read(settings->policies, error, sizeof error) : policyset_builtin();
    certificates = doors_check(settings);
    control_note(control, "certificate", certificates);
    mem_free(certificates);
    settings_drop(settings);
    if (!policies) {
        fprintf(stderr, "moongate: %s\n", error);
        return 1;
    }
    control_install(control, policies);
    policyset_drop(policies);
    return control_command(control, "check", 0, NULL);
}

int verb_check(int count, char **words)
{
    struct options options;
    struct control *control;
    int code = 1;

    if (!options_read(&options, "check", count, words))
        return 2;
    if (options.help) {
        puts("moongate check [-c moongate.lua]\n\n"
             "Reads the configuration and every policy, runs the policies' own checks, and prints all that is wrong,\n"
             "one line a problem: file:line: message. Exit code 0: nothing is; 1: something is.\n\n"
             "  moongate check -c moongate.lua");
        return 0;
    }
    log_open(LOG_NOTHING, false); /* what is wrong is told once, by the command */
    upstream_global_start();
    budget_start();
    control = control_new();
    if (control)
        code = check(control, &options);
    control_free(control);
    budget_stop();
    upstream_global_stop();
    return code;
}
