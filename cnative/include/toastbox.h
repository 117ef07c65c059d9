/* Toastbox C core: arena and chunker.
 *
 * Freestanding C11: no libc, no allocation, no mutable globals. All memory comes from the caller and stays
 * the caller's. Nothing here blocks or calls back. An object may be used by one thread at a time; different
 * objects never meet.
 *
 * cffi reads this header as it is, with the preprocessor's lines left out (cnative/cffi/build_native.py), so
 * everything but include guards is plain C declarations. Sizes are bytes.
 */
#ifndef TOASTBOX_H
#define TOASTBOX_H

#include <stddef.h>
#include <stdint.h>

/* Every function that can fail returns one of these, or a figure from 0 up. */
enum tbx_error {
    TBX_OK = 0,
    TBX_ERR_PARAMETER = -1, /* the caller's fault: sizes out of range, null where memory is needed */
    TBX_ERR_FULL = -2,      /* a region refused: make the batch smaller; nothing was changed */
    TBX_ERR_ORDER = -3,     /* release to a mark that is not below the top: releases go last in, first out */
    TBX_ERR_FOREIGN = -4,   /* given back to a pool: not one of its records, or not taken */
    TBX_ERR_SYSTEM = -5,    /* the kernel refused: errno says why (hosted part only) */
};

/* ---- Arena: src/arena.c ------------------------------------------------------------------------------ */

enum {
    TBX_ARENA_REGIONS = 8, /* regions in one arena at most */
    TBX_ARENA_ALIGN = 16,  /* what a region hands out is aligned to this */
    TBX_NAME_SIZE = 12,    /* a region's name, closing 0 included */
};

/* One part of an arena. A bump region has record_size 0 and gives pieces of any size, released in reverse by
 * marks. A pool gives records of one size, in any order. */
typedef struct tbx_region {
    uint8_t *base;
    size_t size;           /* bytes under management, fixed when carved */
    size_t in_use;         /* bytes taken now, alignment included; for a pool: whole records */
    size_t peak;           /* highest in_use since carved */
    uint32_t refusals;     /* requests that did not fit */
    uint32_t record_size;  /* pool: bytes from one record to the next; bump region: 0 */
    uint32_t record_count; /* pool: records in all */
    uint32_t free_head;    /* pool: first free record's index plus one; 0: none is free */
    uint8_t *taken;        /* pool: one bit a record, set while it is out */
    char name[TBX_NAME_SIZE];
} tbx_region;

/* The whole: memory is carved into regions once, from low to high; regions never move, grow or go away. */
typedef struct tbx_arena {
    uint8_t *base;
    size_t size;
    size_t carved;
    uint32_t region_count;
    tbx_region regions[TBX_ARENA_REGIONS];
} tbx_arena;

/* Starts an arena on memory[0..size), which must outlive it. Its content is not touched. */
int tbx_arena_init(tbx_arena *arena, void *memory, size_t size);

/* Carves a bump region of size bytes; size 0 takes all that is left. Returns its index, or an error. */
int tbx_arena_carve(tbx_arena *arena, const char *name, size_t size);

/* Carves a pool of count records of at least record_size bytes each (1 to 2^31). Costs one bit a record
 * besides, rounded up. Returns its index, or an error. */
int tbx_arena_pool(tbx_arena *arena, const char *name, size_t record_size, uint32_t count);

/* Takes size bytes (1 or more) from a bump region into *out. TBX_ERR_FULL counts as a refusal. */
int tbx_bump_take(tbx_region *region, size_t size, void **out);

/* Where the region's top is now: for tbx_bump_release. */
size_t tbx_bump_mark(const tbx_region *region);

/* Gives back all that was taken since the mark. TBX_ERR_ORDER when the top is below it already. */
int tbx_bump_release(tbx_region *region, size_t mark);

/* Takes one record into *out; its content is undefined. TBX_ERR_FULL counts as a refusal. */
int tbx_pool_take(tbx_region *region, void **out);

/* Gives a record back. TBX_ERR_FOREIGN, and no change, for any address that take did not return or that is
 * free already. */
int tbx_pool_give(tbx_region *region, void *record);

/* ---- Chunker: src/chunker.c, rule in CHUNKER.md ------------------------------------------------------- */

enum {
    TBX_CHUNKER_WINDOW = 32,         /* bytes that decide a cut; least min_size */
    TBX_CHUNKER_AVG_LEAST = 512,     /* avg_size: a power of two from here */
    TBX_CHUNKER_AVG_MOST = 16777216, /* to here */
    TBX_FORM_SCALAR = 0,
    TBX_FORM_VECTOR = 1, /* AVX2, NEON */
    TBX_FORM_WIDE = 2,   /* AVX-512 */
};

/* 64 bytes of state. It holds copies of what it needs of past input and no pointer to it. */
typedef struct tbx_chunker {
    uint32_t min_size; /* no chunk but the input's last is smaller; 32 to avg_size; 16 KiB by default */
    uint32_t avg_size; /* mean aimed at, where the rule loosens; a power of two; 64 KiB by default */
    uint32_t max_size; /* no chunk is larger; avg_size to 2^30; 256 KiB by default */
    uint32_t strict;   /* a candidate below avg_size cuts when its hash is below this */
    uint32_t loose;    /* the same from avg_size on */
    uint32_t position; /* bytes of the present chunk consumed so far */
    uint32_t gear;     /* stage one's hash in the low 8 bits */
    uint32_t form;     /* the highest that processor and build have; the cuts are the same */
    uint8_t tail[TBX_CHUNKER_WINDOW]; /* the last bytes consumed; oldest first */
} tbx_chunker;

/* Sets parameters and starts at a chunk's beginning. TBX_ERR_PARAMETER when they are out of range. */
int tbx_chunker_init(tbx_chunker *chunker, uint32_t min_size, uint32_t avg_size, uint32_t max_size);

/* Chooses the form; init has chosen the fastest. TBX_ERR_PARAMETER: this processor or build lacks it. */
int tbx_chunker_use(tbx_chunker *chunker, uint32_t form);

/* Forgets the present chunk; the parameters stay. */
void tbx_chunker_reset(tbx_chunker *chunker);

/* Consumes data until a cut or its end; *used says how much. Returns 1: a chunk ends after data[*used - 1],
 * and the state stands at the next chunk's beginning; or 0: all was consumed, no cut. Any split of an input
 * into calls gives the same cuts. What follows the last cut is the input's last chunk. */
int tbx_chunker_scan(tbx_chunker *chunker, const uint8_t *data, size_t size, size_t *used);

/* Consumes data and writes the offset in data where each chunk ends to ends[0..capacity); returns how many.
 * It stops early only when ends is full; *used says where. */
size_t tbx_chunker_cuts(tbx_chunker *chunker, const uint8_t *data, size_t size, size_t *ends, size_t capacity,
                        size_t *used);

#endif
