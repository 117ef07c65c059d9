"""Our figures beside those of Syncthing and rsync, from one run (docs/BENCHMARKS.md)."""
