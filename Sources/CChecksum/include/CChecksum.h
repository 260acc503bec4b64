#ifndef NINEFOLD_CCHECKSUM_H
#define NINEFOLD_CCHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/// Extends a CRC-32C (Castagnoli, reflected 0x82F63B78) by `length` bytes. Start with `crc` = 0.
/// Uses SSE4.2 with three interleaved streams where the processor has it, slicing tables elsewhere.
uint32_t ninefold_crc32c_extend(uint32_t crc, const void *bytes, size_t length);

/// The table path alone, so that a test can hold the two against each other.
uint32_t ninefold_crc32c_extend_portable(uint32_t crc, const void *bytes, size_t length);

#endif
