"""Pure wire formats: what stands in a broker's or a backend's bytes, without any I/O."""
