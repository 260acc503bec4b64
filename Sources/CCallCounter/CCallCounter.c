#define _GNU_SOURCE
#include "CCallCounter.h"

#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define NINEFOLD_SANITIZED 1
#endif
#endif

#if defined(__GLIBC__) && !defined(NINEFOLD_SANITIZED)

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static _Thread_local bool is_counting;
static _Thread_local struct ninefold_call_counts counts;
static _Thread_local struct ninefold_allocation *trace;
static _Thread_local int64_t trace_capacity;

bool ninefold_calls_can_be_counted(void) { return true; }

void ninefold_begin_counting_calls(void) {
    counts = (struct ninefold_call_counts){0, 0, 0};
    trace_capacity = 0;
    is_counting = true;
}

void ninefold_begin_tracing_allocations(struct ninefold_allocation *room, int64_t capacity) {
    // The first call loads the unwinder, which allocates.
    room[0].depth = backtrace(room[0].frames, 1);
    ninefold_begin_counting_calls();
    trace = room;
    trace_capacity = capacity;
}

struct ninefold_call_counts ninefold_end_counting_calls(void) {
    is_counting = false;
    return counts;
}

const char *ninefold_file_of_address(uintptr_t address, uintptr_t *offset) {
    Dl_info information;
    if (dladdr((void *)address, &information) == 0) return NULL;
    *offset = address - (uintptr_t)information.dli_fbase;
    return information.dli_fname;
}

// MARK: Memory. What is taken here is given back to glibc's own free.

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *pointer, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static void write_down(size_t size) {
    is_counting = false;
    struct ninefold_allocation *allocation = &trace[counts.allocations];
    allocation->bytes = (int64_t)size;
    allocation->depth = backtrace(allocation->frames, sizeof allocation->frames / sizeof allocation->frames[0]);
    is_counting = true;
}

static inline void count_allocation(size_t size) {
    if (!is_counting) return;
    if (counts.allocations < trace_capacity) write_down(size);
    counts.allocations += 1;
    counts.allocated_bytes += (int64_t)size;
}

void *malloc(size_t size) {
    count_allocation(size);
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    count_allocation(count * size);
    return __libc_calloc(count, size);
}

void *realloc(void *pointer, size_t size) {
    if (size > 0) count_allocation(size);
    return __libc_realloc(pointer, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    count_allocation(size);
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size) {
    if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0) return EINVAL;
    count_allocation(size);
    void *memory = __libc_memalign(alignment, size);
    if (memory == NULL) return ENOMEM;
    *result = memory;
    return 0;
}

// MARK: System calls. The C library's function of the same name is looked up at the first call, whichever thread makes it.

static void *next_function(const char *name, void **known) {
    void *function = __atomic_load_n(known, __ATOMIC_RELAXED);
    if (function == NULL) {
        bool was_counting = is_counting;
        is_counting = false;
        function = dlsym(RTLD_NEXT, name);
        is_counting = was_counting;
        if (function == NULL) abort();
        __atomic_store_n(known, function, __ATOMIC_RELAXED);
    }
    return function;
}

#define COUNTED(result, name, parameters, arguments)                            \
    result name parameters {                                                    \
        static void *known;                                                     \
        if (is_counting) counts.system_calls += 1;                              \
        return ((result(*) parameters)next_function(#name, &known)) arguments;  \
    }

int open(const char *path, int flags, ...) {
    static void *known;
    mode_t mode = 0;
    if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) {
        va_list arguments;
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    if (is_counting) counts.system_calls += 1;
    return ((int (*)(const char *, int, ...))next_function("open", &known))(path, flags, mode);
}

COUNTED(int, close, (int fd), (fd))
COUNTED(ssize_t, pread, (int fd, void *buffer, size_t size, off_t offset), (fd, buffer, size, offset))
COUNTED(ssize_t, pwrite, (int fd, const void *buffer, size_t size, off_t offset), (fd, buffer, size, offset))
COUNTED(ssize_t, pwritev, (int fd, const struct iovec *vectors, int count, off_t offset), (fd, vectors, count, offset))
COUNTED(int, ftruncate, (int fd, off_t length), (fd, length))
COUNTED(int, fallocate, (int fd, int mode, off_t offset, off_t length), (fd, mode, offset, length))
COUNTED(int, fdatasync, (int fd), (fd))
COUNTED(int, fsync, (int fd), (fd))
COUNTED(int, fstat, (int fd, struct stat *status), (fd, status))
COUNTED(int, stat, (const char *path, struct stat *status), (path, status))
COUNTED(int, lstat, (const char *path, struct stat *status), (path, status))
COUNTED(int, rename, (const char *source, const char *target), (source, target))
COUNTED(int, link, (const char *source, const char *target), (source, target))
COUNTED(int, unlink, (const char *path), (path))
COUNTED(int, rmdir, (const char *path), (path))
COUNTED(int, mkdir, (const char *path, mode_t mode), (path, mode))

#else

bool ninefold_calls_can_be_counted(void) { return false; }
void ninefold_begin_counting_calls(void) {}
void ninefold_begin_tracing_allocations(struct ninefold_allocation *room, int64_t capacity) {}
const char *ninefold_file_of_address(uintptr_t address, uintptr_t *offset) { return NULL; }
struct ninefold_call_counts ninefold_end_counting_calls(void) { return (struct ninefold_call_counts){0, 0, 0}; }

#endif
