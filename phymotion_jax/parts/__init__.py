"""The parts of the score, one file an axis. Each takes the moving body, gives violations."""
