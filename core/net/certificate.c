/* certificate.c - see certificate.h. The files are read whole first: what is said of them is then ours to word. */
#include "net/certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "net/stamp.h"

enum { FILE_MOST = 1024 * 1024 };

struct certificate {
    char *chain, *key;
    struct stamp loaded[2], seen[2];
    pthread_mutex_t lock;
    SSL_CTX *context; /* under the lock */
};

/* The file as a BIO that owns nothing: text keeps the bytes. */
static BIO *read_file(const char *path, const char *what, struct buf *text, char *error, size_t error_size)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t length;

    if (file < 0) {
        snprintf(error, error_size, "the %s %.200s cannot be read (%s): name a PEM file that the gateway may read",
                 what, path, strerrordesc_np(errno));
        return NULL;
    }
    buf_reserve(text, FILE_MOST);
    do {
        length = read(file, text->data + text->length, FILE_MOST - text->length);
        text->length += length > 0 ? (size_t)length : 0;
    } while ((length > 0 && text->length < FILE_MOST) || (length < 0 && errno == EINTR));
    if (length != 0)
        snprintf(error, error_size, "the %s %.200s cannot be read (%s): name a PEM file", what, path,
                 length < 0 ? strerrordesc_np(errno) : "it is too large");
    close(file);
    return length == 0 ? BIO_new_mem_buf(text->data, (int)text->length) : NULL;
}

static void erase(struct buf *text)
{
    if (text->data)
        explicit_bzero(text->data, text->length);
    buf_free(text);
}

static const char *reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());

    return text ? text : "no reason is given";
}

/* The certificate first, then those that vouch for it. */
static bool use_chain(SSL_CTX *context, const char *path, char *error, size_t error_size)
{
    struct buf text = { 0 };
    BIO *file = read_file(path, "certificate", &text, error, error_size);
    X509 *one = file ? PEM_read_bio_X509_AUX(file, NULL, NULL, NULL) : NULL;
    bool is_good = one && SSL_CTX_use_certificate(context, one) == 1;

    if (file && !one)
        snprintf(error, error_size,
                 "%.200s holds no certificate in PEM: it begins with -----BEGIN CERTIFICATE-----, the gateway's own "
                 "first, then those that signed it",
                 path);
    else if (file && !is_good)
        snprintf(error, error_size, "the certificate %.200s cannot be used (%s)", path, reason());
    X509_free(one);
    while (is_good && (one = PEM_read_bio_X509(file, NULL, NULL, NULL)))
        if (SSL_CTX_add0_chain_cert(context, one) != 1) {
            snprintf(error, error_size, "a certificate in %.200s cannot be used (%s)", path, reason());
            X509_free(one);
            is_good = false;
        }
    BIO_free(file);
    buf_free(&text);
    return is_good;
}

/* Nobody is asked for a passphrase: a service has no terminal. */
static int no_passphrase(char *room, int size, int for_writing, void *asked)
{
    (void)room;
    (void)size;
    (void)for_writing;
    *(bool *)asked = true;
    return -1;
}

static bool use_key(SSL_CTX *context, const char *chain, const char *path, char *error, size_t error_size)
{
    struct buf text = { 0 };
    bool asked = false, is_good;
    BIO *file = read_file(path, "key", &text, error, error_size);
    EVP_PKEY *key = file ? PEM_read_bio_PrivateKey(file, NULL, no_passphrase, &asked) : NULL;
    X509 *certificate = SSL_CTX_get0_certificate(context);

    is_good = key && X509_check_private_key(certificate, key) == 1 && SSL_CTX_use_PrivateKey(context, key) == 1;
    if (file && asked)
        snprintf(error, error_size,
                 "the key %.200s is encrypted: write it without a passphrase (openssl pkey -in KEY -out NEW_KEY)",
                 path);
    else if (file && !key)
        snprintf(error, error_size, "%.200s holds no private key in PEM (-----BEGIN PRIVATE KEY-----)", path);
    else if (file && !is_good)
        snprintf(error, error_size,
                 "the key %.200s does not fit the certificate %.200s: name the key that it was made with", path, chain);
    EVP_PKEY_free(key);
    BIO_free(file);
    erase(&text);
    return is_good;
}

/* The one protocol that is spoken; a caller that speaks none of what we do is told so in the handshake. */
static int choose_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *length, const unsigned char *offered,
                           unsigned offered_length, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";

    (void)ssl;
    (void)arg;
    return SSL_select_next_proto((unsigned char **)(uintptr_t)chosen, length, ours, sizeof ours - 1, offered,
                                 offered_length) == OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static SSL_CTX *make_context(const char *chain, const char *key, char *error, size_t error_size)
{
    static const unsigned char name[] = "moongate";
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    ERR_clear_error();
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20");
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(context,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_id_context(context, name, sizeof name - 1);
    /* Sessions are the callers' to keep, in tickets. */
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    if (use_chain(context, chain, error, error_size) && use_key(context, chain, key, error, error_size)) {
        ERR_clear_error();
        return context;
    }
    ERR_clear_error();
    SSL_CTX_free(context);
    return NULL;
}

static void replace(char **place, const char *text)
{
    char *copy = mem_text(text);

    mem_free(*place);
    *place = copy;
}

bool certificate_load(struct certificate *certificate, const char *chain, const char *key, char *error,
                      size_t error_size)
{
    SSL_CTX *context, *before;

    /* Before they are read: what changes from here on is a new change. */
    certificate->loaded[0] = certificate->seen[0] = stamp_of(chain);
    certificate->loaded[1] = certificate->seen[1] = stamp_of(key);
    context = make_context(chain, key, error, error_size);
    replace(&certificate->chain, chain);
    replace(&certificate->key, key);
    if (!context)
        return false;
    pthread_mutex_lock(&certificate->lock);
    before = certificate->context;
    certificate->context = context;
    pthread_mutex_unlock(&certificate->lock);
    SSL_CTX_free(before);
    return true;
}

struct certificate *certificate_open(const char *chain, const char *key, char *error, size_t error_size)
{
    struct certificate *certificate = mem_zero(sizeof *certificate);

    pthread_mutex_init(&certificate->lock, NULL);
    if (certificate_load(certificate, chain, key, error, error_size))
        return certificate;
    certificate_free(certificate);
    return NULL;
}

void certificate_free(struct certificate *certificate)
{
    if (!certificate)
        return;
    SSL_CTX_free(certificate->context);
    pthread_mutex_destroy(&certificate->lock);
    mem_free(certificate->chain);
    mem_free(certificate->key);
    mem_free(certificate);
}

bool certificate_has_changed(struct certificate *certificate)
{
    struct stamp now[2] = { stamp_of(certificate->chain), stamp_of(certificate->key) };
    bool is_new = !stamp_is_same(&now[0], &certificate->loaded[0]) || !stamp_is_same(&now[1], &certificate->loaded[1]);
    bool is_still = stamp_is_same(&now[0], &certificate->seen[0]) && stamp_is_same(&now[1], &certificate->seen[1]);

    memcpy(certificate->seen, now, sizeof now);
    return is_new && is_still;
}

const char *certificate_chain(const struct certificate *certificate)
{
    return certificate->chain;
}

const char *certificate_key(const struct certificate *certificate)
{
    return certificate->key;
}

static void write_day(const ASN1_TIME *time, char *text, size_t size)
{
    struct tm utc = { 0 };

    ASN1_TIME_to_tm(time, &utc);
    strftime(text, size, "%Y-%m-%d", &utc);
}

bool certificate_is_stale(struct certificate *certificate, char *text, size_t size)
{
    const X509 *shown = SSL_CTX_get0_certificate(certificate->context);
    time_t now = (time_t)(clock_wall_ms() / 1000);
    char day[24];

    if (X509_cmp_time(X509_get0_notAfter(shown), &now) < 0) {
        write_day(X509_get0_notAfter(shown), day, sizeof day);
        snprintf(text, size, "the certificate %.200s expired on %s: callers will refuse it until it is renewed",
                 certificate->chain, day);
        return true;
    }
    if (X509_cmp_time(X509_get0_notBefore(shown), &now) > 0) {
        write_day(X509_get0_notBefore(shown), day, sizeof day);
        snprintf(text, size, "the certificate %.200s is not valid before %s: callers will refuse it until then",
                 certificate->chain, day);
        return true;
    }
    return false;
}

struct ssl_ctx_st *certificate_context(struct certificate *certificate)
{
    SSL_CTX *context;

    pthread_mutex_lock(&certificate->lock);
    context = certificate->context;
    SSL_CTX_up_ref(context);
    pthread_mutex_unlock(&certificate->lock);
    return context;
}
