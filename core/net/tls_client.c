/* tls_client.c - see tls_client.h. */
#include "net/tls_client.h"

#include <limits.h>
#include <stdio.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

/* What an answer of OpenSSL's other than success means. Leaves the queue of errors as it is. */
static int judge(SSL *ssl, int answer)
{
    switch (SSL_get_error(ssl, answer)) {
    case SSL_ERROR_WANT_READ:
        return TLS_NEEDS_INPUT;
    case SSL_ERROR_WANT_WRITE:
        return TLS_NEEDS_OUTPUT;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_ENDED;
    default:
        return TLS_BROKEN;
    }
}

static int clipped(size_t length)
{
    return length > INT_MAX ? INT_MAX : (int)length;
}

int tls_client_shake(struct ssl_st *ssl)
{
    int answer;

    ERR_clear_error(); /* what others left there is not ours */
    answer = SSL_do_handshake(ssl);
    if (answer != 1) {
        answer = judge(ssl, answer);
        return answer == TLS_ENDED ? TLS_BROKEN : answer;
    }
    /* The handshake fails where the certificate does; this is the second belt. */
    return SSL_get_verify_result(ssl) == X509_V_OK && SSL_get0_peer_certificate(ssl) ? 1 : TLS_BROKEN;
}

void tls_client_say(struct ssl_st *ssl, const char *host, char *message, size_t size)
{
    long verdict = SSL_get_verify_result(ssl);
    unsigned long code = ERR_peek_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    if (verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH)
        snprintf(message, size, "certificate verify failed: it is made out to others than %.200s", host);
    else if (verdict != X509_V_OK)
        snprintf(message, size, "certificate verify failed: %s", X509_verify_cert_error_string(verdict));
    else
        snprintf(message, size, "TLS failed: %s", reason ? reason : "the connection was closed in the handshake");
    ERR_clear_error();
}

ssize_t tls_client_read(struct ssl_st *ssl, void *data, size_t size)
{
    int n;

    ERR_clear_error();
    n = SSL_read(ssl, data, clipped(size));
    return n > 0 ? n : judge(ssl, n);
}

ssize_t tls_client_write(struct ssl_st *ssl, const void *data, size_t length)
{
    int n;

    ERR_clear_error();
    n = SSL_write(ssl, data, clipped(length));
    if (n <= 0)
        n = judge(ssl, n);
    return n == TLS_ENDED ? TLS_BROKEN : n;
}

bool tls_client_has_more(struct ssl_st *ssl)
{
    return SSL_pending(ssl) > 0;
}

void tls_client_end(struct ssl_st *ssl)
{
    ERR_clear_error();
    if (SSL_is_init_finished(ssl))
        SSL_shutdown(ssl);
    ERR_clear_error();
}
