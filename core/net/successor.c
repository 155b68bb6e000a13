/* successor.c - see successor.h. */
#include "net/successor.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "net/loop.h"

enum { LINE_MOST = 4096 };

static const double START_S = 60; /* until it serves */

struct successor {
    struct loop *loop;
    const struct successor_hooks *hooks;
    void *arg;
    pid_t pid;
    int line, store;
    bool serves;
    struct buf heard;
    struct event event;
    struct loop_timer *deadline;
};

static char *variable(int line, int store, const struct successor_socket *sockets, size_t count)
{
    struct buf text = { 0 };
    char *copy;

    buf_add_format(&text, SUCCESSOR_VARIABLE "=%d %d\n", line, store);
    for (size_t i = 0; i < count; i++)
        buf_add_format(&text, "%s %d\n", sockets[i].address, sockets[i].descriptor);
    copy = mem_text(buf_text_of(&text));
    buf_free(&text);
    return copy;
}

/* The environment with one variable more. */
static char **environment(char *more)
{
    size_t count = 0;
    char **list;

    while (environ[count])
        count++;
    list = mem_alloc((count + 2) * sizeof *list);
    memcpy(list, environ, count * sizeof *list);
    list[count] = more;
    list[count + 1] = NULL;
    return list;
}

/* 0, or errno. Descriptors are ours alone by default; one that is duplicated onto itself stays open in the child. */
static int spawn(pid_t *pid, char *const *words, int line, int store, const struct successor_socket *sockets,
                 size_t count)
{
    char *more = variable(line, store, sockets, count), **list = environment(more);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    int fault;

    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawn_file_actions_adddup2(&actions, line, line);
    posix_spawn_file_actions_adddup2(&actions, store, store);
    for (size_t i = 0; i < count; i++)
        posix_spawn_file_actions_adddup2(&actions, sockets[i].descriptor, sockets[i].descriptor);
    fault = posix_spawnp(pid, words[0], &actions, &attributes, words, list);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    mem_free(list);
    mem_free(more);
    return fault;
}

/* Whatever it still does, it does not take over. */
static void end(struct successor *successor)
{
    kill(successor->pid, SIGKILL);
    while (waitpid(successor->pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

static void fail(struct successor *successor, const char *reason)
{
    const struct successor_hooks *hooks = successor->hooks;
    char *copy = mem_text(reason);
    void *arg = successor->arg;

    successor_free(successor);
    hooks->on_failed(arg, copy);
    mem_free(copy);
}

static void on_deadline(void *arg)
{
    struct successor *successor = arg;

    successor->deadline = NULL;
    fail(successor, "it did not begin to serve within a minute");
}

static const char *rest_of(const char *line, const char *word)
{
    size_t length = strlen(word);

    if (strncmp(line, word, length) != 0 || (line[length] && line[length] != ' '))
        return NULL;
    return line + length + (line[length] == ' ');
}

/* False: the successor is gone. */
static bool heed(struct successor *successor, const char *line)
{
    const char *address = rest_of(line, SUCCESSOR_STORE), *reason = rest_of(line, SUCCESSOR_FAILED);
    int store = successor->store;

    if (address) {
        successor->store = -1;
        successor->hooks->on_store(successor->arg, address, store);
    } else if (rest_of(line, SUCCESSOR_SERVING)) {
        successor->serves = true;
        loop_forget(successor->deadline);
        successor->deadline = NULL;
        event_del(&successor->event);
        successor->hooks->on_serving(successor->arg);
    } else {
        fail(successor,
             reason && *reason ? reason : "the two versions cannot take over from each other: restart instead");
        return false;
    }
    return true;
}

static void on_readable(evutil_socket_t descriptor, short what, void *arg)
{
    struct successor *successor = arg;
    char piece[512], *text, *ends;
    ssize_t n = recv(descriptor, piece, sizeof piece, 0);

    (void)what;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || successor->heard.length > LINE_MOST) {
        fail(successor, "it ended before it served; what it said is on standard error");
        return;
    }
    buf_add(&successor->heard, piece, (size_t)n);
    while (!successor->serves && successor->heard.length > 0 &&
           (ends = memchr(successor->heard.data, '\n', successor->heard.length))) {
        size_t length = (size_t)(ends - successor->heard.data);
        bool is_there;

        text = mem_copy(successor->heard.data, length);
        buf_drop(&successor->heard, length + 1);
        is_there = heed(successor, text);
        mem_free(text);
        if (!is_there)
            return;
    }
}

static void close_pair(const int pair[2])
{
    for (int i = 0; i < 2; i++)
        if (pair[i] >= 0)
            close(pair[i]);
}

struct successor *successor_start(struct loop *loop, char *const *words, const struct successor_socket *sockets,
                                  size_t count, const struct successor_hooks *hooks, void *arg, char *error,
                                  size_t error_size)
{
    int line[2] = { -1, -1 }, store[2] = { -1, -1 }, fault;
    struct successor *successor;
    pid_t pid = -1;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, line) < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, store) < 0)
        fault = errno;
    else
        fault = spawn(&pid, words, line[1], store[1], sockets, count);
    if (fault) {
        snprintf(error, error_size, "%.200s does not start: %s", words[0], strerrordesc_np(fault));
        close_pair(line);
        close_pair(store);
        return NULL;
    }
    close(line[1]);
    close(store[1]);
    successor = mem_zero(sizeof *successor);
    successor->loop = loop;
    successor->hooks = hooks;
    successor->arg = arg;
    successor->pid = pid;
    successor->line = line[0];
    successor->store = store[0];
    fcntl(line[0], F_SETFL, fcntl(line[0], F_GETFL) | O_NONBLOCK);
    event_assign(&successor->event, loop_base(loop), line[0], EV_READ | EV_PERSIST, on_readable, successor);
    event_add(&successor->event, NULL);
    successor->deadline = loop_after(loop, START_S, on_deadline, successor);
    return successor;
}

void successor_answer(struct successor *successor, const char *line)
{
    char *text = mem_format("%s\n", line);

    /* Short lines, into an empty socket: it takes them whole, or is gone, which is noticed elsewhere. */
    if (send(successor->line, text, strlen(text), MSG_NOSIGNAL) < 0)
        errno = 0;
    mem_free(text);
}

pid_t successor_pid(const struct successor *successor)
{
    return successor->pid;
}

void successor_free(struct successor *successor)
{
    if (!successor)
        return;
    loop_forget(successor->deadline);
    event_del(&successor->event);
    if (!successor->serves)
        end(successor);
    close(successor->line);
    if (successor->store >= 0)
        close(successor->store);
    buf_free(&successor->heard);
    mem_free(successor);
}
