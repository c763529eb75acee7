"""Network: URLs, proxies, httpx transports, small documents, and foreign errors converted into flowhub's.

urls                  which URLs may be requested, and their origins · token_choice: the token of a request
redaction             removes secrets from URLs and foreign texts
get                   one GET of a small document into memory
httpx_transport       httpx's transport with the environment's proxies ─► happy_eyeballs, proxies, socks
proxy_auth_schemes    the sign-ins that a proxy offers
framing_repair        rewrites chunks that h11 would refuse · head_repair: heads that h11 would refuse
redirect_cookies      cookies of one chain of redirects
httpx_errors          converts httpx's errors into flowhub's
tls_context           the TLS context: trusted certificates
status_errors         a status as an error · retry_after: the wait that a host asks for
httpx_lean            httpx without its command line
content_range, content_disposition   headers in the forms that servers write
reachability          is the host unreachable, or this machine offline?
"""
