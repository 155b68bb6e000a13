/* doors.c - see doors.h. */
#include "gate/doors.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/settings.h"
#include "net/certificate.h"
#include "net/heritage.h"
#include "net/listener.h"

struct door {
    char *configured;
    char address[DOORS_ADDRESS];
    struct certificate *certificate;
    char problem[640]; /* why the newest certificate is not in force */
    int *descriptors;  /* the workers', once they are given out */
    size_t count;
};

struct doors {
    size_t workers, count;
    bool are_given;
    struct door list[];
};

/* The address with the port that the system chose, where the configuration left it open with 0. */
static void real_address(struct door *door)
{
    const char *colon = strrchr(door->configured, ':');

    snprintf(door->address, sizeof door->address, "%.*s:%d", colon ? (int)(colon - door->configured) : 0,
             door->configured, listener_port(door->descriptors[0]));
}

static bool add_socket(struct door *door, int descriptor)
{
    if (descriptor < 0)
        return false;
    door->descriptors = mem_resize(door->descriptors, (door->count + 1) * sizeof *door->descriptors);
    door->descriptors[door->count++] = descriptor;
    return true;
}

/*
 * Every worker has a socket of its own; the first one fixes the port. What the process before left is all taken, also
 * where it had more workers: each socket has callers queued. One that cannot be bound again is shared.
 */
static bool bind_all(struct door *door, size_t workers, struct heritage *heritage, char *error, size_t error_size)
{
    size_t inherited;
    int left;

    while ((left = heritage_take_socket(heritage, door->configured)) >= 0)
        add_socket(door, left);
    inherited = door->count;
    if (!inherited && !add_socket(door, listener_bind(door->configured, true, error, error_size)))
        return false;
    real_address(door);
    while (door->count < workers)
        if (!add_socket(door, listener_bind(door->address, false, error, error_size)) &&
            !(inherited && add_socket(door, fcntl(door->descriptors[0], F_DUPFD_CLOEXEC, 3))))
            return false;
    return true;
}

static void tell_if_stale(struct door *door)
{
    char text[512];

    if (door->certificate && certificate_is_stale(door->certificate, text, sizeof text))
        log_line(LOG_WARN, "a certificate is served that callers refuse", "address", door->configured, "reason", text,
                 NULL);
}

static struct certificate *open_certificate(const struct settings_door *settings, char *error, size_t error_size)
{
    char why[560];
    struct certificate *certificate = certificate_open(settings->chain, settings->key, why, sizeof why);

    if (!certificate)
        snprintf(error, error_size, "listen %.100s: %s", settings->address, why);
    return certificate;
}

static bool open_door(struct door *door, const struct settings_door *settings, size_t workers,
                      struct heritage *heritage, char *error, size_t error_size)
{
    door->configured = mem_text(settings->address);
    if (settings->chain) {
        door->certificate = open_certificate(settings, error, error_size);
        if (!door->certificate)
            return false;
        tell_if_stale(door);
    }
    return bind_all(door, workers, heritage, error, error_size);
}

struct doors *doors_open(const struct settings *settings, size_t workers, struct heritage *heritage, char *error,
                         size_t error_size)
{
    struct doors *doors = mem_zero(sizeof *doors + settings->door_count * sizeof *doors->list);

    doors->workers = workers;
    doors->count = settings->door_count;
    for (size_t i = 0; i < doors->count; i++)
        if (!open_door(&doors->list[i], &settings->doors[i], workers, heritage, error, error_size)) {
            doors_free(doors);
            return NULL;
        }
    return doors;
}

char *doors_check(const struct settings *settings)
{
    struct buf lines = { 0 };
    char *text = NULL, error[700];

    for (size_t i = 0; i < settings->door_count; i++) {
        struct certificate *certificate;

        if (!settings->doors[i].chain)
            continue;
        certificate = open_certificate(&settings->doors[i], error, sizeof error);
        if (!certificate)
            buf_add_format(&lines, "%s\n", error);
        else if (certificate_is_stale(certificate, error, sizeof error))
            buf_add_format(&lines, "listen %.100s: %s\n", settings->doors[i].address, error);
        certificate_free(certificate);
    }
    if (lines.length)
        text = mem_text(buf_text_of(&lines));
    buf_free(&lines);
    return text;
}

void doors_free(struct doors *doors)
{
    if (!doors)
        return;
    for (size_t i = 0; i < doors->count; i++) {
        struct door *door = &doors->list[i];

        for (size_t j = 0; !doors->are_given && j < door->count; j++)
            close(door->descriptors[j]);
        mem_free(door->descriptors);
        certificate_free(door->certificate);
        mem_free(door->configured);
    }
    mem_free(doors);
}

struct door_socket *doors_of_worker(struct doors *doors, size_t worker, size_t *count)
{
    struct door_socket *sockets = NULL;

    *count = 0;
    for (size_t i = 0; i < doors->count; i++) {
        struct door *door = &doors->list[i];

        for (size_t j = worker; j < door->count; j += doors->workers) {
            sockets = mem_resize(sockets, (*count + 1) * sizeof *sockets);
            sockets[(*count)++] = (struct door_socket){ door->descriptors[j], door->certificate };
        }
    }
    doors->are_given = true;
    return sockets;
}

const int *doors_sockets(const struct doors *doors, size_t door, size_t *count)
{
    *count = doors->list[door].count;
    return doors->list[door].descriptors;
}

const char *doors_configured(const struct doors *doors, size_t door)
{
    return doors->list[door].configured;
}

size_t doors_count(const struct doors *doors)
{
    return doors->count;
}

const char *doors_address(const struct doors *doors, size_t door)
{
    return doors->list[door].address;
}

bool doors_is_tls(const struct doors *doors, size_t door)
{
    return doors->list[door].certificate != NULL;
}

/* ---- certificates ---- */

static void load(struct door *door, const char *chain, const char *key)
{
    char *old_problem = mem_text(door->problem), *at_chain = mem_text(chain), *at_key = mem_text(key);

    door->problem[0] = '\0';
    if (certificate_load(door->certificate, at_chain, at_key, door->problem, sizeof door->problem)) {
        log_line(LOG_INFO, "certificate loaded", "address", door->address, "file", at_chain, NULL);
        tell_if_stale(door);
    } else if (strcmp(old_problem, door->problem) != 0) {
        log_line(LOG_ERROR, "a certificate did not load; the last good one stays", "address", door->address, "error",
                 door->problem, NULL);
    }
    mem_free(old_problem);
    mem_free(at_chain);
    mem_free(at_key);
}

void doors_reload(struct doors *doors, const struct settings *settings)
{
    for (size_t i = 0; i < doors->count; i++) {
        struct door *door = &doors->list[i];

        for (size_t j = 0; door->certificate && j < settings->door_count; j++)
            if (strcmp(settings->doors[j].address, door->configured) == 0 && settings->doors[j].chain) {
                load(door, settings->doors[j].chain, settings->doors[j].key);
                break;
            }
    }
}

bool doors_look(struct doors *doors)
{
    bool changed = false;

    for (size_t i = 0; i < doors->count; i++) {
        struct door *door = &doors->list[i];

        if (!door->certificate || !certificate_has_changed(door->certificate))
            continue;
        load(door, certificate_chain(door->certificate), certificate_key(door->certificate));
        changed = true;
    }
    return changed;
}

char *doors_problems(struct doors *doors)
{
    struct buf lines = { 0 };
    char *text = NULL, stale[512];

    for (size_t i = 0; i < doors->count; i++) {
        struct door *door = &doors->list[i];

        if (door->problem[0])
            buf_add_format(&lines, "%s: %s; the last good one stays\n", door->address, door->problem);
        else if (door->certificate && certificate_is_stale(door->certificate, stale, sizeof stale))
            buf_add_format(&lines, "%s: %s\n", door->address, stale);
    }
    if (lines.length)
        text = mem_text(buf_text_of(&lines));
    buf_free(&lines);
    return text;
}
