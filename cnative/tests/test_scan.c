/* Directory scan under sanitizers: many names, regions from too small to ample. */
#define _GNU_SOURCE
#include "test.h"

#include "toastbox_linux.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { NAMES = 700 };

static void make_name(char *name, int number)
{
    uint32_t state = (uint32_t)number + 1;
    int length = 3 + (int)(next_random(&state) % 250);

    snprintf(name, 256, "%03d%.*s", (number * 37) % NAMES, length - 3, "");
    memset(name + 3, 'x', (size_t)(length - 3));
    name[length] = 0;
}

/* Lists everything in passes; returns how many names came, checking that they rise. */
static int count_names(int fd, size_t size)
{
    tbx_arena arena;
    tbx_listing listing = {.more = 1};
    uint8_t last[256];
    size_t last_size = 0;
    int total = 0;
    uint8_t *memory = aligned_alloc(16, size);

    CHECK(memory != NULL && tbx_arena_init(&arena, memory, size) == TBX_OK);
    tbx_region *region = &arena.regions[tbx_arena_carve(&arena, "scan", 0)];
    while (listing.more) {
        CHECK(tbx_listing_scan(&listing, fd, region, last, last_size, 0) == TBX_OK);
        for (uint32_t i = 0; i < listing.count; i++) {
            const tbx_record *record = (const void *)(listing.base + listing.offsets[i]);
            const uint8_t *name = (const uint8_t *)(record + 1);
            CHECK(last_size == 0 || strcmp((const char *)last, (const char *)name) < 0);
            CHECK(record->kind == TBX_FILE && record->size == 0 && name[record->name_size] == 0);
            memcpy(last, name, record->name_size + 1u);
            last_size = record->name_size;
            total++;
        }
        CHECK(listing.count > 0);
        CHECK(tbx_bump_release(region, listing.mark) == TBX_OK && region->in_use == 0);
    }
    free(memory);
    return total;
}

static void fill(int fd)
{
    char name[256];

    for (int i = 0; i < NAMES; i++) {
        make_name(name, i);
        int file = openat(fd, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        CHECK(file >= 0 && close(file) == 0);
    }
}

static void empty(int fd)
{
    char name[256];

    for (int i = 0; i < NAMES; i++) {
        make_name(name, i);
        CHECK(unlinkat(fd, name, 0) == 0);
    }
}

void test_scan(void)
{
    char path[] = "/tmp/tbx-scan-XXXXXX";
    CHECK(mkdtemp(path) != NULL);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    CHECK(fd >= 0);
    fill(fd);
    for (size_t size = 320; size < 4096; size += 304) {
        CHECK(count_names(fd, size & ~(size_t)15) == NAMES);
    }
    CHECK(count_names(fd, 65536) == NAMES);
    CHECK(count_names(fd, 1 << 20) == NAMES);
    empty(fd);
    CHECK(close(fd) == 0 && rmdir(path) == 0);
}
