/* Cuts of each form of the chunker, for tests/native/test_native_forms.py; also cross-built and run under emulation.
 *
 * Standard input: cases, each four u32 (min, avg, max, size), then size bytes; numbers in the byte order of the
 * machine. For each case and form a line: the form's number, then the cuts. A case of at most SPLIT bytes is fed
 * again for every split in two and in pieces of every size, each piece at an odd address; other cuts end it.
 */
#include "toastbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SPLIT = 1600 };

static void require(int condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "cuts: %s\n", what);
        exit(1);
    }
}

static size_t feed(tbx_chunker *chunker, const uint8_t *data, size_t from, size_t to, size_t *ends, size_t count)
{
    uint8_t *piece = malloc(to - from + 1);
    size_t used = 0;

    require(piece != NULL, "no memory");
    memcpy(piece + 1, data + from, to - from);
    size_t more = tbx_chunker_cuts(chunker, piece + 1, to - from, ends + count, (to - from) / 32 + 2, &used);
    require(used == to - from, "not all was consumed");
    for (size_t i = count; i < count + more; i++) {
        ends[i] += from;
    }
    free(piece);
    return count + more;
}

/* data in a first piece of `first` bytes, then pieces of `step`. */
static void check_split(tbx_chunker *chunker, const uint8_t *data, size_t size, const size_t *expected,
                        size_t count, size_t first, size_t step)
{
    size_t *ends = calloc(size + 4, sizeof *ends);

    require(ends != NULL, "no memory");
    tbx_chunker_reset(chunker);
    size_t got = feed(chunker, data, 0, first, ends, 0);
    for (size_t at = first; at < size; at += step) {
        got = feed(chunker, data, at, at + (size - at < step ? size - at : step), ends, got);
    }
    require(got == count && memcmp(ends, expected, count * sizeof *ends) == 0, "a split changed the cuts");
    free(ends);
}

static void run(const uint32_t *head, const uint8_t *data, uint32_t form)
{
    tbx_chunker chunker;
    size_t size = head[3];
    size_t *ends = calloc(size / 32 + 4, sizeof *ends);

    require(ends != NULL, "no memory");
    require(tbx_chunker_init(&chunker, head[0], head[1], head[2]) == TBX_OK, "parameters refused");
    if (tbx_chunker_use(&chunker, form) == TBX_OK) {
        size_t count = feed(&chunker, data, 0, size, ends, 0);
        printf("%u", (unsigned)form);
        for (size_t i = 0; i < count; i++) {
            printf(" %zu", ends[i]);
        }
        printf("\n");
        for (size_t at = 1; size <= SPLIT && at < size; at++) {
            check_split(&chunker, data, size, ends, count, at, size);
            check_split(&chunker, data, size, ends, count, 0, at);
        }
    }
    free(ends);
}

int main(void)
{
    uint32_t head[4];

    while (fread(head, sizeof head, 1, stdin) == 1) {
        uint8_t *data = malloc((size_t)head[3] + 1);
        require(data != NULL && fread(data, 1, head[3], stdin) == head[3], "a case is cut short");
        for (uint32_t form = TBX_FORM_SCALAR; form <= TBX_FORM_WIDE; form++) {
            run(head, data, form);
        }
        free(data);
    }
    return 0;
}
