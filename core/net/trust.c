/* trust.c - see trust.h. */
#include "net/trust.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include <curl/curl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/mem.h"
#include "net/stamp.h"

struct authority {
    char *file; /* NULL: the system's */
    struct stamp stamp;
    SSL_CTX *context;
    uintptr_t number;
    LIST_ENTRY(authority) entry;
};

struct trust {
    LIST_HEAD(, authority) authorities;
    uintptr_t contexts; /* made so far */
};

/* Called when the other side hands out a session, which in TLS 1.3 is at any time after the handshake. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct trust_session *kept = SSL_get_app_data(ssl);

    if (!kept)
        return 0;
    SSL_SESSION_free(kept->session);
    kept->session = session;
    kept->under = (uintptr_t)SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    return 1; /* it is ours now */
}

/* The system's are where libcurl has them, which carries what this does not. */
static bool load(SSL_CTX *context, const char *file, char *error, size_t error_size)
{
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
    const char *path = file ? file : curl->cainfo, *reason;

    ERR_clear_error();
    if (SSL_CTX_load_verify_locations(context, path, file ? NULL : curl->capath) == 1)
        return true;
    reason = ERR_reason_error_string(ERR_peek_error());
    if (path && access(path, R_OK) != 0)
        reason = strerrordesc_np(errno);
    snprintf(error, error_size, "TLS failed: the authorities in %.200s cannot be used (%s)", path ? path : "the system",
             reason ? reason : "no reason is given");
    ERR_clear_error();
    return false;
}

static SSL_CTX *make_context(const char *file, char *error, size_t error_size)
{
    static const unsigned char protocol[] = "\x08http/1.1";
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());

    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    /* What the file names is trusted, be it a root, one below, or the server's own. */
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
    SSL_CTX_set_alpn_protos(context, protocol, sizeof protocol - 1);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_session);
    if (load(context, file, error, error_size))
        return context;
    SSL_CTX_free(context);
    return NULL;
}

static struct authority *authority_find(struct trust *trust, const char *file)
{
    struct authority *authority;

    for (authority = LIST_FIRST(&trust->authorities); authority; authority = LIST_NEXT(authority, entry))
        if (file ? authority->file && strcmp(authority->file, file) == 0 : !authority->file)
            return authority;
    authority = mem_zero(sizeof *authority);
    authority->file = mem_text(file);
    LIST_INSERT_HEAD(&trust->authorities, authority, entry);
    return authority;
}

/* NULL: it cannot be used now, and is tried anew the next time. */
static struct authority *authority_current(struct trust *trust, const char *file, char *error, size_t error_size)
{
    struct authority *authority = authority_find(trust, file);
    const char *path = file ? file : curl_version_info(CURLVERSION_NOW)->cainfo;
    struct stamp now = path ? stamp_of(path) : (struct stamp){ 0 };

    if (authority->context && stamp_is_same(&now, &authority->stamp))
        return authority;
    SSL_CTX_free(authority->context); /* connections hold their share */
    authority->stamp = now;
    authority->context = make_context(file, error, error_size);
    if (!authority->context)
        return NULL;
    authority->number = ++trust->contexts;
    SSL_CTX_set_app_data(authority->context, (void *)authority->number);
    return authority;
}

static bool is_address(const char *host)
{
    unsigned char bytes[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

/* Whom the certificate has to be made out to. */
static bool expect_host(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    size_t length = strlen(host);
    char *name;
    bool is_good;

    if (is_address(host)) /* which has no server name */
        return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1;
    if (length > 1 && host[length - 1] == '.') /* no name in a certificate has the root's dot */
        length--;
    if (length == 0)
        return false;
    name = mem_copy(host, length);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    is_good = X509_VERIFY_PARAM_set1_host(param, name, length) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
    mem_free(name);
    return is_good;
}

struct ssl_st *trust_open(struct trust *trust, const char *ca_file, const char *host, struct trust_session *session,
                          char *error, size_t error_size)
{
    struct authority *authority = authority_current(trust, ca_file, error, error_size);
    SSL *ssl;

    if (!authority)
        return NULL;
    ssl = SSL_new(authority->context);
    if (!ssl || !expect_host(ssl, host)) {
        snprintf(error, error_size, "TLS failed: the host's name is not one that a certificate can be checked for");
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_app_data(ssl, session);
    /* One that other authorities vouched for is no proof. */
    if (session->session && session->under == authority->number)
        SSL_set_session(ssl, session->session);
    SSL_set_connect_state(ssl);
    return ssl;
}

void trust_forget(struct trust_session *session)
{
    SSL_SESSION_free(session->session);
    *session = (struct trust_session){ 0 };
}

struct trust *trust_new(void)
{
    return mem_zero(sizeof(struct trust));
}

void trust_free(struct trust *trust)
{
    struct authority *authority;

    if (!trust)
        return;
    while ((authority = LIST_FIRST(&trust->authorities))) {
        LIST_REMOVE(authority, entry);
        SSL_CTX_free(authority->context);
        mem_free(authority->file);
        mem_free(authority);
    }
    mem_free(trust);
}
