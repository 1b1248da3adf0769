"""What runs model files: one module per library, all behind `base.Backend`."""
