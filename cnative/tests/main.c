#include "test.h"

int main(void)
{
    test_chunker();
    test_arena();
    test_scan();
    test_sum();
    puts("C tests passed");
    return 0;
}
