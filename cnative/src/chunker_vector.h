/* Stage one for a whole block of positions at once: the vector forms of chunker.c, which includes this.
 *
 * A gear hash of eight bytes is a sum, h = T0 + 2 T1 + 4 T2 + ... + 128 T7 mod 256 (Tk: the byte k positions
 * before), so all positions of a block are had by doubling, with the end of the block before shifted in:
 *
 *     s1 = T            s2 = s1 + 2 s1[-1]          s4 = s2 + 4 s2[-2]          s8 = s4 + 16 s4[-4] = h
 *
 * T is two shuffles of 16 bytes. Nothing here is a rule of its own: scalar form and these give the same cuts.
 *
 * Which form is built: AVX2, and AVX-512 beside it (chunker_wide.h), wherever x86 is the target, used when
 * the processor has it (init asks it); NEON when the compiler may use it (always for 64-bit ARM; for ARMv7
 * with -mfpu=neon); else none.
 */
#ifndef TOASTBOX_CHUNKER_VECTOR_H
#define TOASTBOX_CHUNKER_VECTOR_H

#if defined(__x86_64__) || defined(__i386__)
#define TBX_VECTOR __attribute__((target("avx2")))
#define TBX_WIDE __attribute__((target("avx512bw,gfni")))
#elif defined(__ARM_NEON) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define TBX_VECTOR
#endif

#ifdef TBX_VECTOR

/* T[b] = LOW[b & 15] ^ HIGH[b >> 4]: GEAR for shuffles. */
static const uint8_t LOW[16] = {ROW(0)};
static const uint8_t HIGH[16] = {0xf5, 0xe1, 0x4e, 0xd8, 0x5b, 0x3d, 0x24, 0x1f,
                                 0xe2, 0xbb, 0x3b, 0x4b, 0x26, 0x7e, 0xce, 0x96};

#if defined(__x86_64__) || defined(__i386__)

#include <cpuid.h>
#include <immintrin.h>

#define LANES 32u /* positions in one vector */

#define SAVES_AVX 0x06u    /* XCR0: the operating system saves the registers of 256 bits */
#define SAVES_AVX512 0xe6u /* and those of 512, and the masks */

typedef __m256i vector;

/* The fastest form of this processor. AVX-512 counts where GFNI is with it (from Ice Lake and Zen 4 on):
 * processors before these lower their clock for it. */
static uint32_t best_form(void)
{
    unsigned saved, a, b, c, d;

    if (__get_cpuid_max(0, NULL) < 7) {
        return TBX_FORM_SCALAR;
    }
    __cpuid(1, a, b, c, d);
    if ((c & bit_OSXSAVE) == 0 || (c & bit_AVX) == 0) {
        return TBX_FORM_SCALAR;
    }
    __asm__("xgetbv" : "=a"(saved), "=d"(d) : "c"(0));
    __cpuid_count(7, 0, a, b, c, d);
    if ((saved & SAVES_AVX) != SAVES_AVX || (b & bit_AVX2) == 0) {
        return TBX_FORM_SCALAR;
    }
    if ((saved & SAVES_AVX512) != SAVES_AVX512 || (b & bit_AVX512BW) == 0 || (c & bit_GFNI) == 0) {
        return TBX_FORM_VECTOR;
    }
    return TBX_FORM_WIDE;
}

TBX_VECTOR static inline vector gear_of(const uint8_t *data)
{
    const __m256i nibble = _mm256_set1_epi8(15);
    const __m256i low = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)LOW));
    const __m256i high = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)HIGH));
    __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)data);
    __m256i above = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble);

    return _mm256_xor_si256(_mm256_shuffle_epi8(low, _mm256_and_si256(bytes, nibble)),
                            _mm256_shuffle_epi8(high, above));
}

/* now moved up by count lanes, its lowest filled with the highest of before. */
#define SHIFT_IN(before, now, count) \
    _mm256_alignr_epi8(now, _mm256_permute2x128_si256(before, now, 0x21), 16 - (count))

TBX_VECTOR static inline vector add_2(vector sum, vector more)
{
    return _mm256_add_epi8(sum, _mm256_add_epi8(more, more));
}

TBX_VECTOR static inline vector add_4(vector sum, vector more)
{
    return add_2(sum, _mm256_add_epi8(more, more));
}

TBX_VECTOR static inline vector add_16(vector sum, vector more)
{
    return _mm256_add_epi8(sum, _mm256_and_si256(_mm256_slli_epi16(more, 4), _mm256_set1_epi8(-16)));
}

TBX_VECTOR static inline uint32_t zero_lanes(vector sum)
{
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(sum, _mm256_setzero_si256()));
}

#else

#include <arm_neon.h>

#define LANES 16u

typedef uint8x16_t vector;

static uint32_t best_form(void)
{
    return TBX_FORM_VECTOR;
}

/* table[index] for each of 16 indices from 0 to 15. */
static inline uint8x16_t look_up(const uint8_t *table, uint8x16_t index)
{
#if defined(__aarch64__)
    return vqtbl1q_u8(vld1q_u8(table), index);
#else
    uint8x8x2_t halves = {{vld1_u8(table), vld1_u8(table + 8)}};
    return vcombine_u8(vtbl2_u8(halves, vget_low_u8(index)), vtbl2_u8(halves, vget_high_u8(index)));
#endif
}

static inline vector gear_of(const uint8_t *data)
{
    uint8x16_t bytes = vld1q_u8(data);

    return veorq_u8(look_up(LOW, vandq_u8(bytes, vdupq_n_u8(15))), look_up(HIGH, vshrq_n_u8(bytes, 4)));
}

#define SHIFT_IN(before, now, count) vextq_u8(before, now, 16 - (count))

static inline vector add_2(vector sum, vector more)
{
    return vmlaq_u8(sum, more, vdupq_n_u8(2));
}

static inline vector add_4(vector sum, vector more)
{
    return vmlaq_u8(sum, more, vdupq_n_u8(4));
}

static inline vector add_16(vector sum, vector more)
{
    return vmlaq_u8(sum, more, vdupq_n_u8(16));
}

/* Bit i % 8 in lane i where the sum is 0. */
static inline uint8x16_t zero_lanes(vector sum)
{
    const uint8x16_t bits = vreinterpretq_u8_u64(vdupq_n_u64(UINT64_C(0x8040201008040201)));

    return vandq_u8(vceqq_u8(sum, vdupq_n_u8(0)), bits);
}

static inline uint8x8_t add_pairs(uint8x16_t sums)
{
    return vpadd_u8(vget_low_u8(sums), vget_high_u8(sums));
}

#endif

/* The sums of one block, which the next one needs the ends of. */
typedef struct block {
    vector s1, s2, s4;
} block;

/* Moves on to the block at data; h at its positions. */
TBX_VECTOR static inline vector next_block(block *before, const uint8_t *data)
{
    vector s1 = gear_of(data);
    vector s2 = add_2(s1, SHIFT_IN(before->s1, s1, 1));
    vector s4 = add_4(s2, SHIFT_IN(before->s2, s2, 2));
    vector s8 = add_16(s4, SHIFT_IN(before->s4, s4, 4));

    *before = (block){.s1 = s1, .s2 = s2, .s4 = s4};
    return s8;
}

#if defined(__ARM_NEON)

/* Moves on by STEP positions: one bit for each, set where h is 0. */
static inline uint64_t candidate_bits(block *before, const uint8_t *data)
{
    uint8x8_t a = add_pairs(zero_lanes(next_block(before, data)));
    uint8x8_t b = add_pairs(zero_lanes(next_block(before, data + LANES)));
    uint8x8_t c = add_pairs(zero_lanes(next_block(before, data + 2 * LANES)));
    uint8x8_t d = add_pairs(zero_lanes(next_block(before, data + 3 * LANES)));

    return vget_lane_u64(vreinterpret_u64_u8(vpadd_u8(vpadd_u8(a, b), vpadd_u8(c, d))), 0);
}

#else

/* Moves on by STEP positions: one bit for each, set where h is 0. */
TBX_VECTOR static inline uint64_t candidate_bits(block *before, const uint8_t *data)
{
    uint32_t low = zero_lanes(next_block(before, data));

    return low | (uint64_t)zero_lanes(next_block(before, data + LANES)) << LANES;
}

#endif

#define STEP 64u   /* positions of one mask */
#define SPAN 2048u /* positions whose candidates are collected before they are judged */

/* Has the cache fetch the bytes of the next span: nothing else would while this one is judged. Does nothing
 * where there is no memory. */
#define FETCH_NEXT(data) __builtin_prefetch((const uint8_t *)((uintptr_t)(data) + SPAN))

/* Writes the offset of every position of a mask to the list that has count; how many it has then. Writing
 * comes before counting: a branch on what is as good as chance costs more than the whole stage one. */
static inline size_t list_bits(uint64_t bits, size_t at, uint16_t *found, size_t count)
{
    found[count] = (uint16_t)(at + (unsigned)__builtin_ctzll(bits | UINT64_C(1) << 63));
    count += bits != 0;
    while ((bits &= bits - 1) != 0) {
        found[count++] = (uint16_t)(at + (unsigned)__builtin_ctzll(bits));
    }
    return count;
}

/* Writes the offset of every candidate in data[0..size), a multiple of STEP; how many. No two touch, so they
 * are size / 2 at most. Reads from data[-WINDOW] on. */
TBX_VECTOR static size_t list_candidates(const uint8_t *data, size_t size, uint16_t *found)
{
    block before = {.s1 = gear_of(data - LANES)};
    size_t count = 0;

    /* Of the block before only the last lanes count, and they are right whatever came before it. */
    before.s2 = add_2(before.s1, SHIFT_IN(before.s1, before.s1, 1));
    before.s4 = add_4(before.s2, SHIFT_IN(before.s2, before.s2, 2));
    for (size_t at = 0; at < size; at += STEP) {
        FETCH_NEXT(data + at);
        count = list_bits(candidate_bits(&before, data + at), at, found, count);
    }
    return count;
}

#ifdef TBX_WIDE
#include "chunker_wide.h"
#endif

/* The same in the form chosen. */
static size_t list_in(uint32_t form, const uint8_t *data, size_t size, uint16_t *found)
{
#ifdef TBX_WIDE
    if (form == TBX_FORM_WIDE) {
        return list_candidates_wide(data, size, found);
    }
#endif
    (void)form;
    return list_candidates(data, size, found);
}

/* Looks for a cut as find_cut does, in whole steps, and moves *at on by those it has seen. Reads from
 * data[*at - WINDOW] on: *at is at least that. Returns the cut, or 0. */
static size_t find_cut_vector(uint32_t form, const uint8_t *data, size_t *at, size_t end, uint32_t threshold)
{
    uint16_t found[SPAN / 2 + 1];
    size_t from = *at;
    size_t size;

    for (; (size = (end - from) & ~(size_t)(STEP - 1)) != 0; from += size) {
        size = size < SPAN ? size : SPAN;
        size_t count = list_in(form, data + from, size, found);
        for (size_t i = 0; i < count; i++) {
            size_t cut = from + found[i] + 1;
            if (window_hash(data + cut - WINDOW) < threshold) {
                return cut;
            }
        }
    }
    *at = from;
    return 0;
}

#endif /* TBX_VECTOR */

#endif
