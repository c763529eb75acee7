"""A small HTTP origin on loopback, in the standard library alone. The tests, the bench, chaos and the demo stand on it.

content ◄── answer ◄── flow ◄── connection ◄── server; hub/ is a server that answers as the Hugging Face Hub does.
"""
