"""Side-by-side measurements against peers.  Ratios of one run; never run by the tests."""
