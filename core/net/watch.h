/*
 * watch.h - tells when something below a folder changed and has settled:
 * inotify on the folder and all below it, also for renames over, symlink
 * swaps, folders that come and go, and a full queue.
 */
#ifndef NET_WATCH_H
#define NET_WATCH_H

#include <stddef.h>

struct loop;
struct watch;

/* on_change comes 15 ms after the last sign of change, at the latest 60 ms after the first. NULL with a sentence in
 * error. */
struct watch *watch_start(struct loop *loop, const char *folder, void (*on_change)(void *arg), void *arg, char *error,
                          size_t error_size);
void watch_stop(struct watch *watch);

#endif
