/* What tools/cross/count.py runs under an emulator that counts instructions: the chunker over BYTES random
 * bytes, with the sizes SIZES. No C library: it starts at _start and ends by the kernel's exit, with status 0
 * when all bytes were consumed. */
#include "toastbox.h"

void _start(void) __attribute__((noreturn));

static uint8_t data[BYTES];

static void leave(int status) __attribute__((noreturn));

static void leave(int status)
{
#if defined(__x86_64__)
    __asm__ volatile("syscall" : : "a"(60), "D"(status));
#elif defined(__aarch64__)
    register long number __asm__("x8") = 93;
    register long first __asm__("x0") = status;
    __asm__ volatile("svc 0" : : "r"(number), "r"(first));
#else
    register int number __asm__("r7") = 1;
    register int first __asm__("r0") = status;
    __asm__ volatile("svc 0" : : "r"(number), "r"(first));
#endif
    __builtin_unreachable();
}

/* What a freestanding compiler may call for an initialiser. */
void *memset(void *memory, int value, size_t size);

void *memset(void *memory, int value, size_t size)
{
    volatile uint8_t *bytes = memory;

    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)value;
    }
    return memory;
}

/* xorshift32, as in tests/vectors/chunker_inputs.py. */
static void fill(void)
{
    uint32_t number = 1;

    for (size_t i = 0; i < BYTES; i++) {
        number ^= number << 13;
        number ^= number >> 17;
        number ^= number << 5;
        data[i] = (uint8_t)number;
    }
}

void _start(void)
{
    tbx_chunker chunker;
    size_t ends[64];
    size_t used = 0;

    fill();
    int status = tbx_chunker_init(&chunker, SIZES);
    (void)tbx_chunker_use(&chunker, TBX_FORM_SCALAR);
    (void)tbx_chunker_cuts(&chunker, data, BYTES, ends, 64, &used);
    leave(status == TBX_OK && used == BYTES ? 0 : 1);
}
