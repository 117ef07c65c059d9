/* Folder sums: whether a folder still shows what it showed, in one number and no memory.
 *
 * Every name with its signature goes through SipHash-2-4 (Aumasson and Bernstein, 2012) under a key of the
 * index's own, and the results are added up modulo 2^64. A sum knows no order, so a directory is taken as the
 * kernel lists it, whatever its size: nothing is sorted and nothing is kept. And it can be kept up to date: a
 * row that is replaced takes its old hash out and puts its new one in. The index has the sum of its rows for
 * each folder; where the folder shows the same sum nothing has changed, and nobody has to look at a row.
 *
 * Under a key that nobody knows, two lists with the same sum are found by chance only: once in 2^64 looks at a
 * folder that did change.
 */
#define _GNU_SOURCE
#include "scan_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
    HEAD_WORDS = 5, /* what is hashed before the name */
    NAMES_AT_ONCE = 500,
};

typedef struct siphash {
    uint64_t a, b, c, d;
} siphash;

static uint64_t rotated(uint64_t value, int by)
{
    return value << by | value >> (64 - by);
}

static uint64_t load(const uint8_t *bytes)
{
    uint64_t value;

    memcpy(&value, bytes, sizeof value);
    return value;
}

static void mix(siphash *s)
{
    s->a += s->b;
    s->b = rotated(s->b, 13) ^ s->a;
    s->a = rotated(s->a, 32);
    s->c += s->d;
    s->d = rotated(s->d, 16) ^ s->c;
    s->a += s->d;
    s->d = rotated(s->d, 21) ^ s->a;
    s->c += s->b;
    s->b = rotated(s->b, 17) ^ s->c;
    s->c = rotated(s->c, 32);
}

static void absorb(siphash *s, uint64_t word)
{
    s->d ^= word;
    mix(s);
    mix(s);
    s->a ^= word;
}

/* The last, incomplete word carries the length, as SipHash has it. */
static void absorb_name(siphash *s, const uint8_t *name, size_t size)
{
    uint64_t last = (uint64_t)(size + 8 * HEAD_WORDS) << 56;

    for (; size >= 8; size -= 8, name += 8) {
        absorb(s, load(name));
    }
    for (size_t i = 0; i < size; i++) {
        last |= (uint64_t)name[i] << 8 * i;
    }
    absorb(s, last);
}

uint64_t tbx_sum_name(const uint8_t *key, const tbx_signature *signature, const uint8_t *name, size_t size)
{
    uint64_t k0 = load(key);
    uint64_t k1 = load(key + 8);
    siphash s = {k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d),
                 k0 ^ UINT64_C(0x6c7967656e657261), k1 ^ UINT64_C(0x7465646279746573)};

    absorb(&s, signature->kind);
    absorb(&s, signature->inode);
    absorb(&s, signature->size);
    absorb(&s, (uint64_t)signature->mtime_ns);
    absorb(&s, (uint64_t)signature->ctime_ns);
    absorb_name(&s, name, size);
    s.c ^= 0xff;
    for (int i = 0; i < 4; i++) {
        mix(&s);
    }
    return s.a ^ s.b ^ s.c ^ s.d;
}

void tbx_sum_names(uint64_t *out, uint32_t count, const uint8_t *key, const tbx_signature *signatures,
                   const char *names)
{
    for (uint32_t i = 0; i < count; i++) {
        const size_t size = strlen(names);

        out[i] = tbx_sum_name(key, &signatures[i], (const uint8_t *)names, size);
        names += size + 1;
    }
}

/* A record as the index signs it (device/seen.py, Seen.signature): of a folder its name only, and the
 * executable bit in place of the last bit of the ctime. */
static tbx_signature signature_of(const tbx_record *record, uint64_t device)
{
    if (record->device != device || record->kind == TBX_OTHER) {
        return (tbx_signature){.kind = TBX_OTHER, .inode = record->inode};
    }
    if (record->kind == TBX_FOLDER) {
        return (tbx_signature){.kind = TBX_FOLDER};
    }
    uint64_t executable = record->kind == TBX_FILE && (record->mode & S_IXUSR) != 0;
    return (tbx_signature){.kind = record->kind,
                           .inode = record->inode,
                           .size = record->size,
                           .mtime_ns = record->mtime_ns,
                           .ctime_ns = (int64_t)(((uint64_t)record->ctime_ns & ~UINT64_C(1)) | executable)};
}

struct adding {
    tbx_sum *sum;
    const uint8_t *key;
    const char *skip; /* a name to be passed over */
    uint64_t device;
    size_t way; /* memory to be made free after each buffer of names, or 0 */
};

static int add(struct adding *to, int fd, const char *name)
{
    tbx_record record;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, to->skip) == 0) {
        return TBX_OK;
    }
    int result = tbx_record_read(&record, fd, name);
    if (result != 0) {
        return result < 0 ? result : TBX_OK; /* gone meanwhile */
    }
    tbx_signature signature = signature_of(&record, to->device);
    to->sum->sum += tbx_sum_name(to->key, &signature, (const uint8_t *)name, strlen(name));
    to->sum->count++;
    return TBX_OK;
}

static int add_all(struct adding *to, int fd)
{
    _Alignas(8) uint8_t dents[DENTS_SIZE];
    long got;

    while ((got = tbx_dents_read(fd, dents, sizeof dents)) > 0) {
        for (long at = 0; at < got;) {
            const struct dent *dent = (const struct dent *)(const void *)(dents + at);
            int result = add(to, fd, dent->name);
            if (result < 0) {
                return result;
            }
            at += dent->size;
        }
        if (got > DENTS_SIZE / 2) {
            tbx_memory_make_way(to->way);
        }
    }
    return got < 0 ? TBX_ERR_SYSTEM : TBX_OK;
}

/* Where openat2 is not to be had, EAGAIN tells the caller to open the folder in its own way. */
static int open_folder(int root_fd, const char *path)
{
    int fd = tbx_file_open(root_fd, path[0] == 0 ? "." : path, O_RDONLY | O_DIRECTORY, 0);

    if (fd < 0 && (errno == ENOSYS || errno == EPERM || errno == EINVAL)) {
        errno = EAGAIN;
    }
    return fd;
}

int tbx_folder_sum(tbx_sum *out, int fd, uint64_t device, const uint8_t *key, const char *skip,
                   size_t way)
{
    struct adding to = {.sum = out, .key = key, .skip = skip, .device = device, .way = way};
    struct stat found;

    *out = (tbx_sum){0};
    if (fstat(fd, &found) < 0 || add_all(&to, fd) < 0) {
        out->error = errno;
        return TBX_ERR_SYSTEM;
    }
    out->foreign = found.st_dev != device;
    return TBX_OK;
}

void tbx_folders_sum(tbx_sum *out, uint32_t count, int root_fd, uint64_t device, const char *paths, const uint8_t *key,
                     const char *skip, size_t way)
{
    uint64_t since = 0;

    for (uint32_t i = 0; i < count; i++) {
        int fd = open_folder(root_fd, paths);
        if (fd < 0) {
            out[i] = (tbx_sum){.error = errno};
        } else {
            tbx_folder_sum(&out[i], fd, device, key, paths[0] == 0 ? skip : "", way);
            close(fd);
        }
        since += out[i].count;
        if (since >= NAMES_AT_ONCE) {
            tbx_memory_make_way(way);
            since = 0;
        }
        paths += strlen(paths) + 1;
    }
}
