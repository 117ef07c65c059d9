#include "test.h"

#include "toastbox.h"

#include <string.h>

enum { SIZE = 4096 };

static _Alignas(16) uint8_t memory[SIZE];

static tbx_arena fresh(void)
{
    tbx_arena arena;

    CHECK(tbx_arena_init(&arena, memory, SIZE) == TBX_OK);
    return arena;
}

static void test_bump_marks_and_refuses(void)
{
    tbx_arena arena = fresh();
    tbx_region *region = &arena.regions[tbx_arena_carve(&arena, "work", 0)];
    void *first = NULL;
    void *second = NULL;

    CHECK(region->size == SIZE);
    CHECK(tbx_bump_take(region, 1, &first) == TBX_OK && first == memory);
    size_t mark = tbx_bump_mark(region);
    CHECK(tbx_bump_take(region, 100, &second) == TBX_OK && second == memory + 16);
    CHECK(tbx_bump_take(region, SIZE, &second) == TBX_ERR_FULL && region->refusals == 1);
    CHECK(tbx_bump_take(region, SIZE_MAX, &second) == TBX_ERR_FULL && region->refusals == 2);
    CHECK(tbx_bump_take(region, 0, &second) == TBX_ERR_PARAMETER);
    CHECK(region->in_use == 128 && region->peak == 128);
    CHECK(tbx_bump_release(region, mark) == TBX_OK && region->in_use == 16 && region->peak == 128);
    CHECK(tbx_bump_release(region, mark + 16) == TBX_ERR_ORDER);
    CHECK(tbx_bump_release(region, 3) == TBX_ERR_PARAMETER);
    CHECK(tbx_bump_take(region, SIZE - 16, &second) == TBX_OK);
}

static void test_pool_hands_out_each_record_once(void)
{
    tbx_arena arena = fresh();
    tbx_region *region = &arena.regions[tbx_arena_pool(&arena, "pool", 100, 10)];
    uint8_t *taken[10];
    void *more = NULL;

    CHECK(region->record_size == 112 && region->size == 1120);
    for (int i = 0; i < 10; i++) {
        CHECK(tbx_pool_take(region, &more) == TBX_OK);
        taken[i] = more;
        memset(taken[i], i, region->record_size);
    }
    CHECK(tbx_pool_take(region, &more) == TBX_ERR_FULL && region->refusals == 1);
    for (int i = 0; i < 10; i++) {
        CHECK(taken[i][0] == i && taken[i][111] == i);
    }
    CHECK(tbx_pool_give(region, taken[4]) == TBX_OK);
    CHECK(tbx_pool_give(region, taken[4]) == TBX_ERR_FOREIGN);
    CHECK(tbx_pool_give(region, taken[5] + 1) == TBX_ERR_FOREIGN);
    CHECK(tbx_pool_give(region, &more) == TBX_ERR_FOREIGN);
    CHECK(tbx_pool_give(region, region->taken) == TBX_ERR_FOREIGN);
    CHECK(tbx_pool_take(region, &more) == TBX_OK && more == taken[4]);
    CHECK(region->in_use == region->size && region->peak == region->size);
}

static void test_kinds_do_not_mix(void)
{
    tbx_arena arena = fresh();
    tbx_region *pool = &arena.regions[tbx_arena_pool(&arena, "pool", 16, 4)];
    tbx_region *bump = &arena.regions[tbx_arena_carve(&arena, "a name too long for it", 64)];
    void *out = NULL;

    CHECK(strcmp(bump->name, "a name too ") == 0);
    CHECK(tbx_bump_take(pool, 16, &out) == TBX_ERR_PARAMETER);
    CHECK(tbx_bump_release(pool, 0) == TBX_ERR_PARAMETER);
    CHECK(tbx_pool_take(bump, &out) == TBX_ERR_PARAMETER);
    CHECK(tbx_pool_give(bump, bump->base) == TBX_ERR_PARAMETER);
}

static void test_carving_is_bounded(void)
{
    tbx_arena arena = fresh();

    CHECK(tbx_arena_carve(&arena, "x", SIZE + 1) == TBX_ERR_FULL);
    CHECK(tbx_arena_carve(&arena, "x", SIZE_MAX) == TBX_ERR_PARAMETER);
    CHECK(tbx_arena_pool(&arena, "x", 0, 1) == TBX_ERR_PARAMETER);
    CHECK(tbx_arena_pool(&arena, "x", SIZE_MAX, 1) == TBX_ERR_PARAMETER);
    CHECK(tbx_arena_pool(&arena, "x", 1, 0) == TBX_ERR_PARAMETER);
    CHECK(tbx_arena_pool(&arena, "x", (size_t)1 << 31, UINT32_MAX - 1) == TBX_ERR_FULL);
    for (int i = 0; i < TBX_ARENA_REGIONS; i++) {
        CHECK(tbx_arena_carve(&arena, "x", 16) == i);
    }
    CHECK(tbx_arena_carve(&arena, "x", 16) == TBX_ERR_PARAMETER);
    CHECK(tbx_arena_init(&arena, memory, 15) == TBX_ERR_PARAMETER);
    CHECK(tbx_arena_init(&arena, NULL, SIZE) == TBX_ERR_PARAMETER);
    CHECK(tbx_arena_init(&arena, memory + 1, SIZE - 1) == TBX_OK && arena.base == memory + 16);
}

void test_arena(void)
{
    test_bump_marks_and_refuses();
    test_pool_hands_out_each_record_once();
    test_kinds_do_not_mix();
    test_carving_is_bounded();
}
