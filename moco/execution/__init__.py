"""Where evaluations run, this process or workers; the lock on the device, and a target that is asked again."""
