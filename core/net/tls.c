/* tls.c - see tls.h. */
#include "net/tls.h"

#include <limits.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/mem.h"
#include "net/certificate.h"

struct tls {
    SSL *ssl;
    int descriptor;
    bool is_broken; /* nothing may be asked of it any more */
    bool wants_write;
};

struct tls *tls_new(struct certificate *certificate, int descriptor)
{
    SSL_CTX *context = certificate_context(certificate);
    struct tls *tls = mem_zero(sizeof *tls);

    tls->descriptor = descriptor;
    tls->ssl = SSL_new(context);
    SSL_CTX_free(context);
    if (!tls->ssl || SSL_set_fd(tls->ssl, descriptor) != 1) {
        tls_free(tls);
        return NULL;
    }
    SSL_set_accept_state(tls->ssl);
    return tls;
}

void tls_free(struct tls *tls)
{
    if (!tls)
        return;
    SSL_free(tls->ssl);
    mem_free(tls);
}

/* Somebody who speaks plainly to this port is told, in the one way he understands. */
static void answer_plainly(const struct tls *tls)
{
    static const char text[] = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 44\r\n"
                               "connection: close\r\n\r\nthis port speaks TLS: write https:// before\n";

    send(tls->descriptor, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* What an answer of OpenSSL's other than success means: -1, not now; 0, the end. */
static ssize_t judge(struct tls *tls, int answer)
{
    int why = SSL_get_error(tls->ssl, answer);

    tls->wants_write = why == SSL_ERROR_WANT_WRITE;
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
        return -1;
    if (why != SSL_ERROR_ZERO_RETURN)
        tls->is_broken = true;
    if (why == SSL_ERROR_SSL && ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST)
        answer_plainly(tls);
    return 0;
}

static int clipped(size_t length)
{
    return length > INT_MAX ? INT_MAX : (int)length;
}

ssize_t tls_read(struct tls *tls, void *data, size_t size)
{
    int n;

    if (tls->is_broken)
        return 0;
    ERR_clear_error(); /* what others left there is not ours */
    n = SSL_read(tls->ssl, data, clipped(size));
    tls->wants_write = false;
    return n > 0 ? n : judge(tls, n);
}

ssize_t tls_write(struct tls *tls, const void *data, size_t length)
{
    bool wanted = tls->wants_write;
    ssize_t n;

    if (tls->is_broken)
        return 0;
    ERR_clear_error();
    n = SSL_write(tls->ssl, data, clipped(length));
    if (n <= 0)
        n = judge(tls, (int)n);
    tls->wants_write = wanted; /* that is told of reads alone */
    return n;
}

bool tls_end(struct tls *tls)
{
    int n;

    if (tls->is_broken || !SSL_is_init_finished(tls->ssl) || (SSL_get_shutdown(tls->ssl) & SSL_SENT_SHUTDOWN))
        return true;
    ERR_clear_error();
    n = SSL_shutdown(tls->ssl);
    return n >= 0 || judge(tls, n) == 0;
}

bool tls_is_open(const struct tls *tls)
{
    return SSL_is_init_finished(tls->ssl);
}

bool tls_read_waits_to_write(const struct tls *tls)
{
    return tls->wants_write;
}
