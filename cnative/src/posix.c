/* Kernel calls that Python has no face for. Each is one call; policy (fallbacks, paths) is in Python. */
#define _GNU_SOURCE
#include "toastbox_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
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
