import gc

gc.threshold(16384)  # collect before the heap is in small pieces
