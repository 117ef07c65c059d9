/* Content-defined chunker: two-stage gear. The rule is CHUNKER.md; this is its scalar form, and what is common
 * to it and the vector forms of chunker_vector.h.
 *
 * Stage one is a rolling hash of one byte, h = 2h + T[b] mod 256. A byte's part is shifted out after eight
 * steps, so h depends on the last eight bytes and on nothing else: a vector unit may compute it for all
 * positions at once, and a stream may start it anywhere eight bytes early. h = 0 makes a candidate, one
 * position in 256. Stage two hashes the last 32 bytes at candidates only, well mixed, and compares with a
 * threshold.
 *
 * Because min_size is at least 32, both windows lie inside the present chunk: a cut never depends on bytes
 * before the cut that precedes it, and bytes before min_size - 32 need not be looked at.
 */
#include "toastbox.h"

enum { GEAR_WINDOW = 8 };

#define WINDOW ((size_t)TBX_CHUNKER_WINDOW)

/* T[b] = LOW[b & 15] ^ HIGH[b >> 4], the tables of CHUNKER.md, written out: one load a byte instead of two.
 * A vector form uses the two tables of 16 as nibble shuffles. No T[b] is 0, so a run of one byte has no
 * candidate. */
#define ROW(high)                                                                                            \
    0x7f ^ (high), 0xf2 ^ (high), 0x68 ^ (high), 0x88 ^ (high), 0xe9 ^ (high), 0x05 ^ (high), 0x1d ^ (high), \
        0xab ^ (high), 0x3e ^ (high), 0x7a ^ (high), 0x5d ^ (high), 0x7c ^ (high), 0x27 ^ (high),            \
        0xd4 ^ (high), 0xeb ^ (high), 0xb3 ^ (high)

static const uint8_t GEAR[256] = {ROW(0xf5), ROW(0xe1), ROW(0x4e), ROW(0xd8), ROW(0x5b), ROW(0x3d),
                                  ROW(0x24), ROW(0x1f), ROW(0xe2), ROW(0xbb), ROW(0x3b), ROW(0x4b),
                                  ROW(0x26), ROW(0x7e), ROW(0xce), ROW(0x96)};

/* Stage two: 32 bytes as eight little-endian words, multiplied and folded. */
static uint32_t window_hash(const uint8_t *window)
{
    uint32_t hash = UINT32_C(0x9e3779b9);

#ifndef __OPTIMIZE_SIZE__
#pragma GCC unroll 8
#endif
    for (size_t at = 0; at < WINDOW; at += 4) {
        uint32_t word = (uint32_t)window[at] | (uint32_t)window[at + 1] << 8 |
                        (uint32_t)window[at + 2] << 16 | (uint32_t)window[at + 3] << 24;
        hash = (hash ^ word) * UINT32_C(0x85ebca6b);
        hash ^= hash >> 15;
    }
    return hash;
}

#include "chunker_vector.h"

#ifndef TBX_VECTOR
static uint32_t best_form(void)
{
    return TBX_FORM_SCALAR;
}
#endif

/* 2^40 / avg_size, without a division: small cores have none. A candidate comes every 256 bytes, so a
 * hash below this cuts once in avg_size bytes. */
static uint32_t base_threshold(uint32_t avg_size)
{
    uint32_t threshold = UINT32_C(1) << 31;

    for (uint32_t size = TBX_CHUNKER_AVG_LEAST; size < avg_size; size <<= 1) {
        threshold >>= 1;
    }
    return threshold;
}

int tbx_chunker_init(tbx_chunker *chunker, uint32_t min_size, uint32_t avg_size, uint32_t max_size)
{
    if (avg_size < TBX_CHUNKER_AVG_LEAST || avg_size > TBX_CHUNKER_AVG_MOST ||
        (avg_size & (avg_size - 1)) != 0) {
        return TBX_ERR_PARAMETER;
    }
    if (min_size < TBX_CHUNKER_WINDOW || min_size > avg_size) {
        return TBX_ERR_PARAMETER;
    }
    if (max_size < avg_size || max_size > UINT32_C(1) << 30) {
        return TBX_ERR_PARAMETER;
    }
    uint32_t base = base_threshold(avg_size);
    *chunker = (tbx_chunker){.min_size = min_size, .avg_size = avg_size, .max_size = max_size};
    chunker->strict = base / 2 + base / 8;
    chunker->loose = base >= UINT32_C(1) << 30 ? UINT32_MAX : base * 4;
    chunker->form = best_form();
    return TBX_OK;
}

int tbx_chunker_use(tbx_chunker *chunker, uint32_t form)
{
    if (form > best_form()) {
        return TBX_ERR_PARAMETER;
    }
    chunker->form = form;
    return TBX_OK;
}

void tbx_chunker_reset(tbx_chunker *chunker)
{
    chunker->position = 0;
    chunker->gear = 0;
}

/* Copies bytes that may overlap when to is below from. */
static void copy_down(uint8_t *to, const uint8_t *from, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        to[i] = from[i];
    }
}

/* Stage two at the candidate data[end - 1]; the window's head may be in an earlier call's data. */
static uint32_t hash_before(const tbx_chunker *chunker, const uint8_t *data, size_t end)
{
    uint8_t joined[TBX_CHUNKER_WINDOW];

    if (end >= WINDOW) {
        return window_hash(data + end - WINDOW);
    }
    copy_down(joined, chunker->tail + end, WINDOW - end);
    copy_down(joined + WINDOW - end, data, end);
    return window_hash(joined);
}

/* Rolls stage one over data[at..end). */
static void roll(tbx_chunker *chunker, const uint8_t *data, size_t at, size_t end)
{
    for (; at < end; at++) {
        chunker->gear = (chunker->gear << 1) + GEAR[data[at]];
    }
}

/* Rolls stage one over data[at..end) and stops after a candidate: returns the offset behind it, or end + 1.
 */
static size_t next_candidate(uint32_t *gear, const uint8_t *data, size_t at, size_t end)
{
    uint32_t hash = *gear << 24; /* in the top byte: an addition tells by itself that all is 0 */

    for (; end - at >= 4; at += 4) { /* by fours: one end of a loop, and four loads in flight */
        const uint8_t *four = data + at;
        uint32_t gears[4] = {GEAR[four[0]], GEAR[four[1]], GEAR[four[2]], GEAR[four[3]]};
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; i++) {
            hash = hash + hash + (gears[i] << 24);
            if (hash == 0) {
                *gear = 0;
                return at + i + 1;
            }
        }
    }
    for (; at < end; at++) {
        hash = hash + hash + ((uint32_t)GEAR[data[at]] << 24);
        if (hash == 0) {
            *gear = 0;
            return at + 1;
        }
    }
    *gear = hash >> 24;
    return end + 1;
}

/* Looks for a cut whose hash is below threshold, with ends in (at, end]; 0 when there is none. */
static size_t find_cut_scalar(tbx_chunker *chunker, const uint8_t *data, size_t at, size_t end,
                              uint32_t threshold)
{
    while (at < end) {
        at = next_candidate(&chunker->gear, data, at, end);
        if (at <= end && hash_before(chunker, data, at) < threshold) {
            return at;
        }
    }
    return 0;
}

/* The same in the form chosen: what is too near the data's beginning or too short for blocks is done scalar. */
static size_t find_cut(tbx_chunker *chunker, const uint8_t *data, size_t at, size_t end, uint32_t threshold)
{
#ifdef TBX_VECTOR
    if (chunker->form != TBX_FORM_SCALAR && end >= WINDOW + STEP) {
        size_t start = at < WINDOW ? WINDOW : at;
        size_t cut = find_cut_scalar(chunker, data, at, start, threshold);
        at = start;
        if (cut == 0) {
            cut = find_cut_vector(chunker->form, data, &at, end, threshold);
        }
        if (cut != 0) {
            return cut;
        }
        roll(chunker, data, at - GEAR_WINDOW, at);
    }
#endif
    return find_cut_scalar(chunker, data, at, end, threshold);
}

/* Keeps the last WINDOW bytes consumed. */
static void keep_tail(tbx_chunker *chunker, const uint8_t *data, size_t size)
{
    if (size >= WINDOW) {
        copy_down(chunker->tail, data + size - WINDOW, WINDOW);
        return;
    }
    copy_down(chunker->tail, chunker->tail + size, WINDOW - size);
    copy_down(chunker->tail + WINDOW - size, data, size);
}

/* The offset in data where the present chunk has target bytes, held within 0 and size. */
static size_t offset_of(const tbx_chunker *chunker, uint32_t target, size_t size)
{
    if (target <= chunker->position) {
        return 0;
    }
    size_t offset = target - chunker->position;
    return offset < size ? offset : size;
}

/* Where the present chunk's cut falls in data, or 0. The four spans: not looked at, rolled to fill stage
 * one's window, strict, loose. An end at avg_size exactly is judged by the loose threshold. */
static size_t cut_in(tbx_chunker *chunker, const uint8_t *data, size_t size)
{
    size_t skip = offset_of(chunker, chunker->min_size - GEAR_WINDOW, size);
    size_t first = offset_of(chunker, chunker->min_size - 1, size);
    size_t middle = offset_of(chunker, chunker->avg_size - 1, size);
    size_t last = offset_of(chunker, chunker->max_size, size);

    roll(chunker, data, skip, first);
    size_t cut = find_cut(chunker, data, first, middle, chunker->strict);
    if (cut == 0) {
        cut = find_cut(chunker, data, middle, last, chunker->loose);
    }
    if (cut == 0 && last + chunker->position == chunker->max_size) {
        cut = last;
    }
    return cut;
}

int tbx_chunker_scan(tbx_chunker *chunker, const uint8_t *data, size_t size, size_t *used)
{
    size_t cut = size == 0 ? 0 : cut_in(chunker, data, size);

    if (cut != 0) {
        tbx_chunker_reset(chunker);
        *used = cut;
        return 1;
    }
    if (size != 0) {
        keep_tail(chunker, data, size);
        chunker->position += (uint32_t)size;
    }
    *used = size;
    return 0;
}

size_t tbx_chunker_cuts(tbx_chunker *chunker, const uint8_t *data, size_t size, size_t *ends, size_t capacity,
                        size_t *used)
{
    size_t count = 0;
    size_t at = 0;

    while (at < size && count < capacity) {
        size_t step = 0;
        int found = tbx_chunker_scan(chunker, data + at, size - at, &step);
        at += step;
        if (found == 1) {
            ends[count++] = at;
        }
    }
    *used = at;
    return count;
}
