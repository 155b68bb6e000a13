/*
 * costs.c - counts what a program it is preloaded into asks of malloc and of
 * the network, for specs that bound it. The file named by MOONGATE_COSTS holds
 * the counts, eight bytes each: allocations, calls of the system, writes to
 * files at a place.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ALLOCATIONS, CALLS, WRITES, COUNTS };

static uint64_t unread[COUNTS], *counts = unread;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);

__attribute__((constructor)) static void map_counts(void)
{
    const char *path = getenv("MOONGATE_COSTS");
    int descriptor = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *page;

    if (descriptor < 0)
        return;
    page = mmap(NULL, sizeof unread, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (page != MAP_FAILED)
        counts = page;
    close(descriptor);
}

static void count(int what)
{
    __atomic_add_fetch(&counts[what], 1, __ATOMIC_RELAXED);
}

void *malloc(size_t size)
{
    count(ALLOCATIONS);
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
    count(ALLOCATIONS);
    return __libc_calloc(number, size);
}

void *realloc(void *block, size_t size)
{
    count(ALLOCATIONS);
    return __libc_realloc(block, size);
}

ssize_t send(int descriptor, const void *data, size_t length, int flags)
{
    count(CALLS);
    return syscall(SYS_sendto, descriptor, data, length, flags, NULL, 0);
}

ssize_t sendmsg(int descriptor, const struct msghdr *message, int flags)
{
    count(CALLS);
    return syscall(SYS_sendmsg, descriptor, message, flags);
}

ssize_t recv(int descriptor, void *data, size_t length, int flags)
{
    count(CALLS);
    return syscall(SYS_recvfrom, descriptor, data, length, flags, NULL, NULL);
}

int poll(struct pollfd *polled, nfds_t number, int timeout)
{
    count(CALLS);
    return (int)syscall(SYS_poll, polled, number, timeout);
}

int epoll_ctl(int set, int act, int descriptor, struct epoll_event *event)
{
    count(CALLS);
    return (int)syscall(SYS_epoll_ctl, set, act, descriptor, event);
}

ssize_t pwrite64(int descriptor, const void *data, size_t length, off64_t offset)
{
    count(WRITES);
    return syscall(SYS_pwrite64, descriptor, data, length, offset);
}
