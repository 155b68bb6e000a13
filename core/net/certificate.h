/*
 * certificate.h - what a TLS listener shows its callers: a certificate chain
 * and its key, read from two PEM files, and read again when they change. Any
 * thread may take the context; the control thread alone loads.
 */
#ifndef NET_CERTIFICATE_H
#define NET_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>

struct certificate;
struct ssl_ctx_st;

/* NULL with a sentence in error: which file, what is wrong with it, what to do. No key material is ever in it. */
struct certificate *certificate_open(const char *chain, const char *key, char *error, size_t error_size);
void certificate_free(struct certificate *certificate); /* NULL is fine; connections keep what they began with */

/*
 * Reads the files anew, or other files in their place; new connections see what was read. False with a sentence: what
 * was read before stays in force.
 */
bool certificate_load(struct certificate *certificate, const char *chain, const char *key, char *error,
                      size_t error_size);
/* True once after the files have changed and then lain still from one call to the next. */
bool certificate_has_changed(struct certificate *certificate);
const char *certificate_chain(const struct certificate *certificate); /* the file's path */
const char *certificate_key(const struct certificate *certificate);
/* True if callers will refuse it now: expired, or not yet valid. Then text says so. */
bool certificate_is_stale(struct certificate *certificate, char *text, size_t size);
/* For a new connection, counted: SSL_CTX_free gives it back. */
struct ssl_ctx_st *certificate_context(struct certificate *certificate);

#endif
