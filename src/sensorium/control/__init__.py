"""How a call is run: who may, when, where, and for how long."""
