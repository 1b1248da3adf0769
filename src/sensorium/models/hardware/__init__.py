"""What this machine can compute with: processors, memory, accelerators, and what drives them."""
