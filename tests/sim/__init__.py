"""Seeded histories of three devices and a hub in one process.

What is real: core's decisions, the device's loop (Engine and all it uses), the folder code, the index, the hub's
service, judge and journal. What is simulated: the kernel's files (disk, kernel), chunk store and restarts of the hub
(hub), the network between (remote), clocks, users, crashes (device, user, history). One `random.Random` decides all
chance, so that a seed is a history; promises.py tells what must hold in it.

    python -m tests.sim --seed N --trace     replays one history and shows every step
    python -m tests.sim --count N            a soak of N histories from --seed on
"""
