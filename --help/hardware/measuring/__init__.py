"""What targets on this machine share: timing, the processor, a network to try them with."""
