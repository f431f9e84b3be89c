"""What the tests share: waiting for a fact, a clock moved by hand, private brokers, the leak check."""
