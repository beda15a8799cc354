"""The calls, a module for each noun: pure functions that make the requests which both clients send."""
