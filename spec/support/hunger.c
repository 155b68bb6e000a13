/*
 * hunger.c - makes allocations of a program it is preloaded into fail. The page that MOONGATE_HUNGER names is set by
 * the spec at any time: the `countdown`-th allocation from then on fails, and so do the `times` - 1 behind it; 0 is
 * none. spec/support/hunger.lua is its other half. Not below a sanitizer, whose own allocator this would hide.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct hunger {
    uint32_t countdown;
    uint32_t times;
    uint32_t libraries_only; /* what the program itself asks for is given */
    uint32_t asked;          /* allocations since the spec set this to 0, of those that count */
    uint32_t failed;
};

/* What glibc calls its own. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);

static struct hunger *hunger;
static uintptr_t program_begin, program_end;

/* The first object is the program. */
static int on_object(struct dl_phdr_info *object, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    program_begin = UINTPTR_MAX;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        uintptr_t begin = object->dlpi_addr + object->dlpi_phdr[i].p_vaddr;

        if (object->dlpi_phdr[i].p_type != PT_LOAD)
            continue;
        program_begin = begin < program_begin ? begin : program_begin;
        program_end = begin + object->dlpi_phdr[i].p_memsz;
    }
    return 1;
}

__attribute__((constructor)) static void map_hunger(void)
{
    const char *path = getenv("MOONGATE_HUNGER");
    int descriptor = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *page;

    if (descriptor < 0)
        return;
    dl_iterate_phdr(on_object, NULL);
    page = mmap(NULL, sizeof *hunger, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor);
    if (page != MAP_FAILED)
        hunger = page;
}

/* True if this call is to fail, with errno set. */
static bool fails(const void *caller)
{
    uintptr_t from = (uintptr_t)caller;
    uint32_t countdown;

    if (!hunger || (hunger->libraries_only && from >= program_begin && from < program_end))
        return false;
    __atomic_add_fetch(&hunger->asked, 1, __ATOMIC_RELAXED);
    if (__atomic_load_n(&hunger->countdown, __ATOMIC_RELAXED) == 0)
        return false;
    countdown = __atomic_sub_fetch(&hunger->countdown, 1, __ATOMIC_RELAXED);
    if (countdown != 0)
        return false;
    if (hunger->times > 1) {
        hunger->times--;
        hunger->countdown = 1;
    }
    __atomic_add_fetch(&hunger->failed, 1, __ATOMIC_RELAXED);
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(block, size);
}
