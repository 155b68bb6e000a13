/*
 * resolver_driver.c - plays one scenario with the resolver and prints what it
 * answered. Built and run by resolver_spec.lua. It stands in for the system:
 * getaddrinfo and the monotonic clock are its own, so that a name server can
 * be slow, count, and time can leap.
 */
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "net/loop.h"
#include "net/resolver.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;
static int asked, held, released, awaited;
static _Atomic time_t leap;
static struct loop *loop;
static struct resolver *resolver;

static struct addrinfo *make_address(const char *text)
{
    struct addrinfo *address = calloc(1, sizeof *address);

    address->ai_family = strchr(text, ':') ? AF_INET6 : AF_INET;
    address->ai_addr = calloc(1, sizeof(struct sockaddr_storage));
    address->ai_addr->sa_family = (sa_family_t)address->ai_family;
    if (address->ai_family == AF_INET6)
        ((struct sockaddr_in6 *)address->ai_addr)->sin6_addr.s6_addr[15] = 9;
    else
        ((struct sockaddr_in *)address->ai_addr)->sin_addr.s_addr = 0x0100000a;
    return address;
}

/* "slow..." waits until released, "wrong..." is not known, all others are 10.0.0.1 and ::9. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    (void)service;
    (void)hints;
    pthread_mutex_lock(&lock);
    asked++;
    if (strncmp(host, "slow", 4) == 0) {
        held++;
        pthread_cond_broadcast(&change);
        while (!released)
            pthread_cond_wait(&change, &lock);
        held--;
    }
    pthread_mutex_unlock(&lock);
    if (strncmp(host, "wrong", 5) == 0)
        return EAI_NONAME;
    *found = make_address("10.0.0.1");
    (*found)->ai_next = make_address("::9");
    return 0;
}

void freeaddrinfo(struct addrinfo *found)
{
    while (found) {
        struct addrinfo *next = found->ai_next;

        free(found->ai_addr);
        free(found);
        found = next;
    }
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);

    now->tv_sec += atomic_load(&leap);
    return result;
}

static void release(void)
{
    pthread_mutex_lock(&lock);
    released = 1;
    pthread_cond_broadcast(&change);
    pthread_mutex_unlock(&lock);
}

static void wait_held(int count)
{
    pthread_mutex_lock(&lock);
    while (held < count)
        pthread_cond_wait(&change, &lock);
    pthread_mutex_unlock(&lock);
}

static void on_addresses(void *arg, const char *addresses, const char *reason)
{
    printf("%s %s\n", (const char *)arg, addresses ? addresses : reason);
    if (awaited && --awaited == 0)
        loop_stop(loop);
}

static struct lookup *find(const char *host)
{
    return resolver_find(resolver, loop, host, on_addresses, (void *)host);
}

static void run(int count)
{
    awaited = count;
    loop_run(loop);
}

static void at_once(void)
{
    static const char *const hosts[] = { "127.0.0.1", "::1", "localhost", "LocalHost", "" };

    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
        if (find(hosts[i]))
            puts("later");
    printf("asked %d\n", asked);
}

static void cached(void)
{
    find("quick.test");
    run(1);
    printf("%s\n", find("QUICK.test") ? "later" : "at once");
    atomic_store(&leap, 59);
    printf("%s\n", find("quick.test") ? "later" : "at once");
    atomic_store(&leap, 61);
    printf("%s\n", find("quick.test") ? "later" : "at once");
    run(1);
    printf("asked %d\n", asked);
}

static void failing(void)
{
    find("wrong.test");
    run(1);
    printf("%s\n", find("wrong.test") ? "later" : "at once");
    atomic_store(&leap, 6);
    printf("%s\n", find("wrong.test") ? "later" : "at once");
    run(1);
    printf("asked %d\n", asked);
}

static void together(void)
{
    find("slow.test");
    wait_held(1);
    find("slow.test");
    find("slow.test");
    release();
    run(3);
    printf("asked %d\n", asked);
}

static void beside(void)
{
    find("slow1.test");
    find("slow2.test");
    find("slow3.test");
    wait_held(3);
    find("quick.test");
    run(1);
    find("slow4.test");
    find("slow5.test");
    wait_held(4);
    printf("held %d\n", held);
    release();
    awaited = 5;
    freopen("/dev/null", "w", stdout);
    loop_run(loop);
}

static void forgotten(void)
{
    struct lookup *first = find("slow.test");

    wait_held(1);
    resolver_forget(first);
    resolver_forget(find("slow.test"));
    find("slow.test");
    release();
    run(1);
}

static void on_silent(void *arg, const char *addresses, const char *reason)
{
    (void)arg;
    (void)addresses;
    (void)reason;
}

/* Forgets before the answer is there, and while it lies in the loop's queue. */
static void forgotten_late(void)
{
    struct lookup *lookup, *again;
    char name[32];

    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "n%d.test", i);
        lookup = resolver_find(resolver, loop, name, on_addresses, "unwanted");
        while (i % 2 && (again = resolver_find(resolver, loop, name, on_silent, NULL)))
            resolver_forget(again);
        resolver_forget(lookup);
    }
    find("quick.test");
    run(1);
}

static void bounded(void)
{
    char name[32];

    freopen("/dev/null", "w", stdout);
    for (int i = 0; i < 1500; i++) {
        snprintf(name, sizeof name, "n%d.test", i);
        if (find(name))
            run(1);
    }
    fprintf(stderr, "asked %d\n", asked);
    fprintf(stderr, "last %s\n", find("n1499.test") ? "later" : "at once");
    resolver_forget(find("n0.test"));
}

static void closing(void)
{
    find("slow1.test");
    wait_held(1);
    find("slow2.test");
    find("slow3.test");
    find("slow4.test");
    find("slow5.test");
    find("slow6.test");
    resolver_free(resolver);
    resolver = NULL;
    run(6);
}

int main(int count, char **arguments)
{
    static const struct scenario {
        const char *name;
        void (*play)(void);
    } scenarios[] = {
        { "at_once", at_once },     { "cached", cached },   { "failing", failing },
        { "together", together },   { "beside", beside },   { "forgotten", forgotten },
        { "late", forgotten_late }, { "bounded", bounded }, { "closing", closing },
    };

    loop = loop_new();
    resolver = resolver_new();
    for (size_t i = 0; count > 1 && i < sizeof scenarios / sizeof *scenarios; i++)
        if (strcmp(arguments[1], scenarios[i].name) == 0)
            scenarios[i].play();
    release();
    resolver_free(resolver);
    loop_free(loop);
    return 0;
}
