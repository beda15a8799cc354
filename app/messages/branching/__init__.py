"""A chat as a tree of messages: branches, the segments that they are stored in, forks, and what two branches share."""
