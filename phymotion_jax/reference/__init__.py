"""The published scorer's numbers: what no other preset does, each mistake behind its switch."""
