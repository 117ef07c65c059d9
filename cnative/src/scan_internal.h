/* What scan.c and sum.c share: reading a directory and looking at a name. */
#ifndef TOASTBOX_SCAN_INTERNAL_H
#define TOASTBOX_SCAN_INTERNAL_H

#include "toastbox_linux.h"

#include <sys/stat.h>

enum { DENTS_SIZE = 32768 };

/* The kernel's linux_dirent64 up to its name. */
struct dent {
    uint64_t inode;
    int64_t next;
    uint16_t size;
    uint8_t type;
    char name[];
};

/* getdents64(2): bytes read, 0 at the end, negative with errno. */
long tbx_dents_read(int fd, uint8_t *dents, size_t size);

#endif
