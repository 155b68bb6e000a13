/*
 * resolver.c - see resolver.h. getaddrinfo blocks, so up to four threads, each
 * begun when there is work for it, call it; the answer goes back through
 * loop_post. One lock guards all. A thread that hangs in getaddrinfo is left
 * behind at the end: it and every look-up hold a share in the memory.
 */
#include "net/resolver.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "net/loop.h"

enum { THREADS = 4, NAMES = 1000, BUCKETS = 512, ADDRESSES = 16, HOST_BYTES = 255 };
static const int64_t positive_us = 60 * 1000000LL;
static const int64_t negative_us = 5 * 1000000LL;

/* One who waits. Its loop's thread and, until posted, the lock's holder own it. */
struct lookup {
    struct resolver *resolver;
    struct loop *loop;
    struct name *name;
    void (*on_addresses)(void *arg, const char *addresses, const char *reason);
    void *arg;
    char *addresses;
    char *reason;
    bool posted;    /* the answer is on its way (under the lock) */
    bool forgotten; /* ... and nobody wants it (the loop's thread alone) */
    TAILQ_ENTRY(lookup) entry;
};

/* A host, being asked for (`asking`) or answered. Not both addresses and reason are NULL then. */
struct name {
    char *host;
    char *addresses;
    char *reason;
    int64_t expires_us;
    bool asking;
    TAILQ_HEAD(, lookup) waiting;
    TAILQ_ENTRY(name) entry; /* in questions, or in answers */
    LIST_ENTRY(name) peer;   /* in its bucket */
};

TAILQ_HEAD(names, name);

struct seat {
    struct resolver *resolver;
    pthread_t thread;
    bool busy; /* inside getaddrinfo */
};

struct resolver {
    pthread_mutex_t lock;
    pthread_cond_t change;
    struct names questions; /* not yet taken by a thread */
    struct names answers;   /* the oldest first */
    LIST_HEAD(, name) buckets[BUCKETS];
    size_t count;
    struct seat seats[THREADS];
    int threads; /* seats taken */
    int open;    /* questions that are not answered */
    size_t shares;
    bool closed;
};

static size_t bucket_of(const char *host)
{
    uint32_t hash = 2166136261u;

    for (; *host; host++)
        hash = (hash ^ (unsigned char)tolower((unsigned char)*host)) * 16777619u;
    return hash % BUCKETS;
}

static struct name *name_find(struct resolver *resolver, const char *host)
{
    struct name *name;

    for (name = LIST_FIRST(&resolver->buckets[bucket_of(host)]); name; name = LIST_NEXT(name, peer))
        if (strcasecmp(name->host, host) == 0)
            break;
    return name;
}

/* Takes a name that nobody asks for out. */
static void name_drop(struct resolver *resolver, struct name *name)
{
    TAILQ_REMOVE(&resolver->answers, name, entry);
    LIST_REMOVE(name, peer);
    resolver->count--;
    mem_free(name->host);
    mem_free(name->addresses);
    mem_free(name->reason);
    mem_free(name);
}

static struct name *name_ask(struct resolver *resolver, const char *host)
{
    struct name *name = mem_zero(sizeof *name);

    if (resolver->count >= NAMES && !TAILQ_EMPTY(&resolver->answers))
        name_drop(resolver, TAILQ_FIRST(&resolver->answers));
    name->host = mem_text(host);
    name->asking = true;
    TAILQ_INIT(&name->waiting);
    TAILQ_INSERT_TAIL(&resolver->questions, name, entry);
    LIST_INSERT_HEAD(&resolver->buckets[bucket_of(host)], name, peer);
    resolver->count++;
    resolver->open++;
    pthread_cond_signal(&resolver->change);
    return name;
}

/* Gives back one share, with the lock held; the last one takes all away. */
static void leave(struct resolver *resolver)
{
    struct name *name;
    bool last = --resolver->shares == 0;

    pthread_mutex_unlock(&resolver->lock);
    if (!last)
        return;
    while ((name = TAILQ_FIRST(&resolver->answers)))
        name_drop(resolver, name);
    pthread_cond_destroy(&resolver->change);
    pthread_mutex_destroy(&resolver->lock);
    mem_free(resolver);
}

static void on_answer(void *arg)
{
    struct lookup *lookup = arg;
    struct resolver *resolver = lookup->resolver;

    if (!lookup->forgotten)
        lookup->on_addresses(lookup->arg, lookup->addresses, lookup->reason);
    mem_free(lookup->addresses);
    mem_free(lookup->reason);
    mem_free(lookup);
    pthread_mutex_lock(&resolver->lock);
    leave(resolver);
}

/* Sends all who wait for a name their answer, with the lock held. */
static void tell(struct name *name, const char *addresses, const char *reason)
{
    struct lookup *lookup;

    while ((lookup = TAILQ_FIRST(&name->waiting))) {
        TAILQ_REMOVE(&name->waiting, lookup, entry);
        lookup->name = NULL;
        lookup->addresses = mem_text(addresses);
        lookup->reason = mem_text(reason);
        lookup->posted = true;
        loop_post(lookup->loop, on_answer, lookup);
    }
}

/* The question is settled, with the lock held; takes addresses and reason over. */
static void answer(struct resolver *resolver, struct name *name, char *addresses, char *reason)
{
    name->asking = false;
    name->addresses = addresses;
    name->reason = reason;
    name->expires_us = clock_monotonic_us() + (addresses ? positive_us : negative_us);
    TAILQ_INSERT_TAIL(&resolver->answers, name, entry);
    resolver->open--;
    tell(name, addresses, reason);
}

static void add_address(struct buf *list, const struct sockaddr *address)
{
    char text[INET6_ADDRSTRLEN];
    const void *bytes = address->sa_family == AF_INET6
                            ? (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr
                            : (const void *)&((const struct sockaddr_in *)address)->sin_addr;

    if (!inet_ntop(address->sa_family, bytes, text, sizeof text))
        return;
    if (list->length)
        buf_add_char(list, ',');
    buf_add_text(list, text);
}

static char *ask_system(const char *host, char **reason)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
    struct addrinfo *found = NULL;
    struct buf list = { 0 };
    int code = getaddrinfo(host, NULL, &hints, &found);
    int count = 0;
    char *addresses = NULL;

    *reason = NULL;
    if (code) {
        *reason = mem_text(gai_strerror(code));
        return NULL;
    }
    for (struct addrinfo *next = found; next && count < ADDRESSES; next = next->ai_next)
        if (next->ai_family == AF_INET || next->ai_family == AF_INET6) {
            add_address(&list, next->ai_addr);
            count++;
        }
    freeaddrinfo(found);
    if (list.length)
        addresses = mem_copy(list.data, list.length);
    else
        *reason = mem_text("the name has no address");
    buf_free(&list);
    return addresses;
}

static void *run_thread(void *arg)
{
    struct seat *seat = arg;
    struct resolver *resolver = seat->resolver;

    pthread_mutex_lock(&resolver->lock);
    for (;;) {
        struct name *name = TAILQ_FIRST(&resolver->questions);
        char *host, *addresses, *reason;

        if (resolver->closed)
            break;
        if (!name) {
            pthread_cond_wait(&resolver->change, &resolver->lock);
            continue;
        }
        TAILQ_REMOVE(&resolver->questions, name, entry);
        host = mem_text(name->host);
        seat->busy = true;
        pthread_mutex_unlock(&resolver->lock);
        addresses = ask_system(host, &reason);
        pthread_mutex_lock(&resolver->lock);
        seat->busy = false;
        mem_free(host);
        answer(resolver, name, addresses, reason);
    }
    leave(resolver);
    return NULL;
}

/* One more thread, if the next question would have to wait for one. False: there is none at all. */
static bool enlist(struct resolver *resolver)
{
    struct seat *seat = &resolver->seats[resolver->threads];

    if (resolver->threads > resolver->open || resolver->threads == THREADS)
        return true;
    seat->resolver = resolver;
    if (thread_start(&seat->thread, run_thread, seat) == 0) {
        resolver->threads++;
        resolver->shares++;
    }
    return resolver->threads > 0;
}

struct resolver *resolver_new(void)
{
    struct resolver *resolver = mem_zero(sizeof *resolver);

    pthread_mutex_init(&resolver->lock, NULL);
    pthread_cond_init(&resolver->change, NULL);
    TAILQ_INIT(&resolver->questions);
    TAILQ_INIT(&resolver->answers);
    resolver->shares = 1;
    return resolver;
}

void resolver_free(struct resolver *resolver)
{
    static const char reason[] = "the resolver is closing";
    struct name *name;

    if (!resolver)
        return;
    pthread_mutex_lock(&resolver->lock);
    resolver->closed = true;
    while ((name = TAILQ_FIRST(&resolver->questions))) {
        TAILQ_REMOVE(&resolver->questions, name, entry);
        answer(resolver, name, NULL, mem_text(reason));
    }
    for (size_t i = 0; i < BUCKETS; i++)
        for (name = LIST_FIRST(&resolver->buckets[i]); name; name = LIST_NEXT(name, peer))
            tell(name, NULL, reason);
    pthread_cond_broadcast(&resolver->change);
    for (int i = 0; i < resolver->threads; i++) {
        if (resolver->seats[i].busy) {
            pthread_detach(resolver->seats[i].thread);
            continue;
        }
        pthread_mutex_unlock(&resolver->lock);
        pthread_join(resolver->seats[i].thread, NULL);
        pthread_mutex_lock(&resolver->lock);
    }
    leave(resolver);
}

static bool is_literal(const char *host)
{
    unsigned char bytes[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

struct lookup *resolver_find(struct resolver *resolver, struct loop *loop, const char *host,
                             void (*on_addresses)(void *arg, const char *addresses, const char *reason), void *arg)
{
    struct lookup *lookup = NULL;
    char *addresses = NULL, *reason = NULL;
    struct name *name;

    if (is_literal(host)) {
        on_addresses(arg, host, NULL);
        return NULL;
    }
    if (strcasecmp(host, "localhost") == 0) {
        on_addresses(arg, "127.0.0.1,::1", NULL);
        return NULL;
    }
    if (!*host || strlen(host) > HOST_BYTES) {
        on_addresses(arg, NULL, "not a host name");
        return NULL;
    }
    pthread_mutex_lock(&resolver->lock);
    name = name_find(resolver, host);
    if (name && !name->asking && name->expires_us <= clock_monotonic_us()) {
        name_drop(resolver, name);
        name = NULL;
    }
    if (name && !name->asking) {
        addresses = mem_text(name->addresses);
        reason = mem_text(name->reason);
    } else if (!name && !enlist(resolver)) {
        reason = mem_text("no thread could be started to look it up");
    } else {
        if (!name)
            name = name_ask(resolver, host);
        lookup = mem_zero(sizeof *lookup);
        *lookup = (struct lookup){
            .resolver = resolver, .loop = loop, .name = name, .on_addresses = on_addresses, .arg = arg
        };
        TAILQ_INSERT_TAIL(&name->waiting, lookup, entry);
        resolver->shares++;
    }
    pthread_mutex_unlock(&resolver->lock);
    if (!lookup)
        on_addresses(arg, addresses, reason);
    mem_free(addresses);
    mem_free(reason);
    return lookup;
}

void resolver_forget(struct lookup *lookup)
{
    struct resolver *resolver;

    if (!lookup)
        return;
    resolver = lookup->resolver;
    pthread_mutex_lock(&resolver->lock);
    if (lookup->posted) {
        lookup->forgotten = true;
        pthread_mutex_unlock(&resolver->lock);
        return;
    }
    TAILQ_REMOVE(&lookup->name->waiting, lookup, entry);
    mem_free(lookup);
    leave(resolver);
}
