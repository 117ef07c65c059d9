/* Chunk lists under sanitizers, by a digest that is none: what is asked of the library, and what it may refuse. */
#include "test.h"

#include "toastbox_linux.h"

#include <errno.h>
#include <string.h>

typedef struct context {
    int begun;
    unsigned size;
    uint8_t sum;
} context;

static int living;       /* contexts that are not freed */
static int refused = -1; /* which update fails */
static int updates;

static void *context_new(void)
{
    living++;
    return calloc(1, sizeof(context));
}

static void context_free(void *given)
{
    living--;
    free(given);
}

static const void *sha256(void)
{
    return "SHA2-256";
}

/* The kind is told once; what was summed before is forgotten. */
static int begin(void *given, const void *kind, void *engine)
{
    context *now = given;

    CHECK(engine == NULL && (kind != NULL) == !now->begun);
    *now = (context){.begun = 1};
    return 1;
}

static int update(void *given, const void *data, size_t size)
{
    context *now = given;
    const uint8_t *bytes = data;

    for (size_t i = 0; i < size; i++) {
        now->sum = (uint8_t)(now->sum + bytes[i]);
    }
    return updates++ != refused;
}

static int end(void *given, uint8_t *digest, unsigned int *size)
{
    context *now = given;

    memset(digest, now->sum, 32);
    *size = 32;
    return 1;
}

void test_digest(void)
{
    const tbx_digester with = {context_new, context_free, sha256, begin, update, end};
    const size_t ends[3] = {1, 301, 303};
    tbx_digester none;
    uint8_t data[303];
    uint8_t out[3 * 36];

    memset(data, 1, sizeof data);
    CHECK(tbx_digest_chunks(&with, out, data, ends, 3) == TBX_OK && living == 0);
    CHECK(out[0] == 1 && out[31] == 1 && memcmp(out + 32, "\1\0\0\0", 4) == 0);
    CHECK(out[36] == 300 % 256 && memcmp(out + 68, "\x2c\1\0\0", 4) == 0);
    CHECK(out[72] == 2 && memcmp(out + 104, "\2\0\0\0", 4) == 0);
    CHECK(tbx_digest_chunks(&with, out, data, ends, 0) == TBX_OK && living == 0);
    updates = 0;
    refused = 1;
    CHECK(tbx_digest_chunks(&with, out, data, ends, 3) == TBX_ERR_SYSTEM && errno == ENOMEM && living == 0);
    CHECK(tbx_digester_open(&none, "libnothing.so.0") == 0 && none.begin == NULL);
    CHECK(tbx_digester_open(&none, "libc.so.6") == 0);
}
