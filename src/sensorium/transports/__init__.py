"""How Sensorium is reached. Doors see operations and never what is behind them."""
