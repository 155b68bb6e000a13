/* heritage.c - see heritage.h. The environment holds numbers of descriptors; each is looked at before it is believed.
 */
#include "net/heritage.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/listener.h"
#include "net/successor.h"

enum { FIRST_OF_SYSTEMD = 3, SOCKETS_MOST = 4096, ANSWER_MS = 30 * 1000 };

struct left {
    char *address; /* as the configuration of the process before had it; NULL: from systemd */
    int descriptor;
};

struct heritage {
    int line;  /* to the process before; -1: there is none */
    int store; /* its rows and counters come here */
    bool has_store;
    struct left *list;
    size_t count;
};

static bool is_socket(int descriptor)
{
    int type;
    socklen_t size = sizeof type;

    return descriptor > 2 && getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

/* A descriptor that is a socket, and is not inherited any further; else -1. */
static int take(long number)
{
    int descriptor = number > 2 && number < 1 << 20 ? (int)number : -1;

    if (!is_socket(descriptor))
        return -1;
    fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    return descriptor;
}

static void add(struct heritage *heritage, const char *address, int descriptor)
{
    if (descriptor < 0 || heritage->count == SOCKETS_MOST)
        return;
    fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
    heritage->list = mem_resize(heritage->list, (heritage->count + 1) * sizeof *heritage->list);
    heritage->list[heritage->count++] = (struct left){ mem_text(address), descriptor };
}

/* "LINE STORE\nADDRESS DESCRIPTOR\n...": see successor.c. */
static void read_predecessor(struct heritage *heritage, char *text)
{
    char *state, *end, *line = strtok_r(text, "\n", &state);

    if (!line)
        return;
    heritage->line = take(strtol(line, &end, 10));
    heritage->store = take(strtol(end, NULL, 10));
    while ((line = strtok_r(NULL, "\n", &state))) {
        char *space = strrchr(line, ' ');

        if (!space)
            continue;
        *space = '\0';
        add(heritage, line, take(strtol(space + 1, NULL, 10)));
    }
}

static void read_systemd(struct heritage *heritage)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    long number = count ? strtol(count, NULL, 10) : 0;

    if (pid && strtol(pid, NULL, 10) == (long)getpid())
        for (long i = 0; i < number && i < SOCKETS_MOST; i++)
            add(heritage, NULL, take(FIRST_OF_SYSTEMD + i));
}

struct heritage *heritage_read(void)
{
    static const char *const variables[] = { SUCCESSOR_VARIABLE, "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES" };
    struct heritage *heritage = mem_zero(sizeof *heritage);
    const char *left = getenv(SUCCESSOR_VARIABLE);
    char *text = mem_text(left);

    heritage->line = heritage->store = -1;
    if (text)
        read_predecessor(heritage, text);
    else
        read_systemd(heritage);
    /* The process is alone with itself yet: no thread reads the environment. */
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]); /* NOLINT(concurrency-mt-unsafe) */
    mem_free(text);
    if (heritage->count || heritage->line >= 0)
        return heritage;
    heritage_free(heritage);
    return NULL;
}

void heritage_free(struct heritage *heritage)
{
    if (!heritage)
        return;
    for (size_t i = 0; i < heritage->count; i++) {
        if (heritage->list[i].descriptor >= 0)
            close(heritage->list[i].descriptor);
        mem_free(heritage->list[i].address);
    }
    if (heritage->line >= 0)
        close(heritage->line);
    if (heritage->store >= 0)
        close(heritage->store);
    mem_free(heritage->list);
    mem_free(heritage);
}

int heritage_take_socket(struct heritage *heritage, const char *address)
{
    for (size_t i = 0; heritage && i < heritage->count; i++) {
        struct left *left = &heritage->list[i];
        int descriptor = left->descriptor;

        if (descriptor < 0)
            continue;
        if (left->address ? strcmp(left->address, address) != 0 : !listener_is_at(descriptor, address))
            continue;
        left->descriptor = -1;
        return descriptor;
    }
    return -1;
}

int heritage_take_store(struct heritage *heritage)
{
    int store;

    if (!heritage || !heritage->has_store)
        return -1;
    store = heritage->store;
    heritage->store = -1;
    return store;
}

bool heritage_has_predecessor(const struct heritage *heritage)
{
    return heritage && heritage->line >= 0;
}

/* ---- the line ---- */

static void say(struct heritage *heritage, const char *word, const char *text)
{
    char *line = mem_format("%s %s\n", word, text);

    if (heritage_has_predecessor(heritage))
        send(heritage->line, line, strlen(line), MSG_NOSIGNAL);
    mem_free(line);
}

/* One line without its end; false: it is gone, or silent. */
static bool hear(struct heritage *heritage, char *line, size_t size)
{
    struct pollfd wait = { .fd = heritage->line, .events = POLLIN };
    size_t length = 0;

    while (length < size - 1) {
        int n = poll(&wait, 1, ANSWER_MS);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || recv(heritage->line, line + length, 1, 0) != 1)
            return false;
        if (line[length] == '\n')
            break;
        length++;
    }
    line[length] = '\0';
    return true;
}

bool heritage_ask_for_store(struct heritage *heritage, const char *address, char *error, size_t error_size)
{
    char line[512];

    if (!heritage_has_predecessor(heritage))
        return true;
    say(heritage, SUCCESSOR_STORE, address);
    if (!hear(heritage, line, sizeof line) || strcmp(line, SUCCESSOR_KEEP) == 0)
        return true;
    heritage->has_store = strcmp(line, SUCCESSOR_YOURS) == 0;
    if (heritage->has_store)
        return true;
    snprintf(error, error_size, "%s", line);
    return false;
}

void heritage_tell_serving(struct heritage *heritage)
{
    say(heritage, SUCCESSOR_SERVING, "");
}

void heritage_tell_failure(struct heritage *heritage, const char *reason)
{
    char *line = mem_text(reason);

    for (char *at = line; *at; at++)
        if (*at == '\n')
            *at = at[1] ? ';' : ' ';
    say(heritage, SUCCESSOR_FAILED, line);
    mem_free(line);
}
