"""The codecs of libraries, with the libraries' own objects, through the running service."""
