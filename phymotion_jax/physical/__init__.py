"""The `physical` preset: a clean capture of anything scores high, whatever physics forbids low."""
