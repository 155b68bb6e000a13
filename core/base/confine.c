/* confine.c - see confine.h. A filter in the kernel's own small language; what it refuses becomes a signal, and that
 * EPERM.
 */
#include "base/confine.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/confine_calls.h"

#if defined(__x86_64__)
enum { ARCHITECTURE = AUDIT_ARCH_X86_64 };
#define RESULT_OF(machine) ((machine)->gregs[REG_RAX])
#elif defined(__aarch64__)
enum { ARCHITECTURE = AUDIT_ARCH_AARCH64 };
#define RESULT_OF(machine) ((machine)->regs[0])
#endif

/*
 * The sum of the filter that a process is below, in its environment: one that takes over needs no second that is the
 * same. The variable is made before there are threads, and its value then changed where it lies.
 */
#define MARK "MOONGATE_CONFINED"
#define NO_MARK "00000000"

enum { CALLS = sizeof confine_calls / sizeof confine_calls[0], REMEMBERED = 512, MOST = 2 * CALLS + 64 };

static atomic_uchar refused[REMEMBERED]; /* 1: was refused, 2: and has been told */
static atomic_bool is_news;

#ifdef RESULT_OF
static void on_refused(int number, siginfo_t *what, void *where)
{
    ucontext_t *context = where;
    unsigned char never = 0;

    (void)number;
    RESULT_OF(&context->uc_mcontext) = -EPERM;
    if (what->si_syscall >= 0 && what->si_syscall < REMEMBERED &&
        atomic_compare_exchange_strong(&refused[what->si_syscall], &never, 1))
        atomic_store(&is_news, true);
}

struct filter {
    struct sock_filter steps[MOST];
    unsigned short count;
};

static void add(struct filter *filter, unsigned short code, unsigned char if_true, unsigned char if_false,
                uint32_t value)
{
    filter->steps[filter->count++] = (struct sock_filter){ code, if_true, if_false, value };
}

static void load(struct filter *filter, size_t offset)
{
    add(filter, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset);
}

static void answer(struct filter *filter, uint32_t action)
{
    add(filter, BPF_RET | BPF_K, 0, 0, action);
}

/* Where a call's argument lies: its lower half, on machines that put that first. */
static size_t argument(int index)
{
    return offsetof(struct seccomp_data, args) + 8 * (size_t)index;
}

/* The call is refused if all of these bits are set in its argument, or (any) one of them; else it is allowed. */
static void look(struct filter *filter, int call, int index, uint32_t bits, bool any)
{
    add(filter, BPF_JMP | BPF_JEQ | BPF_K, 0, any ? 4 : 5, (uint32_t)call);
    load(filter, argument(index));
    if (!any)
        add(filter, BPF_ALU | BPF_AND | BPF_K, 0, 0, bits);
    add(filter, BPF_JMP | (any ? BPF_JSET : BPF_JEQ) | BPF_K, 0, 1, bits);
    answer(filter, SECCOMP_RET_TRAP);
    answer(filter, SECCOMP_RET_ALLOW);
}

static void build(struct filter *filter)
{
    static const uint32_t families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };

    load(filter, offsetof(struct seccomp_data, arch));
    add(filter, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, ARCHITECTURE);
    answer(filter, SECCOMP_RET_KILL_PROCESS);
    load(filter, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < CALLS; i++) {
        add(filter, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, confine_calls[i]);
        answer(filter, SECCOMP_RET_ALLOW);
    }
    look(filter, __NR_mmap, 2, PROT_WRITE | PROT_EXEC, false);
    look(filter, __NR_mprotect, 2, PROT_WRITE | PROT_EXEC, false);
    look(filter, __NR_clone, 0,
         CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP,
         true);
    /* Its flags lie in memory, which no filter sees: glibc takes clone() then. */
    add(filter, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, __NR_clone3);
    answer(filter, SECCOMP_RET_ERRNO | ENOSYS);
    add(filter, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, __NR_socket);
    answer(filter, SECCOMP_RET_TRAP);
    load(filter, argument(0));
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        add(filter, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, families[i]);
        answer(filter, SECCOMP_RET_ALLOW);
    }
    answer(filter, SECCOMP_RET_TRAP);
}

static uint32_t sum_of(const struct filter *filter)
{
    const unsigned char *bytes = (const unsigned char *)filter->steps;
    uint32_t sum = 2166136261u;

    for (size_t i = 0; i < filter->count * sizeof filter->steps[0]; i++)
        sum = (sum ^ bytes[i]) * 16777619u;
    return sum;
}

void confine_prepare(void)
{
    struct sigaction action = { .sa_sigaction = on_refused, .sa_flags = SA_SIGINFO | SA_NODEFER };
    const char *mark = getenv(MARK);

    sigemptyset(&action.sa_mask);
    sigaction(SIGSYS, &action, NULL);
    if (!mark || strlen(mark) != strlen(NO_MARK))
        setenv(MARK, NO_MARK, 1); /* NOLINT(concurrency-mt-unsafe) */
}

bool confine_start(char *error, size_t error_size)
{
    struct filter filter = { .count = 0 };
    struct sock_fprog program = { .filter = filter.steps };
    char mark[sizeof NO_MARK], *found = getenv(MARK);

    build(&filter);
    program.len = filter.count;
    snprintf(mark, sizeof mark, "%08x", sum_of(&filter));
    if (found && strncmp(found, mark, strlen(mark)) == 0 && prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER)
        return true;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0) {
        snprintf(error, error_size,
                 "seccomp: the system does not take the filter (%s); leave seccomp out of the configuration",
                 strerrordesc_np(errno));
        return false;
    }
    if (found)
        memcpy(found, mark, strlen(mark));
    return true;
}
#else
void confine_prepare(void)
{
}

bool confine_start(char *error, size_t error_size)
{
    snprintf(error, error_size, "seccomp: not known for this kind of machine; leave it out of the configuration");
    return false;
}
#endif

int confine_refused(void)
{
    if (!atomic_exchange(&is_news, false))
        return -1;
    for (int i = 0; i < REMEMBERED; i++) {
        unsigned char news = 1;

        if (atomic_compare_exchange_strong(&refused[i], &news, 2)) {
            atomic_store(&is_news, true); /* there may be more */
            return i;
        }
    }
    return -1;
}
