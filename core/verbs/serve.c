/*
 * serve.c - `moongate serve`: starts the gateway and is its control thread:
 * signals, reload of configuration and policies, drain, stop.
 */
#include "verbs/verbs.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/confine.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/notify.h"
#include "bind/bind.h"
#include "bind/control.h"
#include "gate/doors.h"
#include "gate/gate.h"
#include "gate/orders.h"
#include "gate/settings.h"
#include "net/heritage.h"
#include "net/loop.h"
#include "net/signals.h"
#include "net/upstream.h"
#include "net/watch.h"
#include "script/budget.h"
#include "script/policyset.h"
#include "store/store.h"
#include "verbs/options.h"
#include "verbs/serving.h"

static const double LOOK_S = 1; /* what is renewed is in force within two of these */

static struct policyset *read_policies(const struct settings *settings, char *error, size_t error_size)
{
    if (!settings->policies)
        return policyset_builtin();
    return policyset_read(settings->policies, error, error_size);
}

static void publish_problems(struct serving *serving)
{
    char *certificates = doors_problems(serving->gate->doors);

    control_note(serving->control, "certificate", certificates);
    mem_free(certificates);
    gate_set_problems(serving->gate, control_problems(serving->control));
}

static void on_look(void *arg)
{
    struct serving *serving = arg;
    bool is_news = watchdog_look(serving);

    if (doors_look(serving->gate->doors) || is_news)
        publish_problems(serving);
    serving->look = loop_after(serving->loop, LOOK_S, on_look, serving);
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

/* Before the policies are read: so what is saved meanwhile is seen. Leaves error alone if they are watched. */
static void start_watch(struct serving *serving, char *error, size_t error_size)
{
    watch_stop(serving->watch);
    serving->watch = NULL;
    if (serving->settings->policies)
        serving->watch =
            watch_start(serving->loop, serving->settings->policies, on_policies_changed, serving, error, error_size);
}

static void tell_unwatched(const char *error)
{
    if (*error)
        log_line(LOG_WARN, "policies are not watched: send SIGHUP after a change", "error", error, NULL);
}

static void reload(struct serving *serving)
{
    char unwatched[512] = "", *error;
    struct settings *settings = control_load(serving->control, serving->options.config, serving->options.listen,
                                             serving->options.listen_count, &error);

    control_note(serving->control, "configuration", settings ? NULL : error);
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
    start_watch(serving, unwatched, sizeof unwatched);
    on_policies_changed(serving);
    tell_unwatched(unwatched);
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
    /* The process before tells us of its last rows, and is given as long as our own requests. */
    if ((gate_busy(serving->gate) == 0 && !store_inherits(serving->gate->store)) ||
        clock_monotonic_us() >= serving->drain_until_us)
        loop_stop(serving->loop);
    else
        serving->drain = loop_after(serving->loop, 0.02, on_drain_tick, serving);
}

static void reopen_log(void)
{
    if (!log_reopen())
        log_line(LOG_ERROR, "the log could not be reopened; it goes on in the old file", "reason",
                 strerrordesc_np(errno), NULL);
}

static void on_signal(void *arg, int number)
{
    struct serving *serving = arg;

    if (number == SIGHUP) {
        notify_reloading();
        reopen_log();
        reload(serving);
        notify("READY=1");
        return;
    }
    if (number == SIGUSR1) {
        reopen_log();
        return;
    }
    if (number == SIGUSR2) {
        upgrade_begin(serving);
        return;
    }
    if (serving->drain_until_us) { /* the second one: no more waiting */
        loop_stop(serving->loop);
        return;
    }
    log_line(LOG_INFO, "draining", "signal", number == SIGINT ? "SIGINT" : "SIGTERM", NULL);
    serving->drain_until_us = clock_monotonic_us() + (int64_t)(serving->settings->drain_s * 1e6);
    if (!serving->is_succeeded)
        notify("STOPPING=1");
    upgrade_abandon(serving);
    gate_drain(serving->gate);
    loop_forget(serving->drain); /* of an upgrade, which had no bound */
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

static void greet(const char *scheme, const char *address, bool keyless)
{
    const char *key = keyless ? "" : " -H \"Authorization: Bearer $YOUR_KEY\"";

    printf("moongate " MOONGATE_VERSION " is ready on %s://%s\n\nTry it:\n", scheme, address);
    printf("  curl %s://%s/v1/chat/completions%s -d '{\"model\": \"auto\", \"messages\": [{\"role\": \"user\", "
           "\"content\": \"Hello\"}]}'\n",
           scheme, address, key);
    printf("  curl -N %s://%s/v1/chat/completions%s -d '{\"model\": \"auto\", \"stream\": true, \"messages\": "
           "[{\"role\": \"user\", \"content\": \"Hello\"}]}'\n",
           scheme, address, key);
    fflush(stdout);
}

/* Says why it does not start, to whoever started it. Returns false. */
static bool give_up(struct serving *serving, const char *prefix, const char *reason)
{
    fprintf(stderr, "%s%s\n", prefix, reason);
    heritage_tell_failure(serving->heritage, reason);
    return false;
}

/*
 * A policy that does not load is no reason not to start: the last good one is kept, or the defaults serve. But a
 * process that is to take over has no last good one, and the process before has.
 */
static bool may_take_over(struct serving *serving)
{
    char *mistakes = control_mistakes(serving->control), error[1024] = "";
    bool is_fine = strcmp(mistakes, "[]") == 0;

    if (!is_fine)
        give_up(serving, "moongate: ", mistakes);
    mem_free(mistakes);
    if (!is_fine)
        return false;
    return heritage_ask_for_store(serving->heritage, serving->settings->store, error, sizeof error) ||
           give_up(serving, "moongate: ", error);
}

static bool start(struct serving *serving)
{
    char error[1024] = "", unwatched[512] = "", *problem = NULL;

    serving->settings = control_load(serving->control, serving->options.config, serving->options.listen,
                                     serving->options.listen_count, &problem);
    if (!serving->settings) {
        give_up(serving, "", problem);
        mem_free(problem);
        return false;
    }
    log_open((enum log_level)serving->settings->log_level,
             serving->settings->log_json || (!serving->settings->log_text && !isatty(STDERR_FILENO)));
    if (serving->settings->log_file && !log_to(serving->settings->log_file)) {
        snprintf(error, sizeof error, "log.file: %.200s cannot be written (%s): name a file that the gateway may write",
                 serving->settings->log_file, strerrordesc_np(errno));
        return give_up(serving, "moongate: ", error);
    }
    start_watch(serving, unwatched, sizeof unwatched);
    serving->policies = read_policies(serving->settings, error, sizeof error);
    if (!serving->policies)
        return give_up(serving, "moongate: ", error);
    tell_unwatched(unwatched);
    control_install(serving->control, serving->policies);
    if (heritage_has_predecessor(serving->heritage) && !may_take_over(serving))
        return false;
    serving->gate = gate_open(&bind_script, serving->settings, serving->heritage, error, sizeof error);
    if (!serving->gate)
        return give_up(serving, "moongate: ", error);
    serving->gate->orders = serving->orders;
    control_attach(serving->control, serving->gate->store);
    store_watch_imports(serving->gate->store, on_import, serving);
    publish_problems(serving);
    if (!gate_start(serving->gate, serving->settings, serving->policies))
        return give_up(serving, "moongate: ", "its workers do not start");
    return !serving->settings->is_confined || confine_start(error, sizeof error) ||
           give_up(serving, "moongate: ", error);
}

static void tell_serving(struct serving *serving)
{
    char state[64];

    snprintf(state, sizeof state, "MAINPID=%ld\nREADY=1", (long)getpid());
    notify(state);
    heritage_tell_serving(serving->heritage);
    heritage_free(serving->heritage);
    serving->heritage = NULL;
}

static void run(struct serving *serving)
{
    on_look(serving);
    greet(doors_is_tls(serving->gate->doors, 0) ? "https" : "http", doors_address(serving->gate->doors, 0),
          serving->settings->keyless);
    tell_serving(serving);
    loop_run(serving->loop);
    loop_forget(serving->look);
    loop_forget(serving->drain);
    upgrade_abandon(serving);
}

int verb_serve(int count, char **words)
{
    static const int numbers[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, 0 };
    struct serving serving = { 0 };
    struct signals *signals;
    int code = 1;

    if (!options_read(&serving.options, "serve", count, words))
        return 2;
    if (serving.options.help) {
        puts("moongate serve [-c moongate.lua] [--listen ADDR:PORT]...\n\n"
             "Runs the gateway. Without a configuration file it finds providers from the usual key variables\n"
             "(OPENAI_API_KEY, GROQ_API_KEY, ...) and a local Ollama.\n\n"
             "SIGTERM and SIGINT drain and end it, SIGHUP reads the configuration again, SIGUSR1 opens the log file "
             "anew,\n"
             "SIGUSR2 starts the program anew in its place.\n\n"
             "  moongate serve -c /etc/moongate/moongate.lua --listen 127.0.0.1:8080");
        return 0;
    }
    prepare_process();
    confine_prepare();
    serving.heritage = heritage_read();
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
    watch_stop(serving.watch);
    orders_stop(serving.orders);
    if (serving.gate)
        gate_close(serving.gate);
    signals_stop(signals);
    heritage_free(serving.heritage);
    loop_free(serving.loop);
    orders_free(serving.orders);
    policyset_drop(serving.policies);
    settings_drop(serving.settings);
    control_free(serving.control);
    budget_stop();
    upstream_global_stop();
    watchdog_tell_refused();
    if (code == 0)
        log_line(LOG_INFO, "stopped", NULL);
    return code;
}
