"""The arithmetic: pure functions, arrays in, arrays out; no settings, no input or output."""
