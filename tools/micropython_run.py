"""Runs inside MicroPython: the tests of one module, or the heap that all of core takes.

    micropython -X heapsize=192k micropython_run.py AGENT_FOLDER TESTS_FOLDER MODULE
    micropython -X heapsize=192k micropython_run.py AGENT_FOLDER - heap NAME...

The first prints the number of tests that passed; the second, for each module of core, the bytes it took, then
`total` and `free`. An exception ends it with a traceback and status 1.
"""

import gc
import sys


def run_tests(name):
    module = __import__(name)
    passed = 0
    for test in sorted(dir(module)):
        if test.startswith("test_"):
            gc.collect()
            getattr(module, test)()
            passed += 1
    print(passed)


def report_heap(names):
    gc.collect()
    first = gc.mem_alloc()
    for name in names:
        before = gc.mem_alloc()
        __import__("toastbox.core." + name)
        gc.collect()
        print(name, gc.mem_alloc() - before)
    print("total", gc.mem_alloc() - first)
    print("free", gc.mem_free())


sys.path[:] = [sys.argv[1], sys.argv[2], ".frozen"]
if sys.argv[3] == "heap":
    report_heap(sys.argv[4:])
else:
    run_tests(sys.argv[3])
