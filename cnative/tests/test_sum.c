/* Sums of folders under sanitizers: known hashes, and that only what is there counts. */
#define _GNU_SOURCE
#include "test.h"

#include "toastbox_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t KEY[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* SipHash-2-4 of the bytes 0 to 47 and 0 to 54 under that key, as the reference implementation gives them:
 * the first 40 are the signature's, the rest is the name. */
static void check_vectors(void)
{
    uint8_t bytes[64];
    tbx_signature signature;

    for (uint8_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = i;
    }
    memcpy(&signature, bytes, sizeof signature);
    CHECK(tbx_sum_name(KEY, &signature, bytes + 40, 8) == UINT64_C(0xe612a3cb9ecba951));
    CHECK(tbx_sum_name(KEY, &signature, bytes + 40, 15) == UINT64_C(0x245731c13ca42499));
}

static void make(int fd, const char *name)
{
    int file = openat(fd, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    CHECK(file >= 0 && close(file) == 0);
}

static tbx_sum sum_of(int fd, const char *paths, uint32_t which)
{
    struct stat found;
    tbx_sum sums[3];

    CHECK(fstat(fd, &found) == 0);
    tbx_folders_sum(sums, 3, fd, found.st_dev, paths, KEY, "skipped", 8192);
    return sums[which];
}

void test_sum(void)
{
    char path[] = "/tmp/tbx-sum-XXXXXX";
    static const char paths[] = "\0below\0nowhere";

    check_vectors();
    CHECK(mkdtemp(path) != NULL);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(fd >= 0 && mkdirat(fd, "below", 0700) == 0);
    make(fd, "below/one");
    make(fd, "skipped");
    tbx_sum first = sum_of(fd, paths, 1);
    if (first.error != EAGAIN) { /* under an emulator without openat2 the caller opens folders himself */
        CHECK(first.count == 1 && first.error == 0 && first.foreign == 0);
        CHECK(sum_of(fd, paths, 0).count == 1 && sum_of(fd, paths, 2).error == ENOENT);
        make(fd, "below/two");
        CHECK(sum_of(fd, paths, 1).count == 2 && sum_of(fd, paths, 1).sum != first.sum);
        CHECK(unlinkat(fd, "below/two", 0) == 0 && sum_of(fd, paths, 1).sum == first.sum);
    } else {
        puts("no openat2 here: sums of folders by path are not tested");
    }
    CHECK(unlinkat(fd, "below/one", 0) == 0 && unlinkat(fd, "below", AT_REMOVEDIR) == 0);
    CHECK(unlinkat(fd, "skipped", 0) == 0 && close(fd) == 0 && rmdir(path) == 0);
}
