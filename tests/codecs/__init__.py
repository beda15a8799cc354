"""The codecs: what each can say, what comes back, and what is lost on the way from one to another."""
