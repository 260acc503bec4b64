#include "CTaskHook.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

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

void ninefold_run_job(void *job) {
    // No identity: the generic executor, which is where such a job believes itself to be.
    struct executor generic = {NULL, 0};
    swift_job_run(job, generic);
}
