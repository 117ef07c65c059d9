#include "test.h"

int main(void)
{
    test_chunker();
    test_arena();
    test_scan();
    test_sum();
    test_digest();
    puts("C tests passed");
    return 0;
}
