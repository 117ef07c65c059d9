/* Any sequence of takes, gives, marks and releases: what is out never overlaps, and figures add up.
 *
 * Every piece that is out is filled with its number; a piece that lost its number was handed out twice.
 */
#include "toastbox.h"

#include <stdlib.h>
#include <string.h>

enum { SIZE = 8192, PIECES = 256, STACK = 32 };

struct piece {
    uint8_t *bytes;
    size_t size;
    uint8_t number;
    size_t mark; /* bump region's top before it */
};

struct model {
    tbx_region *pool;
    tbx_region *bump;
    struct piece records[PIECES]; /* slot by slot; bytes NULL: free */
    struct piece stack[PIECES];
    size_t depth;
    uint8_t next;
};

static void require(int condition)
{
    if (!condition) {
        abort();
    }
}

static void fill(struct piece *piece, uint8_t *bytes, size_t size, uint8_t number)
{
    *piece = (struct piece){.bytes = bytes, .size = size, .number = number};
    memset(bytes, number, size);
}

static void check_intact(const struct piece *piece)
{
    for (size_t i = 0; i < piece->size; i++) {
        require(piece->bytes[i] == piece->number);
    }
}

static void take_record(struct model *model, uint8_t slot)
{
    void *out = NULL;
    uint32_t refusals = model->pool->refusals;
    int result = tbx_pool_take(model->pool, &out);

    if (result != TBX_OK) {
        require(result == TBX_ERR_FULL && model->pool->in_use == model->pool->size);
        require(model->pool->refusals == refusals + 1);
    } else if (model->records[slot].bytes != NULL) {
        require(tbx_pool_give(model->pool, out) == TBX_OK);
    } else {
        fill(&model->records[slot], out, model->pool->record_size, model->next++);
    }
}

static void give_record(struct model *model, uint8_t slot, uint8_t skew)
{
    struct piece *piece = &model->records[slot];

    if (piece->bytes == NULL) {
        return;
    }
    if (skew % 16 != 0) {
        require(tbx_pool_give(model->pool, piece->bytes + skew % 16) == TBX_ERR_FOREIGN);
    }
    check_intact(piece);
    require(tbx_pool_give(model->pool, piece->bytes) == TBX_OK);
    require(tbx_pool_give(model->pool, piece->bytes) == TBX_ERR_FOREIGN);
    piece->bytes = NULL;
}

static void take_piece(struct model *model, size_t size)
{
    void *out = NULL;
    size_t mark = tbx_bump_mark(model->bump);
    int result = model->depth < PIECES ? tbx_bump_take(model->bump, size, &out) : TBX_ERR_FULL;

    if (result == TBX_OK) {
        struct piece *piece = &model->stack[model->depth++];
        fill(piece, out, size, model->next++);
        piece->mark = mark;
    } else {
        require(tbx_bump_mark(model->bump) == mark);
    }
}

static void release_pieces(struct model *model, size_t count)
{
    while (count-- > 0 && model->depth > 0) {
        struct piece *piece = &model->stack[--model->depth];
        check_intact(piece);
        require(tbx_bump_release(model->bump, piece->mark) == TBX_OK);
        require(tbx_bump_release(model->bump, piece->mark + 16) == TBX_ERR_ORDER);
    }
}

static void step(struct model *model, const uint8_t *op)
{
    switch (op[0] % 4) {
    case 0:
        take_record(model, op[1]);
        break;
    case 1:
        give_record(model, op[1], op[2]);
        break;
    case 2:
        take_piece(model, (size_t)op[1] * 4 + op[2]);
        break;
    default:
        release_pieces(model, op[1] % 4);
    }
}

static void check_figures(const struct model *model)
{
    size_t records = 0;

    for (size_t i = 0; i < PIECES; i++) {
        if (model->records[i].bytes != NULL) {
            check_intact(&model->records[i]);
            records++;
        }
    }
    for (size_t i = 0; i < model->depth; i++) {
        check_intact(&model->stack[i]);
    }
    require(model->pool->in_use == records * model->pool->record_size);
    require(model->bump->in_use <= model->bump->peak && model->bump->peak <= model->bump->size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct model model;
    tbx_arena arena;
    uint8_t *memory = malloc(SIZE);

    if (memory == NULL || size < 2) {
        free(memory);
        return 0;
    }
    require(tbx_arena_init(&arena, memory, SIZE) == TBX_OK);
    int pool = tbx_arena_pool(&arena, "pool", data[0] + 1u, data[1] % 64u + 1u);
    int bump = pool < 0 ? pool : tbx_arena_carve(&arena, "bump", 0);
    if (bump >= 0) {
        model = (struct model){.pool = &arena.regions[pool], .bump = &arena.regions[bump]};
        for (size_t at = 2; at + 3 <= size; at += 3) {
            step(&model, data + at);
        }
        check_figures(&model);
    }
    free(memory);
    return 0;
}
