/* Arena: fixed memory, carved once into regions, each with its own discipline and its own statistics.
 *
 * A bump region is a stack: take moves the top up, release moves it back to a mark. It has no per-piece
 * overhead and cannot fragment. A pool gives records of one size in any order: free records are chained
 * through their first four bytes, and a bit per record tells taken from free, so that a record given back
 * twice is refused rather than handed out twice. Chunk buffers are a pool with large records.
 *
 * A refusal changes nothing but its counter: the caller works on with a smaller batch.
 */
#include "toastbox.h"

#define ALIGN ((size_t)TBX_ARENA_ALIGN)

/* size rounded up to the alignment, or 0 when that is not representable. */
static size_t round_up(size_t size)
{
    return size > SIZE_MAX - ALIGN ? 0 : (size + ALIGN - 1) & ~(ALIGN - 1);
}

int tbx_arena_init(tbx_arena *arena, void *memory, size_t size)
{
    size_t skew = (size_t)((uintptr_t)memory & (ALIGN - 1));
    size_t lost = skew == 0 ? 0 : ALIGN - skew;

    if (memory == NULL || size < lost + ALIGN) {
        return TBX_ERR_PARAMETER;
    }
    arena->base = (uint8_t *)memory + lost;
    arena->size = (size - lost) & ~(ALIGN - 1);
    arena->carved = 0;
    arena->region_count = 0;
    return TBX_OK;
}

static void set_name(tbx_region *region, const char *name)
{
    size_t i = 0;

    while (i < TBX_NAME_SIZE - 1 && name[i] != 0) {
        region->name[i] = name[i];
        i++;
    }
    while (i < TBX_NAME_SIZE) {
        region->name[i++] = 0;
    }
}

/* Takes the next `size` bytes (already rounded) for a region. Returns its index, or an error. */
static int carve(tbx_arena *arena, const char *name, size_t size)
{
    if (name == NULL || size == 0 || arena->region_count >= TBX_ARENA_REGIONS) {
        return TBX_ERR_PARAMETER;
    }
    if (size > arena->size - arena->carved) {
        return TBX_ERR_FULL;
    }
    tbx_region *region = &arena->regions[arena->region_count];
    *region = (tbx_region){.base = arena->base + arena->carved, .size = size};
    set_name(region, name);
    arena->carved += size;
    return (int)arena->region_count++;
}

int tbx_arena_carve(tbx_arena *arena, const char *name, size_t size)
{
    if (size == 0) {
        return carve(arena, name, arena->size - arena->carved);
    }
    return carve(arena, name, round_up(size));
}

/* value / by, by shifts: small cores have no division, and a native module no runtime library. */
static size_t quotient(size_t value, size_t by)
{
    size_t result = 0;
    size_t bit = 1;

    while (by <= value >> 1) {
        by <<= 1;
        bit <<= 1;
    }
    for (; bit != 0; bit >>= 1, by >>= 1) {
        if (value >= by) {
            value -= by;
            result |= bit;
        }
    }
    return result;
}

static uint32_t *link_of(const tbx_region *region, uint32_t index)
{
    return (uint32_t *)(void *)(region->base + (size_t)index * region->record_size);
}

/* Chains all records, first to last. */
static void chain_records(tbx_region *region)
{
    for (uint32_t i = 0; i < region->record_count; i++) {
        *link_of(region, i) = i + 1 < region->record_count ? i + 2 : 0;
    }
    region->free_head = 1;
}

int tbx_arena_pool(tbx_arena *arena, const char *name, size_t record_size, uint32_t count)
{
    size_t step = round_up(record_size);
    size_t bits = round_up(((size_t)count + 7) / 8);

    if (record_size == 0 || record_size > UINT32_C(1) << 31 || count == 0 || count == UINT32_MAX) {
        return TBX_ERR_PARAMETER;
    }
    if (count > quotient(SIZE_MAX - bits, step)) {
        return TBX_ERR_FULL;
    }
    int index = carve(arena, name, step * count + bits);
    if (index < 0) {
        return index;
    }
    tbx_region *region = &arena->regions[index];
    region->size = step * count;
    region->record_size = (uint32_t)step;
    region->record_count = count;
    region->taken = region->base + region->size;
    for (size_t i = 0; i < bits; i++) {
        region->taken[i] = 0;
    }
    chain_records(region);
    return index;
}

static int refuse(tbx_region *region)
{
    if (region->refusals < UINT32_MAX) {
        region->refusals++;
    }
    return TBX_ERR_FULL;
}

static void account(tbx_region *region, size_t size)
{
    region->in_use += size;
    if (region->in_use > region->peak) {
        region->peak = region->in_use;
    }
}

int tbx_bump_take(tbx_region *region, size_t size, void **out)
{
    size_t step = round_up(size);

    if (size == 0 || region->record_size != 0) {
        return TBX_ERR_PARAMETER;
    }
    if (step == 0 || step > region->size - region->in_use) {
        return refuse(region);
    }
    *out = region->base + region->in_use;
    account(region, step);
    return TBX_OK;
}

size_t tbx_bump_mark(const tbx_region *region)
{
    return region->in_use;
}

int tbx_bump_release(tbx_region *region, size_t mark)
{
    if (region->record_size != 0 || (mark & (ALIGN - 1)) != 0) {
        return TBX_ERR_PARAMETER;
    }
    if (mark > region->in_use) {
        return TBX_ERR_ORDER;
    }
    region->in_use = mark;
    return TBX_OK;
}

int tbx_pool_take(tbx_region *region, void **out)
{
    if (region->record_size == 0) {
        return TBX_ERR_PARAMETER;
    }
    if (region->free_head == 0) {
        return refuse(region);
    }
    uint32_t index = region->free_head - 1;
    region->free_head = *link_of(region, index);
    region->taken[index / 8] |= (uint8_t)(1u << (index % 8));
    account(region, region->record_size);
    *out = link_of(region, index);
    return TBX_OK;
}

int tbx_pool_give(tbx_region *region, void *record)
{
    uintptr_t base = (uintptr_t)region->base;
    uintptr_t at = (uintptr_t)record;

    if (region->record_size == 0) {
        return TBX_ERR_PARAMETER;
    }
    if (at < base || at - base >= region->size) {
        return TBX_ERR_FOREIGN;
    }
    uint32_t index = (uint32_t)quotient(at - base, region->record_size);
    uint8_t bit = (uint8_t)(1u << (index % 8));
    if (link_of(region, index) != record || (region->taken[index / 8] & bit) == 0) {
        return TBX_ERR_FOREIGN;
    }
    region->taken[index / 8] &= (uint8_t)~bit;
    *link_of(region, index) = region->free_head;
    region->free_head = index + 1;
    region->in_use -= region->record_size;
    return TBX_OK;
}
