/*
 * transfer.c - see transfer.h: hands each act to whoever plays the transfer,
 * and names the ways it can end. It knows no transport.
 */
#include "net/transfer.h"

void transfer_pause(struct transfer *transfer)
{
    transfer->pause(transfer);
}

void transfer_resume(struct transfer *transfer)
{
    transfer->resume(transfer);
}

void transfer_cancel(struct transfer *transfer)
{
    transfer->cancel(transfer);
}

const char *transfer_end_name(enum transfer_end end)
{
    switch (end) {
    case TRANSFER_DONE:
        return "done";
    case TRANSFER_UNRESOLVED:
        return "unresolved";
    case TRANSFER_UNREACHABLE:
        return "unreachable";
    case TRANSFER_CONNECT_TIMEOUT:
        return "connect_timeout";
    case TRANSFER_TLS:
        return "tls";
    case TRANSFER_FIRST_BYTE_TIMEOUT:
        return "first_byte_timeout";
    case TRANSFER_IDLE_TIMEOUT:
        return "idle_timeout";
    case TRANSFER_CUT:
        return "cut";
    case TRANSFER_MALFORMED:
        return "malformed";
    case TRANSFER_IMPOSSIBLE:
        return "impossible";
    }
    return "unknown";
}
