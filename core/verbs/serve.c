/*
 * serve.c - `moongate serve`: starts the gateway and is its control thread:
 * signals, reload of configuration and policies, drain, stop.
 */
#include "verbs/verbs.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "bind/bind.h"
#include "bind/control.h"
#include "gate/gate.h"
#include "gate/orders.h"
#include "gate/settings.h"
#include "net/loop.h"
#include "net/signals.h"
#include "net/upstream.h"
#include "net/watch.h"
#include "script/budget.h"
#include "script/policyset.h"
#include "store/store.h"
#include "verbs/options.h"

struct serving {
    struct options options;
    struct control *control;
    struct settings *settings;
    struct policyset *policies;
    struct gate *gate;
    struct orders *orders;
    struct loop *loop;
    struct watch *watch;
    struct loop_timer *drain;
    int64_t drain_until_us; /* 0: not draining */
    bool is_over;           /* what was posted to the loop comes too late */
};

static struct policyset *read_policies(const struct settings *settings, char *error, size_t error_size)
{
    if (!settings->policies)
        return policyset_builtin();
    return policyset_read(settings->policies, error, error_size);
}

static void publish_problems(struct serving *serving)
{
    gate_set_problems(serving->gate, control_problems(serving->control));
}

static void on_policies_changed(void *arg)
{
    struct serving *serving = arg;
    char error[512];
    struct policyset *policies = read_policies(serving->settings, error, sizeof error);

    if (!policies) {
        log_line(LOG_ERROR, "policies could not be read; the last good ones stay", "error", error, NULL);
        return;
    }
    control_install(serving->control, policies);
    publish_problems(serving);
    gate_install(serving->gate, policies);
    policyset_drop(serving->policies);
    serving->policies = policies;
}

static void start_watch(struct serving *serving)
{
    char error[512];

    watch_stop(serving->watch);
    serving->watch = NULL;
    if (!serving->settings->policies)
        return;
    serving->watch =
        watch_start(serving->loop, serving->settings->policies, on_policies_changed, serving, error, sizeof error);
    if (!serving->watch)
        log_line(LOG_WARN, "policies are not watched: send SIGHUP after a change", "error", error, NULL);
}

static void reload(struct serving *serving)
{
    char *error;
    struct settings *settings = control_load(serving->control, serving->options.config, serving->options.listen,
                                             serving->options.listen_count, &error);

    control_note(serving->control, settings ? NULL : error);
    if (!settings) {
        log_line(LOG_ERROR, "the configuration did not load; the last good one stays", "error", error, NULL);
        publish_problems(serving);
        mem_free(error);
        return;
    }
    settings_drop(serving->settings);
    serving->settings = settings;
    gate_configure(serving->gate, settings);
    log_line(LOG_INFO, "configuration reloaded", NULL);
    on_policies_changed(serving);
    start_watch(serving);
}

static char *on_order(void *arg, const char *name, const char *text, size_t length)
{
    struct serving *serving = arg;
    char *answer = control_order(serving->control, name, text, length);

    if (answer)
        return answer;
    reload(serving);
    return control_answer(serving->control);
}

static void on_other_models(void *arg)
{
    struct serving *serving = arg;

    if (!serving->is_over && control_is_outdated(serving->control))
        reload(serving);
}

/* On the store's thread: another gateway has imported models. */
static void on_import(void *arg)
{
    struct serving *serving = arg;

    loop_post(serving->loop, on_other_models, serving);
}

static void on_drain_tick(void *arg)
{
    struct serving *serving = arg;

    serving->drain = NULL;
    if (gate_busy(serving->gate) == 0 || clock_monotonic_us() >= serving->drain_until_us)
        loop_stop(serving->loop);
    else
        serving->drain = loop_after(serving->loop, 0.02, on_drain_tick, serving);
}

static void on_signal(void *arg, int number)
{
    struct serving *serving = arg;

    if (number == SIGHUP) {
        reload(serving);
        return;
    }
    if (serving->drain_until_us) { /* the second one: no more waiting */
        loop_stop(serving->loop);
        return;
    }
    log_line(LOG_INFO, "draining", "signal", number == SIGINT ? "SIGINT" : "SIGTERM", NULL);
    serving->drain_until_us = clock_monotonic_us() + (int64_t)(serving->settings->drain_s * 1e6);
    gate_drain(serving->gate);
    /* What the kernel has accepted already becomes a request within this first tick. */
    serving->drain = loop_after(serving->loop, 0.05, on_drain_tick, serving);
}

static void prepare_process(void)
{
    struct rlimit files, none = { 0, 0 };

    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);      /* a file that may not grow is an error of one write */
    setrlimit(RLIMIT_CORE, &none); /* memory holds keys */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

static void greet(const char *address, bool keyless)
{
    const char *key = keyless ? "" : " -H \"Authorization: Bearer $YOUR_KEY\"";

    printf("moongate " MOONGATE_VERSION " is ready on http://%s\n\nTry it:\n", address);
    printf("  curl http://%s/v1/chat/completions%s -d '{\"model\": \"auto\", \"messages\": [{\"role\": \"user\", "
           "\"content\": \"Hello\"}]}'\n",
           address, key);
    printf("  curl -N http://%s/v1/chat/completions%s -d '{\"model\": \"auto\", \"stream\": true, \"messages\": "
           "[{\"role\": \"user\", \"content\": \"Hello\"}]}'\n",
           address, key);
    fflush(stdout);
}

static bool start(struct serving *serving)
{
    char error[512] = "", *problem = NULL;

    serving->settings = control_load(serving->control, serving->options.config, serving->options.listen,
                                     serving->options.listen_count, &problem);
    if (!serving->settings) {
        fprintf(stderr, "%s\n", problem);
        mem_free(problem);
        return false;
    }
    log_open((enum log_level)serving->settings->log_level,
             serving->settings->log_json || (!serving->settings->log_text && !isatty(STDERR_FILENO)));
    serving->policies = read_policies(serving->settings, error, sizeof error);
    if (serving->policies) {
        control_install(serving->control, serving->policies);
        serving->gate = gate_open(&bind_script, serving->settings, error, sizeof error);
    }
    if (!serving->gate) {
        fprintf(stderr, "moongate: %s\n", error);
        return false;
    }
    serving->gate->orders = serving->orders;
    control_attach(serving->control, serving->gate->store);
    store_watch_imports(serving->gate->store, on_import, serving);
    publish_problems(serving);
    return gate_start(serving->gate, serving->settings, serving->policies);
}

static void run(struct serving *serving)
{
    start_watch(serving);
    /* What was saved between the first read and the watch is seen now. */
    on_policies_changed(serving);
    greet(serving->gate->addresses[0], serving->settings->keyless);
    loop_run(serving->loop);
    loop_forget(serving->drain);
    watch_stop(serving->watch);
}

int verb_serve(int count, char **words)
{
    static const int numbers[] = { SIGTERM, SIGINT, SIGHUP, 0 };
    struct serving serving = { 0 };
    struct signals *signals;
    int code = 1;

    if (!options_read(&serving.options, "serve", count, words))
        return 2;
    if (serving.options.help) {
        puts("moongate serve [-c moongate.lua] [--listen ADDR:PORT]...\n\n"
             "Runs the gateway. Without a configuration file it finds providers from the usual key variables\n"
             "(OPENAI_API_KEY, GROQ_API_KEY, ...) and a local Ollama.\n\n"
             "SIGTERM and SIGINT drain and end it, SIGHUP reads the configuration again.\n\n"
             "  moongate serve -c /etc/moongate/moongate.lua --listen 127.0.0.1:8080");
        return 0;
    }
    prepare_process();
    upstream_global_start();
    budget_start();
    serving.loop = loop_new();
    /* From here on a signal waits until the gateway can heed it. */
    signals = signals_start(serving.loop, numbers, on_signal, &serving);
    serving.orders = orders_new(serving.loop, on_order, &serving);
    serving.control = control_new();
    if (serving.control && start(&serving)) {
        run(&serving);
        code = 0;
    }
    serving.is_over = true;
    orders_stop(serving.orders);
    if (serving.gate)
        gate_close(serving.gate);
    signals_stop(signals);
    loop_free(serving.loop);
    orders_free(serving.orders);
    policyset_drop(serving.policies);
    settings_drop(serving.settings);
    control_free(serving.control);
    budget_stop();
    upstream_global_stop();
    if (code == 0)
        log_line(LOG_INFO, "stopped", NULL);
    return code;
}
