"""A small HTTP origin on loopback, in the standard library. The tests, the bench, chaos and the demo use it.

content ◄── answer ◄── flow ◄── connection ◄── server; hub/ is a server that answers as the Hugging Face Hub does.
"""
