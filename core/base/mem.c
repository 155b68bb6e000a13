/* mem.c - see mem.h. Running out of memory ends the program here and nowhere else. */
#include "base/mem.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/spare.h"

enum { KEPT_BYTES = 1032 }; /* the largest block that malloc keeps for a thread */

static void *checked(void *block)
{
    if (!block) {
        fputs("moongate: out of memory\n", stderr);
        abort();
    }
    return block;
}

void *mem_alloc(size_t size)
{
    void *block = spare_take(size);

    return block ? block : checked(malloc(size ? size : 1));
}

void *mem_aligned(size_t size)
{
    return checked(aligned_alloc(size, size));
}

/* calloc takes nothing of what the thread has freed and is kept for it. */
void *mem_zero(size_t size)
{
    void *block = size <= KEPT_BYTES ? mem_alloc(size) : spare_take(size);

    return block ? memset(block, 0, size) : checked(calloc(1, size));
}

void *mem_resize(void *block, size_t size)
{
    return block ? checked(realloc(block, size ? size : 1)) : mem_alloc(size);
}

char *mem_copy(const void *data, size_t length)
{
    char *copy = mem_alloc(length + 1);

    if (length)
        memcpy(copy, data, length);
    copy[length] = '\0';
    return copy;
}

char *mem_text(const char *text)
{
    return text ? mem_copy(text, strlen(text)) : NULL;
}

char *mem_format(const char *format, ...)
{
    va_list args;
    char *text = NULL;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    return checked(text);
}

void mem_trim(void)
{
    malloc_trim(0);
}

void mem_free(void *block)
{
    if (block && !spare_give(block))
        free(block);
}
