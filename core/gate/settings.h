/*
 * settings.h - the configuration as C needs it: immutable, counted, shared by
 * all workers. Made from the JSON that lua/moongate/control.lua writes once a
 * config file has been validated; the JSON itself goes on to each worker's Lua.
 */
#ifndef GATE_SETTINGS_H
#define GATE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/client.h"

struct spending;

/* What C itself has to know of a target, so that no script can lie about it. Its texts are the settings'. */
struct settings_target {
    const char *id;          /* "groq/llama-3.3-70b" */
    const char *base_url;    /* every call's address begins with it; NULL for the built-in mock */
    const char *upstream_id; /* its model's name there */
    bool is_named_by_path;   /* its calls name the model in the address, not in the body */
    bool is_local;
    bool costs_nothing; /* stated free, and no price above zero */
};

/* An address to listen on. */
struct settings_door {
    char *address;
    char *chain, *key; /* files in PEM; both NULL: no TLS */
};

struct settings {
    char *json;
    struct settings_door *doors;
    size_t door_count;
    int workers;
    char *store;
    int64_t retention_days; /* how long rows stay in the ledger; 0: for ever */
    char *policies;         /* NULL: those inside the binary */
    char *policies_label;   /* as messages name the folder */
    struct client_limits client;
    double drain_s; /* how long requests under way may take after SIGTERM */
    bool zero_spend;
    bool is_confined;                /* from the start on: see base/confine.h */
    bool is_compiled;                /* the gateway's own Lua: see vm_compile */
    struct spending *spending;       /* what no body may say under zero_spend */
    bool keyless;                    /* auth = "none" */
    int log_level;                   /* as in base/log.h */
    char *log_file;                  /* NULL: standard error */
    bool log_json, log_text;         /* neither: text on a terminal, else JSON */
    struct settings_target *targets; /* sorted by id */
    size_t target_count;
    char *texts; /* those of all targets */
    int references;
};

/* NULL only if the JSON is not what control.lua writes. */
struct settings *settings_parse(const char *json);
const struct settings_target *settings_target(const struct settings *settings, const char *id);
struct settings *settings_take(struct settings *settings); /* any thread */
void settings_drop(struct settings *settings);             /* any thread; NULL is fine */

#endif
