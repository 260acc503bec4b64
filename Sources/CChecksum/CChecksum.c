#include "CChecksum.h"

#include <pthread.h>
#include <string.h>

#define POLYNOMIAL 0x82F63B78u

static uint32_t table[8][256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void fill_table(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++) crc = (crc & 1) ? (crc >> 1) ^ POLYNOMIAL : crc >> 1;
        table[0][i] = crc;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int t = 1; t < 8; t++) table[t][i] = (table[t - 1][i] >> 8) ^ table[0][table[t - 1][i] & 0xFF];
}

uint32_t ninefold_crc32c_extend_portable(uint32_t crc, const void *bytes, size_t length) {
    pthread_once(&table_once, fill_table);
    const uint8_t *p = bytes;
    crc = ~crc;
    while (length >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        word ^= crc;
        crc = table[7][word & 0xFF] ^ table[6][(word >> 8) & 0xFF] ^ table[5][(word >> 16) & 0xFF] ^
              table[4][(word >> 24) & 0xFF] ^ table[3][(word >> 32) & 0xFF] ^ table[2][(word >> 40) & 0xFF] ^
              table[1][(word >> 48) & 0xFF] ^ table[0][word >> 56];
        p += 8;
        length -= 8;
    }
    while (length--) crc = (crc >> 8) ^ table[0][(crc ^ *p++) & 0xFF];
    return ~crc;
}

#if defined(__x86_64__)
#include <nmmintrin.h>

// Three streams hide the 3-cycle latency of crc32. Two strides are combined by "append n zero bytes" tables:
// crc(AB) = shift(crc(A), |B|) ^ crc(B).
#define LONG_STRIDE 4096
#define SHORT_STRIDE 256

static uint32_t long_shift[4][256], short_shift[4][256];
static pthread_once_t shift_once = PTHREAD_ONCE_INIT;
static int has_sse42;

static uint32_t gf2_times(const uint32_t *matrix, uint32_t vector) {
    uint32_t sum = 0;
    for (; vector; vector >>= 1, matrix++)
        if (vector & 1) sum ^= *matrix;
    return sum;
}

static void gf2_square(uint32_t *square, const uint32_t *matrix) {
    for (int n = 0; n < 32; n++) square[n] = gf2_times(matrix, matrix[n]);
}

// The operator that appends `length` zero bytes (a power of two), spread over four byte tables.
static void fill_shift(uint32_t shift[4][256], size_t length) {
    uint32_t odd[32], even[32];
    odd[0] = POLYNOMIAL;
    for (int n = 1; n < 32; n++) odd[n] = 1u << (n - 1);  // one zero bit
    gf2_square(even, odd);                                 // two
    gf2_square(odd, even);                                 // four
    uint32_t *current = odd, *next = even;
    for (size_t bytes = 1;; bytes <<= 1) {
        gf2_square(next, current);  // first pass: eight bits = one byte
        uint32_t *swap = current;
        current = next;
        next = swap;
        if (bytes == length) break;
    }
    for (uint32_t n = 0; n < 256; n++) {
        shift[0][n] = gf2_times(current, n);
        shift[1][n] = gf2_times(current, n << 8);
        shift[2][n] = gf2_times(current, n << 16);
        shift[3][n] = gf2_times(current, n << 24);
    }
}

static uint32_t apply_shift(uint32_t shift[4][256], uint32_t crc) {
    return shift[0][crc & 0xFF] ^ shift[1][(crc >> 8) & 0xFF] ^ shift[2][(crc >> 16) & 0xFF] ^ shift[3][crc >> 24];
}

static void prepare(void) {
    has_sse42 = __builtin_cpu_supports("sse4.2");
    fill_shift(long_shift, LONG_STRIDE);
    fill_shift(short_shift, SHORT_STRIDE);
}

__attribute__((target("sse4.2"))) static uint64_t three_streams(uint64_t crc, const uint8_t **bytes, size_t *length,
                                                                 size_t stride, uint32_t shift[4][256]) {
    const uint8_t *p = *bytes;
    while (*length >= 3 * stride) {
        uint64_t first = crc, second = 0, third = 0;
        for (const uint8_t *end = p + stride; p < end; p += 8) {
            uint64_t a, b, c;
            memcpy(&a, p, 8);
            memcpy(&b, p + stride, 8);
            memcpy(&c, p + 2 * stride, 8);
            first = _mm_crc32_u64(first, a);
            second = _mm_crc32_u64(second, b);
            third = _mm_crc32_u64(third, c);
        }
        crc = apply_shift(shift, (uint32_t)first) ^ second;
        crc = apply_shift(shift, (uint32_t)crc) ^ third;
        p += 2 * stride;
        *length -= 3 * stride;
    }
    *bytes = p;
    return crc;
}

__attribute__((target("sse4.2"))) static uint32_t extend_sse42(uint32_t crc32, const void *bytes, size_t length) {
    const uint8_t *p = bytes;
    uint64_t crc = (uint32_t)~crc32;
    crc = three_streams(crc, &p, &length, LONG_STRIDE, long_shift);
    crc = three_streams(crc, &p, &length, SHORT_STRIDE, short_shift);
    while (length >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        crc = _mm_crc32_u64(crc, word);
        p += 8;
        length -= 8;
    }
    while (length--) crc = _mm_crc32_u8((uint32_t)crc, *p++);
    return ~(uint32_t)crc;
}

uint32_t ninefold_crc32c_extend(uint32_t crc, const void *bytes, size_t length) {
    pthread_once(&shift_once, prepare);
    return has_sse42 ? extend_sse42(crc, bytes, length) : ninefold_crc32c_extend_portable(crc, bytes, length);
}
#else
uint32_t ninefold_crc32c_extend(uint32_t crc, const void *bytes, size_t length) {
    return ninefold_crc32c_extend_portable(crc, bytes, length);
}
#endif
