/* Chunk lists by the library that hashes for the interpreter. Nothing of it is needed to build this, or loaded here. */
#define _GNU_SOURCE
#include "toastbox_linux.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

enum { DIGEST_SIZE = 32, LENGTH_SIZE = 4 };

int tbx_digester_open(tbx_digester *out, const char *library)
{
    void *found = dlopen(library, RTLD_NOW | RTLD_NOLOAD);

    *out = (tbx_digester){0};
    if (found == NULL) {
        return 0;
    }
    *(void **)&out->context_new = dlsym(found, "EVP_MD_CTX_new");
    *(void **)&out->context_free = dlsym(found, "EVP_MD_CTX_free");
    *(void **)&out->sha256 = dlsym(found, "EVP_sha256");
    *(void **)&out->begin = dlsym(found, "EVP_DigestInit_ex");
    *(void **)&out->update = dlsym(found, "EVP_DigestUpdate");
    *(void **)&out->end = dlsym(found, "EVP_DigestFinal_ex");
    /* Not closed: the functions are good as long as the library stays, and hashlib's does. */
    return out->context_new != NULL && out->context_free != NULL && out->sha256 != NULL && out->begin != NULL &&
           out->update != NULL && out->end != NULL;
}

/* The digest of one chunk; kind NULL: as the context had it before. 1: done. */
static int digest_one(const tbx_digester *with, void *context, const void *kind, const uint8_t *data, size_t size,
                      uint8_t *out)
{
    unsigned int length = 0;

    return with->begin(context, kind, NULL) == 1 && with->update(context, data, size) == 1 &&
           with->end(context, out, &length) == 1 && length == DIGEST_SIZE;
}

int tbx_digest_chunks(const tbx_digester *with, uint8_t *out, const uint8_t *data, const size_t *ends, size_t count)
{
    void *context = with->context_new();
    const void *kind = with->sha256();
    size_t start = 0;
    size_t done = 0;

    while (context != NULL && done < count) {
        size_t size = ends[done] - start;
        if (!digest_one(with, context, kind, data + start, size, out)) {
            break;
        }
        out += DIGEST_SIZE;
        for (size_t i = 0; i < LENGTH_SIZE; i++) {
            *out++ = (uint8_t)(size >> 8 * i);
        }
        start = ends[done++];
        kind = NULL;
    }
    if (context != NULL) {
        with->context_free(context);
    }
    if (done < count) {
        errno = ENOMEM; /* the library says no more than that it could not */
        return TBX_ERR_SYSTEM;
    }
    return TBX_OK;
}
