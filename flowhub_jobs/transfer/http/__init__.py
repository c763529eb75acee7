"""HTTP for ranges: requests, redirects, connections and bodies. It knows nothing of a running transfer's state.

range_client      sends the request for a range and follows its redirects ─► connections, response
connections, socket_stream   httpcore's network backend; one socket, whose body flowhub reads itself
response          a response whose body is still to come
response_headers  parses the headers of a response
content_decoding  gzip and deflate bodies
"""
