"""The resources of the clients, a module for each noun: in each the one that waits and the one that is awaited."""
