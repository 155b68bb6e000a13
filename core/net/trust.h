/*
 * trust.h - whom calls to providers trust: a TLS context for each file of
 * authorities, read again when the file changes. One an upstream, on its thread.
 */
#ifndef NET_TRUST_H
#define NET_TRUST_H

#include <stddef.h>
#include <stdint.h>

struct ssl_st;
struct ssl_session_st;
struct trust;

/* The last session with one host, for the next connection to it to resume. Zero-initialised is none. */
struct trust_session {
    struct ssl_session_st *session;
    uintptr_t under; /* the context that vouched for it */
};

struct trust *trust_new(void);
void trust_free(struct trust *trust); /* NULL is fine */

/*
 * A client's end of a connection, set to verify: the chain against ca_file (NULL: the system's), and the name against
 * host, a name or an address. It resumes what is kept, and keeps what it is given: session must outlive it. NULL: error
 * says why.
 */
struct ssl_st *trust_open(struct trust *trust, const char *ca_file, const char *host, struct trust_session *session,
                          char *error, size_t error_size);
void trust_forget(struct trust_session *session);

#endif
