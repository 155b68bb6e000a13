/* main.c - the table of commands. A word that is none of them, or none at all, means serve. */
#include <stdio.h>
#include <string.h>

#include "verbs/verbs.h"

static const struct {
    const char *name;
    int (*run)(int count, char **words);
    const char *help;
} verbs[] = {
    { "serve", verb_serve, "run the gateway (what happens without a command)" },
    { "check", verb_check, "say what is wrong with the configuration and the policies" },
    { "explain", verb_explain, "tell which models a request would go to, and why, without calling any" },
    { "replay", verb_replay, "decide recorded requests again with a changed policy, and compare" },
    { "key", verb_key, "create, list and revoke callers' keys" },
    { "usage", verb_usage, "add requests, tokens and cost up, by model, key, day, ..." },
    { "models", verb_models, "import models and prices from lists, list them, and what has changed" },
    { "status", verb_status, "how providers and their quotas stand; --line: in one line, for status bars" },
    { "top", verb_top, "watch the gateway at work, live in the terminal" },
    { "reload", verb_reload, "have the running gateway read configuration and policies again" },
    { "probe", verb_probe, "ask a provider for its limits, by one small request" },
};
enum { VERBS = sizeof verbs / sizeof verbs[0] };

static void help(void)
{
    puts("moongate: a gateway between applications and language-model providers\n");
    puts("  moongate [serve] [-c moongate.lua] [--listen ADDR:PORT]...\n");
    for (int i = 0; i < VERBS; i++)
        printf("  moongate %-8s %s\n", verbs[i].name, verbs[i].help);
    puts("\n  moongate COMMAND --help tells more; moongate --version tells which one this is");
}

int main(int count, char **words)
{
    const char *first = count > 1 ? words[1] : "";

    if (strcmp(first, "--version") == 0) {
        puts("moongate " MOONGATE_VERSION);
        return 0;
    }
    if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0 || strcmp(first, "help") == 0) {
        help();
        return 0;
    }
    for (int i = 0; i < VERBS; i++)
        if (strcmp(first, verbs[i].name) == 0)
            return verbs[i].run(count - 2, words + 2);
    if (first[0] && first[0] != '-') {
        fprintf(stderr, "moongate: there is no command \"%s\"; moongate --help lists them\n", first);
        return 2;
    }
    return verb_serve(count - 1, words + 1);
}
