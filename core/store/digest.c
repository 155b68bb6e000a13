/* digest.c - see digest.h. */
#include "store/digest.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t context_of_thread;
static EVP_MD *sha256;

static void free_context(void *context)
{
    EVP_MD_CTX_free(context);
}

/* OpenSSL looks an algorithm up by name each time that it is not told which one, which costs more than a short text. */
static void prepare(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    pthread_key_create(&context_of_thread, free_context);
}

/* One a thread: to make and free it costs as much again. */
static EVP_MD_CTX *context_here(void)
{
    EVP_MD_CTX *context;

    pthread_once(&once, prepare);
    context = pthread_getspecific(context_of_thread);
    if (!context) {
        context = EVP_MD_CTX_new();
        pthread_setspecific(context_of_thread, context);
    }
    return context;
}

void digest_sha256(const void *data, size_t length, unsigned char out[static DIGEST_SIZE])
{
    EVP_MD_CTX *context = context_here();

    /* Fails only if OpenSSL is broken; a key must never match by accident then. */
    if (!sha256 || !context || !EVP_DigestInit_ex2(context, sha256, NULL) || !EVP_DigestUpdate(context, data, length) ||
        !EVP_DigestFinal_ex(context, out, NULL)) {
        fputs("moongate: OpenSSL has no SHA-256\n", stderr);
        abort();
    }
}

void digest_hex(const unsigned char digest[static DIGEST_SIZE], char out[static DIGEST_HEX + 1])
{
    static const char digits[] = "0123456789abcdef";

    for (int i = 0; i < DIGEST_SIZE; i++) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 15];
    }
    out[DIGEST_HEX] = '\0';
}

static int value_of(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

bool digest_from_hex(const char *text, unsigned char out[static DIGEST_SIZE])
{
    if (strlen(text) != DIGEST_HEX)
        return false;
    for (int i = 0; i < DIGEST_SIZE; i++) {
        int high = value_of(text[2 * i]), low = value_of(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

bool digest_equals(const unsigned char one[static DIGEST_SIZE], const unsigned char other[static DIGEST_SIZE])
{
    return CRYPTO_memcmp(one, other, DIGEST_SIZE) == 0;
}
