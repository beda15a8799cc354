"""Pure functions that make the calls of the HTTP API, a module for each kind of object. Both clients send them."""
