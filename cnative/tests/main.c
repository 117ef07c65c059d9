#include "test.h"

int main(void)
{
    test_chunker();
    test_arena();
    test_scan();
    puts("C tests passed");
    return 0;
}
