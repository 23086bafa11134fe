"""Ways to share messages and values between processes, one module each."""
