#ifndef NINEFOLD_CSYSTEMSHIM_H
#define NINEFOLD_CSYSTEMSHIM_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

// System calls that Swift's Glibc module does not show (glibc declares them under _GNU_SOURCE only).

/// fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, length): 0, or errno.
int ninefold_reserve(int fd, int64_t length);

/// Turns O_DIRECT of an open file on or off: 0, or errno (EINVAL where the file system has no direct I/O).
int ninefold_set_direct(int fd, int direct);

/// pwritev2(fd, vectors, count, offset, RWF_DONTCACHE): the bytes written, or -1 and errno (EOPNOTSUPP where kernel or file system have no
/// such flag: before Linux 6.14).
ssize_t ninefold_write_dropping(int fd, const struct iovec *vectors, int count, int64_t offset);

/// Starts a detached thread that runs body(argument). A name longer than 15 bytes is cut. 0, or errno.
int ninefold_start_thread(const char *name, void (*body)(void *), void *argument);

/// Raises the soft limit of open descriptors to the hard one. Returns the limit now in force, -1 if it cannot be read.
int64_t ninefold_raise_descriptor_limit(void);

#endif
