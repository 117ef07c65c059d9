"""Host-side tools: benchmarks, demo, size report."""
