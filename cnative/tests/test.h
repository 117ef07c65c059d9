/* A test is a function that returns when all is well and ends the process when not. */
#ifndef TBX_TEST_H
#define TBX_TEST_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s is false\n", __FILE__, __LINE__, #condition);                         \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

/* The next number of a sequence (xorshift32, Marsaglia 2003); *state is not 0. */
static inline uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

void test_chunker(void);
void test_arena(void);
void test_scan(void);
void test_sum(void);
void test_digest(void);

#endif
