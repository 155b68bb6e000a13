/*
 * faults.c - makes system calls of a program it is preloaded into fail now and then. The file named by MOONGATE_FAULTS
 * holds, for each kind below, how many of 1000 calls fail (four bytes, set by the spec at any time) and how many have
 * (four bytes). spec/support/faults.lua is its other half.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum kind {
    FAULT_SOCKET,
    FAULT_CONNECT,
    FAULT_ACCEPT,
    FAULT_SEND,
    FAULT_RECEIVE,
    FAULT_WRITE,
    FAULT_SYNC,
    FAULT_KINDS
};

struct fault {
    uint32_t of_1000;
    uint32_t count;
};

static struct fault *faults;

__attribute__((constructor)) static void map_faults(void)
{
    const char *path = getenv("MOONGATE_FAULTS");
    int descriptor = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *page;

    if (descriptor < 0)
        return;
    page = mmap(NULL, FAULT_KINDS * sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (page != MAP_FAILED)
        faults = page;
    close(descriptor);
}

/* True if this call is to fail, with errno set. */
static bool fails(enum kind kind, int fault)
{
    static uint32_t dice;
    uint32_t of_1000 = faults ? __atomic_load_n(&faults[kind].of_1000, __ATOMIC_RELAXED) : 0;
    uint32_t thrown;

    if (of_1000 == 0)
        return false;
    thrown = __atomic_add_fetch(&dice, 1, __ATOMIC_RELAXED) * 2654435761u;
    thrown = (thrown ^ thrown >> 15) * 2246822519u;
    if ((thrown >> 8) % 1000 >= of_1000)
        return false;
    __atomic_add_fetch(&faults[kind].count, 1, __ATOMIC_RELAXED);
    errno = fault;
    return true;
}

/* The call itself, as it is named in the next library. */
#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

int socket(int domain, int type, int protocol)
{
    if (domain != AF_UNIX && fails(FAULT_SOCKET, EMFILE))
        return -1;
    return NEXT(socket)(domain, type, protocol);
}

int connect(int descriptor, const struct sockaddr *address, socklen_t size)
{
    if (fails(FAULT_CONNECT, ENETUNREACH))
        return -1;
    return NEXT(connect)(descriptor, address, size);
}

int accept4(int descriptor, struct sockaddr *restrict address, socklen_t *restrict size, int flags)
{
    if (fails(FAULT_ACCEPT, ECONNABORTED))
        return -1;
    return NEXT(accept4)(descriptor, address, size, flags);
}

ssize_t send(int descriptor, const void *data, size_t length, int flags)
{
    if (fails(FAULT_SEND, ECONNRESET))
        return -1;
    return NEXT(send)(descriptor, data, length, flags);
}

ssize_t recv(int descriptor, void *data, size_t length, int flags)
{
    if (fails(FAULT_RECEIVE, ECONNRESET))
        return -1;
    return NEXT(recv)(descriptor, data, length, flags);
}

ssize_t pwrite64(int descriptor, const void *data, size_t length, off64_t offset)
{
    if (fails(FAULT_WRITE, ENOSPC))
        return -1;
    return NEXT(pwrite64)(descriptor, data, length, offset);
}

int fdatasync(int descriptor)
{
    if (fails(FAULT_SYNC, EIO))
        return -1;
    return NEXT(fdatasync)(descriptor);
}
