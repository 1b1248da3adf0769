"""gRPC: every operation as a method of its noun's service, from the Structs alone."""
