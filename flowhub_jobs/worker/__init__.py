"""`flowhub worker`: Huey rings (bells, consumer), the pipeline runs one attempt, threads of ours keep it all alive."""
