/* digest.h - SHA-256, by OpenSSL. */
#ifndef STORE_DIGEST_H
#define STORE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

enum { DIGEST_SIZE = 32, DIGEST_HEX = 2 * DIGEST_SIZE };

void digest_sha256(const void *data, size_t length, unsigned char out[static DIGEST_SIZE]);
/* 64 lower-case hex digits and a NUL. */
void digest_hex(const unsigned char digest[static DIGEST_SIZE], char out[static DIGEST_HEX + 1]);
/* The other way; false if text is not 64 hex digits. */
bool digest_from_hex(const char *text, unsigned char out[static DIGEST_SIZE]);
/* Takes the same time whatever they hold. */
bool digest_equals(const unsigned char one[static DIGEST_SIZE], const unsigned char other[static DIGEST_SIZE]);

#endif
