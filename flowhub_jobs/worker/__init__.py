"""`flowhub worker`: Huey's consumer, the pipeline of one attempt, and the threads that keep leases and queue alive."""
