/*
 * doors.h - the addresses that the gateway listens on: a socket a worker for
 * each, and the certificate where TLS is spoken. On the control thread.
 */
#ifndef GATE_DOORS_H
#define GATE_DOORS_H

#include <stdbool.h>
#include <stddef.h>

struct certificate;
struct doors;
struct heritage;
struct settings;

enum { DOORS_ADDRESS = 160 };

/* A listening socket, and what it shows its callers; NULL: it speaks plain HTTP. */
struct door_socket {
    int descriptor;
    struct certificate *certificate;
};

/* Takes over what sockets the process before left (heritage may be NULL), binds the rest. NULL with a sentence. */
struct doors *doors_open(const struct settings *settings, size_t workers, struct heritage *heritage, char *error,
                         size_t error_size);
/* What is wrong with its certificates, those that callers refuse too, one line each; the caller's. NULL: nothing. Binds
 * nothing. */
char *doors_check(const struct settings *settings);
/* After the workers, whose connections may show a certificate. NULL is fine. */
void doors_free(struct doors *doors);

/* A new array of the sockets that are that worker's from now on. */
struct door_socket *doors_of_worker(struct doors *doors, size_t worker, size_t *count);
/* The sockets of a door, for the process that comes after; they stay the workers'. */
const int *doors_sockets(const struct doors *doors, size_t door, size_t *count);
const char *doors_configured(const struct doors *doors, size_t door);
size_t doors_count(const struct doors *doors);
/* What a door really has: "127.0.0.1:8080", also where the port was left to the system. */
const char *doors_address(const struct doors *doors, size_t door);
bool doors_is_tls(const struct doors *doors, size_t door);

/* Reads all certificates again, from the files that the settings name for the address; a bad one changes nothing. */
void doors_reload(struct doors *doors, const struct settings *settings);
/* Reads those again whose files have changed. True: doors_problems may say something else now. */
bool doors_look(struct doors *doors);
/* What is wrong with certificates, one line each: "ADDRESS: SENTENCE"; the caller's. NULL: nothing. */
char *doors_problems(struct doors *doors);

#endif
