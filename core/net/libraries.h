/*
 * libraries.h - what libevent, libcurl, OpenSSL and cJSON ask memory of is mem.h: where there is none the program ends,
 * with one line. Left to themselves they go on with half of what they need, and hang or crash where nobody looks
 * (libcurl 7.88 divides by zero). SQLite and hiredis fail well, and keep their own.
 */
#ifndef NET_LIBRARIES_H
#define NET_LIBRARIES_H

/* Once a process, before any thread and before anything else of these libraries, and at its end. */
void libraries_start(void);
void libraries_stop(void);

#endif
