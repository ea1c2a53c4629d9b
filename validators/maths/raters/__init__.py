"""What people say of samples: detection, opinions and how far raters agree. Pure functions of arrays."""
