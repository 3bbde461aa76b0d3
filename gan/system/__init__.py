"""Access to the machine: files, locks, processes, archives, devices, Ray."""
