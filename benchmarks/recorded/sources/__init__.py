"""The programs whose runs are recorded, and what drives them."""
