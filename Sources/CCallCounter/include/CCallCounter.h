#ifndef NINEFOLD_CCALLCOUNTER_H
#define NINEFOLD_CCALLCOUNTER_H

#include <stdbool.h>
#include <stdint.h>

// Counts what one thread asks of the C library: memory, and the system calls of file input and output. An executable that links this
// target defines malloc and its kin itself and hands them on to glibc, so that the calls of all shared libraries come by here
// too. Nothing is counted on threads that have not asked for it.

struct ninefold_call_counts {
    /// malloc, calloc, realloc, posix_memalign, aligned_alloc.
    int64_t allocations;
    /// As asked for, before the allocator rounds up.
    int64_t allocated_bytes;
    /// open, close, pread, pwrite, pwritev, ftruncate, fallocate, fdatasync, fsync, fstat, stat, lstat, rename, link, unlink, rmdir, mkdir.
    int64_t system_calls;
};

/// Whether calls can be counted here: not without glibc, and not under a sanitizer, which brings an allocator of its own.
bool ninefold_calls_can_be_counted(void);

/// Begins at zero, for the calling thread.
void ninefold_begin_counting_calls(void);

/// What the calling thread has called since it began; stops counting.
struct ninefold_call_counts ninefold_end_counting_calls(void);

/// One allocation and the calls it came from, the nearest first.
struct ninefold_allocation {
    int64_t bytes;
    int64_t depth;
    void *frames[32];
};

/// As ninefold_begin_counting_calls, and writes down the first allocations, as many as there is room for.
void ninefold_begin_tracing_allocations(struct ninefold_allocation *room, int64_t capacity);

/// The file whose code lies at `address`, and where in it; NULL if there is none. The name lives as long as the file is loaded.
const char *ninefold_file_of_address(uintptr_t address, uintptr_t *offset);

#endif
