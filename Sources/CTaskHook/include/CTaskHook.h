#ifndef NINEFOLD_CTASKHOOK_H
#define NINEFOLD_CTASKHOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The Swift runtime asks `swift_task_enqueueGlobal_hook` what to do with each job that is ready to run and prefers no executor.
// Its calling convention is Swift's own, which C can speak and Swift cannot.

/// From now on, jobs that become ready on this thread are given to taker(context, job) instead of the runtime's threads. NULL ends
/// that. Jobs of other threads go where they always went.
void ninefold_take_jobs(void (*taker)(void *context, void *job), void *context);

/// What was given last to ninefold_take_jobs() on this thread, with a taker; NULL if nothing was.
void *ninefold_jobs_context(void);

/// From now on, a lock of Swift's that another thread holds is waited for on this thread by waiter(context, word), with the context of
/// the taker, which returns once ninefold_lock_owner(word) is none. NULL ends that.
void ninefold_wait_for_locks(void (*waiter)(void *context, const uint32_t *word));

/// The thread that holds the lock of `word`; 0 for none.
uint32_t ninefold_lock_owner(const uint32_t *word);

/// Runs body(context) on a new thread that nobody waits for.
bool ninefold_start_job_thread(void (*body)(void *context), void *context, size_t stack_bytes);

/// Runs a job that was taken until its task waits or ends, on this thread.
void ninefold_run_job(void *job);

#endif
