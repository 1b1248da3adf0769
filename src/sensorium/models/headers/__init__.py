"""What model files say of themselves, read before any native parser sees them.

A model file comes from strangers. Each reader here walks the header of one format in plain
Python, checks every number against the file before it uses it, and either tells what the file
holds or says what is wrong with it. `reading.read_header` is the one way in.
"""
