#define _GNU_SOURCE
#include "CTaskHook.h"

#include <dlfcn.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>

#define SWIFTCALL __attribute__((swiftcall))

// As the runtime's include/swift/Runtime/Concurrency.h declares them.
typedef SWIFTCALL void (*enqueue_original)(void *job);
typedef SWIFTCALL void (*delay_original)(unsigned long long delay, void *job);
typedef SWIFTCALL void (*deadline_original)(long long seconds, long long nanoseconds, long long tolerance_seconds,
                                            long long tolerance_nanoseconds, int clock, void *job);
extern SWIFTCALL void (*swift_task_enqueueGlobal_hook)(void *job, enqueue_original original);
extern SWIFTCALL void (*swift_task_enqueueGlobalWithDelay_hook)(unsigned long long delay, void *job, delay_original original);
extern SWIFTCALL void (*swift_task_enqueueGlobalWithDeadline_hook)(long long seconds, long long nanoseconds,
                                                                   long long tolerance_seconds, long long tolerance_nanoseconds,
                                                                   int clock, void *job, deadline_original original);

struct executor {
    void *identity;
    uintptr_t implementation;
};
extern SWIFTCALL void swift_job_run(void *job, struct executor executor);

static _Thread_local void (*current_taker)(void *context, void *job);
static _Thread_local void *current_context;
static _Thread_local void (*current_waiter)(void *context, const uint32_t *word);
static _Thread_local uint32_t current_thread;

static SWIFTCALL void enqueue(void *job, enqueue_original original) {
    if (current_taker != NULL) {
        current_taker(current_context, job);
    } else {
        original(job);
    }
}

static void refuse(void) {
    fputs("a simulated task slept on the machine's clock; it must sleep on the clock it was given\n", stderr);
    abort();
}

static SWIFTCALL void enqueue_with_delay(unsigned long long delay, void *job, delay_original original) {
    if (current_taker != NULL) refuse();
    original(delay, job);
}

static SWIFTCALL void enqueue_with_deadline(long long seconds, long long nanoseconds, long long tolerance_seconds,
                                            long long tolerance_nanoseconds, int clock, void *job, deadline_original original) {
    if (current_taker != NULL) refuse();
    original(seconds, nanoseconds, tolerance_seconds, tolerance_nanoseconds, clock, job);
}

void ninefold_take_jobs(void (*taker)(void *context, void *job), void *context) {
    swift_task_enqueueGlobal_hook = enqueue;
    swift_task_enqueueGlobalWithDelay_hook = enqueue_with_delay;
    swift_task_enqueueGlobalWithDeadline_hook = enqueue_with_deadline;
    current_taker = taker;
    current_context = context;
}

void ninefold_wait_for_locks(void (*waiter)(void *context, const uint32_t *word)) { current_waiter = waiter; }

uint32_t ninefold_lock_owner(const uint32_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE) & FUTEX_TID_MASK; }

typedef long (*system_call)(long number, ...);

// Swift's Mutex asks the kernel, through this function, when another thread holds it. In a simulation that thread is one whose turn it
// is not: waiting in the kernel would be for ever. All other calls go where they always went.
long syscall(long number, ...) {
    static system_call original;
    system_call next = __atomic_load_n(&original, __ATOMIC_RELAXED);
    if (next == NULL) {
        next = (system_call)dlsym(RTLD_NEXT, "syscall");
        __atomic_store_n(&original, next, __ATOMIC_RELAXED);
    }
    va_list list;
    va_start(list, number);
    long first = va_arg(list, long), second = va_arg(list, long), third = va_arg(list, long), fourth = va_arg(list, long),
         fifth = va_arg(list, long), sixth = va_arg(list, long);
    va_end(list);
    if (number == SYS_futex && current_waiter != NULL && (second & FUTEX_CMD_MASK) == FUTEX_LOCK_PI) {
        uint32_t *word = (uint32_t *)first;
        if (current_thread == 0) current_thread = (uint32_t)next(SYS_gettid);
        for (;;) {
            current_waiter(current_context, word);
            uint32_t none = 0;
            if (__atomic_compare_exchange_n(word, &none, current_thread, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) return 0;
        }
    }
    return next(number, first, second, third, fourth, fifth, sixth);
}

struct start {
    void (*body)(void *context);
    void *context;
};

static void *run_thread(void *argument) {
    struct start start = *(struct start *)argument;
    free(argument);
    start.body(start.context);
    return NULL;
}

bool ninefold_start_job_thread(void (*body)(void *context), void *context, size_t stack_bytes) {
    struct start *start = malloc(sizeof *start);
    if (start == NULL) return false;
    start->body = body;
    start->context = context;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, stack_bytes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    bool starts = pthread_create(&thread, &attributes, run_thread, start) == 0;
    pthread_attr_destroy(&attributes);
    if (!starts) free(start);
    return starts;
}

void *ninefold_jobs_context(void) { return current_taker == NULL ? NULL : current_context; }

void ninefold_run_job(void *job) {
    // No identity: the generic executor, which is where such a job believes itself to be.
    struct executor generic = {NULL, 0};
    swift_job_run(job, generic);
}
