/*
 * upgrade.c - SIGUSR2: the program is started anew beside this process, with
 * the listening sockets open in it. Once it has read its configuration, it gets
 * the store; once it accepts callers, this process ends what is under way and
 * exits. If it fails at any point before that, this one goes on as if nothing
 * had been.
 */
#include "verbs/serving.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/doors.h"
#include "gate/gate.h"
#include "gate/settings.h"
#include "net/loop.h"
#include "net/successor.h"
#include "store/store.h"

/* How this process was started; NULL: the system does not tell. words point into text. */
static char **read_words(struct buf *text)
{
    int file = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    char **words, *at, piece[4096];
    size_t count = 0;
    ssize_t n;

    if (file < 0)
        return NULL;
    while ((n = read(file, piece, sizeof piece)) > 0)
        buf_add(text, piece, (size_t)n);
    close(file);
    buf_add_char(text, '\0');
    for (size_t i = 0; i < text->length; i++)
        count += text->data[i] == '\0';
    words = mem_alloc(count * sizeof *words);
    count = 0;
    for (at = text->data; at < text->data + text->length - 1; at += strlen(at) + 1)
        words[count++] = at;
    words[count] = NULL;
    return words;
}

static struct successor_socket *list_sockets(const struct doors *doors, size_t *total)
{
    struct successor_socket *list = NULL;

    *total = 0;
    for (size_t i = 0; i < doors_count(doors); i++) {
        size_t count;
        const int *sockets = doors_sockets(doors, i, &count);

        list = mem_resize(list, (*total + count) * sizeof *list);
        for (size_t j = 0; j < count; j++)
            list[(*total)++] = (struct successor_socket){ doors_configured(doors, i), sockets[j] };
    }
    return list;
}

static void on_store(void *arg, const char *address, int store)
{
    struct serving *serving = arg;
    char error[512];

    if (strcmp(address, serving->settings->store) != 0) {
        close(store);
        successor_answer(serving->successor, SUCCESSOR_KEEP);
    } else if (store_hand_over(serving->gate->store, store, error, sizeof error)) {
        serving->is_handed_over = true;
        successor_answer(serving->successor, SUCCESSOR_YOURS);
    } else {
        close(store);
        successor_answer(serving->successor, error);
    }
}

/* It ends when nobody is left, however long that takes: a stream is not broken for an upgrade. */
static void on_tick(void *arg)
{
    struct serving *serving = arg;

    serving->drain = NULL;
    if (gate_busy(serving->gate) == 0 && gate_sessions(serving->gate) == 0 && !store_inherits(serving->gate->store))
        loop_stop(serving->loop);
    else
        serving->drain = loop_after(serving->loop, 0.05, on_tick, serving);
}

static void on_serving(void *arg)
{
    struct serving *serving = arg;
    char pid[24];

    snprintf(pid, sizeof pid, "%ld", (long)successor_pid(serving->successor));
    serving->is_succeeded = true;
    log_line(LOG_INFO, "another process serves now; this one ends what is under way", "pid", pid, NULL);
    gate_leave(serving->gate);
    if (!serving->drain)
        serving->drain = loop_after(serving->loop, 0.05, on_tick, serving);
}

static void on_failed(void *arg, const char *reason)
{
    struct serving *serving = arg;

    serving->successor = NULL;
    if (serving->is_handed_over)
        store_take_back(serving->gate->store);
    serving->is_handed_over = false;
    log_line(LOG_ERROR, "the upgrade failed; this process goes on", "reason", reason, NULL);
}

void upgrade_begin(struct serving *serving)
{
    static const struct successor_hooks hooks = { on_store, on_serving, on_failed };
    struct buf text = { 0 };
    struct successor_socket *sockets = NULL;
    char **words = NULL, error[512] = "the system does not tell how this process was started (is /proc mounted?)";
    size_t count;

    if (serving->successor || serving->drain_until_us) {
        log_line(LOG_WARN, "SIGUSR2 is ignored: this process is being replaced, or drains", NULL);
        return;
    }
    if (getpid() == 1) {
        log_line(LOG_ERROR, "SIGUSR2 is ignored: process 1 cannot be replaced, its container ends with it", NULL);
        return;
    }
    log_line(LOG_INFO, "upgrading", NULL);
    words = read_words(&text);
    if (words) {
        sockets = list_sockets(serving->gate->doors, &count);
        serving->successor =
            successor_start(serving->loop, words, sockets, count, &hooks, serving, error, sizeof error);
    }
    if (!serving->successor)
        log_line(LOG_ERROR, "the upgrade failed; this process goes on", "reason", error, NULL);
    mem_free(sockets);
    mem_free(words);
    buf_free(&text);
}

void upgrade_abandon(struct serving *serving)
{
    successor_free(serving->successor);
    serving->successor = NULL;
    if (serving->is_handed_over && !serving->is_succeeded)
        store_take_back(serving->gate->store);
    serving->is_handed_over = false;
}
