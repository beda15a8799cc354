"""Archive formats: every format written and read back, and files as other services export them."""
