"""enqueue, status, wait, and the verbs that steer a job."""
