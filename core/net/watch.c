/*
 * watch.c - see watch.h. A watch sits on every folder of the tree, and on the
 * folders around it whose entries decide what the path means (its parent, and
 * that of every symlink in it). Whenever a folder came or went, the tree is
 * walked anew and watches that nothing needs any more are taken off.
 */
#include "net/watch.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/loop.h"

enum { SETTLE_US = 15000, AT_THE_LATEST_US = 60000, DEPTH = 16, SPOTS = 4096, EVENT_BYTES = 16 * 1024 };

static const uint32_t inside_mask = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB |
                                    IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
static const uint32_t around_mask =
    IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_MASK_ADD;

/* One watched folder: of the tree, or around it and then only for the entries named. */
struct spot {
    int number; /* inotify's */
    bool inside;
    bool needed; /* seen by the present walk */
    char *names; /* around: the entries that matter, "/policies/"; NULL if none does */
};

struct watch {
    struct event event;
    struct loop *loop;
    struct loop_timer *timer;
    void (*on_change)(void *arg);
    void *arg;
    char *folder; /* absolute */
    int descriptor;
    struct spot *spots;
    size_t count, capacity;
    int64_t first_us, due_us; /* of the change that settles; first_us 0: none */
    bool warned;
};

static struct spot *find_spot(struct watch *watch, int number)
{
    for (size_t i = 0; i < watch->count; i++)
        if (watch->spots[i].number == number)
            return &watch->spots[i];
    return NULL;
}

/* Watches path; NULL if it can't be. The same folder gives the same spot. */
static struct spot *add_spot(struct watch *watch, const char *path, uint32_t mask)
{
    int number = watch->count < SPOTS ? inotify_add_watch(watch->descriptor, path, mask) : -1;
    struct spot *spot;

    if (number < 0) {
        if ((errno == ENOSPC || watch->count >= SPOTS) && !watch->warned) {
            watch->warned = true;
            log_line(LOG_WARN, "not every folder can be watched for changes: there are too many", "folder", path, NULL);
        }
        return NULL;
    }
    spot = find_spot(watch, number);
    if (!spot) {
        if (watch->count == watch->capacity) {
            watch->capacity = watch->capacity ? watch->capacity * 2 : 16;
            watch->spots = mem_resize(watch->spots, watch->capacity * sizeof *watch->spots);
        }
        spot = &watch->spots[watch->count++];
        *spot = (struct spot){ .number = number };
    }
    return spot;
}

static void walk(struct watch *watch, const char *path, int depth)
{
    struct spot *spot = add_spot(watch, path, inside_mask);
    struct dirent *entry;
    DIR *folder;

    /* A folder seen before in this walk is a loop of symlinks. */
    if (!spot || (spot->inside && spot->needed))
        return;
    spot->inside = spot->needed = true;
    folder = depth < DEPTH ? opendir(path) : NULL;
    /* readdir is safe where every thread has its own folder open, as here. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    while (folder && (entry = readdir(folder))) {
        struct stat about;
        char *below;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            (entry->d_type != DT_DIR && entry->d_type != DT_LNK && entry->d_type != DT_UNKNOWN))
            continue;
        below = mem_format("%s/%s", path, entry->d_name);
        if (stat(below, &about) == 0 && S_ISDIR(about.st_mode))
            walk(watch, below, depth + 1);
        mem_free(below);
    }
    if (folder)
        closedir(folder);
}

/* Watches the folder that holds path for what happens to path itself. */
static void watch_entry(struct watch *watch, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *holder = slash == path ? mem_text("/") : mem_copy(path, (size_t)(slash - path));
    struct spot *spot = add_spot(watch, holder, around_mask);
    char *names;

    mem_free(holder);
    if (!spot)
        return;
    names = mem_format("%s%s/", spot->needed && spot->names ? spot->names : "/", slash + 1);
    mem_free(spot->names);
    spot->names = names;
    spot->needed = true;
}

/* Watches what decides where the folder is: symlinks on the way, and the first step that is missing. */
static void walk_around(struct watch *watch)
{
    char *path = mem_text(watch->folder);

    for (char *end = path + 1; *path && end; end++) {
        struct stat about;
        bool there, last;

        end = strchr(end, '/');
        last = end == NULL;
        if (end)
            *end = '\0';
        there = lstat(path, &about) == 0;
        if (last || !there || S_ISLNK(about.st_mode))
            watch_entry(watch, path);
        /* It may have appeared just before it was watched for. */
        if (last || (!there && lstat(path, &about) < 0))
            break;
        *end = '/';
    }
    mem_free(path);
}

static void rescan(struct watch *watch)
{
    size_t kept = 0;

    for (size_t i = 0; i < watch->count; i++) {
        watch->spots[i].needed = watch->spots[i].inside = false;
        mem_free(watch->spots[i].names);
        watch->spots[i].names = NULL;
    }
    /* Around first: what appears between the two walks is then not missed. */
    walk_around(watch);
    walk(watch, watch->folder, 0);
    for (size_t i = 0; i < watch->count; i++) {
        struct spot *spot = &watch->spots[i];

        if (spot->needed) {
            watch->spots[kept++] = *spot;
        } else {
            inotify_rm_watch(watch->descriptor, spot->number);
            mem_free(spot->names);
        }
    }
    watch->count = kept;
}

static void on_settled(void *arg);

static void schedule(struct watch *watch, int64_t now)
{
    watch->timer = loop_after(watch->loop, (double)(watch->due_us - now) / 1e6 + 0.001, on_settled, watch);
}

static void on_settled(void *arg)
{
    struct watch *watch = arg;
    int64_t now = clock_monotonic_us();

    watch->timer = NULL;
    if (now < watch->due_us) {
        schedule(watch, now);
        return;
    }
    watch->first_us = 0;
    watch->on_change(watch->arg);
}

static void note_change(struct watch *watch)
{
    int64_t now = clock_monotonic_us();

    if (!watch->first_us)
        watch->first_us = now;
    watch->due_us = now + SETTLE_US;
    if (watch->due_us > watch->first_us + AT_THE_LATEST_US)
        watch->due_us = watch->first_us + AT_THE_LATEST_US;
    if (!watch->timer)
        schedule(watch, now);
}

static bool is_named(const struct spot *spot, const struct inotify_event *event)
{
    char name[NAME_MAX + 3];

    if (!spot->names || !event->len)
        return false;
    snprintf(name, sizeof name, "/%s/", event->name);
    return strstr(spot->names, name) != NULL;
}

/* Tells whether the event matters; sets shape if folders may have come or gone. */
static bool read_event(struct watch *watch, const struct inotify_event *event, bool *shape)
{
    static const uint32_t entry_mask = IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE;
    struct spot *spot;

    if (event->mask & IN_Q_OVERFLOW) {
        *shape = true;
        return true;
    }
    spot = find_spot(watch, event->wd);
    if (!spot)
        return false;
    if (event->mask & IN_IGNORED) {
        /* The number may be given out again: forget it now. */
        mem_free(spot->names);
        *spot = watch->spots[--watch->count];
        *shape = true;
        return true;
    }
    if (is_named(spot, event) || (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF))) {
        *shape = true;
        return true;
    }
    if (!spot->inside)
        return false;
    /* A symlink is no folder to inotify, and may lead to one. */
    if (event->mask & entry_mask)
        *shape = true;
    return true;
}

static void on_events(evutil_socket_t descriptor, short what, void *arg)
{
    struct watch *watch = arg;
    char bytes[EVENT_BYTES] __attribute__((aligned(__alignof__(struct inotify_event))));
    bool changed = false, shape = false;
    ssize_t n;

    (void)what;
    while ((n = read(descriptor, bytes, sizeof bytes)) > 0) {
        for (char *at = bytes; at < bytes + n;) {
            const struct inotify_event *event = (const struct inotify_event *)at;

            changed = read_event(watch, event, &shape) || changed;
            at += sizeof *event + event->len;
        }
    }
    if (shape)
        rescan(watch);
    if (changed)
        note_change(watch);
}

/* Absolute, without a slash at the end; symlinks stay, for they are watched. */
static char *absolute(const char *folder)
{
    char here[PATH_MAX], *path;
    size_t length;

    if (*folder == '/')
        path = mem_text(folder);
    else if (getcwd(here, sizeof here))
        path = mem_format("%s/%s", strcmp(here, "/") == 0 ? "" : here, folder);
    else
        return NULL;
    length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        path[--length] = '\0';
    return path;
}

struct watch *watch_start(struct loop *loop, const char *folder, void (*on_change)(void *arg), void *arg, char *error,
                          size_t error_size)
{
    struct watch *watch;
    struct stat about;

    if (stat(folder, &about) < 0) {
        snprintf(error, error_size, "the folder %s can't be watched: %s", folder, strerrordesc_np(errno));
        return NULL;
    }
    if (!S_ISDIR(about.st_mode)) {
        snprintf(error, error_size, "%s can't be watched: it is not a folder", folder);
        return NULL;
    }
    watch = mem_zero(sizeof *watch);
    watch->loop = loop;
    watch->on_change = on_change;
    watch->arg = arg;
    watch->folder = absolute(folder);
    watch->descriptor = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch->descriptor < 0 || !watch->folder) {
        snprintf(error, error_size, "the folder %s can't be watched: %s (see fs.inotify.max_user_instances)", folder,
                 strerrordesc_np(errno));
        goto out;
    }
    rescan(watch);
    if (watch->count == 0) {
        snprintf(error, error_size, "the folder %s can't be watched: %s (see fs.inotify.max_user_watches)", folder,
                 strerrordesc_np(errno));
        goto out;
    }
    event_assign(&watch->event, loop_base(loop), watch->descriptor, EV_READ | EV_PERSIST, on_events, watch);
    event_add(&watch->event, NULL);
    return watch;
out:
    if (watch->descriptor >= 0)
        close(watch->descriptor);
    mem_free(watch->folder);
    mem_free(watch);
    return NULL;
}

void watch_stop(struct watch *watch)
{
    if (!watch)
        return;
    event_del(&watch->event);
    loop_forget(watch->timer);
    close(watch->descriptor);
    for (size_t i = 0; i < watch->count; i++)
        mem_free(watch->spots[i].names);
    mem_free(watch->spots);
    mem_free(watch->folder);
    mem_free(watch);
}
