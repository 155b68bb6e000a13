/*
 * successor.h - the process that is to take over from this one: the program
 * started anew, with the listening sockets open in it (heritage.h is its side),
 * and a line on which it tells how it fares. On the control thread's loop.
 */
#ifndef NET_SUCCESSOR_H
#define NET_SUCCESSOR_H

#include <stddef.h>
#include <sys/types.h>

struct loop;
struct successor;

/* The variable that tells the new process of its descriptors, and the first word of each line between the two. */
#define SUCCESSOR_VARIABLE "MOONGATE_UPGRADE"
#define SUCCESSOR_STORE "store-2"   /* new: the config and policies are fine; now the store of ADDRESS */
#define SUCCESSOR_YOURS "yours"     /* old: all is written; the rest comes over the other socket */
#define SUCCESSOR_KEEP "keep"       /* old: mine is another one */
#define SUCCESSOR_SERVING "serving" /* new: I accept callers */
#define SUCCESSOR_FAILED "failed"   /* new: I give up, because ... */

struct successor_hooks {
    /* It wants the store; answer with successor_answer. store is the other end of what it will read, the hook's. */
    void (*on_store)(void *arg, const char *address, int store);
    void (*on_serving)(void *arg);
    /* It is gone, or was ended. After on_serving it is not watched any more. The successor is gone after this call. */
    void (*on_failed)(void *arg, const char *reason);
};

struct successor_socket {
    const char *address; /* as configured */
    int descriptor;
};

/* Starts the program of these words. NULL with a sentence in error. */
struct successor *successor_start(struct loop *loop, char *const *words, const struct successor_socket *sockets,
                                  size_t count, const struct successor_hooks *hooks, void *arg, char *error,
                                  size_t error_size);
void successor_answer(struct successor *successor, const char *line);
pid_t successor_pid(const struct successor *successor);
/* Ends it if it does not serve yet; a serving one goes on. NULL is fine. */
void successor_free(struct successor *successor);

#endif
