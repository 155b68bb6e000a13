/*
 * mem.h - memory that is always there: running out of it stops the program
 * with one line, so nobody else has to ask.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size);
void *mem_zero(size_t size);
void *mem_aligned(size_t size); /* on a multiple of size, which is a power of two */
void *mem_resize(void *block, size_t size);
/* A copy of length bytes with a NUL after them. */
char *mem_copy(const void *data, size_t length);
char *mem_text(const char *text); /* NULL stays NULL */
char *mem_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
void mem_free(void *block); /* NULL is fine */
void mem_trim(void);        /* gives what is free back to the system: after work that took much for a while */

#endif
