/* Kernel calls that Python has no face for. Each is one call; policy (fallbacks, paths) is in Python. */
#define _GNU_SOURCE
#include "toastbox_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

/* Not in headers older than Linux 5.6, which boards build with; the numbers are the same on every machine. */
#ifndef SYS_openat2
#define SYS_openat2 437
#endif

/* The call with 64-bit times: on 32-bit machines it has a number of its own, the same on all, since Linux 5.1. */
#if __SIZEOF_LONG__ == 8
#define SYS_SET_TIME SYS_utimensat
#else
#define SYS_SET_TIME 412
#endif

enum { RESOLVE_MOUNTS = 0x01, RESOLVE_MAGIC = 0x02, RESOLVE_LINKS = 0x04, RESOLVE_BELOW = 0x08 };

/* struct __kernel_timespec, which libc's own is not where its times have 32 bits. */
struct time {
    int64_t seconds;
    int64_t nanoseconds;
};

/* struct open_how of openat2(2), which has been this since its first version. */
struct how {
    uint64_t flags;
    uint64_t mode;
    uint64_t resolve;
};

static int checked(long result)
{
    return result < 0 ? TBX_ERR_SYSTEM : (int)result;
}

int tbx_file_rename(int from_fd, const char *from, int to_fd, const char *to, unsigned int flags)
{
    return checked(syscall(SYS_renameat2, from_fd, from, to_fd, to, flags));
}

int tbx_file_move(tbx_record *out, int from_fd, const char *from, int to_fd, const char *to)
{
    if (tbx_file_rename(from_fd, from, to_fd, to, TBX_RENAME_NOREPLACE) < 0) {
        return TBX_ERR_SYSTEM;
    }
    return tbx_record_read(out, to_fd, to) == 0 ? TBX_OK : 1;
}

void tbx_files_move(tbx_record *out, int *results, uint32_t count, int from_fd, const char *from, int to_fd,
                    const char *to)
{
    for (uint32_t i = 0; i < count; i++, from += strlen(from) + 1, to += strlen(to) + 1) {
        results[i] = tbx_file_move(&out[i], from_fd, from, to_fd, to);
    }
}

int tbx_file_open(int fd, const char *path, uint64_t flags, uint64_t mode)
{
    struct how how = {.flags = flags | O_CLOEXEC,
                      .mode = mode,
                      .resolve = RESOLVE_MOUNTS | RESOLVE_MAGIC | RESOLVE_LINKS | RESOLVE_BELOW};

    return checked(syscall(SYS_openat2, fd, path, &how, sizeof how));
}

int tbx_filesystem_sync(int fd)
{
    return checked(syncfs(fd));
}

int tbx_file_write_back(int fd)
{
    return checked(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
}

int tbx_file_set_time(int fd, const char *name, int64_t seconds, uint32_t nanoseconds)
{
    const struct time time = {seconds, nanoseconds};
    const struct time times[2] = {time, time};
    const int itself = name[0] == 0;

    return checked(syscall(SYS_SET_TIME, fd, itself ? NULL : name, times, itself ? 0 : AT_SYMLINK_NOFOLLOW));
}

/* Closes without losing what errno says. */
static int closed(int file, int result)
{
    const int number = errno;

    close(file);
    errno = number;
    return result;
}

static int write_all(int file, const uint8_t *data, size_t size)
{
    while (size > 0) {
        const ssize_t written = write(file, data, size);
        if (written < 0) {
            return TBX_ERR_SYSTEM;
        }
        data += written;
        size -= (size_t)written;
    }
    return TBX_OK;
}

/* What an open file shows; it cannot be gone. */
static int look(tbx_record *out, int file)
{
    return tbx_record_read(out, file, "") == 0 ? TBX_OK : TBX_ERR_SYSTEM;
}

static int finish(tbx_record *out, int file, int64_t seconds, uint32_t nanoseconds, uint32_t mode)
{
    if (tbx_file_set_time(file, "", seconds, nanoseconds) < 0 || look(out, file) < 0) {
        return TBX_ERR_SYSTEM;
    }
    if ((out->mode & 07777) == mode) {
        return TBX_OK;
    }
    if (fchmod(file, mode) < 0 && errno != EPERM) { /* FAT has one mode for all files */
        return TBX_ERR_SYSTEM;
    }
    return look(out, file);
}

int tbx_file_make(tbx_record *out, int fd, const char *name, const uint8_t *data, size_t size, int64_t seconds,
                  uint32_t nanoseconds, uint32_t mode)
{
    const int file = openat(fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);

    if (file < 0) {
        return TBX_ERR_SYSTEM;
    }
    if (write_all(file, data, size) < 0) {
        return closed(file, TBX_ERR_SYSTEM);
    }
    return closed(file, finish(out, file, seconds, nanoseconds, mode));
}

void tbx_files_make(tbx_record *out, const tbx_made *files, uint32_t count, int fd, const char *names,
                    const uint8_t *data)
{
    for (uint32_t i = 0; i < count; i++, names += strlen(names) + 1) {
        const tbx_made *file = &files[i];
        const size_t size = (size_t)file->size;
        if (tbx_file_make(&out[i], fd, names, data, size, file->seconds, file->nanoseconds, file->mode) < 0) {
            out[i].kind = 0;
        }
        data += size;
    }
}

/* As much of a file as there is, up to size; negative with errno. */
static int64_t read_all(int file, uint8_t *buffer, size_t size)
{
    size_t got = 0;

    while (got < size) {
        const ssize_t piece = read(file, buffer + got, size - got);
        if (piece < 0) {
            return TBX_ERR_SYSTEM;
        }
        if (piece == 0) {
            break;
        }
        got += (size_t)piece;
    }
    return (int64_t)got;
}

/* What was read counts only if the file looks the same before and after. */
static int take(tbx_taken *out, int file, uint8_t *buffer, size_t most)
{
    tbx_record before = {0};

    if (look(&before, file) < 0) {
        return TBX_ERR_SYSTEM;
    }
    out->seen = before;
    if (before.kind != TBX_FILE) {
        return TBX_OK;
    }
    /* What it has grown by since is not asked for: the second look tells. */
    const int64_t got = read_all(file, buffer, before.size < most ? (size_t)before.size : most);
    if (got < 0 || look(&out->seen, file) < 0) {
        return TBX_ERR_SYSTEM;
    }
    out->size = (uint32_t)got;
    out->changed = memcmp(&before, &out->seen, sizeof before) != 0;
    return TBX_OK;
}

static void take_named(tbx_taken *out, int fd, const char *name, uint8_t *buffer, size_t most)
{
    const int file = openat(fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    *out = (tbx_taken){0};
    if (file < 0) {
        out->error = errno;
        return;
    }
    if (take(out, file, buffer, most) < 0) {
        out->error = errno;
        out->size = 0;
    }
    close(file);
}

uint32_t tbx_files_take(tbx_taken *out, uint32_t count, int fd, const char *names, uint8_t *buffer, size_t capacity,
                        uint32_t most)
{
    size_t used = 0;
    uint32_t done = 0;

    while (done < count && capacity - used >= most) {
        take_named(&out[done], fd, names, buffer + used, most);
        names += strlen(names) + 1;
        used += out[done++].size;
    }
    return done;
}

int tbx_filesystem_read(int fd, tbx_filesystem *out)
{
    struct statfs found;

    if (fstatfs(fd, &found) < 0) {
        return TBX_ERR_SYSTEM;
    }
    out->type = (int64_t)found.f_type;
    memcpy(&out->fsid, &found.f_fsid, sizeof out->fsid);
    return TBX_OK;
}

int tbx_watch_open(void)
{
    return checked(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
}

int tbx_watch_add(int watch_fd, const char *path, uint32_t mask)
{
    return checked(inotify_add_watch(watch_fd, path, mask));
}

int tbx_watch_remove(int watch_fd, int watch)
{
    return checked(inotify_rm_watch(watch_fd, watch));
}

int tbx_heap_trim(void)
{
#ifdef __GLIBC__
    return malloc_trim(0);
#else
    return 0;
#endif
}

int tbx_heap_limit_arenas(int count)
{
#ifdef __GLIBC__
    return mallopt(M_ARENA_MAX, count);
#else
    (void)count;
    return 0;
#endif
}

int tbx_heap_keep(int size, int total)
{
#ifdef __GLIBC__
    return mallopt(M_MMAP_THRESHOLD, size) && mallopt(M_TRIM_THRESHOLD, total);
#else
    (void)size;
    (void)total;
    return 0;
#endif
}
