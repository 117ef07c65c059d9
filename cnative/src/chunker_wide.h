/* AVX-512 form of stage one, beside AVX2: chunker_vector.h includes this and says how the sums are had.
 *
 * The vectors are twice as wide, a comparison gives the mask that AVX2 has to gather, and GFNI shifts within
 * bytes, as a product of each with a matrix of bits.
 */
#ifndef TOASTBOX_CHUNKER_WIDE_H
#define TOASTBOX_CHUNKER_WIDE_H

#define BYTES_RIGHT_4(bytes) _mm512_gf2p8affine_epi64_epi8(bytes, _mm512_set1_epi64(0x1020408000000000), 0)
#define BYTES_LEFT_2(bytes) _mm512_gf2p8affine_epi64_epi8(bytes, _mm512_set1_epi64(0x0000010204081020), 0)
#define BYTES_LEFT_4(bytes) _mm512_gf2p8affine_epi64_epi8(bytes, _mm512_set1_epi64(0x0000000001020408), 0)

/* The sums of one block, which the next one needs the ends of. */
typedef struct wide_block {
    __m512i s1, s2, s4;
} wide_block;

/* now moved up by count lanes, its lowest filled with the highest of before. */
#define SHIFT_IN_WIDE(before, now, count) \
    _mm512_alignr_epi8(now, _mm512_alignr_epi64(now, before, 6), 16 - (count))

/* Moves on to the block of these bytes; h at its positions. */
TBX_WIDE static inline __m512i next_wide(wide_block *before, __m512i bytes)
{
    const __m512i low = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)LOW));
    const __m512i high = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)HIGH));
    __m512i below = _mm512_and_si512(bytes, _mm512_set1_epi8(15));
    __m512i s1 = _mm512_xor_si512(_mm512_shuffle_epi8(low, below),
                                  _mm512_shuffle_epi8(high, BYTES_RIGHT_4(bytes)));
    __m512i moved = SHIFT_IN_WIDE(before->s1, s1, 1);
    __m512i s2 = _mm512_add_epi8(s1, _mm512_add_epi8(moved, moved));
    __m512i s4 = _mm512_add_epi8(s2, BYTES_LEFT_2(SHIFT_IN_WIDE(before->s2, s2, 2)));
    __m512i s8 = _mm512_add_epi8(s4, BYTES_LEFT_4(_mm512_alignr_epi32(s4, before->s4, 15)));

    *before = (wide_block){.s1 = s1, .s2 = s2, .s4 = s4};
    return s8;
}

/* As list_candidates. */
TBX_WIDE static size_t list_candidates_wide(const uint8_t *data, size_t size, uint16_t *found)
{
    wide_block before = {0};
    size_t count = 0;
    __m256i window = _mm256_loadu_si256((const __m256i *)(const void *)(data - WINDOW));

    next_wide(&before, _mm512_broadcast_i64x4(window)); /* its last lanes count, as for AVX2 */
    for (size_t at = 0; at < size; at += STEP) {
        FETCH_NEXT(data + at);
        __m512i sums = next_wide(&before, _mm512_loadu_si512((const void *)(data + at)));
        count = list_bits(_mm512_testn_epi8_mask(sums, sums), at, found, count);
    }
    return count;
}

#endif
