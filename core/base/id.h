/* id.h - identifiers that sort by time, and bytes nobody can guess. */
#ifndef BASE_ID_H
#define BASE_ID_H

#include <stddef.h>

enum { ID_LENGTH = 26 };

/* 26 characters of Crockford's base 32: 48 bits of milliseconds, then 80 random ones. NUL-terminated. */
void id_make(char id[static ID_LENGTH + 1]);
/* From the system's random source; never fails (an unreadable source stops the program). */
void id_random(void *bytes, size_t length);

#endif
