// Counts a process's allocations: preloaded (LD_PRELOAD) into a broker by `ninefold bench --suite`.
//
//     cc -O2 -shared -fPIC -o allocation_counter.so allocation_counter.c
//     NINEFOLD_ALLOCATION_COUNTS=FILE LD_PRELOAD=./allocation_counter.so PROGRAM
//
// FILE holds two little-endian 64-bit counts, kept up to date while the process runs: allocations (malloc, calloc, realloc,
// aligned_alloc, posix_memalign, memalign) and the bytes asked for. For glibc, whose own functions are called by their other names.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

struct counts {
    _Atomic uint64_t allocations;
    _Atomic uint64_t bytes;
};

// What is allocated before the file is there, or without one, is counted here and shown to nobody.
static struct counts unseen;
static struct counts *counts = &unseen;

static void count(size_t bytes) {
    atomic_fetch_add_explicit(&counts->allocations, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counts->bytes, bytes, memory_order_relaxed);
}

__attribute__((constructor)) static void open_counts(void) {
    const char *path = getenv("NINEFOLD_ALLOCATION_COUNTS");
    if (path == NULL) return;
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0) return;
    if (ftruncate(file, sizeof(struct counts)) == 0) {
        void *map = mmap(NULL, sizeof(struct counts), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (map != MAP_FAILED) counts = map;
    }
    close(file);
}

void *malloc(size_t size) {
    count(size);
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    count(number * size);
    return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size) {
    count(size);
    return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size) {
    count(size);
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    count(size);
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size) {
    if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0) return EINVAL;
    count(size);
    *result = __libc_memalign(alignment, size);
    return *result == NULL ? ENOMEM : 0;
}
