#ifndef NINEFOLD_CSYSTEMSHIM_H
#define NINEFOLD_CSYSTEMSHIM_H

#include <stdint.h>

// System calls that Swift's Glibc module does not show (glibc declares them under _GNU_SOURCE only).

/// fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, length): 0, or errno.
int ninefold_reserve(int fd, int64_t length);

/// Turns O_DIRECT of an open file on or off: 0, or errno (EINVAL where the file system has no direct I/O).
int ninefold_set_direct(int fd, int direct);

/// Starts a detached thread that runs body(argument). A name longer than 15 bytes is cut. 0, or errno.
int ninefold_start_thread(const char *name, void (*body)(void *), void *argument);

/// Raises the soft limit of open descriptors to the hard one. Returns the limit now in force, -1 if it cannot be read.
int64_t ninefold_raise_descriptor_limit(void);

#endif
