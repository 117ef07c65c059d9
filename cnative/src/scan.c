/* Scan: one directory into arena records, sorted by name, in bounded memory.
 *
 * Records grow up from the bottom of a work area, their 4-byte offsets grow down from its top. When they
 * meet, the largest quarter of the names is dropped: sort, keep the small ones, slide their records together.
 * From then on the smallest dropped name is the bound, and names from it on are passed over. So what remains
 * at the end is exactly the smallest names, at least three quarters of what fits, and the caller asks again
 * after the last one. Only names that remain are given to statx.
 *
 * Sorting is heapsort on the offsets: in place, no allocation (glibc's qsort allocates), n log n at worst.
 */
#define _GNU_SOURCE
#include "scan_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { NAME_MOST = 255, LIMIT_SMALL = 65536 };

/* Whole seconds that 64 bits of nanoseconds hold: the years 1677 to 2262. File systems know earlier and later ones,
 * which are taken for the first and the last of these (as in device/seen.py). */
#define SECOND_FIRST INT64_C(-9223372036)
#define SECOND_LAST INT64_C(9223372035)

struct name {
    const uint8_t *bytes;
    size_t size;
};

/* The work area while a scan runs. offsets[0..count) is kept at the top's end: it starts at `top - count`. */
struct work {
    uint8_t *base;
    uint32_t size; /* bytes, a multiple of 16 */
    uint32_t used; /* bytes of records */
    uint32_t count;
    struct name after;
    int bounded;
    struct name bound; /* names from this on are passed over */
    uint8_t bound_bytes[NAME_MOST + 1];
};

static int compare(struct name a, struct name b)
{
    int order = memcmp(a.bytes, b.bytes, a.size < b.size ? a.size : b.size);

    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static tbx_record *record_at(const uint8_t *base, uint32_t offset)
{
    return (tbx_record *)(uintptr_t)(base + offset);
}

static struct name name_at(const uint8_t *base, uint32_t offset)
{
    const tbx_record *record = record_at(base, offset);

    return (struct name){(const uint8_t *)(record + 1), record->name_size};
}

/* Bytes a record takes, name and closing 0 included, rounded up to 8. */
static uint32_t record_space(size_t name_size)
{
    return (uint32_t)((sizeof(tbx_record) + name_size + 1 + 7) & ~(size_t)7);
}

static uint32_t *offsets_of(const struct work *work)
{
    return (uint32_t *)(void *)(work->base + work->size) - work->count;
}

static void sift(const uint8_t *base, uint32_t *offsets, size_t root, size_t count)
{
    uint32_t moving = offsets[root];
    size_t child;

    while ((child = 2 * root + 1) < count) {
        if (child + 1 < count &&
            compare(name_at(base, offsets[child]), name_at(base, offsets[child + 1])) < 0) {
            child++;
        }
        if (compare(name_at(base, moving), name_at(base, offsets[child])) >= 0) {
            break;
        }
        offsets[root] = offsets[child];
        root = child;
    }
    offsets[root] = moving;
}

/* Heapsort by name. */
static void sort(const uint8_t *base, uint32_t *offsets, size_t count)
{
    for (size_t root = count / 2; root-- > 0;) {
        sift(base, offsets, root, count);
    }
    for (size_t last = count; last-- > 1;) {
        uint32_t largest = offsets[0];
        offsets[0] = offsets[last];
        offsets[last] = largest;
        sift(base, offsets, 0, last);
    }
}

/* Slides the records that are still marked as kept down over the others; rewrites the offsets in memory
 * order. */
static void compact(struct work *work, uint32_t kept)
{
    uint32_t *offsets = (uint32_t *)(void *)(work->base + work->size) - kept;
    uint32_t from = 0;
    uint32_t to = 0;
    uint32_t index = 0;

    while (from < work->used) {
        tbx_record *record = record_at(work->base, from);
        uint32_t space = record_space(record->name_size);
        if (record->reserved == 0) {
            offsets[index++] = to;
            memmove(work->base + to, record, space);
            to += space;
        }
        from += space;
    }
    work->used = to;
    work->count = kept;
}

static void set_bound(struct work *work, struct name name)
{
    memcpy(work->bound_bytes, name.bytes, name.size);
    work->bound = (struct name){work->bound_bytes, name.size};
    work->bounded = 1;
}

/* Drops the largest quarter of the names, one at least, or nothing when the new name is above them all. From
 * the smallest name left out on, names are passed over. */
static void make_room(struct work *work, struct name added)
{
    uint32_t *offsets = offsets_of(work);
    uint32_t dropped = work->count / 4 > 0 ? work->count / 4 : 1;
    uint32_t kept = work->count - dropped;

    sort(work->base, offsets, work->count);
    if (compare(name_at(work->base, offsets[work->count - 1]), added) < 0) {
        set_bound(work, added);
        return;
    }
    set_bound(work, name_at(work->base, offsets[kept]));
    for (uint32_t i = kept; i < work->count; i++) {
        record_at(work->base, offsets[i])->reserved = 1;
    }
    compact(work, kept);
}

static int wanted(const struct work *work, struct name name)
{
    if (name.size <= 2 && memcmp(name.bytes, "..", name.size) == 0) {
        return 0;
    }
    if (work->after.size > 0 && compare(name, work->after) <= 0) {
        return 0;
    }
    return !work->bounded || compare(name, work->bound) < 0;
}

/* Adds one name, dropping larger ones while there is no room. */
static int add_name(struct work *work, struct name name)
{
    uint32_t space = record_space(name.size);

    while (wanted(work, name)) {
        if (space + sizeof(uint32_t) <= work->size - work->used - work->count * sizeof(uint32_t)) {
            tbx_record *record = record_at(work->base, work->used);
            *record = (tbx_record){.name_size = (uint16_t)name.size};
            memcpy(record + 1, name.bytes, name.size);
            ((uint8_t *)(record + 1))[name.size] = 0;
            work->count++;
            *offsets_of(work) = work->used;
            work->used += space;
            return TBX_OK;
        }
        if (work->count == 0) {
            return TBX_ERR_FULL;
        }
        make_room(work, name);
    }
    return TBX_OK;
}

long tbx_dents_read(int fd, uint8_t *dents, size_t size)
{
    return syscall(SYS_getdents64, fd, dents, size);
}

/* Reads all names of the directory through a buffer on the stack. */
static int read_names(struct work *work, int fd)
{
    _Alignas(8) uint8_t dents[DENTS_SIZE];
    long got;

    if (lseek(fd, 0, SEEK_SET) < 0) {
        return TBX_ERR_SYSTEM;
    }
    while ((got = tbx_dents_read(fd, dents, sizeof dents)) > 0) {
        for (long at = 0; at < got;) {
            const struct dent *dent = (const struct dent *)(const void *)(dents + at);
            int result = add_name(work, (struct name){(const uint8_t *)dent->name, strlen(dent->name)});
            if (result < 0) {
                return result;
            }
            at += dent->size;
        }
    }
    return got < 0 ? TBX_ERR_SYSTEM : TBX_OK;
}

static uint8_t kind_of(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return TBX_FILE;
    case S_IFDIR:
        return TBX_FOLDER;
    case S_IFLNK:
        return TBX_LINK;
    default:
        return TBX_OTHER;
    }
}

static int64_t nanoseconds(struct statx_timestamp time)
{
    if (time.tv_sec > SECOND_LAST) {
        return SECOND_LAST * INT64_C(1000000000) + 999999999;
    }
    if (time.tv_sec < SECOND_FIRST) {
        return SECOND_FIRST * INT64_C(1000000000);
    }
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* statx has 64-bit times on 32-bit machines too; libc falls back to fstatat where the kernel lacks it. */
int tbx_record_read(tbx_record *record, int fd, const char *name)
{
    struct statx found;

    if (statx(fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH, STATX_BASIC_STATS, &found) < 0) {
        return errno == ENOENT ? 1 : TBX_ERR_SYSTEM;
    }
    record->size = found.stx_size;
    record->mtime_ns = nanoseconds(found.stx_mtime);
    record->ctime_ns = nanoseconds(found.stx_ctime);
    record->inode = found.stx_ino;
    record->device = makedev(found.stx_dev_major, found.stx_dev_minor);
    record->mode = found.stx_mode;
    record->kind = kind_of(found.stx_mode);
    return 0;
}

void tbx_records_read(tbx_record *records, uint32_t count, int fd, const char *names)
{
    for (uint32_t i = 0; i < count; i++, names += strlen(names) + 1) {
        if (tbx_record_read(&records[i], fd, names) != 0) {
            records[i].kind = 0;
        }
    }
}

/* Fills all records in order of name and closes the gaps of those that vanished in the list of offsets. */
static int fill_records(struct work *work, int fd)
{
    uint32_t *offsets = offsets_of(work);
    uint32_t kept = 0;

    for (uint32_t i = 0; i < work->count; i++) {
        tbx_record *record = record_at(work->base, offsets[i]);
        int result = tbx_record_read(record, fd, (const char *)(record + 1));
        if (result < 0) {
            return result;
        }
        if (result == 0) {
            offsets[kept++] = offsets[i];
        }
    }
    memmove(work->base + work->used, offsets, kept * sizeof(uint32_t));
    work->count = kept;
    return TBX_OK;
}

/* Bytes to work in: the caller's limit, or half of what is free, so that a walk can go deeper. */
static uint32_t work_size(const tbx_region *region, size_t limit)
{
    size_t free_size = region->size - region->in_use;
    size_t size = limit;

    if (limit == 0) {
        size = free_size / 2 > LIMIT_SMALL ? free_size / 2 : LIMIT_SMALL;
    }
    size = size < free_size ? size : free_size;
    size = size < UINT32_MAX ? size : UINT32_MAX;
    return (uint32_t)(size & ~(size_t)(TBX_ARENA_ALIGN - 1));
}

/* One pass over the directory, work->size bytes from work->base on. */
static int scan_once(struct work *work, int fd)
{
    work->used = 0;
    work->count = 0;
    work->bounded = 0;
    int result = read_names(work, fd);
    if (result < 0) {
        return result;
    }
    sort(work->base, offsets_of(work), work->count);
    return fill_records(work, fd);
}

/* Takes from the region what the listing holds. When names were dropped the whole work area was in use. */
static int hold(tbx_listing *listing, const struct work *work, tbx_region *region)
{
    void *memory = NULL;
    size_t mark = tbx_bump_mark(region);
    size_t used = work->used + work->count * sizeof(uint32_t);

    if (work->bounded) {
        tbx_bump_take(region, work->size, &memory);
        tbx_bump_release(region, mark);
    }
    *listing = (tbx_listing){.base = work->base, .count = work->count, .more = (uint32_t)work->bounded};
    listing->offsets = (const uint32_t *)(void *)(work->base + work->used);
    listing->mark = mark;
    listing->used = used;
    return used == 0 ? TBX_OK : tbx_bump_take(region, used, &memory);
}

int tbx_listing_scan(tbx_listing *listing, int fd, tbx_region *region, const uint8_t *after,
                     size_t after_size, size_t limit)
{
    struct work work = {.base = region->base + region->in_use, .after = {after, after_size}};
    int result;

    if (region->record_size != 0) {
        return TBX_ERR_PARAMETER;
    }
    work.size = work_size(region, limit);
    do { /* again only when all that was found has vanished meanwhile and more is known to be there */
        result = scan_once(&work, fd);
    } while (result == TBX_OK && work.count == 0 && work.bounded);
    if (result == TBX_ERR_FULL) {
        region->refusals++;
    }
    return result < 0 ? result : hold(listing, &work, region);
}
