/* Any input, any parameters, any split: cuts lie in bounds and depend neither on the split nor on the form. */
#include "toastbox.h"

#include <stdlib.h>
#include <string.h>

enum { HEAD = 8, ENDS = 1024 };

static void require(int condition)
{
    if (!condition) {
        abort();
    }
}

static void check_bounds(const tbx_chunker *chunker, const size_t *ends, size_t count, size_t size)
{
    size_t start = 0;

    for (size_t i = 0; i < count; i++) {
        require(ends[i] - start >= chunker->min_size && ends[i] - start <= chunker->max_size);
        start = ends[i];
    }
    require(size - start < chunker->max_size);
}

/* Feeds data in pieces whose sizes come from split; each piece is its own allocation. */
static void check_split(tbx_chunker *chunker, const uint8_t *data, size_t size, const size_t *ends,
                        size_t count, uint8_t split)
{
    size_t at = 0;
    size_t seen = 0;

    tbx_chunker_reset(chunker);
    while (at < size) {
        size_t piece = (size_t)(split = (uint8_t)(split * 5 + 1)) + 1;
        size_t used = 0;
        piece = piece < size - at ? piece : size - at;
        uint8_t *copy = malloc(piece);
        require(copy != NULL);
        memcpy(copy, data + at, piece);
        if (tbx_chunker_scan(chunker, copy, piece, &used) == 1) {
            require(seen < count && ends[seen] == at + used);
            seen++;
        }
        free(copy);
        at += used;
    }
    require(seen == count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tbx_chunker chunker;
    size_t ends[ENDS];
    size_t used = 0;

    if (size < HEAD) {
        return 0;
    }
    uint32_t avg = UINT32_C(512) << (data[0] % 4);
    uint32_t min = 32u + data[1] * 2u;
    uint32_t max = avg + data[2] * 16u;
    if (tbx_chunker_init(&chunker, min, avg, max) != TBX_OK) {
        require(min > avg);
        return 0;
    }
    uint8_t split = data[3];
    data += HEAD;
    size -= HEAD;
    size_t count = tbx_chunker_cuts(&chunker, data, size, ends, ENDS, &used);
    require(used == size);
    check_bounds(&chunker, ends, count, size);
    check_split(&chunker, data, size, ends, count, split);
    require(tbx_chunker_use(&chunker, TBX_FORM_SCALAR) == TBX_OK);
    check_split(&chunker, data, size, ends, count, 255);
    return 0;
}
