"""The C core and the agent for other processors: sizes, instruction counts, extensions, tests under emulation."""
