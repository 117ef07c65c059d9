/* Toastbox C core, hosted part for Linux: what the agent needs of the kernel and of libc.
 *
 * Not freestanding, never built for a microcontroller. Still no allocation and no mutable globals: results go
 * to an arena region. Read by cffi as toastbox.h is. TBX_ERR_SYSTEM means: errno says why.
 */
#ifndef TOASTBOX_LINUX_H
#define TOASTBOX_LINUX_H

#include "toastbox.h"

/* ---- Scan: src/scan.c --------------------------------------------------------------------------------- */

enum tbx_kind { TBX_FILE = 1, TBX_FOLDER = 2, TBX_LINK = 3, TBX_OTHER = 4 };

/* One name of a directory as lstat sees it. name_size bytes of name and a closing 0 follow the record. */
typedef struct tbx_record {
    uint64_t size;
    int64_t mtime_ns; /* since 1970 */
    int64_t ctime_ns;
    uint64_t inode;
    uint64_t device; /* as st_dev */
    uint32_t mode;   /* as st_mode, type bits included */
    uint16_t name_size;
    uint8_t kind; /* enum tbx_kind */
    uint8_t reserved;
} tbx_record;

/* What a name in the directory open at fd shows, or fd itself when the name is "": all but name_size. Times that 64 bits
 * of nanoseconds do not hold are the first or the last that they do. 0: read; 1: the name is gone; or an error. */
int tbx_record_read(tbx_record *record, int fd, const char *name);

/* The same for count names, each closed by 0. kind 0: it is gone, or cannot be looked at. */
void tbx_records_read(tbx_record *records, uint32_t count, int fd, const char *names);

/* What a scan found: records in the region, in order of name. Valid until the region is released to mark. */
typedef struct tbx_listing {
    uint8_t *base;           /* records are at base + offsets[0..count) */
    const uint32_t *offsets; /* sorted by name, bytewise */
    uint32_t count;
    uint32_t more; /* 1: larger names remain; scan again after the last one */
    size_t mark;   /* the region's top before the scan */
    size_t used;   /* bytes the listing holds */
} tbx_listing;

/* Lists the directory open at fd (its offset is moved) into a bump region: all names after `after`
 * (after_size bytes; 0: from the first), or as many of the smallest as fit in limit bytes (0: half of what is
 * free, or all of it below 64 KiB; at most 4 GiB). At least one record always fits, or TBX_ERR_FULL. "." and
 * ".." are left out, and names that vanish meanwhile. Links are not followed. */
int tbx_listing_scan(tbx_listing *listing, int fd, tbx_region *region, const uint8_t *after,
                     size_t after_size, size_t limit);

/* ---- Folder sums: src/sum.c ---------------------------------------------------------------------------- */

/* What is hashed of a name besides the name. kind: enum tbx_kind, or any number of the caller's own. */
typedef struct tbx_signature {
    uint64_t kind;
    uint64_t inode;
    uint64_t size;
    int64_t mtime_ns;
    int64_t ctime_ns;
} tbx_signature;

/* What one folder shows: sum of the hashes of all names, modulo 2^64, and their number. */
typedef struct tbx_sum {
    uint64_t sum;
    uint64_t count;
    int32_t error;    /* errno of the folder or of one of its names; 0: the sum holds */
    uint32_t foreign; /* 1: the folder itself is on another device */
} tbx_sum;

/* SipHash-2-4 of a signature and a name under a key of 16 bytes. */
uint64_t tbx_sum_name(const uint8_t *key, const tbx_signature *signature, const uint8_t *name, size_t size);

/* The same of count names, each closed by 0. */
void tbx_sum_names(uint64_t *out, uint32_t count, const uint8_t *key, const tbx_signature *signatures,
                   const char *names);

/* The sum of the directory open at fd, from its present offset (0). Names on a device other than `device` count
 * as TBX_OTHER, folders by their name only, files and links by inode, size and times, the ctime's last bit being
 * the owner's right to execute. skip: a name that is passed over. way: for tbx_memory_make_way after some hundred
 * names, whose inodes the kernel keeps. */
int tbx_folder_sum(tbx_sum *out, int fd, uint64_t device, const uint8_t *key, const char *skip, size_t way);

/* The same for `count` folders by their paths below root_fd, each closed by 0, "" being root_fd itself; skip is
 * for that one only. No link is followed. error EAGAIN: this kernel has no openat2, the caller has to open it. */
void tbx_folders_sum(tbx_sum *out, uint32_t count, int root_fd, uint64_t device, const char *paths, const uint8_t *key,
                     const char *skip, size_t way);

/* ---- Digests: src/digest.c ----------------------------------------------------------------------------- */

/* SHA-256 of libcrypto, 1.1 or 3: its functions, under their names without EVP_MD_ and EVP_Digest. */
typedef struct tbx_digester {
    void *(*context_new)(void);
    void (*context_free)(void *context);
    const void *(*sha256)(void);
    int (*begin)(void *context, const void *kind, void *engine);
    int (*update)(void *context, const void *data, size_t size);
    int (*end)(void *context, uint8_t *digest, unsigned int *size);
} tbx_digester;

/* Finds them in a library that this process has loaded. 1: found; 0: it is not loaded, or lacks some. */
int tbx_digester_open(tbx_digester *out, const char *library);

/* Writes a chunk list (docs/SPEC.md, section 3) of count chunks that lie one behind the other in data and end at ends[i]:
 * of each its SHA-256 and its length, 36 bytes. */
int tbx_digest_chunks(const tbx_digester *with, uint8_t *out, const uint8_t *data, const size_t *ends, size_t count);

/* ---- Kernel calls: src/posix.c ------------------------------------------------------------------------- */

enum {
    TBX_RENAME_NOREPLACE = 1, /* as the kernel's RENAME_ */
    TBX_RENAME_EXCHANGE = 2,
};

typedef struct tbx_filesystem {
    int64_t type;  /* statfs f_type */
    uint64_t fsid; /* statfs f_fsid */
} tbx_filesystem;

/* renameat2(2). */
int tbx_file_rename(int from_fd, const char *from, int to_fd, const char *to, unsigned int flags);

/* renameat2(2) with RENAME_NOREPLACE. out: what the new name shows then. 1: renamed, and gone since. */
int tbx_file_move(tbx_record *out, int from_fd, const char *from, int to_fd, const char *to);

/* The same for count names, each closed by 0: results[i] is what it says of each. */
void tbx_files_move(tbx_record *out, int *results, uint32_t count, int from_fd, const char *from, int to_fd,
                    const char *to);

/* openat2(2) with RESOLVE_BENEATH, NO_XDEV, NO_SYMLINKS and NO_MAGICLINKS, O_CLOEXEC added. Returns a descriptor.
 * EXDEV: something is mounted on the way, be it a folder of the same file system. */
int tbx_file_open(int fd, const char *path, uint64_t flags, uint64_t mode);

/* syncfs(2). */
int tbx_filesystem_sync(int fd);

/* sync_file_range(2) of the whole file, SYNC_FILE_RANGE_WRITE: begins to write dirty pages, waits for none. */
int tbx_file_write_back(int fd);

/* utimensat(2): access and modification time of a name, or of fd itself when the name is "". Takes 64-bit times on 32-bit
 * machines too; the file system takes the nearest that it has. Links are not followed. */
int tbx_file_set_time(int fd, const char *name, int64_t seconds, uint32_t nanoseconds);

/* Makes a file in the directory open at fd with this content, time and these permission bits, and closes it; out: what it
 * then shows. What has the name already is truncated; a link is refused. TBX_ERR_SYSTEM: it may be there in part. */
int tbx_file_make(tbx_record *out, int fd, const char *name, const uint8_t *data, size_t size, int64_t seconds,
                  uint32_t nanoseconds, uint32_t mode);

/* A file to be made. */
typedef struct tbx_made {
    uint64_t size;
    int64_t seconds;
    uint32_t nanoseconds;
    uint32_t mode;
} tbx_made;

/* tbx_file_make for count names, each closed by 0, with their contents one after the other. kind 0: it failed. */
void tbx_files_make(tbx_record *out, const tbx_made *files, uint32_t count, int fd, const char *names,
                    const uint8_t *data);

/* One of many files that are read together. */
typedef struct tbx_taken {
    tbx_record seen;  /* how it looked when it had been read */
    uint32_t size;    /* bytes that were read */
    int32_t error;    /* errno; 0: it was read */
    uint32_t changed; /* 1: it looked otherwise before it was read */
    uint32_t reserved;
} tbx_taken;

/* Reads count regular files in the directory open at fd, their names each closed by 0, one behind the other into a buffer,
 * of each at most `most` bytes. What is no regular file is not read, its kind says so; a link is refused. Stops before a
 * file for which the buffer has less than `most` bytes left. How many were tried; error says what became of each. */
uint32_t tbx_files_take(tbx_taken *out, uint32_t count, int fd, const char *names, uint8_t *buffer, size_t capacity,
                        uint32_t most);

/* fstatfs(2). */
int tbx_filesystem_read(int fd, tbx_filesystem *out);

/* inotify_init1(2) with IN_CLOEXEC and IN_NONBLOCK. Returns a descriptor. */
int tbx_watch_open(void);

/* inotify_add_watch(2). Returns the watch number. */
int tbx_watch_add(int watch_fd, const char *path, uint32_t mask);

/* inotify_rm_watch(2). */
int tbx_watch_remove(int watch_fd, int watch);

/* Gives free memory of libc's heap back to the kernel. 1: some was, 0: none, or this libc has no such call.
 */
int tbx_heap_trim(void);

/* What libc's heap has: bytes handed out, and bytes it has from the kernel. */
typedef struct tbx_heap {
    uint64_t in_use;
    uint64_t held;
} tbx_heap;

/* 1: read, 0: this libc does not tell. */
int tbx_heap_read(tbx_heap *out);

/* Bytes of a mapping (start: of a page) that are in memory now. */
int64_t tbx_memory_resident(const void *start, size_t size);

/* Bytes that SQLite has allocated in this process, page caches included; negative: it is not to be asked. */
int64_t tbx_sqlite_memory(void);

/* Takes size bytes for a moment, so that the kernel lets go of as much of its cache as it must; 0 does nothing. */
void tbx_memory_make_way(size_t size);

/* Bounds the number of malloc arenas. 1: done, 0: refused, or this libc has no such setting. */
int tbx_heap_limit_arenas(int count);

/* Keeps up to total freed bytes for the next malloc, blocks of up to size bytes (512 KiB at most, the limit of 32-bit
 * systems) among them. 1: done, 0: refused, or this libc has no such setting. */
int tbx_heap_keep(int size, int total);

#endif
