/* Chunker under sanitizers: buffers of exact size, so that a byte read too far is seen. */
#include "test.h"

#include "toastbox.h"

#include <string.h>

enum { MIN = 64, AVG = 512, MAX = 2048, SIZE = 6000, ENDS = SIZE / MIN + 1 };

static uint8_t *random_bytes(size_t size, uint32_t seed)
{
    uint8_t *data = malloc(size);

    CHECK(data != NULL);
    for (size_t i = 0; i < size; i++) {
        data[i] = (uint8_t)next_random(&seed);
    }
    return data;
}

/* Feeds a copy of data[0..size) that ends where the allocation ends. */
static size_t feed(tbx_chunker *chunker, const uint8_t *data, size_t size, size_t base, size_t *ends,
                   size_t count)
{
    uint8_t *piece = malloc(size + 1);
    size_t used = 0;
    size_t found[ENDS];

    CHECK(piece != NULL);
    memcpy(piece + 1, data, size);
    size_t more = tbx_chunker_cuts(chunker, piece + 1, size, found, ENDS, &used);
    CHECK(used == size);
    for (size_t i = 0; i < more; i++) {
        ends[count++] = base + found[i];
    }
    free(piece);
    return count;
}

static void check_split(const uint8_t *data, const size_t *expected, size_t count, size_t step, size_t first,
                        uint32_t form)
{
    tbx_chunker chunker;
    size_t ends[ENDS];
    size_t got = 0;

    CHECK(tbx_chunker_init(&chunker, MIN, AVG, MAX) == TBX_OK);
    CHECK(tbx_chunker_use(&chunker, form) == TBX_OK);
    got = feed(&chunker, data, first, 0, ends, got);
    for (size_t at = first; at < SIZE; at += step) {
        size_t size = SIZE - at < step ? SIZE - at : step;
        got = feed(&chunker, data + at, size, at, ends, got);
    }
    CHECK(got == count && memcmp(ends, expected, count * sizeof *ends) == 0);
}

static void test_any_split_gives_same_cuts(void)
{
    uint8_t *data = random_bytes(SIZE, 7);
    tbx_chunker chunker;
    size_t expected[ENDS];

    CHECK(tbx_chunker_init(&chunker, MIN, AVG, MAX) == TBX_OK);
    size_t count = feed(&chunker, data, SIZE, 0, expected, 0);
    CHECK(count > 5);
    for (uint32_t form = TBX_FORM_SCALAR; form <= chunker.form; form++) {
        for (size_t first = 0; first <= SIZE; first++) {
            check_split(data, expected, count, SIZE, first, form);
        }
        for (size_t step = 1; step < 200; step++) {
            check_split(data, expected, count, step, 0, form);
        }
    }
    free(data);
}

static void test_full_ends_stop_and_go_on(void)
{
    uint8_t *data = random_bytes(SIZE, 7);
    tbx_chunker chunker;
    size_t all[ENDS];
    size_t one;
    size_t used = 0;

    CHECK(tbx_chunker_init(&chunker, MIN, AVG, MAX) == TBX_OK);
    size_t count = tbx_chunker_cuts(&chunker, data, SIZE, all, ENDS, &used);
    tbx_chunker_reset(&chunker);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        CHECK(tbx_chunker_cuts(&chunker, data + at, SIZE - at, &one, 1, &used) == 1);
        at += used;
        CHECK(one == used && at == all[i]);
    }
    CHECK(tbx_chunker_cuts(&chunker, data + at, SIZE - at, &one, 0, &used) == 0 && used == 0);
    free(data);
}

static void test_parameters_out_of_range_are_refused(void)
{
    static const uint32_t wrong[][3] = {
        {31, 512, 2048},           {513, 512, 2048}, {64, 500, 2048},
        {64, 256, 2048},           {64, 512, 511},   {64, 33554432, 1 << 30},
        {64, 512, (1u << 30) + 1}, {0, 0, 0},        {UINT32_MAX, UINT32_MAX, UINT32_MAX},
    };
    tbx_chunker chunker;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK(tbx_chunker_init(&chunker, wrong[i][0], wrong[i][1], wrong[i][2]) == TBX_ERR_PARAMETER);
    }
    CHECK(tbx_chunker_init(&chunker, 32, 512, 512) == TBX_OK);
    CHECK(tbx_chunker_init(&chunker, 16777216, 16777216, 1u << 30) == TBX_OK);
}

void test_chunker(void)
{
    test_any_split_gives_same_cuts();
    test_full_ends_stop_and_go_on();
    test_parameters_out_of_range_are_refused();
}
