#ifndef NINEFOLD_CTASKHOOK_H
#define NINEFOLD_CTASKHOOK_H

// The Swift runtime asks `swift_task_enqueueGlobal_hook` what to do with each job that is ready to run and prefers no executor.
// Its calling convention is Swift's own, which C can speak and Swift cannot.

/// From now on, jobs that become ready on this thread are given to taker(context, job) instead of the runtime's threads. NULL ends
/// that. Jobs of other threads go where they always went.
void ninefold_take_jobs(void (*taker)(void *context, void *job), void *context);

/// Runs a job that was taken until its task waits or ends, on this thread.
void ninefold_run_job(void *job);

#endif
