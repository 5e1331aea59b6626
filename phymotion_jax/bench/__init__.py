"""Benchmarks that people can run and quote: `phymotion-jax bench`."""
