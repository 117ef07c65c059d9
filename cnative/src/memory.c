/* Where this process's memory is, as far as only C can tell. */
#define _GNU_SOURCE
#include "toastbox_linux.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

enum { PAGES_AT_ONCE = 1024 };

int tbx_heap_read(tbx_heap *out)
{
    *out = (tbx_heap){0};
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
    struct mallinfo2 found = mallinfo2();

    out->in_use = found.uordblks + found.hblkhd;
    out->held = found.arena + found.hblkhd;
    return 1;
#else
    return 0;
#endif
}

void tbx_memory_make_way(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    volatile uint8_t *memory;

    if (size == 0) {
        return;
    }
    void *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) {
        return;
    }
    memory = mapped;
    for (size_t at = 0; at < size; at += page) {
        memory[at] = 1;
    }
    munmap(mapped, size);
}

int64_t tbx_memory_resident(const void *start, size_t size)
{
    unsigned char pages[PAGES_AT_ONCE];
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const uint8_t *at = start;
    int64_t resident = 0;

    while (size > 0) {
        size_t part = size < PAGES_AT_ONCE * page ? size : PAGES_AT_ONCE * page;
        if (mincore((void *)(uintptr_t)at, part, pages) < 0) {
            return TBX_ERR_SYSTEM;
        }
        for (size_t i = 0; i < (part + page - 1) / page; i++) {
            resident += (pages[i] & 1) != 0 ? (int64_t)page : 0;
        }
        at += part;
        size -= part;
    }
    return resident;
}

/* The library that Python's sqlite3 has loaded, if it is one: nothing is loaded here. */
int64_t tbx_sqlite_memory(void)
{
    int64_t (*used)(void) = NULL;
    void *library = dlopen("libsqlite3.so.0", RTLD_NOW | RTLD_NOLOAD);
    int64_t result = TBX_ERR_SYSTEM;

    if (library == NULL) {
        return result;
    }
    *(void **)&used = dlsym(library, "sqlite3_memory_used");
    if (used != NULL) {
        result = used();
    }
    dlclose(library);
    return result;
}
